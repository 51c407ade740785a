"""A task's updates, as one reader gets them: what is kept, then what comes, without a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from truebeat.domain.delivery import State
from truebeat.protocol.tasks import Update
from truebeat.server.services import task_views
from truebeat.server.store import tasks as task_store

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from uuid import UUID

    from truebeat.clock import Clock
    from truebeat.server.services.facts import Facts
    from truebeat.server.services.notices import Notices
    from truebeat.server.store.database import Database
    from truebeat.server.store.tasks import TaskRow

#: updates read from the database at once
PAGE: Final = 500


class UpdateStreams:
    """One a server."""

    def __init__(self, database: Database, notices: Notices, facts: Facts, clock: Clock) -> None:
        self._database = database
        self._notices = notices
        self._facts = facts
        self._clock = clock

    async def of(self, row: TaskRow, after: int, *, details: bool) -> AsyncGenerator[Update, None]:
        """Those after that seq, until one is `final`. While the task is not final "unavailable" and "available" tell of
        its workspace. details: with texts. Errors, when iterated: Unavailable.
        """
        with self._notices.listen(row.id, row.workspace_id) as listener:
            cursor, state, able = after, row.task.state, True
            missed = True
            fresh: list[Update] = []
            while not self._notices.closed:
                if missed or (fresh and fresh[0].seq > cursor + 1):
                    fresh = await self._read(row.id, cursor)
                    missed = len(fresh) == PAGE
                for update in fresh:
                    if update.seq <= cursor:
                        continue
                    cursor, state = update.seq, update.state
                    last = update.final and cursor >= await self._last(row.id, update)
                    told = update if details else task_views.without_texts(update)
                    yield told if last or not update.final else msgspec.structs.replace(told, final=False)
                    if last:
                        return
                fresh = []
                if missed:
                    continue
                if state.final or state.paused:
                    return  # nothing follows what the reader has
                flipped = self._facts.flipped(row.workspace_id, able, details=details)
                if flipped is not None:
                    able = flipped.able
                    if not able and state is State.SUBMITTED:
                        flipped.position = await self._facts.place(row.id)
                    yield Update(
                        seq=cursor,
                        at=self._clock.now(),
                        kind="available" if able else "unavailable",
                        state=state,
                        text=flipped.reason if details else "",
                        availability=flipped,
                    )
                await listener.woken()
                fresh, missed = listener.take()

    async def _last(self, task_id: UUID, update: Update) -> int:
        """The seq of the task's last update: after a pause a reply may have come already."""
        if update.state.final:
            return update.seq
        async with self._database.acquire() as connection:
            row = await task_store.get(connection, task_id)
        return update.seq if row is None else row.updates

    async def _read(self, task_id: UUID, after: int) -> list[Update]:
        async with self._database.acquire() as connection:
            return await task_store.updates(connection, task_id, after, PAGE)
