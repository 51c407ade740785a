"""Waiting for a task to end, but never in vain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from truebeat.domain.delivery import State
from truebeat.domain.health import Status
from truebeat.server.services import availability
from truebeat.server.store import tasks as task_store

if TYPE_CHECKING:
    from uuid import UUID

    from truebeat.protocol.tasks import Update
    from truebeat.server.leases import Leases
    from truebeat.server.services.notices import Listener, Notices
    from truebeat.server.store.database import Database

#: seconds within which the tasks of a removed workspace are rejected, if the database answers
REJECTED_WITHIN: Final = 5.0


class Waits:
    """One a server."""

    def __init__(self, database: Database, leases: Leases, notices: Notices) -> None:
        self._database = database
        self._leases = leases
        self._notices = notices

    async def state_of(self, task_id: UUID) -> State:
        """As it is on disk; one that is gone has failed."""
        async with self._database.acquire() as connection:
            row = await task_store.get(connection, task_id)
        return State.FAILED if row is None else row.task.state

    async def until_told(
        self, task_id: UUID, workspace_id: UUID, listener: Listener, state: State
    ) -> list[Update] | None:
        """Returns when the task is final or paused, or its workspace is or becomes unable to take work: with all
        updates since `state` was had, or None if some were missed.
        """
        seen: list[Update] | None = []
        while not (state.final or state.paused or self._notices.closed):
            lease = self._leases.get(str(workspace_id))
            if lease is None or lease.status is Status.REMOVED:
                # Every task of it is being rejected this moment: that is the answer to wait for.
                async with asyncio.timeout(REJECTED_WITHIN):
                    await listener.woken()
            elif availability.in_vain(lease):
                return seen
            else:
                await listener.woken()
            fresh, missed = listener.take()
            if missed:
                state, seen = await self.state_of(task_id), None
            elif fresh:
                state = fresh[-1].state
                if seen is not None:
                    seen += fresh
        return seen
