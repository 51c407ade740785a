"""Drops notifications that are older than the retention, read or not, and the oldest of too many."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from truebeat.errors import TruebeatError
from truebeat.server.store import notifications as store

if TYPE_CHECKING:
    from truebeat.clock import Clock
    from truebeat.server.store.database import Database

log = structlog.get_logger(__name__)

#: seconds between prunings, and between the steps of one
INTERVAL: Final = 3600.0
PAUSE: Final = 0.1
#: notifications of one step
STEP: Final = 1000
#: kept at most: nobody reads more, and an agent that tells without end must not fill the disk
MOST: Final = 100_000


class NotificationPruner:
    """One a server. `retention` is in seconds."""

    def __init__(self, database: Database, clock: Clock, *, retention: float, most: int = MOST) -> None:
        self._database = database
        self._clock = clock
        self._retention = timedelta(seconds=retention)
        self._most = most

    async def run(self) -> None:
        while True:
            try:
                await self.prune()
            except TruebeatError as error:
                log.warning("could not prune notifications", reason=error.message)
            await asyncio.sleep(INTERVAL)

    async def prune(self) -> int:
        """Returns how many were dropped."""
        before = self._clock.now() - self._retention
        async with self._database.acquire() as connection:
            beyond = await store.newest_beyond(connection, self._most)
        if beyond is not None:
            # what came in the same microsecond as the newest of them goes too: times are compared, not places
            before = max(before, beyond + timedelta(microseconds=1))
        dropped = 0
        while True:
            async with self._database.acquire() as connection:
                gone = await store.prune(connection, before, STEP)
            dropped += gone
            if gone < STEP:
                break
            await asyncio.sleep(PAUSE)
        if dropped:
            log.info("pruned notifications", count=dropped)
        return dropped
