"""What the parts of the brain share while they handle one event: the time, the dice, the timers, the commands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from truebeat.workspace import events as ev

if TYPE_CHECKING:
    from truebeat.workspace.events import Command


class Desk:
    """Timers are named, and each name is set at most once."""

    def __init__(self) -> None:
        #: monotonic seconds
        self.now = 0.0
        #: in 0..1, for every jitter of this event
        self.chance = 0.0
        self.out: list[Command] = []
        self.due: dict[str, float] = {}

    def open(self, now: float, chance: float) -> list[Command]:
        """Begin with an event; returns the list that its commands go to."""
        self.now, self.chance, self.out = now, chance, []
        return self.out

    def next_due(self) -> float:
        """When the first timer goes off; infinity for never."""
        return min(self.due.values(), default=math.inf)

    def take_due(self) -> list[str]:
        """The names of the timers that went off, which are gone by that."""
        names = [name for name, at in self.due.items() if at <= self.now]
        self.cancel(*names)
        return names

    def cancel(self, *names: str) -> None:
        """Those timers do not go off."""
        for name in names:
            self.due.pop(name, None)

    def log(self, level: str, text: str, **facts: object) -> None:
        """A line for people."""
        self.out.append(ev.Log(level, text, facts))
