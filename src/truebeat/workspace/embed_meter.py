"""Whether the event loop of this process moves, measured from another thread of it.

What the loop's thread waited for a CPU, and what the measuring thread itself came late (a stopped or starved process),
is nobody's blocked loop: it is taken off. A thread can't see a loop while something holds the interpreter's lock and
never lets go (C code without releasing it): then nothing here runs, and the server sees silence.
"""

from __future__ import annotations

import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: seconds between two ticks of the loop, and between two looks at them
TICK: Final = 0.25


def cpu_wait(thread: int) -> float:
    """Seconds this thread of ours has been ready to run without a CPU, since it began; 0 where no one counts."""
    try:
        text = Path(f"/proc/self/task/{thread}/schedstat").read_text(encoding="ascii")
        return int(text.split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


class LoopMeter:
    """`ticked` is called by the loop's thread, the rest by the measuring one.

    waited: the loop thread's `cpu_wait`, a parameter so that rules can be tested without a starved machine.
    """

    def __init__(self, now: float, waited: Callable[[], float] = lambda: 0.0) -> None:
        self._waited = waited
        #: when the last tick came, how late, and what its thread had waited by then: one value, so never half old
        self._tick = (now, 0.0, waited())
        self._seen = now
        self._looked = now
        #: what the looks since the tick came late
        self._own_lateness = 0.0

    def ticked(self, now: float, lag: float) -> None:
        """The loop runs; `lag`: how late this tick came."""
        self._tick = (now, lag, self._waited())

    @property
    def lag(self) -> float:
        return self._tick[1]

    def age(self, now: float) -> float:
        """Seconds since the last tick, as the clock has it."""
        return max(0.0, now - self._tick[0])

    def blocked(self, now: float) -> float:
        """Seconds the loop has stood still while it could have run. To be called every TICK or more often."""
        at, _, waited = self._tick
        if at != self._seen:
            self._seen, self._own_lateness = at, 0.0
        self._own_lateness += max(0.0, now - max(self._looked + TICK, at))
        self._looked = now
        return max(0.0, now - at - TICK - self._own_lateness - max(0.0, self._waited() - waited))


def stacks() -> str:
    """What every thread of this process is doing, newest call last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    own = threading.get_ident()
    parts = []
    for ident, frame in sys._current_frames().items():  # noqa: SLF001 - the documented way
        if ident != own:
            trace = "".join(traceback.format_stack(frame))
            parts.append(f"Thread {names.get(ident, '?')} ({ident}), newest call last:\n{trace}")
    return "\n".join(parts)
