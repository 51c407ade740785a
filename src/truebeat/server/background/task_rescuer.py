"""Ends or gives back what nobody else will: tasks of replaced workers and of removed workspaces."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import UUID

import structlog

from truebeat.domain import delivery
from truebeat.errors import TruebeatError
from truebeat.server.background.tasks import spawn
from truebeat.server.services.ledger import KEY_LIFE
from truebeat.server.services.ledger_items import Decision
from truebeat.server.store import keys as key_store
from truebeat.server.store import tasks as task_store

if TYPE_CHECKING:
    from truebeat.clock import Clock
    from truebeat.server.leases import Lease
    from truebeat.server.services.ledger import Ledger
    from truebeat.server.store.database import Database

log = structlog.get_logger(__name__)

#: seconds between looks; links and removals tell at once, this is for what they missed
INTERVAL: Final = 5.0
#: looks between prunings of old idempotency keys
PRUNE_EVERY: Final = 120
#: workspaces, and tasks of one, looked at together
LIMIT: Final = 500

REMOVED: Final = "the workspace was removed"


class TaskRescuer:
    """One a server."""

    def __init__(self, database: Database, ledger: Ledger, clock: Clock) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock

    async def run(self) -> None:
        looks = 0
        while True:
            try:
                await self.rescue()
                if looks % PRUNE_EVERY == 0:
                    await self._prune()
            except TruebeatError as error:
                log.warning("could not look for orphaned tasks", reason=error.message)
            looks += 1
            await asyncio.sleep(INTERVAL)

    async def rescue(self) -> None:
        """Every task that is held by a replaced generation goes back or ends; every one of a removed workspace ends."""
        async with self._database.acquire() as connection:
            orphaned = await task_store.orphaned(connection, LIMIT)
        for workspace_id, generation, removed in orphaned:
            if removed:
                await self._reject_all(workspace_id)
            else:
                await self._ledger.inspect(workspace_id, partial(_replaced, generation))

    def on_removed(self, lease: Lease) -> None:
        """At once, so that no sender waits."""
        spawn(self._reject_all(UUID(lease.id)), name="reject tasks of a removed workspace")

    async def _reject_all(self, workspace_id: UUID) -> None:
        while True:
            async with self._database.acquire() as connection:
                ids = await task_store.open_ids(connection, workspace_id, LIMIT)
            if not ids:
                return
            ended = [self._ledger.happen(task_id, delivery.Rejected(REMOVED), lasting=True) for task_id in ids]
            await asyncio.gather(*ended)

    async def _prune(self) -> None:
        before = self._clock.now() - KEY_LIFE - timedelta(hours=1)
        async with self._database.acquire() as connection:
            await key_store.prune(connection, before)


def _replaced(generation: int, leases: list[task_store.Lease]) -> Decision:
    return Decision(
        [
            (
                held.id,
                delivery.LeaseExpired(
                    held.generation,
                    held.attempt,
                    f"worker generation {held.generation} was replaced by {generation}",
                ),
            )
            for held in leases
            if held.generation < generation
        ],
        [],
    )
