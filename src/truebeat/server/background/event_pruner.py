"""Drops events older than the retention; a reader that comes too late is told to take a new snapshot."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from truebeat.errors import TruebeatError
from truebeat.server.store import events as event_store

if TYPE_CHECKING:
    from truebeat.clock import Clock
    from truebeat.server.store.database import Database

log = structlog.get_logger(__name__)

#: seconds between prunings
INTERVAL = 3600.0


class EventPruner:
    """One a server. `retention` is in seconds."""

    def __init__(self, database: Database, clock: Clock, *, retention: float) -> None:
        self._database = database
        self._clock = clock
        self._retention = timedelta(seconds=retention)

    async def run(self) -> None:
        while True:
            try:
                await self.prune()
            except TruebeatError as error:
                log.warning("could not prune events", reason=error.message)
            await asyncio.sleep(INTERVAL)

    async def prune(self) -> int:
        """Returns how many were dropped."""
        async with self._database.acquire() as connection:
            dropped = await event_store.prune(connection, self._clock.now() - self._retention)
        if dropped:
            log.info("pruned events", count=dropped)
        return dropped
