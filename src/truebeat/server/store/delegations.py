"""What workspaces gave each other, and which of its results were used. `services/ledger.py` writes all of it that has
to do with tasks, in the transaction of the task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from truebeat.domain.delivery import State
from truebeat.server.store.sql import queries

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime
    from uuid import UUID

_SQL: Final = queries("delegations")
#: a row of a delegation with its task and names
Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NewRow:
    """A delegation before it is on disk. root_id and source_task_id: None where it is the first task of its chain."""

    task_id: UUID
    source_id: UUID
    target_id: UUID
    source_task_id: UUID | None
    root_id: UUID
    depth: int
    at: datetime
    deadline_at: datetime | None
    waited: bool
    #: the source's conversation that the result belongs to
    context_id: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A delegation whose task ended or asks. waited, withdrawn: nobody need be woken."""

    task_id: UUID
    source_id: UUID
    target_id: UUID
    root_id: UUID
    depth: int
    waited: bool
    withdrawn: bool


@dataclass(frozen=True, slots=True)
class Wake:
    """A source that must be woken in one of its conversations. state: of the oldest result that waits, which
    is that of `task_id`.
    """

    source_id: UUID
    task_id: UUID
    state: State
    origin: UUID | None
    context_id: str
    parent_id: UUID | None


@dataclass(frozen=True, slots=True)
class Given:
    """One result that the attempt `taker` has."""

    taker: UUID
    task_id: UUID
    target_id: UUID
    target_name: str
    asked: str
    state: State
    reason: str
    answer: str
    cut: bool
    ready_at: datetime
    tool_calls: int | None


