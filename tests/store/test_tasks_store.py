"""Mailboxes on disk: order, claims, keys, pages; and the plans of the hot queries with many rows."""

import asyncio
import dataclasses
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from truebeat.domain.delivery import OnInterrupt, State, Task
from truebeat.protocol.delivery import Sender
from truebeat.protocol.tasks import Update
from truebeat.server.store import tasks
from truebeat.server.store.sql import queries
from truebeat.server.store.tasks import Filter, Key, NewRow, UpdateRow

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


async def finish(conn, task_id, state=State.COMPLETED, answer="done"):
    row = (await tasks.hold(conn, [task_id]))[task_id]
    row.task = dataclasses.replace(row.task, state=state, generation=None)
    row.answer = answer
    await tasks.save(conn, [row], NOW)


@pytest.fixture
async def conn(database):
    async with database.acquire() as connection:
        yield connection


async def test_a_task_comes_back_as_it_was(conn):
    row = dataclasses.replace(
        new(text="h\u00e9\x00llo \ud800", priority=-3), parts=[{"text": "x\x00"}], message={"messageId": "m"},
        metadata={"a": [1]}, on_interrupt=OnInterrupt.FAIL,
    )  # fmt: skip
    await add(conn, row)
    found = await tasks.get(conn, row.id)
    assert (found.text, found.parts, found.message, found.metadata) == (
        "h\u00e9\ufffdllo ?", [{"text": "x\ufffd"}], {"messageId": "m"}, {"a": [1]},
    )  # fmt: skip
    assert (found.sender, found.priority, found.task) == (EVE, -3, Task(on_interrupt=OnInterrupt.FAIL))
    assert (found.created_at, found.updated_at, found.ended_at, found.updates) == (NOW, NOW, None, 1)
    assert await tasks.get(conn, uuid4()) is None


async def test_claims_keep_the_order_of_each_context(conn):
    a1, a2, b1, c1 = await add(conn, new(context="a"), new(context="a"), new(context="b"), new(context="c", priority=1))
    assert await claim(conn, 10) == [c1, a1, b1]
    assert await claim(conn, 10) == []
    await finish(conn, a1)
    assert await claim(conn, 10) == [a2]


async def test_a_paused_task_holds_up_nobody_and_its_reply_goes_behind(conn):
    first, second = await add(conn, new(), new())
    await claim(conn, 1)
    await finish(conn, first, State.INPUT_REQUIRED, "when?")
    [row] = (await tasks.hold(conn, [first])).values()
    row.task = dataclasses.replace(row.task, state=State.SUBMITTED, reply=True)
    row.reply_text, row.last = "now", True
    row.reply_parts = [{"text": "now"}]
    await tasks.save(conn, [row], NOW)
    assert await claim(conn, 5) == [second]
    await finish(conn, second)
    [(_, _, deliver)] = await tasks.claim(conn, [(ADA, 1, 5)], NOW)
    assert (deliver.task_id, deliver.text, deliver.reply, deliver.attempt) == (str(first), "now", True, 2)
    assert (await tasks.get(conn, first)).answer == "when?"


async def test_a_claim_raises_the_attempt_and_sets_the_lease(conn):
    [task_id] = await add(conn, new())
    assert await claim(conn, 1, generation=7) == [task_id]
    [held] = await tasks.held(conn, ADA)
    assert (held.id, held.generation, held.attempt, held.state) == (task_id, 7, 1, State.SUBMITTED)
    [again] = await tasks.deliveries(conn, [task_id])
    assert (again.generation, again.attempt) == (7, 1)


async def test_many_workspaces_are_served_at_once_each_to_its_room(conn):
    await add(conn, *[new(ADA, str(n)) for n in range(5)], *[new(BOB, str(n)) for n in range(5)])
    claimed = await tasks.claim(conn, [(ADA, 1, 2), (BOB, 9, 3), (uuid4(), 1, 4)], NOW)
    assert [workspace for workspace, *_ in claimed].count(ADA) == 2
    assert [deliver.generation for workspace, _, deliver in claimed if workspace == BOB] == [9, 9, 9]


async def test_two_who_claim_at_once_never_get_the_same(database, conn):
    ids = await add(conn, *[new(context=str(n % 20)) for n in range(60)])

    async def worker():
        got = []
        while True:
            async with database.transaction() as own:
                some = await claim(own, 3)
                for task_id in some:
                    await finish(own, task_id)
            got += some
            if not some:
                return got

    got = [task_id for some in await asyncio.gather(*(worker() for _ in range(4))) for task_id in some]
    assert len(got) == len(set(got))
    left = await claim(conn, 100)
    assert set(got) | set(left) <= set(ids)


