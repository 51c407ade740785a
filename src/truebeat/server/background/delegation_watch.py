"""What delegations need when nothing happens: deadlines, results that nobody confirmed, chains that were canceled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from truebeat.domain import delegations as rules
from truebeat.errors import TruebeatError
from truebeat.server.store import delegations as store

if TYPE_CHECKING:
    from truebeat.clock import Clock
    from truebeat.server.services.delegations import Delegations
    from truebeat.server.services.ledger import Ledger
    from truebeat.server.store.database import Database

log = structlog.get_logger(__name__)

#: seconds between looks
INTERVAL: Final = 1.0
#: delegations handled in one look
LIMIT: Final = 500


class DelegationWatch:
    """One a server."""

    def __init__(self, database: Database, delegations: Delegations, ledger: Ledger, clock: Clock) -> None:
        self._database = database
        self._delegations = delegations
        self._ledger = ledger
        self._clock = clock

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except TruebeatError as error:
                log.warning("could not look after delegations", reason=error.message)
            await asyncio.sleep(INTERVAL)

    async def look(self) -> None:
        """Errors: Unavailable."""
        now = self._clock.now()
        async with self._database.acquire() as connection:
            overdue = await store.overdue(connection, now, LIMIT)
            orphans = await store.orphans(connection, LIMIT)
            left_behind = await store.left_behind(connection, LIMIT)
            unwoken = await store.unwoken(connection, None, now, rules.GIVES_LIMIT)
        for delegation_id in overdue:
            await self._delegations.expire(delegation_id)
        for task_id in orphans:
            await self._delegations.cancel_below(task_id)
        for delegation_id in left_behind:
            await self._delegations.drop(delegation_id)
        if unwoken:
            await self._ledger.within(self._ledger.results.look)
