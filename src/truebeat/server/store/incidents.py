"""Incidents and the reports on them. Of one workspace at most one incident is open: the database holds to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from truebeat.domain.incidents import NEAR, REPAIRED, grace_after
from truebeat.server.store.database import encode_json
from truebeat.server.store.sql import queries, storable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

_SQL: Final = queries("incidents")
#: steps of one timeline, and reports of one incident or waiting for one
STEPS_LIMIT: Final = 200
REPORTS_LIMIT: Final = 50
#: reports that are looked at together when no incident opened for them
LOOSE_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """One row; `timeline` and `evidence` are JSON values, empty where only a list was asked for."""

    id: UUID
    workspace_id: UUID
    opened_at: datetime
    closed_at: datetime | None
    symptom: str
    witness: str
    detail: str
    worst: str
    generation: int
    recovery: str = ""
    evidence: dict[str, Any] | None = None
    timeline: list[dict[str, Any]] = field(default_factory=list)
    left_out: int = 0
    #: the workspace's
    name: str = ""


@dataclass(frozen=True, slots=True)
class Proceeding:
    """What is added to an open incident; it closes if `closed_at` is set."""

    id: UUID
    worst: str
    steps: list[dict[str, Any]]
    closed_at: datetime | None = None
    recovery: str = ""


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One report of a supervisor. (workspace, boot, n) is its name: the same is stored once."""

    workspace_id: UUID
    boot: int
    n: int
    at: datetime
    generation: int
    kind: str
    detail: str
    action: str = ""
    stack: str = ""
    stderr_tail: str = ""
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OpenRow:
    """An open incident as a starting server finds it."""

    id: UUID
    workspace_id: UUID
    opened_at: datetime
    symptom: str
    witness: str
    detail: str
    worst: str
    generation: int
    timeline: list[dict[str, Any]]
    #: a repair in place was reported
    repaired: bool


@dataclass(frozen=True, slots=True)
class LooseRow:
    """A report that belongs to no incident."""

    workspace_id: UUID
    boot: int
    n: int
    at: datetime
    generation: int
    kind: str
    detail: str
    name: str


async def open_all(conn: Any, rows: Sequence[IncidentRow], *, adopt: float | None = NEAR) -> None:
    """Inserts them; one whose workspace has an open incident already is passed over. Waiting reports of the workspace
    that are at most `adopt` seconds older become the incident's.
    """
    if not rows:
        return
    await conn.execute(
        _SQL["open"],
        [row.id for row in rows],
        [row.workspace_id for row in rows],
        [row.opened_at for row in rows],
        [row.closed_at for row in rows],
        [row.symptom for row in rows],
        [row.witness for row in rows],
        [storable(row.detail) for row in rows],
        [row.worst for row in rows],
        [row.generation for row in rows],
        [storable(row.recovery) for row in rows],
        [None if row.evidence is None else encode_json(row.evidence) for row in rows],
        [encode_json(row.timeline) for row in rows],
        adopt,
    )


async def proceed(conn: Any, changes: Sequence[Proceeding]) -> None:
    """Adds to incidents that are open; one that is closed stays as it is."""
    if not changes:
        return
    await conn.execute(
        _SQL["proceed"],
        [change.id for change in changes],
        [change.worst for change in changes],
        [change.closed_at for change in changes],
        [storable(change.recovery) for change in changes],
        [encode_json(change.steps) for change in changes],
        STEPS_LIMIT,
    )


async def attach(conn: Any, row: ReportRow) -> tuple[bool, UUID | None]:
    """(stored now, its incident). Not stored: it was before, or the bound is reached, which is counted."""
    found = await conn.fetch(
        _SQL["attach"],
        row.workspace_id,
        row.boot,
        row.n,
        row.at,
        row.generation,
        storable(row.kind),
        storable(row.detail),
        storable(row.action),
        storable(row.stack),
        storable(row.stderr_tail),
        row.facts,
        NEAR,
        REPORTS_LIMIT,
        grace_after(row.kind),
    )
    if found:
        return True, found[0]["incident_id"]
    if not await conn.fetchval(_SQL["has_report"], row.workspace_id, row.boot, row.n):
        await conn.execute(_SQL["count_left_out"], row.workspace_id)
    return False, None


async def repaired(conn: Any, incident_id: UUID, said: str, says: str) -> None:
    """The recovery of a closed incident becomes `says` if it was `said`."""
    await conn.execute(_SQL["repaired"], incident_id, said, says)


async def get(conn: Any, incident_id: UUID) -> IncidentRow | None:
    found = await conn.fetchrow(_SQL["get"], incident_id)
    return None if found is None else IncidentRow(**found)


async def reports(conn: Any, incident_id: UUID) -> list[ReportRow]:
    """Of one incident, in the order of what they tell."""
    rows = await conn.fetch(_SQL["reports"], incident_id)
    return [ReportRow(**row) for row in rows]


async def page(
    conn: Any,
    *,
    after: tuple[datetime, UUID] | None,
    limit: int,
    open_: bool | None = None,
    workspace_id: UUID | None = None,
) -> list[IncidentRow]:
    """Newest first, without timeline and evidence."""
    opened_at, last = after if after is not None else (None, None)
    if workspace_id is None:
        rows = await conn.fetch(_SQL["page"], opened_at, last, limit, open_)
    else:
        rows = await conn.fetch(_SQL["page_of_workspace"], opened_at, last, limit, open_, workspace_id)
    return [IncidentRow(**row) for row in rows]


async def still_open(conn: Any, workspace_ids: list[UUID] | None = None) -> list[OpenRow]:
    """Of these workspaces, or of all."""
    return [OpenRow(**row) for row in await conn.fetch(_SQL["still_open"], REPAIRED, workspace_ids)]


async def loose(conn: Any, before: datetime) -> list[LooseRow]:
    """Reports older than `before` that no incident took, by workspace and time."""
    return [LooseRow(**row) for row in await conn.fetch(_SQL["loose"], before, LOOSE_AT_ONCE)]


async def give(conn: Any, workspace_id: UUID, incident_id: UUID, before: datetime) -> None:
    """The workspace's reports without an incident, older than `before`, become this one's."""
    await conn.execute(_SQL["give"], workspace_id, incident_id, before)


async def drop_loose(conn: Any, workspace_id: UUID, before: datetime) -> None:
    await conn.execute(_SQL["drop_loose"], workspace_id, before)


async def prune(conn: Any, before: datetime) -> int:
    """Deletes those closed before; how many."""
    return int(await conn.fetchval(_SQL["prune"], before))
