"""Ended tasks go after their retention, whole; what somebody may still ask for stays."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from truebeat.clock import SystemClock
from truebeat.domain.delivery import OnInterrupt, State
from truebeat.protocol.delivery import Sender
from truebeat.protocol.tasks import Update
from truebeat.server.background import task_pruner
from truebeat.server.background.task_pruner import TaskPruner
from truebeat.server.store import tasks as task_store
from truebeat.server.store.tasks import NewRow, UpdateRow

DAY = 86400
LONG_AGO = datetime.now(UTC) - timedelta(days=40)
EVE = Sender(kind="person", id="eve", name="Eve")


@pytest.fixture
async def conn(database):
    async with database.acquire() as connection:
        yield connection


@pytest.fixture
def pruner(database, monkeypatch):
    monkeypatch.setattr(task_pruner, "PAUSE", 0)
    return TaskPruner(database, SystemClock(), retention=30 * DAY)


async def add(conn, count=1, *, state=State.COMPLETED, at=LONG_AGO, updates=1):
    rows = [
        NewRow(
            id=uuid4(), workspace_id=uuid4(), context_id="c", sender=EVE, text="x", parts=[], message=None,
            metadata={}, priority=0, on_interrupt=OnInterrupt.RETRY, at=at,
        )
        for _ in range(count)
    ]  # fmt: skip
    ids = [row.id for row in rows]
    await task_store.insert(conn, rows)
    more = [Update(seq=seq, at=at, kind="text", state=state, text="y") for seq in range(2, updates + 1)]
    await task_store.add_updates(conn, [UpdateRow(task_id, update) for task_id in ids for update in more])
    await conn.execute(
        "UPDATE tasks SET state = $2, updates = $3, ended_at = CASE WHEN $4 THEN $5::timestamptz END,"
        " generation = CASE WHEN $2 = 'working' THEN 1 END WHERE id = ANY($1)",
        ids, state.value, updates, state.final, at,
    )  # fmt: skip
    return ids


async def left(conn):
    return {row["id"] for row in await conn.fetch("SELECT id FROM tasks")}


async def test_old_ended_tasks_go_with_all_that_is_theirs(conn, pruner):
    ids = await add(conn, 7, updates=3)
    await conn.execute("INSERT INTO push_configs VALUES ($1, 'p', 'u', '', '', '', 0, true, now())", ids[0])
    assert await pruner.prune() == 7
    for table in ("tasks", "task_updates", "push_configs"):
        assert await conn.fetchval(f"SELECT count(*) FROM {table}") == 0, table
    assert await pruner.prune() == 0


@pytest.mark.parametrize("state", [state for state in State if not state.final])
async def test_what_has_not_ended_stays_however_old(conn, pruner, state):
    kept = await add(conn, 3, state=state)
    gone = await add(conn, 2, at=LONG_AGO + timedelta(hours=1))
    assert await pruner.prune() == len(gone)
    assert await left(conn) == set(kept)


async def test_what_ended_lately_stays(conn, pruner):
    await add(conn)
    kept = await add(conn, at=LONG_AGO + timedelta(days=11))
    assert await pruner.prune() == 1
    assert await left(conn) == set(kept)


async def test_it_goes_in_small_steps_past_what_stays(conn, pruner, monkeypatch):
    """By number of tasks, and by what they put out; one that put out more than a step takes goes too."""
    monkeypatch.setattr(task_pruner, "TASKS", 4)
    monkeypatch.setattr(task_pruner, "UPDATES", 10)
    kept = await add(conn, 9, state=State.SUBMITTED)
    await add(conn, 9, updates=5)
    await add(conn, 1, updates=40)
    assert await pruner.prune() == 10
    assert await left(conn) == set(kept)


@pytest.mark.parametrize(
    ("facts", "stays"),
    [
        ({"ended": False}, True),
        ({"ready": True}, True),
        ({"ready": True, "consumed": True}, False),
        ({"ready": True, "withdrawn": True}, True),
        ({"ready": True, "removed": True}, False),
    ],
)
async def test_a_chain_stays_until_its_result_was_consumed(conn, pruner, facts, stays):
    """The delegation, what it was for and the first of the chain: but nobody waits for what a removed one asked for."""
    chain = await add(conn, 3)
    task, source_task, root = chain
    source = uuid4()
    await conn.execute(
        "INSERT INTO workspaces (id, name, role, created_at, status) VALUES ($1, 's', '', now(), $2)",
        source, "removed" if facts.get("removed") else "online",
    )  # fmt: skip
    await conn.execute(
        "INSERT INTO delegations (task_id, source_id, target_id, source_task_id, root_id, depth, created_at, waited,"
        " source_context, ended_at, ready_at, consumed_at, withdrawn)"
        " VALUES ($1, $2, $2, $3, $4, 1, now(), false, 'c', $5, $6, $7, $8)",
        task, source, source_task, root,
        LONG_AGO if facts.get("ended", True) else None, LONG_AGO if facts.get("ready") else None,
        LONG_AGO if facts.get("consumed") else None, facts.get("withdrawn", False),
    )  # fmt: skip
    await add(conn, 2)
    await pruner.prune()
    assert await left(conn) == (set(chain) if stays else set())
    assert await conn.fetchval("SELECT count(*) FROM delegations") == int(stays)


async def test_the_last_wake_of_a_workspace_is_remembered(conn, pruner):
    old, last = await add(conn, 2)
    workspace = uuid4()
    rows = "($1, $3, NULL, false, 'c'), ($2, $3, NULL, true, 'c')"
    await conn.execute(f"INSERT INTO wakes VALUES {rows}", old, last, workspace)
    await pruner.prune()
    assert [UUID(str(row["task_id"])) for row in await conn.fetch("SELECT task_id FROM wakes")] == [last]
