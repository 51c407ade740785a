"""Whether a worker's event loop is blocked, pure: missing ticks, counted in *entitled* time.

Entitled is the time in which the worker could have ticked and in which we would have seen it. Not counted are:
- what its main thread waited for a processor: a starved machine blocks nobody's loop;
- what this supervisor itself was late by: who was frozen saw nothing, and accuses nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from truebeat.workspace.measure import Reading

#: seconds between two looks at a worker that ticks, and at one that does not
LOOK_EVERY: Final = 1.0
LOOK_CLOSELY: Final = 0.25
#: seconds without a tick after which it is looked at closely; three ticks
QUIET: Final = 0.75
STOPPED: Final = frozenset("Tt")


class LoopWatch:
    """One generation's. Call `ticked` for each tick and `looked` for each look, which is due at `due`."""

    def __init__(self, now: float) -> None:
        #: process state at the last look, "" before it and without a process
        self.state = ""
        #: when it last ticked; None before the first tick
        self.ticked_at: float | None = None
        #: entitled seconds since the last tick, or the start
        self.blocked = 0.0
        #: entitled seconds since the start
        self.age = 0.0
        self.due = now + LOOK_EVERY
        self._looked_at = now
        self._counted_to = now
        self._last: Reading | None = None

    def ticked(self, now: float) -> None:
        """Its event loop ticked just now."""
        self.ticked_at = now
        self.ran(now)

    def ran(self, now: float) -> None:
        """It said something that only a loop that runs can say."""
        self._counted_to = now
        self.blocked = 0.0

    def looked(self, reading: Reading, now: float) -> None:
        """A look: count what of the time since the last one the worker was entitled to."""
        self.state = reading.state
        late = max(0.0, now - self.due)
        waited = self._waited(reading, now - self._looked_at)
        self.age += max(0.0, now - self._looked_at - late - waited)
        self.blocked += max(0.0, now - self._counted_to - late - waited)
        self._last = reading
        self._looked_at = self._counted_to = now
        quiet = self.ticked_at is not None and now - self.ticked_at > QUIET
        self.due = now + (LOOK_CLOSELY if quiet or self.stopped else LOOK_EVERY)

    @property
    def stopped(self) -> bool:
        """Its process was stopped at the last look, by a signal or a debugger."""
        return self.state in STOPPED

    def _waited(self, reading: Reading, elapsed: float) -> float:
        """Seconds of `elapsed` that it was ready to run and did not get to."""
        last = self._last
        if last is None or None in {reading.cpu, reading.run_delay, last.cpu, last.run_delay}:
            return 0.0
        waited = max(0.0, (reading.run_delay or 0.0) - (last.run_delay or 0.0))
        ran = max(0.0, (reading.cpu or 0.0) - (last.cpu or 0.0))
        if reading.state == "R" and (last.state == "R" or ran == 0.0):
            # a wait is added up only once it is over, and what a quota takes away is added up nowhere
            waited = max(waited, elapsed - ran)
        return min(waited, elapsed)
