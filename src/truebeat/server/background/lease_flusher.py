"""Writes the stamps of the last second in one statement: a restarted server can say when it last heard of whom.

Being the one who asks the database each second, it also says for how long beats may have been turned away: without the
database nobody new can be told apart, so that time is no silence.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from truebeat.errors import Unavailable
from truebeat.server.store import leases as lease_store
from truebeat.server.store.leases import LeaseRow

if TYPE_CHECKING:
    from truebeat.clock import Clock
    from truebeat.server.leases import Lease, Leases
    from truebeat.server.store.database import Database

log = structlog.get_logger(__name__)

#: seconds between flushes
INTERVAL = 1.0


class LeaseFlusher:
    """One a server."""

    def __init__(self, database: Database, leases: Leases, clock: Clock) -> None:
        self._database = database
        self._leases = leases
        self._clock = clock

    async def run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            await self.flush()

    async def flush(self) -> int:
        """Write what was stamped since the last flush; returns how many. What can't be written is kept for the next."""
        doubt = self._leases.doubt
        taken = self._leases.take_dirty()
        if not taken and not doubt.blind:
            return 0
        try:
            if not taken:
                await self._database.ping()
            async with self._database.acquire() as connection:
                await lease_store.upsert(connection, [_row(lease) for lease in taken])
            doubt.works(self._clock.monotonic())
        except (
            Exception
        ) as error:  # also what should not happen: a stamp that can't be written must not take others along
            # Any other answer is an answer of the database.
            (doubt.lost if isinstance(error, Unavailable) else doubt.works)(self._clock.monotonic())
            log.warning("stamps could not be written", count=len(taken), reason=str(error))
            for lease in taken:
                if not lease.dirty:
                    lease.dirty = True
                    self._leases.dirty.append(lease)
            return 0
        return len(taken)


def _row(lease: Lease) -> LeaseRow:
    assert lease.last_beat_at is not None  # noqa: S101 - only a stamp makes a lease dirty
    return LeaseRow(
        workspace_id=UUID(lease.id),
        last_beat_at=lease.last_beat_at,
        runtime_state=lease.runtime_state,
        error_rate=lease.error_rate,
        sample_error=lease.sample_error,
        active_tasks=lease.active_tasks,
        current_task=lease.current_task,
        uptime_seconds=lease.uptime_seconds,
        phase=lease.phase,
        restarts=lease.restarts,
        worker_pid=lease.worker_pid,
    )
