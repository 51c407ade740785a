"""Watching the runtime while no turn is on: is its process there, and does it answer.

The runtime is gone: wedged at once. It does not answer two probes in a row: wedged, with what was measured.
A process that is stopped is probed at once instead of at the next interval.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from truebeat.workspace import processes
from truebeat.workspace.turns import Turns, error_text

if TYPE_CHECKING:
    from truebeat.workspace.executors.base import Executor, Options
    from truebeat.workspace.wedge import WedgeFlag

#: seconds between looks at the process table
_LOOK: Final = 0.25
#: a probe that ended this much later than its limit says that this process was held up, not the runtime
_OWN_LAG: Final = 1.0
_PROBES: Final = 2

_NAMES: Final = {"R": "running", "S": "sleeping", "D": "waiting for a device", "T": "stopped", "t": "traced"}

_log = logging.getLogger(__name__)


def process_state(pid: int) -> str:
    """One letter as ps shows it; "" if there is no such process."""
    process = processes.read(pid)
    return process.state if process is not None else ""


def _state_text(pid: int | None) -> str:
    if pid is None:
        return ""
    letter = process_state(pid)
    return f"; process state {letter} ({_NAMES.get(letter, 'other')})" if letter else "; the process is gone"


class Watch:
    """Seconds throughout: options probe_interval (5) and probe_timeout (the executor's own)."""

    def __init__(self, executor: Executor, options: Options, turns: Turns, flag: WedgeFlag) -> None:
        self._executor = executor
        self._turns = turns
        self._flag = flag
        self._interval = options.seconds("probe_interval", 5.0)
        self._timeout = options.seconds("probe_timeout", executor.probe_timeout)

    async def run(self) -> None:
        """For ever."""
        now = asyncio.get_running_loop().time
        due = now() + self._interval
        while True:
            await asyncio.sleep(min(_LOOK, self._interval))
            if self._flag.reason is not None:
                continue
            if await self._gone():
                continue
            if self._turns.busy:
                due = now() + self._interval
            elif now() >= due or self._stopped():
                await self.probe_now()
                due = now() + self._interval

    def _stopped(self) -> bool:
        pid = self._executor.runtime_pid
        return pid is not None and process_state(pid) in {"T", "t"}

    async def _gone(self) -> bool:
        pid = self._executor.runtime_pid
        if pid is None or process_state(pid) not in {"", "Z", "X"}:
            return False
        # let the executor hear of the exit, so that the reason can say how it ended
        await asyncio.sleep(0.05)
        if self._executor.runtime_pid != pid:
            return False
        self._flag.mark(f"runtime (pid {pid}) {self._executor.exit_text() or 'is gone'}")
        return True

    async def probe_now(self) -> None:
        """Ask up to twice; mark the wedge if neither was answered."""
        failures = []
        for _ in range(_PROBES):
            failure = await self._ask()
            if failure is None or self._turns.busy:
                return
            failures.append(failure)
        pid = self._executor.runtime_pid
        who = f"runtime (pid {pid})" if pid is not None else "runtime"
        said = next((text for text in failures if text), "")
        what = f"failed {_PROBES} probes: {said}" if said else f"did not answer {_PROBES} probes of {self._timeout} s"
        self._flag.mark(f"{who} {what}{_state_text(pid)}")

    async def _ask(self) -> str | None:
        """None: it answered (or this process was held up and can't tell). "": no answer in time. Else the error."""
        now = asyncio.get_running_loop().time
        started = now()
        try:
            async with asyncio.timeout(self._timeout):
                await self._executor.probe()
        except TimeoutError:
            late = now() - started - self._timeout
            if late > _OWN_LAG:
                _log.warning("a probe ended %.1f s late: this process was held up; not counted", late)
                return None
            return ""
        except Exception as error:
            return error_text(error)
        return None
