"""Where the updates of tasks are pushed to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from truebeat.server.store.sql import queries

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

_SQL: Final = queries("push_configs")


@dataclass(frozen=True, slots=True)
class PushConfigRow:
    """One row. `delivered`: seq of the last update that is done with."""

    task_id: UUID
    id: str
    url: str
    token: str
    scheme: str
    credentials: str
    delivered: int


async def put(conn: Any, row: PushConfigRow, now: datetime, most: int) -> bool:
    """False: the task has `most` others already."""
    written = await conn.fetchval(
        _SQL["put"],
        row.task_id,
        row.id,
        row.url,
        row.token,
        row.scheme,
        row.credentials,
        row.delivered,
        now,
        most,
    )
    return written is not None


async def of_task(conn: Any, task_id: UUID) -> list[PushConfigRow]:
    """The oldest first."""
    return [PushConfigRow(**found) for found in await conn.fetch(_SQL["of_task"], task_id)]


async def under_way(conn: Any, limit: int) -> list[PushConfigRow]:
    """Those whose task has not ended, as far as is known."""
    return [PushConfigRow(**found) for found in await conn.fetch(_SQL["under_way"], limit)]


async def delete(conn: Any, task_id: UUID, config_id: str) -> bool:
    """False: there is none."""
    return await conn.fetchval(_SQL["delete"], task_id, config_id) is not None


async def delivered(conn: Any, task_id: UUID, config_id: str, seq: int, *, done: bool) -> None:
    await conn.execute(_SQL["delivered"], task_id, config_id, seq, done)


async def prune(conn: Any, before: datetime) -> None:
    """Those that are done and were made before then."""
    await conn.execute(_SQL["prune"], before)
