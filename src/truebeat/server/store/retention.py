"""What is dropped by age, in steps that hold up nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from truebeat.server.store.sql import queries

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

_SQL: Final = queries("retention")


async def prune_tasks(
    conn: Any, before: datetime, behind: tuple[datetime, UUID], tasks: int, updates: int
) -> tuple[int, tuple[datetime, UUID]] | None:
    """One step through what ended before `before`: (how many are gone, what to go on behind); None: it is done."""
    row = await conn.fetchrow(_SQL["prune_tasks"], before, *behind, tasks, updates)
    return None if row is None else (row["gone"], (row["updated_at"], row["id"]))
