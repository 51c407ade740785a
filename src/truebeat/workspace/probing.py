"""One probe of the runtime, in time that was really available.

The limit counts only time in which this process and the runtime could run: what this event loop was held up, and what
the runtime's process waited for a CPU, is no time to answer in. So a machine that starves, or a worker that was
stopped for a while, accuses nobody.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from truebeat.workspace.turns import error_text

if TYPE_CHECKING:
    from truebeat.workspace.executors.base import Executor

#: seconds between two looks at the clock while a probe is on
_SLICE: Final = 0.1
#: what a slice may be late by without anything being wrong
_USUAL: Final = 0.02
#: limits after which a probe that was held up all the time is given up, undecided
_PATIENCE: Final = 10
#: seconds for a canceled probe to end
_LEAVE: Final = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """failure: None if it answered, "" if it did not in time, else what it said. undecided: it could not be told."""

    failure: str | None
    undecided: bool = False


def waited_for_cpu(pid: int | None) -> float:
    """Seconds that the process's main thread was ready to run and had no CPU; 0 where that can't be read."""
    if pid is None:
        return 0.0
    try:
        with open(f"/proc/{pid}/schedstat", "rb") as file:  # noqa: PTH123
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


class Prober:
    """Never two probes at once: one that does not end, even when it is canceled, is waited for by the next."""

    def __init__(self, executor: Executor, timeout: float) -> None:
        self._executor = executor
        self.timeout = timeout
        #: seconds that this process was held up during the last probe
        self.held = 0.0
        self._left: asyncio.Task[None] | None = None

    async def ask(self, limit: float | None = None) -> Answer:
        """One probe; `limit` where the usual seconds are more than this one needs."""
        loop = asyncio.get_running_loop()
        timeout = self.timeout if limit is None else min(limit, self.timeout)
        self.held = 0.0
        if self._left is not None and not self._left.done():
            await asyncio.wait({self._left}, timeout=timeout)
            if not self._left.done():
                return Answer("")
        pid = self._executor.runtime_pid
        waited, started = waited_for_cpu(pid), loop.time()
        task = self._left = loop.create_task(self._probe(), name="probe")
        try:
            while not task.done():
                gone = loop.time() - started
                left = timeout - (gone - max(self.held, waited_for_cpu(pid) - waited))
                if left <= 0:
                    return Answer("")
                if gone > _PATIENCE * timeout:
                    return Answer(None, undecided=True)
                looked, slice_ = loop.time(), min(left, _SLICE)
                await asyncio.wait({task}, timeout=slice_)
                late = loop.time() - looked - slice_
                if late > _USUAL:
                    self.held += late
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=_LEAVE)
        if task.cancelled():
            return Answer("the probe was canceled from within")
        error = task.exception()
        return Answer(None if error is None else error_text(error))

    async def _probe(self) -> None:
        try:
            await self._executor.probe()
        except (SystemExit, KeyboardInterrupt) as error:
            # an agent's sys.exit() ends its probe, not the worker
            raise RuntimeError(f"the probe raised {type(error).__name__}({error})") from error
