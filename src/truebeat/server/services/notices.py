"""Who waits for which task, and what wakes them: its updates, and the flips of its workspace."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from truebeat.protocol.tasks import Update

#: updates kept for one listener; one that is slower reads the database
KEPT: Final = 256


class Listener:
    """One that waits. Invariant: `fresh` has no gap, or `missed` is set."""

    __slots__ = ("_woken", "fresh", "missed")

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self.fresh: list[Update] = []
        self.missed = False

    def add(self, updates: list[Update]) -> None:
        if len(self.fresh) + len(updates) > KEPT:
            self.fresh.clear()
            self.missed = True
        else:
            self.fresh.extend(updates)
        self._woken.set()

    def wake(self) -> None:
        self._woken.set()

    async def woken(self) -> None:
        """Returns at once if something came since the last call."""
        await self._woken.wait()
        self._woken.clear()

    def take(self) -> tuple[list[Update], bool]:
        """(updates since the last call, whether some were dropped and are in the database only)."""
        fresh, self.fresh = self.fresh, []
        missed, self.missed = self.missed, False
        return fresh, missed


class Notices:
    """One a server; everything here is in memory."""

    def __init__(self) -> None:
        self._tasks: dict[UUID, set[Listener]] = {}
        self._workspaces: dict[UUID, set[Listener]] = {}
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    @contextmanager
    def listen(self, task_id: UUID, workspace_id: UUID) -> Iterator[Listener]:
        listener = Listener()
        self._tasks.setdefault(task_id, set()).add(listener)
        self._workspaces.setdefault(workspace_id, set()).add(listener)
        try:
            yield listener
        finally:
            _drop(self._tasks, task_id, listener)
            _drop(self._workspaces, workspace_id, listener)

    def updated(self, task_id: UUID, updates: list[Update]) -> None:
        """They are on disk."""
        for listener in self._tasks.get(task_id, ()):
            listener.add(updates)

    def workspace_changed(self, workspace_id: UUID) -> None:
        for listener in self._workspaces.get(workspace_id, ()):
            listener.wake()

    def close(self) -> None:
        """The server stops: whoever waits is woken and finds `closed`."""
        self._closed = True
        for listeners in self._tasks.values():
            for listener in listeners:
                listener.wake()


def _drop(table: dict[UUID, set[Listener]], key: UUID, listener: Listener) -> None:
    listeners = table.get(key)
    if listeners is not None:
        listeners.discard(listener)
        if not listeners:
            del table[key]