async def test_positions_and_counts_of_a_queue(conn):
    low, high, other = await add(conn, new(context="a"), new(context="b", priority=2), new(BOB))
    assert [await tasks.position(conn, task_id) for task_id in (low, high, other)] == [2, 1, 1]
    assert await tasks.queued(conn) == {(ADA, 0): 1, (ADA, 2): 1, (BOB, 0): 1}
    await claim(conn, 1)
    assert await tasks.position(conn, high) is None
    assert await tasks.position(conn, low) == 1
    assert await tasks.position(conn, uuid4()) is None


async def test_a_key_means_the_first_task_until_it_is_old(conn):
    def key(task_id, at=NOW, mark=b"1"):
        return Key("person:eve", ADA, "k", task_id, mark, at)

    first, second, third = uuid4(), uuid4(), uuid4()
    expired = NOW - timedelta(hours=24)
    name = ("person:eve", ADA, "k")
    assert (await tasks.keep_keys(conn, [key(first)], expired))[name].task_id == first
    kept = (await tasks.keep_keys(conn, [key(second, mark=b"2")], expired))[name]
    assert (kept.task_id, kept.fingerprint) == (first, b"1")
    later = NOW + timedelta(hours=25)
    kept = await tasks.keep_keys(conn, [key(third, later)], later - timedelta(hours=24))
    assert kept[name].task_id == third
    await tasks.prune_keys(conn, later + timedelta(hours=1))
    assert await conn.fetchval("SELECT count(*) FROM idempotency_keys") == 0


