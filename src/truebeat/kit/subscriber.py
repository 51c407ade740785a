"""A subscriber like any other: one thread that reads the event stream and notes when each event arrived."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from truebeat.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from truebeat.client.http import Client
    from truebeat.protocol.events import Event


@dataclass(frozen=True, slots=True)
class Arrival:
    """`at`: when the subscriber had it, on the monotonic clock."""

    at: float
    event: Event


class Subscriber:
    """Keeps everything; `wait` may be called from any thread."""

    def __init__(self, client: Client) -> None:
        self._clock = SystemClock()
        self._stream = client.events.stream(client.events.page(limit=1).seq)
        self._thread = threading.Thread(target=self._listen, name="subscriber", daemon=True)
        self._changed = threading.Condition()
        self._arrived: list[Arrival] = []

    def __enter__(self) -> Self:
        self._stream.open()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._thread.join(5)

    def since(self, place: int) -> list[Arrival]:
        """What arrived after the first `place` events, oldest first."""
        with self._changed:
            return self._arrived[place:]

    def of(self, workspace_id: UUID, after: float = 0.0) -> list[Arrival]:
        """What arrived of one workspace after that moment, oldest first."""
        with self._changed:
            return [one for one in self._arrived if one.at > after and one.event.workspace_id == workspace_id]

    def wait(
        self, workspace_id: UUID, wanted: Callable[[Event], bool], *, after: float, until: float, stop: threading.Event
    ) -> Arrival | None:
        """The first one wanted that arrived after `after`; None at the moment `until`, or when `stop` is set."""
        with self._changed:
            while not stop.is_set():
                for one in self._arrived:
                    if one.at > after and one.event.workspace_id == workspace_id and wanted(one.event):
                        return one
                left = until - self._clock.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(min(left, 0.5))
        return None

    def _listen(self) -> None:
        while (event := self._stream.next(3600)) is not None:
            with self._changed:
                self._arrived.append(Arrival(self._clock.monotonic(), event))
                self._changed.notify_all()
