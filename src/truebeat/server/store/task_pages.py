"""Lists of tasks, page by page, the newest change first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from truebeat.server.store.sql import queries
from truebeat.server.store.tasks import task_row

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime
    from uuid import UUID

    from truebeat.domain.delivery import State
    from truebeat.server.store.tasks import TaskRow

_SQL: Final = queries("task_pages")
#: rows that a count looks at
COUNT_LIMIT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tasks a page is about; of workspace, context, sender the narrowest index is taken."""

    states: Collection[State]
    updated_after: datetime
    workspace_id: UUID | None = None
    context_id: str | None = None
    #: only what this workspace sent
    sent_by: UUID | None = None


async def page(
    conn: Any, which: Filter, before: tuple[datetime, UUID], limit: int, size: int
) -> tuple[list[TaskRow], bool]:
    """Newest change first, of those changed before `before`: as many as have less than `size` bytes before them, and
    at least one; and whether there may be more.
    """
    name, more = _narrowest(which)
    states = [state.value for state in which.states]
    rows = await conn.fetch(_SQL[f"page_of_{name}"], states, which.updated_after, *before, limit, size, *more)
    return [task_row(row) for row in rows], bool(rows) and (len(rows) == limit or len(rows) < rows[0]["found"])


async def count(conn: Any, which: Filter) -> tuple[int, bool]:
    """How many there are, COUNT_LIMIT at most; and whether there are more."""
    name, more = _narrowest(which)
    states = [state.value for state in which.states]
    query = _SQL[f"count_of_{name}"]
    found = int(await conn.fetchval(query, states, which.updated_after, COUNT_LIMIT + 1, *more))
    return min(found, COUNT_LIMIT), found > COUNT_LIMIT


def _narrowest(which: Filter) -> tuple[str, tuple[Any, ...]]:
    if which.sent_by is not None:
        return "sender", (str(which.sent_by), which.workspace_id, which.context_id)
    if which.context_id is not None:
        return "context", (which.context_id, which.workspace_id)
    if which.workspace_id is not None:
        return "workspace", (which.workspace_id,)
    return "all", ()
