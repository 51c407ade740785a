"""Mailboxes on disk: order, claims, updates, orphans."""

import asyncio
import dataclasses
from uuid import uuid4

import pytest
from task_rows import ADA, BOB, EVE, NOW, add, change, claim, finish, new

from truebeat.domain.delivery import OnInterrupt, State, Task
from truebeat.protocol.tasks import Update
from truebeat.server.store import tasks
from truebeat.server.store.tasks import UpdateRow


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


@pytest.mark.parametrize("end", [State.CANCELED, State.INPUT_REQUIRED])
async def test_whoever_leaves_makes_room_for_the_next_of_its_context(conn, end):
    """The first, one in the middle and the last, in whatever order they go."""
    first, second, third, fourth = await add(conn, *[new() for _ in range(4)])
    await change(conn, second, end)
    assert await claim(conn, 9) == [first]
    await change(conn, first, State.WORKING)
    await change(conn, first, end)
    assert await claim(conn, 9) == [third]
    await change(conn, fourth, end)
    await change(conn, third, end)
    assert await claim(conn, 9) == []
    [fifth] = await add(conn, new())
    assert await claim(conn, 9) == [fifth]


async def test_of_a_batch_only_the_first_of_a_context_may_go(conn):
    await add(conn, new(context="a"))
    b1, _, c1, _ = await add(conn, new(context="b"), new(context="a"), new(context="c"), new(context="b"))
    assert set(await claim(conn, 9)) >= {b1, c1}
    assert await conn.fetch("SELECT FROM tasks WHERE head GROUP BY context_id HAVING count(*) <> 1") == []
    assert await conn.fetchval("SELECT count(*) FROM tasks WHERE head") == 3


async def test_a_reply_to_an_empty_context_may_go_at_once(conn):
    first, second = await add(conn, new(), new())
    for task_id in (first, second):
        await change(conn, task_id, State.INPUT_REQUIRED)
    await change(conn, second, State.SUBMITTED, last=True)
    await change(conn, first, State.SUBMITTED, last=True)
    assert await claim(conn, 9) == [second]
    await finish(conn, second)
    assert await claim(conn, 9) == [first]


async def test_what_goes_back_goes_first_again(conn):
    first, _ = await add(conn, new(), new())
    assert await claim(conn, 9) == [first]
    await change(conn, first, State.SUBMITTED)
    assert await claim(conn, 9) == [first]


async def test_heads_are_mended(conn):
    first, second, other = await add(conn, new(), new(), new(context="d"))
    await conn.execute("UPDATE tasks SET head = NOT head")
    await tasks.mend_heads(conn)
    assert await claim(conn, 9) == [first, other]
    await finish(conn, first)
    assert await claim(conn, 9) == [second]


async def test_a_claim_raises_the_attempt_and_sets_the_lease(conn):
    [task_id] = await add(conn, new())
    assert await claim(conn, 1, generation=7) == [task_id]
    [held] = await tasks.held(conn, ADA)
    assert (held.id, held.generation, held.attempt, held.state) == (task_id, 7, 1, State.SUBMITTED)
    [again] = await tasks.deliveries(conn, [task_id], 7)
    assert (again.generation, again.attempt) == (7, 1)
    assert await tasks.deliveries(conn, [task_id], 6) == []
    await change(conn, task_id, State.WORKING)
    assert await tasks.deliveries(conn, [task_id], 7) == []


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
