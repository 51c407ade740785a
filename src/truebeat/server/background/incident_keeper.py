"""Makes incidents of reports that none opened for, and drops old incidents with the events of their time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from truebeat.errors import TruebeatError
from truebeat.server.store import incidents as incident_store

if TYPE_CHECKING:
    from truebeat.clock import Clock
    from truebeat.server.services.incidents import Incidents
    from truebeat.server.store.database import Database

log = structlog.get_logger(__name__)

#: seconds between looks
INTERVAL = 30.0


class IncidentKeeper:
    """One a server. `retention` is in seconds."""

    def __init__(self, database: Database, incidents: Incidents, clock: Clock, *, retention: float) -> None:
        self._database = database
        self._incidents = incidents
        self._clock = clock
        self._retention = timedelta(seconds=retention)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self._incidents.gather_loose()
                await self.prune()
            except TruebeatError as error:
                log.warning("could not look after incidents", reason=error.message)

    async def prune(self) -> int:
        """Returns how many were dropped. An open one is kept, however old."""
        async with self._database.acquire() as connection:
            dropped = await incident_store.prune(connection, self._clock.now() - self._retention)
        if dropped:
            log.info("pruned incidents", count=dropped)
        return dropped
