"""Drops tasks that ended longer ago than the retention, with their updates."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

import structlog

from truebeat.errors import TruebeatError
from truebeat.server.store import retention as retention_store

if TYPE_CHECKING:
    from truebeat.clock import Clock
    from truebeat.server.store.database import Database

log = structlog.get_logger(__name__)

#: seconds between prunings, and between the steps of one: senders and workers come first
INTERVAL: Final = 3600.0
PAUSE: Final = 0.1
#: tasks, and updates of tasks, of one step
TASKS: Final = 200
UPDATES: Final = 5000
_BEGINNING: Final = (datetime(1, 1, 1, tzinfo=UTC), UUID(int=0))


class TaskPruner:
    """One a server. `retention` is in seconds, and longer than an idempotency key means its task."""

    def __init__(self, database: Database, clock: Clock, *, retention: float) -> None:
        self._database = database
        self._clock = clock
        self._retention = timedelta(seconds=retention)

    async def run(self) -> None:
        while True:
            try:
                await self.prune()
            except TruebeatError as error:
                log.warning("could not prune tasks", reason=error.message)
            await asyncio.sleep(INTERVAL)

    async def prune(self) -> int:
        """Returns how many were dropped."""
        before = self._clock.now() - self._retention
        behind, dropped = _BEGINNING, 0
        while True:
            async with self._database.acquire() as connection:
                step = await retention_store.prune_tasks(connection, before, behind, TASKS, UPDATES)
            if step is None:
                break
            gone, behind = step
            dropped += gone
            await asyncio.sleep(PAUSE)
        if dropped:
            log.info("pruned tasks", count=dropped)
        return dropped
