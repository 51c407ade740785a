"""Watching the runtime, idle and in turns alike: suspicion, probe, repair, and only then the admission.

- Suspicion costs nothing: the work was silent for as long as its phase allows, or the process is stopped, or somebody
  asks. It makes a probe, no more.
- A probe that is not answered counts, unless the runtime put something out meanwhile. Two in a row accuse. So do, at
  once: a runtime whose process is gone, a turn past the option `turn_silence`, an error that means a wedge.
- An accused runtime is told to be unresponsive at once (Canary with failures 2), its turns are handed back, and its
  executor repairs it in place (Recovered frames). Whoever was repaired has to pass a probe.
- What no repair helped is a wedge: marked, and the supervisor starts another worker.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from truebeat.domain.phases import bounds_of
from truebeat.protocol import pipe
from truebeat.workspace import processes
from truebeat.workspace.probing import Prober
from truebeat.workspace.repair import Repair

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from truebeat.workspace.executors.base import Executor, Options
    from truebeat.workspace.turns import Turns
    from truebeat.workspace.wedge import WedgeFlag

#: seconds between looks at the process table
LOOK: Final = 0.25
#: probes that must fail in a row
PROBES: Final = 2
#: seconds between a failed probe and the next at least: what was so for a moment only is no evidence
_BETWEEN: Final = 0.5
#: seconds that a look may come late by without this process having been held up
_HELD_UP: Final = 0.5
#: seconds for a probe of a process that is stopped: it can't answer, and only has to be given the time to be continued
STOPPED_LIMIT: Final = 2.0
#: states of a process that does nothing any more
GONE: Final = frozenset({"", "Z", "X"})
_STOPPED: Final = frozenset({"T", "t"})
#: a declared bound is probed at least this many times before it ends
_WITHIN_BOUND: Final = 3
#: seconds between probes at least, however short the bounds
_LEAST: Final = 0.1

_NAMES: Final = {"R": "running", "S": "sleeping", "D": "waiting for a device", "T": "stopped", "t": "traced"}


def process_state(pid: int) -> str:
    """One letter as ps shows it; "" if there is no such process."""
    process = processes.read(pid)
    return process.state if process is not None else ""


def _state_text(pid: int | None) -> str:
    if pid is None:
        return ""
    letter = process_state(pid)
    return f"; process state {letter} ({_NAMES.get(letter, 'other')})" if letter else "; the process is gone"


async def _nothing_is_on(_reason: str) -> bool:
    return True


class Watch:
    """Seconds throughout. suspects, bounds: by phase, where they differ from domain/phases.py. Options: probe_interval
    (of an idle runtime, 5), probe_timeout (the executor's own), turn_silence (none), recover (yes).
    """

    def __init__(
        self,
        executor: Executor,
        options: Options,
        turns: Turns,
        flag: WedgeFlag,
        *,
        suspects: Mapping[str, float] | None = None,
        bounds: Mapping[str, float] | None = None,
    ) -> None:
        self._executor = executor
        self._turns = turns
        self._evidence = turns.evidence
        self._flag = flag
        self._suspects = dict(suspects or {})
        self._bounds = dict(bounds or {})
        interval = options.seconds("probe_interval", 0.0) if options.text("probe_interval") else None
        if interval is not None:
            self._suspects["idle"] = interval
        self._silence = options.seconds("turn_silence", 0.0) if options.text("turn_silence") else None
        self._prober = Prober(executor, options.seconds("probe_timeout", executor.probe_timeout))
        repairs = options.choice("recover", "yes", ("yes", "no")) == "yes"
        self._repair = Repair(executor, turns, self._prober, offered=repairs)
        #: ends the turns that are on, for that reason, and says whether all did end
        self.interrupt: Callable[[str], Awaitable[bool]] = _nothing_is_on
        self._wake = asyncio.Event()
        self._asked = False
        #: failed probes in a row
        self._failures = 0
        #: when the last probe was decided
        self._probed_at = self._evidence.clock.monotonic()
        self._accusation = ""

    # -- what others say and ask

    def unable(self) -> str:
        """Why no turn can be taken now; "" if one can."""
        if self._accusation:
            return f"the runtime is being repaired: {self._accusation}"
        return f"wedged: {self._flag.reason}" if self._flag.reason is not None else ""

    @property
    def mends(self) -> bool:
        """Whether an accusation can end in more than a new worker: a runtime can be replaced, or there is a repair."""
        return self._executor.runtime_pid is not None or self._repair.offered

    def ask(self) -> None:
        """Probe now."""
        self._asked = True
        self._wake.set()

    def accuse(self, reason: str) -> None:
        """The runtime is broken, whatever it says: told at once, repaired by `run`. The first reason counts."""
        if not self._accusation and self._flag.reason is None:
            self._accusation = reason
            self._failures = max(self._failures + 1, PROBES)
            self._turns.send(pipe.Canary(failures=self._failures, detail=reason))
            self._wake.set()

    # -- watching

    async def run(self) -> None:
        """For ever."""
        now = asyncio.get_running_loop().time
        patience = min(LOOK, self._suspects.get("idle", LOOK))
        while True:
            due = now() + patience
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._wake.wait()
            late = now() - due
            if late > _HELD_UP:
                self._evidence.forgive(late)
            self._wake.clear()
            await self.look()

    async def look(self) -> None:
        """One look, with all that follows from it."""
        if self._flag.reason is not None:
            self._accusation = ""
            return
        if not self._accusation:
            await self._examine()
        if self._accusation:
            await self._settle()

    async def probe_now(self) -> None:
        """Ask up to twice, with all that follows from it."""
        await self._probe()
        if self._accusation:
            await self._settle()

    async def first(self) -> str | None:
        """The canary after a start: None if it passed, else what is wrong. An undecided one is asked again."""
        failures: list[str] = []
        while len(failures) < PROBES:
            answer = await self._prober.ask()
            if answer.undecided:
                continue
            if answer.failure is None:
                self._passed()
                return None
            failures.append(answer.failure)
            if len(failures) < PROBES:
                self._turns.send(pipe.Canary(failures=len(failures), detail=answer.failure or "no answer in time"))
        reason = self._reason(failures)
        self._turns.send(pipe.Canary(failures=len(failures), detail=reason))
        return reason

    async def _examine(self) -> None:
        gone = await self._gone()
        if gone:
            self.accuse(gone)
            return
        overdue = self._evidence.overdue(self._silence) if self._silence is not None else None
        if overdue is not None:
            self.accuse(f"a turn put nothing out for longer than {self._silence:g} s (turn_silence)")
        elif self._asked or self._stopped() or self._executor.suspicion() or self._suspicious():
            await self._probe()

    def _suspicious(self) -> bool:
        place = self._evidence.place
        usual = bounds_of(place.phase)
        if not usual.probed:
            return False
        after = self._suspects.get(place.phase, usual.suspect_after)
        bound = place.bound or self._bounds.get(place.phase)
        if bound:
            # a bound that is shorter than the suspicion must not end before the runtime was asked
            after = min(after if after is not None else bound, bound / _WITHIN_BOUND)
        elif after is not None and usual.still_after is not None:
            after = min(after, usual.still_after / 2)
        if after is None:
            return False
        now = self._evidence.clock.monotonic()
        return now - max(self._evidence.moved_at, self._probed_at) >= max(after, _LEAST)

    def _stopped(self) -> bool:
        pid = self._executor.runtime_pid
        return pid is not None and process_state(pid) in _STOPPED

    def _limit(self) -> float:
        """Seconds for a probe of the runtime as it stands."""
        return min(STOPPED_LIMIT, self._prober.timeout) if self._stopped() else self._prober.timeout

    async def _gone(self) -> str:
        pid = self._executor.runtime_pid
        if pid is None or process_state(pid) not in GONE:
            return ""
        # let the executor hear of the exit, so that the reason can say how it ended
        await asyncio.sleep(0.05)
        if self._executor.runtime_pid != pid:
            return ""
        return f"runtime (pid {pid}) {self._executor.exit_text() or 'is gone'}"

    async def _probe(self) -> None:
        self._asked = False
        failures: list[str] = []
        while len(failures) < PROBES:
            spoken = self._evidence.spoken
            answer = await self._prober.ask(self._limit())
            self._evidence.forgive(self._prober.held)
            if self._accusation or self._flag.reason is not None:
                return
            if answer.undecided or (answer.failure == "" and self._evidence.spoken != spoken):
                return
            if answer.failure is None:
                self._passed()
                return
            failures.append(answer.failure)
            if len(failures) < PROBES:
                self._failures = len(failures)
                detail = answer.failure or f"no answer within {self._limit():g} s"
                self._turns.send(pipe.Canary(failures=self._failures, detail=detail))
                if answer.failure:
                    await asyncio.sleep(_BETWEEN)
        self._failures = PROBES - 1
        self.accuse(self._reason(failures))

    def _passed(self) -> None:
        self._failures = 0
        self._probed_at = self._evidence.clock.monotonic()
        self._evidence.canary_passed()
        self._turns.send(pipe.Canary(failures=0))

    def _reason(self, failures: list[str]) -> str:
        pid = self._executor.runtime_pid
        who = f"runtime (pid {pid})" if pid is not None else "runtime"
        said = next((text for text in failures if text), "")
        what = f"failed {PROBES} probes: {said}" if said else f"did not answer {PROBES} probes of {self._limit()} s"
        return f"{who} {what}{_state_text(pid)}"

    async def _settle(self) -> None:
        reason = self._accusation
        left = await self._repair.run(reason, self.interrupt)
        self._accusation = ""
        if left is None:
            self._passed()
        else:
            self._flag.mark(f"{reason}{left}")
