"""The mailboxes. `services/ledger.py` is the only writer, in batches: each function here is one statement."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from truebeat.domain.delivery import OnInterrupt, State, Task
from truebeat.protocol.delivery import Deliver, Sender
from truebeat.protocol.tasks import Update
from truebeat.server.store import events as event_store
from truebeat.server.store.database import encode_json
from truebeat.server.store.sql import queries, storable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from truebeat.protocol.events import Event
    from truebeat.server.store.events import NewEvent

_SQL: Final = queries("tasks")
#: those before which no other of their context may be claimed
_UNFINISHED: Final = frozenset({State.SUBMITTED, State.WORKING})


@dataclass(frozen=True, slots=True)
class NewRow:
    """A task before it is on disk."""

    id: UUID
    workspace_id: UUID
    context_id: str
    sender: Sender
    text: str
    parts: list[dict[str, Any]]
    message: dict[str, Any] | None
    metadata: dict[str, Any]
    priority: int
    on_interrupt: OnInterrupt
    at: datetime
    #: nobody else knows its context yet, so nothing older is in it
    alone: bool = False


@dataclass(slots=True)
class HeldRow:
    """One task under the writer's hands. What is None stays as it is on disk."""

    id: UUID
    workspace_id: UUID
    context_id: str
    priority: int
    sender: Sender
    task: Task
    updates: int
    streamed: int
    #: index of the next chunk of the present attempt
    chunks: int = 0
    answer: str | None = None
    answer_parts: list[dict[str, Any]] | None = None
    reply_text: str | None = None
    reply_parts: list[dict[str, Any]] | None = None
    #: behind all that wait
    last: bool = False
    #: when it was held another of its context was unfinished
    shared: bool = True


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds a task by the ledger."""

    id: UUID
    generation: int
    attempt: int
    state: State
    cancel_requested: bool


@dataclass(frozen=True, slots=True)
class UpdateRow:
    """One entry of a task's log, as it is written."""

    task_id: UUID
    update: Update
    message: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One task as readers get it."""

    id: UUID
    workspace_id: UUID
    context_id: str
    sender: Sender
    task: Task
    priority: int
    updates: int
    text: str
    parts: list[dict[str, Any]]
    message: dict[str, Any] | None
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None
    answer: str = ""
    answer_parts: list[dict[str, Any]] = field(default_factory=list)


# --- writes, in the writer's transaction ------------------------------------------------------------------------------


async def insert(
    conn: Any, rows: Sequence[NewRow], events: Sequence[NewEvent] = (), claimed: Mapping[UUID, int] | None = None
) -> list[Event]:
    """In this order they wait; the first update of each comes with it. `claimed`: the generation that has it already.
    With events this is a transaction of its own.
    """
    told = event_store.columns(events)
    written = await conn.fetch(
        _SQL["insert"],
        [row.id for row in rows],
        [row.workspace_id for row in rows],
        [storable(row.context_id) for row in rows],
        [row.priority for row in rows],
        [row.on_interrupt.value for row in rows],
        [row.sender.kind for row in rows],
        [storable(row.sender.id) for row in rows],
        [storable(row.sender.name) for row in rows],
        [storable(row.text) for row in rows],
        [encode_json(row.parts) for row in rows],
        [None if row.message is None else encode_json(row.message) for row in rows],
        [encode_json(row.metadata) for row in rows],
        [row.at for row in rows],
        *told,
        event_store.LOCK_KEY,
        [claimed.get(row.id) if claimed else None for row in rows],
    )
    return event_store.numbered(written, told)


async def hold(conn: Any, ids: Collection[UUID]) -> dict[UUID, HeldRow]:
    """Those that exist, locked."""
    return {
        row["id"]: HeldRow(
            row["id"],
            row["workspace_id"],
            row["context_id"],
            row["priority"],
            _sender(row),
            _task(row),
            row["updates"],
            row["streamed"],
            row["chunks"],
            shared=row["shared"],
        )
        for row in await conn.fetch(_SQL["hold"], list(ids))
    }


async def save(conn: Any, rows: Sequence[HeldRow], at: datetime) -> None:
    """Rows that `hold` gave in the same transaction, in which no task was inserted since. Where one leaves the queue of
    its context the next becomes the head.
    """
    tasks = [row.task for row in rows]
    await conn.execute(
        _SQL["save"],
        [row.id for row in rows],
        [task.state.value for task in tasks],
        [task.attempt for task in tasks],
        [task.generation for task in tasks],
        [task.begun for task in tasks],
        [task.returned for task in tasks],
        [task.reply for task in tasks],
        [task.interrupted for task in tasks],
        [task.cancel_requested for task in tasks],
        [storable(task.reason) for task in tasks],
        [row.updates for row in rows],
        [row.streamed for row in rows],
        [None if row.answer is None else storable(row.answer) for row in rows],
        [None if row.answer_parts is None else encode_json(row.answer_parts) for row in rows],
        [None if row.reply_text is None else storable(row.reply_text) for row in rows],
        [None if row.reply_parts is None else encode_json(row.reply_parts) for row in rows],
        [row.last for row in rows],
        [at] * len(rows),
        [row.chunks for row in rows],
    )
    moved = {
        (row.workspace_id, row.context_id)
        for row in rows
        if row.last or (row.shared and row.task.state not in _UNFINISHED)
    }
    if moved:
        await conn.execute(_SQL["lead"], [one[0] for one in moved], [one[1] for one in moved])


async def mend_heads(conn: Any) -> None:
    """Before anything is claimed: who may be claimed follows from what is on disk."""
    await conn.execute(_SQL["mend_heads"])


async def claim(conn: Any, wanted: Sequence[tuple[UUID, int, int]], at: datetime) -> list[tuple[UUID, int, Deliver]]:
    """For each (workspace, generation, room) up to `room` tasks, in the order they are to be delivered, as (workspace,
    priority, what it is to get).
    """
    rows = await conn.fetch(
        _SQL["claim"], [one[0] for one in wanted], [one[1] for one in wanted], [one[2] for one in wanted], at
    )
    rows.sort(key=lambda row: (-row["priority"], row["place"]))
    return [(row["workspace_id"], row["priority"], _deliver(row)) for row in rows]


async def add_updates(conn: Any, rows: Sequence[UpdateRow]) -> None:
    await conn.execute(_SQL["add_updates"], *_update_columns(rows))


async def tell(conn: Any, rows: Sequence[UpdateRow], events: Sequence[NewEvent]) -> list[Event]:
    """Updates and events, as `add_updates` and `events.append` write them: last in the transaction."""
    if rows and events:
        told = event_store.columns(events)
        written = await conn.fetch(_SQL["tell"], *_update_columns(rows), *told, event_store.LOCK_KEY)
        return event_store.numbered(written, told)
    if rows:
        await add_updates(conn, rows)
    return await event_store.append(conn, events)


def _update_columns(rows: Sequence[UpdateRow]) -> tuple[list[Any], ...]:
    return (
        [row.task_id for row in rows],
        [row.update.seq for row in rows],
        [row.update.at for row in rows],
        [row.update.kind for row in rows],
        [row.update.state.value for row in rows],
        [storable(row.update.text) for row in rows],
        [storable(row.update.name) for row in rows],
        [encode_json(row.update.parts) for row in rows],
        [None if row.message is None else encode_json(row.message) for row in rows],
    )


# --- reads ------------------------------------------------------------------------------------------------------------


async def deliveries(conn: Any, ids: Collection[UUID], generation: int) -> list[Deliver]:
    """Of these those that a worker of that generation was given, has not begun and is not to stop."""
    return [_deliver(row) for row in await conn.fetch(_SQL["deliveries"], list(ids), generation)]


async def held(conn: Any, workspace_id: UUID) -> list[Lease]:
    """Oldest first."""
    return [
        Lease(row["id"], row["generation"], row["attempt"], State(row["state"]), row["cancel_requested"])
        for row in await conn.fetch(_SQL["held"], workspace_id)
    ]


async def open_ids(conn: Any, workspace_id: UUID, limit: int) -> list[UUID]:
    """Of tasks that have not ended, `limit` of those that wait or are worked on and as many that wait for a reply."""
    rows = await conn.fetch(_SQL["unfinished"], workspace_id, limit)
    rows += await conn.fetch(_SQL["paused"], workspace_id, limit)
    return [row["id"] for row in rows]


async def orphaned(conn: Any, limit: int) -> list[tuple[UUID, int, bool]]:
    """(workspace, its generation, whether it was removed) of those with tasks that nobody will end."""
    return [(row["id"], row["generation"], row["removed"]) for row in await conn.fetch(_SQL["orphaned"], limit)]


async def queued(conn: Any) -> dict[tuple[UUID, int], int]:
    """How many of each (workspace, priority) wait, if any do."""
    return {(row["workspace_id"], row["priority"]): row["queued"] for row in await conn.fetch(_SQL["queued"])}


async def position(conn: Any, task_id: UUID) -> int | None:
    """1 for the one that goes next; None when it does not wait."""
    found: int | None = await conn.fetchval(_SQL["position"], task_id)
    return found


async def get(conn: Any, task_id: UUID) -> TaskRow | None:
    found = await conn.fetchrow(_SQL["get"], task_id)
    return None if found is None else task_row(found)


async def began(conn: Any, workspace_id: UUID, context_id: str) -> tuple[str, str] | None:
    """(kind, id) of the sender of the first task of that conversation, if there is any."""
    found = await conn.fetchrow(_SQL["began"], workspace_id, context_id)
    return None if found is None else (found["sender_kind"], found["sender_id"])


async def updates(conn: Any, task_id: UUID, after: int, limit: int) -> list[Update]:
    return [_update(row) for row in await conn.fetch(_SQL["updates"], task_id, after, limit)]


async def story(conn: Any, task_id: UUID, limit: int) -> list[UpdateRow]:
    """Artifacts, questions and replies, oldest first."""
    return [UpdateRow(task_id, _update(row), row["message"]) for row in await conn.fetch(_SQL["story"], task_id, limit)]


def _sender(row: Any) -> Sender:
    return Sender(kind=row["sender_kind"], id=row["sender_id"], name=row["sender_name"])


def _task(row: Any) -> Task:
    return Task(
        state=State(row["state"]),
        on_interrupt=OnInterrupt(row["on_interrupt"]),
        attempt=row["attempt"],
        generation=row["generation"],
        begun=row["begun"],
        returned=row["returned"],
        reply=row["reply"],
        interrupted=row["interrupted"],
        cancel_requested=row["cancel_requested"],
        reason=row["reason"],
    )


def task_row(row: Any) -> TaskRow:
    return TaskRow(
        id=row["id"],
        workspace_id=row["workspace_id"],
        context_id=row["context_id"],
        sender=_sender(row),
        task=_task(row),
        priority=row["priority"],
        updates=row["updates"],
        text=row["text"],
        parts=row["parts"],
        message=row["message"],
        metadata=row["metadata"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        ended_at=row["ended_at"],
        answer=row["answer"],
        answer_parts=row["answer_parts"],
    )


def _deliver(row: Any) -> Deliver:
    return Deliver(
        task_id=str(row["id"]),
        context_id=row["context_id"],
        generation=row["generation"],
        attempt=row["attempt"],
        sender=_sender(row),
        text=row["text"],
        parts=row["parts"],
        reply=row["reply"],
        interrupted=row["interrupted"],
    )


def _update(row: Any) -> Update:
    state = State(row["state"])
    final = row["kind"] == "status" and (state.final or state.paused)
    return Update(
        seq=row["seq"],
        at=row["at"],
        kind=row["kind"],
        state=state,
        text=row["text"],
        name=row["name"],
        parts=row["parts"],
        final=final,
    )
