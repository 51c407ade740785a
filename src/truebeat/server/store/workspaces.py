"""Workspaces and the records of their health. Status is written only together with the conditions it derives from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from truebeat.domain.health import Condition, Record, Status, Symptom, Witness
from truebeat.errors import Conflict, Gone, Invalid, NotFound
from truebeat.server.store.database import encode_json
from truebeat.server.store.sql import queries, storable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

_SQL: Final = queries("workspaces")


@dataclass(frozen=True, slots=True)
class WorkspaceRow:
    """One row. `version` counts the writes of `record`: it is what compare-and-set compares."""

    id: UUID
    name: str
    role: str
    parent_id: UUID | None
    url: str | None
    agent_card: dict[str, Any] | None
    created_at: datetime
    registered_at: datetime | None
    record: Record
    version: int = 0


async def insert(conn: Any, row: WorkspaceRow) -> None:
    """Raises Conflict if the id is taken, Invalid if the parent does not exist."""
    record = row.record
    try:
        await conn.execute(
            _SQL["insert"],
            row.id,
            storable(row.name),
            storable(row.role),
            row.parent_id,
            None if row.url is None else storable(row.url),
            row.agent_card,
            row.created_at,
            row.registered_at,
            record.status.value,
            _told(record),
            record.generation,
            record.awaiting_above,
            row.version,
        )
    except asyncpg.UniqueViolationError as error:
        raise Conflict(f"there is already a workspace with the id {row.id}; choose another id") from error
    except asyncpg.ForeignKeyViolationError as error:
        raise Invalid(f"parent_id: there is no workspace {row.parent_id}") from error


async def get(conn: Any, workspace_id: UUID) -> WorkspaceRow | None:
    """The workspace, removed or not."""
    found = await conn.fetchrow(_SQL["get"], workspace_id)
    return None if found is None else _row(found)


async def hold(conn: Any, workspace_id: UUID) -> WorkspaceRow | None:
    """As `get`; nobody changes or removes it until the caller's transaction ends. Before a lock on its tokens, never
    after: removal takes them in that order.
    """
    found = await conn.fetchrow(_SQL["hold"], workspace_id)
    return None if found is None else _row(found)


async def page(
    conn: Any,
    *,
    after: tuple[str, UUID] | None,
    limit: int,
    status: Status | None = None,
    include_removed: bool = False,
) -> list[WorkspaceRow]:
    """Up to `limit` rows in the order of (name, id), by code point, that come after `after`."""
    name, last = after if after is not None else (None, None)
    wanted = None if status is None else status.value
    removed = include_removed or status is Status.REMOVED
    return [_row(found) for found in await conn.fetch(_SQL["page"], name, last, limit, wanted, removed)]


async def live(conn: Any) -> list[WorkspaceRow]:
    """All that are not removed."""
    return [_row(found) for found in await conn.fetch(_SQL["live"])]


async def save_records(conn: Any, changes: Sequence[tuple[UUID, int, Record]]) -> set[UUID]:
    """Writes each (id, expected version, record) whose version is still the expected one; the ids it wrote.

    Two changes of one id in one call are an error of the caller: at most one could win.
    """
    if not changes:
        return set()
    records = [record for _, _, record in changes]
    written = await conn.fetch(
        _SQL["save_records"],
        [workspace_id for workspace_id, _, _ in changes],
        [expected for _, expected, _ in changes],
        [record.status.value for record in records],
        [encode_json(_told(record)) for record in records],
        [record.generation for record in records],
        [record.awaiting_above for record in records],
    )
    return {found["id"] for found in written}


async def register(
    conn: Any, workspace_id: UUID, *, url: str | None, agent_card: dict[str, Any] | None, now: datetime
) -> bool:
    """True for exactly one caller: the first registration. Nobody removes it until the caller's transaction ends.
    Raises NotFound, Gone (it was removed).
    """
    url = None if url is None else storable(url)
    if await conn.fetchval(_SQL["register_first"], workspace_id, url, agent_card, now) is not None:
        return True
    if await conn.fetchval(_SQL["register_again"], workspace_id, url, agent_card) is None:
        if await get(conn, workspace_id) is not None:
            raise Gone("the workspace was removed; stop this agent")
        raise NotFound(f"there is no workspace {workspace_id}")
    return False


def _told(record: Record) -> list[dict[str, str | int | None]]:
    return [
        {
            "symptom": condition.symptom.value,
            "detail": storable(condition.detail),
            "since": condition.since.isoformat(),
            "generation": condition.generation,
            "said_by": condition.said_by.value if condition.said_by else None,
        }
        for condition in record.conditions
    ]


def _row(found: Any) -> WorkspaceRow:
    conditions = tuple(
        Condition(
            Symptom(told["symptom"]),
            told["detail"],
            datetime.fromisoformat(told["since"]),
            told.get("generation", 0),
            Witness(told["said_by"]) if told.get("said_by") else None,
        )
        for told in found["conditions"]
    )
    return WorkspaceRow(
        id=found["id"],
        name=found["name"],
        role=found["role"],
        parent_id=found["parent_id"],
        url=found["url"],
        agent_card=found["agent_card"],
        created_at=found["created_at"],
        registered_at=found["registered_at"],
        record=Record(conditions, found["generation"], found["awaiting_above"]),
        version=found["version"],
    )