@dataclass(frozen=True, slots=True)
class Link:
    """One step of the chain of who asked whom."""

    task_id: UUID
    source_id: UUID
    target_id: UUID
    source_task_id: UUID | None
    root_id: UUID
    depth: int
    deadline_at: datetime | None


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One of those above a workspace, itself at step 0. leads: it has children."""

    whose: UUID
    id: UUID
    parent_id: UUID | None
    step: int
    leads: bool


# --- writes, in the writer's transaction ------------------------------------------------------------------------------


async def insert(conn: Any, rows: Sequence[NewRow]) -> None:
    await conn.execute(
        _SQL["insert"],
        [row.task_id for row in rows],
        [row.source_id for row in rows],
        [row.target_id for row in rows],
        [row.source_task_id for row in rows],
        [row.root_id for row in rows],
        [row.depth for row in rows],
        [row.at for row in rows],
        [row.deadline_at for row in rows],
        [row.waited for row in rows],
        [row.context_id for row in rows],
    )


async def count_open(conn: Any, sources: Collection[UUID]) -> dict[UUID, int]:
    """How many of its delegations have not ended, of those sources that have any."""
    return {row["source_id"]: row["open"] for row in await conn.fetch(_SQL["count_open"], list(sources))}


async def ready(
    conn: Any, tasks: Sequence[tuple[UUID, bool, int | None, bool]], at: datetime, held_until: datetime
) -> list[Ended]:
    """Tasks (id, whether it ended, its calls of tools, canceled or not) that ended or ask: of them the delegations."""
    rows = await conn.fetch(
        _SQL["ready"],
        [task[0] for task in tasks],
        at,
        held_until,
        [task[1] for task in tasks],
        [task[2] for task in tasks],
        [task[3] for task in tasks],
    )
    return [Ended(*row) for row in rows]


async def replied(conn: Any, ids: Collection[UUID]) -> None:
    await conn.execute(_SQL["replied"], list(ids))


async def settle_given(
    conn: Any, attempts: Sequence[tuple[UUID, int]], at: datetime, *, consumed: bool
) -> list[tuple[UUID, UUID]]:
    """Attempts (task, attempt) that ended: what they had is consumed, or waits again. As (delegation, source)."""
    query = _SQL["consume_given" if consumed else "release_given"]
    rows = await conn.fetch(query, [one[0] for one in attempts], [one[1] for one in attempts], at)
    return [(row["task_id"], row["source_id"]) for row in rows]


async def give(conn: Any, takers: Sequence[tuple[UUID, UUID, int, str]], at: datetime, limit: int) -> list[Link]:
    """What waits goes to those (workspace, task, attempt, context)."""
    rows = await conn.fetch(
        _SQL["give"],
        [one[0] for one in takers],
        [one[1] for one in takers],
        [one[2] for one in takers],
        at,
        limit,
        [one[3] for one in takers],
    )
    return [
        Link(row["task_id"], row["source_id"], row["target_id"], None, row["root_id"], row["depth"], None)
        for row in rows
    ]


async def given(conn: Any, ids: Collection[UUID], text_limit: int) -> list[Given]:
    """What the present attempts at these tasks have, the oldest first."""
    return [
        Given(
            taker=row["given_task_id"],
            task_id=row["task_id"],
            target_id=row["target_id"],
            target_name=row["target_name"],
            asked=row["asked"],
            state=State(row["state"]),
            reason=row["reason"],
            answer=row["answer"],
            cut=row["cut"],
            ready_at=row["ready_at"],
            tool_calls=row["tool_calls"],
        )
        for row in await conn.fetch(_SQL["given"], list(ids), text_limit)
    ]


async def unwoken(conn: Any, sources: Collection[UUID] | None, at: datetime, gives_limit: int) -> list[Wake]:
    """Those of the sources (or of all) that have something to get, by conversation, and no wake of it under way."""
    rows = await conn.fetch(_SQL["unwoken"], None if sources is None else list(sources), at, gives_limit)
    return [
        Wake(row["source_id"], row["task_id"], State(row["state"]), row["origin"], row["context_id"], row["parent_id"])
        for row in rows
    ]


async def insert_wakes(conn: Any, wakes: Sequence[tuple[UUID, Wake]]) -> None:
    """Each task becomes the latest wake of its workspace in that conversation."""
    sources, contexts = [wake.source_id for _, wake in wakes], [wake.context_id for _, wake in wakes]
    await conn.execute(_SQL["retire_wakes"], sources, contexts)
    origins = [wake.origin for _, wake in wakes]
    await conn.execute(_SQL["insert_wakes"], [task_id for task_id, _ in wakes], sources, origins, contexts)


async def idle_wakes(conn: Any, sources: Collection[UUID], at: datetime) -> list[UUID]:
    """Queued wakes that have nothing to bring any more."""
    return [row["task_id"] for row in await conn.fetch(_SQL["idle_wakes"], list(sources), at)]


async def confirm(conn: Any, task_id: UUID, at: datetime, turn: tuple[UUID, int] | None) -> UUID | None:
    """The source, if there was something to confirm."""
    task, attempt = turn or (None, None)
    source: UUID | None = await conn.fetchval(_SQL["confirm"], task_id, at, task, attempt)
    return source


async def done_well(conn: Any, task_id: UUID, workspace_id: UUID) -> bool:
    """Whether it is a task of that workspace whose last turn did what it was to do."""
    return bool(await conn.fetchval(_SQL["done_well"], task_id, workspace_id))


async def unwait(conn: Any, task_id: UUID) -> None:
    await conn.execute(_SQL["unwait"], task_id)


async def hold(conn: Any, task_id: UUID, until: datetime | None) -> None:
    """None: it is nobody's."""
    await conn.execute(_SQL["hold"], task_id, until)


async def withdraw(conn: Any, ids: Collection[UUID]) -> None:
    await conn.execute(_SQL["withdraw"], list(ids))


# --- reads ------------------------------------------------------------------------------------------------------------


async def waiting(conn: Any) -> tuple[set[UUID], set[UUID]]:
    """(sources that have something to get or got it and are not done, the tasks that have it)."""
    sources = {row["source_id"] for row in await conn.fetch(_SQL["waiting_sources"])}
    return sources, {row["given_task_id"] for row in await conn.fetch(_SQL["given_tasks"])}


