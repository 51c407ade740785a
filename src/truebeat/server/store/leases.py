"""What the last beats said, flushed in batches. The table is unlogged: a crash of the database empties it, and then a
server knows of no beat and must wait for the next, not accuse.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from truebeat.server.store.sql import queries, storable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

_SQL: Final = queries("leases")
_BIGINT_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """The last beat of one workspace; None is what it did not tell."""

    workspace_id: UUID
    last_beat_at: datetime
    runtime_state: str | None = None
    error_rate: float | None = None
    sample_error: str | None = None
    active_tasks: int | None = None
    current_task: str | None = None
    uptime_seconds: float | None = None
    phase: str | None = None
    restarts: int | None = None
    worker_pid: int | None = None


async def upsert(conn: Any, rows: Iterable[LeaseRow]) -> None:
    """Writes them all in one statement; of two rows of one workspace the later beat stays."""
    latest: dict[UUID, LeaseRow] = {}
    for row in sorted(rows, key=attrgetter("last_beat_at")):
        latest[row.workspace_id] = row
    if not latest:
        return
    kept = latest.values()
    await conn.execute(
        _SQL["upsert"],
        [row.workspace_id for row in kept],
        [row.last_beat_at for row in kept],
        [_text(row.runtime_state) for row in kept],
        [row.error_rate for row in kept],
        [_text(row.sample_error) for row in kept],
        [_count(row.active_tasks) for row in kept],
        [_text(row.current_task) for row in kept],
        [row.uptime_seconds for row in kept],
        [_text(row.phase) for row in kept],
        [_count(row.restarts) for row in kept],
        [_count(row.worker_pid) for row in kept],
    )


async def load(conn: Any) -> list[LeaseRow]:
    """All of them, in no order."""
    return [LeaseRow(**found) for found in await conn.fetch(_SQL["load"])]


def _text(value: str | None) -> str | None:
    return None if value is None else storable(value)


def _count(value: int | None) -> int | None:
    return None if value is None else min(value, _BIGINT_MAX)
