"""Rows of tasks, made, claimed and ended as the writer does it."""

import dataclasses
from datetime import UTC, datetime
from uuid import UUID, uuid4

from truebeat.domain.delivery import OnInterrupt, State
from truebeat.protocol.delivery import Sender
from truebeat.server.store import tasks
from truebeat.server.store.tasks import NewRow

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
EVER = datetime(1, 1, 1, tzinfo=UTC)
LAST = (datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))
ADA, BOB = uuid4(), uuid4()
EVE = Sender(kind="person", id="eve", name="Eve")


def new(workspace=ADA, context="c", text="hi", *, priority=0, sender=EVE, at=NOW):
    return NewRow(
        id=uuid4(), workspace_id=workspace, context_id=context, sender=sender, text=text, parts=[], message=None,
        metadata={}, priority=priority, on_interrupt=OnInterrupt.RETRY, at=at,
    )  # fmt: skip


async def add(conn, *rows):
    await tasks.insert(conn, rows)
    return [row.id for row in rows]


async def claim(conn, room, workspace=ADA, generation=1):
    return [UUID(deliver.task_id) for *_, deliver in await tasks.claim(conn, [(workspace, generation, room)], NOW)]


async def change(conn, task_id, state=State.COMPLETED, answer=None, **fields):
    """It goes into `state`; fields: what else of its row is another."""
    row = (await tasks.hold(conn, [task_id]))[task_id]
    task = {"generation": None if state is not State.WORKING else row.task.generation}
    row.task = dataclasses.replace(row.task, state=state, **task)
    row.answer = answer
    for name, value in fields.items():
        setattr(row, name, value)
    await tasks.save(conn, [row], NOW)


async def finish(conn, task_id, state=State.COMPLETED, answer="done"):
    await change(conn, task_id, state, answer)
