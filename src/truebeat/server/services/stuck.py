"""Deliveries that a worker was given and does not begin: what senders see, counted without trusting one late look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from truebeat.domain.health import DeliveriesStuck, enough_stuck

if TYPE_CHECKING:
    from collections.abc import Collection

#: looks, one a second, that a delivery may take to begin. Looks and not seconds: a server that was stopped itself has
#: looked at nothing meanwhile, and accuses nobody of that time.
BEGIN_WITHIN: Final = 10
#: seconds since its last tick, by the beat, with which a worker is one that runs
TICKS: Final = 1.0


class _Waiting:
    __slots__ = ("looks", "seen", "sender")

    def __init__(self, sender: str) -> None:
        self.sender = sender
        self.looks = 0
        #: since it was late a beat came from a worker that runs, so that it could have begun
        self.seen = False


class Stuck:
    """Of one workspace, and of one generation of its worker: a link that comes and goes makes nobody forget."""

    __slots__ = ("_generation", "_told", "_waiting")

    def __init__(self) -> None:
        self._generation = -1
        #: by "task/attempt"
        self._waiting: dict[str, _Waiting] = {}
        #: the judge has heard of it
        self._told = False

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def of(self, generation: int) -> None:
        """What another generation was given is no matter of this one's."""
        if generation != self._generation:
            self._generation = generation
            self._waiting.clear()
            self._told = False

    def delivered(self, key: str, sender: str) -> None:
        """Or delivered again: it has waited all the while."""
        self._waiting.setdefault(key, _Waiting(sender))

    def moved(self, key: str) -> bool:
        """It began, or ended. Returns whether that was the last of those that the judge has heard of."""
        self._waiting.pop(key, None)
        if not self._told or any(one.seen for one in self._waiting.values()):
            return False
        self._told = False
        return True

    def keep(self, keys: Collection[str]) -> None:
        """Only these are still its own."""
        for key in self._waiting.keys() - set(keys):
            del self._waiting[key]

    def ticked(self, tick_age: float | None) -> None:
        """A beat, and how long ago its worker last ran. One that gets no CPU can't begin anything either."""
        if tick_age is None or tick_age <= TICKS:
            for one in self._waiting.values():
                one.seen = one.seen or one.looks > BEGIN_WITHIN

    def look(self, room: int) -> DeliveriesStuck | None:
        """One second later; `room` is how many it takes together. Told only when it is enough for the judge."""
        for one in self._waiting.values():
            one.looks += 1
        late = [one.sender for one in self._waiting.values() if one.seen]
        senders = len(set(late))
        if not enough_stuck(len(late), senders, room):
            return None
        self._told = True
        what = "1 task was" if len(late) == 1 else f"{len(late)} tasks of {senders} senders were"
        return DeliveriesStuck(len(late), senders, f"{what} delivered and did not begin within {BEGIN_WITHIN} s", room)
