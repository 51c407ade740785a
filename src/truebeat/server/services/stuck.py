"""Deliveries that a worker was given and does not begin: what senders see, counted without trusting one late look."""

from __future__ import annotations

from typing import Final

from truebeat.domain.health import STUCK_SENDERS, STUCK_TASKS, DeliveriesStuck

#: looks, one a second, that a delivery may take to begin. Looks and not seconds: a server that was stopped itself has
#: looked at nothing meanwhile, and accuses nobody of that time.
BEGIN_WITHIN: Final = 10


class Stuck:
    """Of one link."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        #: "task/attempt" -> (sender, looks so far)
        self._waiting: dict[str, tuple[str, int]] = {}

    def delivered(self, key: str, sender: str) -> None:
        self._waiting[key] = (sender, 0)

    def moved(self, key: str) -> None:
        """It began, or ended."""
        self._waiting.pop(key, None)

    def forget(self) -> None:
        self._waiting.clear()

    def look(self) -> DeliveriesStuck | None:
        """One second later. Told only when it is enough for the judge."""
        if not self._waiting:
            return None
        for key, (sender, looks) in self._waiting.items():
            self._waiting[key] = (sender, looks + 1)
        late = [sender for sender, looks in self._waiting.values() if looks > BEGIN_WITHIN]
        senders = len(set(late))
        if len(late) < STUCK_TASKS and senders < STUCK_SENDERS:
            return None
        return DeliveriesStuck(
            len(late),
            senders,
            f"{len(late)} tasks of {senders} senders were delivered and did not begin within {BEGIN_WITHIN} s",
        )
