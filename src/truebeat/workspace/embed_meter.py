"""Whether the event loop of this process moves, measured from another thread of it by the supervisor's own rule.

A thread can't see a loop while something holds the interpreter's lock and never lets go (C code that does not release
it): then nothing here runs, and the server sees silence.
"""

from __future__ import annotations

import sys
import threading
import traceback
from typing import TYPE_CHECKING, Final

from truebeat.workspace.loop_watch import LoopWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from truebeat.workspace.measure import Reading

#: seconds between two ticks of the loop
TICK: Final = 0.25


class LoopMeter:
    """`ticked` is called by the loop's thread, the rest by the measuring one. look: reads what the kernel says of the
    loop's thread.
    """

    def __init__(self, now: float, look: Callable[[], Reading]) -> None:
        self._read = look
        self._watch = LoopWatch(now)
        #: when the last tick came, and how late: one value, so never half old
        self._tick = (now, 0.0)
        self._watch.ticked(now)

    def ticked(self, now: float, lag: float) -> None:
        """The loop runs; `lag`: how late this tick came."""
        self._tick = (now, lag)

    @property
    def due(self) -> float:
        """When the next look is to be made; a later one was late and accuses nobody of that time."""
        return self._watch.due

    @property
    def lag(self) -> float:
        return self._tick[1]

    def age(self, now: float) -> float:
        """Seconds since the last tick, as the clock has it."""
        return max(0.0, now - self._tick[0])

    def look(self, now: float) -> tuple[float, str]:
        """Seconds the loop has stood still while it could have run, and its thread's state as ps shows it."""
        at, _ = self._tick
        if at != self._watch.ticked_at:
            self._watch.ticked(at)
        self._watch.looked(self._read(), now)
        return self._watch.blocked, self._watch.state


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