async def chain(conn: Any, task_id: UUID) -> list[Link]:
    """From the delegation that is this task, if it is one, up."""
    return [Link(*row) for row in await conn.fetch(_SQL["chain"], task_id)]


async def working(conn: Any, workspace_id: UUID) -> list[tuple[UUID, int]]:
    """(task, attempt) of those that are worked on, the deepest first."""
    return [(row["id"], row["attempt"]) for row in await conn.fetch(_SQL["working"], workspace_id)]


async def below(conn: Any, task_id: UUID) -> list[UUID]:
    """Open delegations that were made because of this task, the deepest first."""
    return list(dict.fromkeys(row["task_id"] for row in await conn.fetch(_SQL["below"], task_id)))


async def overdue(conn: Any, at: datetime, limit: int) -> list[UUID]:
    return [row["task_id"] for row in await conn.fetch(_SQL["overdue"], at, limit)]


async def orphans(conn: Any, limit: int) -> list[UUID]:
    return [row["task_id"] for row in await conn.fetch(_SQL["orphans"], limit)]


async def left_behind(conn: Any, limit: int) -> list[UUID]:
    """Open delegations whose source was removed."""
    return [row["task_id"] for row in await conn.fetch(_SQL["left_behind"], limit)]


async def get(conn: Any, task_id: UUID, text_limit: int) -> Record | None:
    """A delegation with its task and names."""
    found: Record | None = await conn.fetchrow(_SQL["get"], task_id, text_limit)
    return found


def as_given(row: Record) -> Given:
    """A delegation that is ready, as a result."""
    return Given(
        taker=row["task_id"],
        task_id=row["task_id"],
        target_id=row["target_id"],
        target_name=row["target_name"],
        asked=row["asked"],
        state=State(row["state"]),
        reason=row["reason"],
        answer=row["answer"],
        cut=row["cut"],
        ready_at=row["ready_at"] or row["updated_at"],
        tool_calls=row["tool_calls"],
    )


async def exists(conn: Any, workspace_id: UUID) -> bool:
    return bool(await conn.fetchval(_SQL["exists"], workspace_id))


async def page(conn: Any, workspace_id: UUID, limit: int, text_limit: int, *, received: bool) -> list[Record]:
    """As `get`, newest first: what it delegated, or what was delegated to it."""
    query = _SQL["page_of_target" if received else "page_of_source"]
    return list(await conn.fetch(query, workspace_id, limit, text_limit))


async def open_ones(conn: Any, workspace_id: UUID | None, limit: int) -> tuple[list[Record], int]:
    """Those of the fleet, or of one workspace, that have not ended, the newest first; and how many there are."""
    rows = list(await conn.fetch(_SQL["open_ones"], workspace_id, limit))
    return rows, rows[0]["total"] if rows else 0


async def relations(conn: Any, ids: Collection[UUID]) -> dict[UUID, list[Ancestor]]:
    """Each with all above it, itself first."""
    found: dict[UUID, list[Ancestor]] = {}
    for row in await conn.fetch(_SQL["relations"], list(ids)):
        found.setdefault(row["whose"], []).append(Ancestor(*row))
    return found


async def living(conn: Any) -> list[tuple[UUID, str, str, UUID | None]]:
    """(id, name, role, parent) of all workspaces that are not removed, by name."""
    return [tuple(row) for row in await conn.fetch(_SQL["living"])]


async def root(conn: Any, task_id: UUID) -> UUID:
    found: UUID = await conn.fetchval(_SQL["root"], task_id)
    return found


async def tree(conn: Any, root_id: UUID, limit: int) -> list[Record]:
    """Its tasks, the oldest first."""
    return list(await conn.fetch(_SQL["tree"], root_id, limit))