async def test_pages_lose_nothing_and_filter(conn):
    peer = Sender(kind="workspace", id=str(BOB), name="bob")
    rows = [
        new(context=f"c{n % 3}", at=NOW + timedelta(seconds=n // 2), sender=peer if n % 4 == 0 else EVE)
        for n in range(20)
    ]
    await add(conn, *rows, new(BOB))

    async def all_of(**which):
        found, before = [], LAST
        wanted = Filter(**{"states": tuple(State), "updated_after": EVER, **which})
        while page := await tasks.page(conn, wanted, before, 3):
            found += page
            before = (page[-1].updated_at, page[-1].id)
        assert await tasks.count(conn, wanted) == len(found)
        return [row.id for row in found]

    newest_first = [row.id for row in sorted(rows, key=lambda row: (row.at, row.id), reverse=True)]
    assert await all_of(workspace_id=ADA) == newest_first
    assert len(await all_of()) == 21
    assert len(await all_of(workspace_id=ADA, context_id="c1")) == 7
    assert len(await all_of(sent_by=BOB)) == 5
    assert len(await all_of(sent_by=BOB, workspace_id=ADA, context_id="c0")) == 2
    assert await all_of(workspace_id=ADA, updated_after=NOW + timedelta(seconds=8)) == newest_first[:2]
    await claim(conn, 1)
    assert await all_of(workspace_id=ADA, states=(State.WORKING,)) == []


async def test_updates_and_the_story(conn):
    [task_id] = await add(conn, new())
    kept = [
        Update(seq=2, at=NOW, kind="text", state=State.WORKING, text="a\x00"),
        Update(seq=3, at=NOW, kind="artifact", state=State.WORKING, name="f", parts=[{"text": "x"}]),
        Update(seq=4, at=NOW, kind="status", state=State.INPUT_REQUIRED, text="?", final=True),
        Update(seq=5, at=NOW, kind="reply", state=State.SUBMITTED, text="!"),
    ]
    await tasks.add_updates(conn, [UpdateRow(task_id, update, {"m": 1}) for update in kept])
    first, *found = await tasks.updates(conn, task_id, 0, 100)
    assert (first.seq, first.state, first.at) == (1, State.SUBMITTED, NOW)
    assert [update.seq for update in found] == [2, 3, 4, 5]
    assert (found[0].text, found[2].final, found[3].final) == ("a\ufffd", True, False)
    assert [row.update.seq for row in await tasks.story(conn, task_id, 100)] == [3, 4, 5]


async def test_the_ledger_can_not_hold_what_has_ended(conn):
    [task_id] = await add(conn, new())
    for statement in ("state = 'completed', generation = 1", "state = 'working', generation = NULL", "state = 'x'"):
        with pytest.raises(Exception, match="tasks_"):
            await conn.execute(f"UPDATE tasks SET {statement} WHERE id = $1", task_id)


async def test_orphans_are_found(conn):
    await conn.execute(
        "INSERT INTO workspaces (id, name, created_at, generation) VALUES ($1, 'a', now(), 3), ($2, 'b', now(), 1)",
        ADA,
        BOB,
    )
    await add(conn, new(ADA, "x"), new(BOB, "x"))
    await claim(conn, 1, ADA, generation=2)
    await claim(conn, 1, BOB, generation=1)
    assert await tasks.orphaned(conn, 10) == [(ADA, 3, False)]
    await conn.execute("UPDATE workspaces SET status = 'removed' WHERE id = $1", BOB)
    assert sorted(found[0] for found in await tasks.orphaned(conn, 10)) == sorted([ADA, BOB])


@pytest.mark.parametrize("state", ["input-required", "auth-required"])
async def test_a_question_that_a_removed_workspace_asked_is_an_orphan(conn, state):
    await conn.execute("INSERT INTO workspaces (id, name, created_at, status) VALUES ($1, 'a', now(), 'removed')", ADA)
    [task_id] = await add(conn, new(ADA, "x"))
    await conn.execute("UPDATE tasks SET state = $2 WHERE id = $1", task_id, state)
    assert [found[0] for found in await tasks.orphaned(conn, 10)] == [ADA]
    await conn.execute("UPDATE tasks SET state = 'completed' WHERE id = $1", task_id)
    assert await tasks.orphaned(conn, 10) == []


# --- plans ----------------------------------------------------------------------------------------------------


MANY = """
    INSERT INTO tasks (
        id, workspace_id, context_id, priority, state, on_interrupt, generation, sender_kind, sender_id, sender_name,
        text, parts, metadata, updates, created_at, updated_at
    )
    SELECT
        ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
        ('00000000-0000-4000-8000-' || lpad((n % 1000)::text, 12, '0'))::uuid,
        'c' || n % 50000, 0,
        CASE WHEN n % 20 = 0 THEN 'submitted' WHEN n % 5000 = 1 THEN 'working' ELSE 'completed' END,
        'retry', CASE WHEN n % 5000 = 1 THEN 1 END,
        CASE WHEN n % 10 = 0 THEN 'workspace' ELSE 'person' END,
        ('00000000-0000-4000-8000-' || lpad((n % 1000)::text, 12, '0')), '',
        '', '[]', '{}', 1, now(), now() - n * interval '1 second'
    FROM generate_series(1, $1::integer) AS n
"""
GENERIC = """
    CREATE FUNCTION pg_temp.generic(query text) RETURNS SETOF text LANGUAGE plpgsql AS
    $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN (GENERIC_PLAN) ' || query; END $$
"""
ONE = UUID("00000000-0000-4000-8000-000000000020")
ALL_STATES = [state.value for state in State]
PAGE = (ALL_STATES, EVER, *LAST, 50)
COUNT = (ALL_STATES, EVER, 10000)
PLANS = {
    "claim": ([ONE], [1], [5], NOW),
    "held": (ONE,),
    "unfinished": (ONE, 100),
    "hold": ([ONE],),
    "get": (ONE,),
    "position": (ONE,),
    "page_of_all": PAGE,
    "count_of_all": (ALL_STATES, EVER, 1000),  # as much as it may count, and no more, is read
    "page_of_all by a state that none is in": (["auth-required", "failed"], EVER, *LAST, 50),
    "page_of_workspace": (*PAGE, ONE),
    "page_of_context": (*PAGE, "c20", None),
    "page_of_sender": (*PAGE, str(ONE), None, None),
    "count_of_workspace": (*COUNT, ONE),
    "count_of_context": (*COUNT, "c20", None),
    "count_of_sender": (*COUNT, str(ONE), None, None),
    "updates": (ONE, 0, 100),
    "prune_tasks": (datetime(2100, 1, 1, tzinfo=UTC), EVER, UUID(int=0), 20, 5000),
}


@pytest.mark.parametrize("count", [200_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
async def test_hot_queries_read_few_rows_of_many(database, count):
    """No scan of the table and few pages read; nor would the plan for any arguments scan it."""
    async with database.acquire() as conn:
        await conn.execute(MANY, count, timeout=100)
        await conn.execute("VACUUM ANALYZE tasks", timeout=100)
        table = await conn.fetchval("SELECT relpages FROM pg_class WHERE relname = 'tasks'")
        # how many rows an index-only scan has to look up depends on what the vacuum could mark: never a tenth of all
        few = max(3000, table // 10)
        await conn.execute(GENERIC)
        every = queries("tasks") | queries("retention")
        for name, arguments in PLANS.items():
            query = every[name.partition(" ")[0]]
            rows = await conn.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {query}", *arguments)
            plan = "\n".join(row[0] for row in rows)
            generic = "\n".join(row[0] for row in await conn.fetch("SELECT pg_temp.generic($1)", query))
            assert "Seq Scan on tasks" not in plan, f"{name}:\n{plan}"
            assert "Seq Scan on tasks" not in generic, f"{name}, generic:\n{generic}"
            touched = re.search(r"Buffers: shared (.*)", plan)
            pages = sum(map(int, re.findall(r"(?:hit|read)=(\d+)", touched[1])))
            assert pages < few, f"{name}: {pages} of {table} pages\n{plan}"
