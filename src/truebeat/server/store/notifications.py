"""What people are told, and what of it was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from truebeat.server.store.sql import queries

if TYPE_CHECKING:
    from collections.abc import Sequence

_SQL: Final = queries("notifications")
#: a row with the name of its workspace
Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Note:
    """A notification before it is on disk."""

    id: UUID
    workspace_id: UUID
    delegation_id: UUID | None
    at: datetime
    type: str
    message: str
    link: str


async def insert(conn: Any, notes: Sequence[Note]) -> None:
    await conn.execute(
        _SQL["insert"],
        [note.id for note in notes],
        [note.workspace_id for note in notes],
        [note.delegation_id for note in notes],
        [note.at for note in notes],
        [note.type for note in notes],
        [note.message for note in notes],
        [note.link for note in notes],
    )


async def page(
    conn: Any, *, unread: bool, before: tuple[datetime, UUID] | None, limit: int
) -> tuple[list[Record], int]:
    """Newest first, and how many are not read in all."""
    at, notification_id = before or (datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))
    rows = await conn.fetch(_SQL["page"], unread, at, notification_id, limit)
    return list(rows), await count_unread(conn)


async def count_unread(conn: Any) -> int:
    return int(await conn.fetchval(_SQL["count_unread"]))


async def read(conn: Any, notification_id: UUID, at: datetime) -> Record | None:
    """Its row, with the time of its first reader."""
    found: Record | None = await conn.fetchrow(_SQL["read"], notification_id, at)
    return found


async def read_through(conn: Any, notification_id: UUID, at: datetime) -> int | None:
    """It and all older ones; how many were not read before. None: there is no such one."""
    place = await conn.fetchrow(_SQL["place"], notification_id)
    return None if place is None else int(await conn.fetchval(_SQL["read_through"], at, *place))


async def prune(conn: Any, before: datetime, most: int) -> int:
    """One step through those older than `before`, the oldest first; how many are gone."""
    return int(await conn.fetchval(_SQL["prune"], before, most))


async def newest_beyond(conn: Any, count: int) -> datetime | None:
    """The time of the newest one that is not among the newest `count`."""
    found: datetime | None = await conn.fetchval(_SQL["newest_beyond"], count)
    return found
