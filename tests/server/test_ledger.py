"""The one writer of tasks: batches, lost databases, what can't be written, and claims that race with flips."""

import asyncio
import dataclasses
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from truebeat.clock import SystemClock
from truebeat.domain.delivery import CancelRequested, Finished, HandedBack, OnInterrupt, State
from truebeat.errors import Unavailable
from truebeat.protocol.delivery import Sender
from truebeat.server.background.tasks import spawn
from truebeat.server.services.events import EventLog
from truebeat.server.services.ledger import Ledger
from truebeat.server.services.ledger_items import Decision, weight_of
from truebeat.server.services.notices import Notices
from truebeat.server.store import events as event_store
from truebeat.server.store import tasks as task_store
from truebeat.server.store.keys import Key
from truebeat.server.store.tasks import NewRow

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ADA = uuid4()


def new(context="c", text="hi"):
    return NewRow(
        id=uuid4(), workspace_id=ADA, context_id=context, sender=Sender(kind="person", id="eve"), text=text, parts=[],
        message=None, metadata={}, priority=0, on_interrupt=OnInterrupt.RETRY, at=NOW,
    )  # fmt: skip


@pytest.fixture
async def ledger(database):
    events = EventLog(database)
    await events.start()
    made = Ledger(database, events, Notices(), SystemClock())
    await made.start()
    writer = spawn(made.write_forever(), name="ledger")
    made.delivered = []
    made.deliver = made.delivered.extend
    yield made
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)


async def state_of(database, task_id):
    async with database.acquire() as connection:
        return (await task_store.get(connection, task_id)).task.state


async def test_a_burst_is_one_transaction_and_keeps_its_order(ledger, database):
    rows = [new(context=str(n)) for n in range(50)]
    await asyncio.gather(*(ledger.submit(row) for row in rows))
    assert ledger.queued == {ADA: 50}
    ledger.room_of = lambda _: (1, 50)
    ledger.claim(ADA)
    await ledger.inspect(ADA, lambda _: Decision([], []))
    assert [deliver.task_id for _, deliver in ledger.delivered] == [str(row.id) for row in rows]
    assert ledger.queued == {}
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(DISTINCT xmin::text) FROM task_updates") <= 2


async def test_a_flip_in_the_moment_of_a_send_loses_no_claim(ledger, monkeypatch):
    """The send's transaction found no room; while it is written there is some, and that is said."""
    real = task_store.insert

    async def flip_meanwhile(*arguments):
        ledger.room_of = lambda _: (1, 1)
        ledger.claim(ADA)
        return await real(*arguments)

    monkeypatch.setattr(task_store, "insert", flip_meanwhile)
    row = new()
    await ledger.submit(row)
    await ledger.inspect(ADA, lambda _: Decision([], []))
    assert [deliver.task_id for _, deliver in ledger.delivered] == [str(row.id)]


async def test_a_lost_database_fails_senders_and_keeps_what_workers_said(ledger, database, monkeypatch):
    row = new()
    ledger.room_of = lambda _: (1, 1)
    await ledger.submit(row)
    real, lost = task_store.hold, asyncio.Event()

    async def hold(connection, ids):
        if not lost.is_set():
            lost.set()
            raise ConnectionResetError
        return await real(connection, ids)

    monkeypatch.setattr(task_store, "hold", hold)
    doubts = []
    ledger.doubted = lambda: doubts.append(1)
    finished = ledger.happen(row.id, Finished(1, 1, State.COMPLETED), lasting=True, text="kept")
    unlucky = ledger.happen(row.id, CancelRequested(reachable=True, reason="sender"))
    with pytest.raises(Unavailable):
        await unlucky
    assert (await finished).refused == ""
    assert doubts
    assert await state_of(database, row.id) is State.COMPLETED


async def test_what_can_not_be_written_takes_nobody_along(ledger, database):
    rows = [new("x"), dataclasses.replace(new("y"), metadata={"what": object()}), new("z")]
    first, broken, last = await asyncio.gather(*map(ledger.submit, rows), return_exceptions=True)
    assert isinstance(broken, Unavailable)
    for sent in (first, last):
        assert await state_of(database, sent.task_id) is State.SUBMITTED
    assert ledger.queued == {ADA: 2}


async def test_a_new_task_knows_its_place_without_asking_the_database(ledger, database):
    """As the database would count it: those of its priority before it, and all of a higher one."""
    kept = [new("a"), dataclasses.replace(new("b"), priority=5), new("c")]
    [await ledger.submit(row) for row in kept]
    rows = [dataclasses.replace(new(str(n)), priority=priority) for n, priority in enumerate((0, 5, -1, 7, 0))]
    told = await asyncio.gather(*map(ledger.submit, rows))
    assert [one.position for one in told] == [4, 2, 6, 1, 7]
    last = await ledger.submit(new("d"))
    async with database.acquire() as connection:
        assert await task_store.position(connection, last.task_id) == last.position == 8


async def test_new_tasks_that_nobody_takes_now_are_one_statement(ledger, database, monkeypatch):
    def refuse():
        raise AssertionError("a transaction costs three round trips more")

    monkeypatch.setattr(database, "transaction", refuse)
    rows = [new(str(n)) for n in range(3)]
    await asyncio.gather(*map(ledger.submit, rows))
    async with database.acquire() as connection:
        written = await connection.fetch(
            "SELECT xmin::text FROM tasks UNION SELECT xmin::text FROM task_updates UNION SELECT xmin::text FROM events"
        )
        told = await connection.fetch("SELECT payload FROM events ORDER BY seq")
    assert len(written) == 1
    assert [event["payload"]["task_id"] for event in told] == [str(row.id) for row in rows]


def alone(**fields):
    return dataclasses.replace(new(str(uuid4())), alone=True, **fields)


async def test_what_goes_to_its_worker_at_once_is_one_statement_too(ledger, database, monkeypatch):
    def refuse():
        raise AssertionError("a transaction costs more round trips")

    monkeypatch.setattr(database, "transaction", refuse)
    ledger.room_of = lambda _: (7, 2)
    nul = alone(text="a\x00b", priority=1)
    rows = [alone(), nul, alone()]
    await asyncio.gather(*map(ledger.submit, rows))
    assert [deliver.task_id for _, deliver in ledger.delivered] == [str(nul.id), str(rows[0].id)]
    first = ledger.delivered[0][1]
    assert (first.generation, first.attempt, first.text) == (7, 1, "a\N{REPLACEMENT CHARACTER}b")
    assert ledger.queued == {ADA: 1}
    monkeypatch.undo()
    async with database.acquire() as connection:
        held = await task_store.held(connection, ADA)
        again = await task_store.deliveries(connection, [nul.id], 7)
    assert {one.id for one in held} == {nul.id, rows[0].id}
    assert {(one.generation, one.attempt, one.state) for one in held} == {(7, 1, State.SUBMITTED)}
    assert again == [first], "delivered again it is the same"


async def test_what_waits_goes_before_what_is_new(ledger):
    ledger.room_of = lambda _: None
    older = alone()
    await ledger.submit(older)
    ledger.room_of = lambda _: (1, 1)
    await ledger.submit(alone())
    assert [deliver.task_id for _, deliver in ledger.delivered] == [str(older.id)]
    assert ledger.queued == {ADA: 1}


async def test_what_comes_back_in_the_same_moment_goes_before_what_is_new(ledger):
    ledger.room_of = lambda _: (1, 1)
    older = alone()
    await ledger.submit(older)
    ledger.delivered.clear()
    returned = ledger.happen(older.id, HandedBack(1, 1, False, "no room"), lasting=True)
    await asyncio.gather(returned, ledger.submit(alone()))
    assert [deliver.task_id for _, deliver in ledger.delivered] == [str(older.id)]


async def test_of_a_context_that_others_know_the_oldest_goes_first(ledger):
    ledger.room_of = lambda _: (1, 5)
    rows = [new("known"), new("known")]
    await asyncio.gather(*map(ledger.submit, rows))
    assert [deliver.task_id for _, deliver in ledger.delivered] == [str(rows[0].id)]
    await ledger.happen(rows[0].id, Finished(1, 1, State.COMPLETED), lasting=True)
    ledger.claim(ADA)
    await ledger.inspect(ADA, lambda _: Decision([], []))
    assert [deliver.task_id for _, deliver in ledger.delivered] == [str(row.id) for row in rows]


async def test_an_end_and_a_new_task_in_one_batch(ledger, database):
    """The new one takes the place that the ended one leaves, with one write of it."""
    ledger.room_of = lambda _: (1, 1)
    first, second = alone(), alone()
    await ledger.submit(first)
    ended = ledger.happen(first.id, Finished(1, 1, State.COMPLETED), lasting=True, text="done")
    await asyncio.gather(ended, ledger.submit(second))
    assert [deliver.task_id for _, deliver in ledger.delivered] == [str(first.id), str(second.id)]
    assert ledger.queued == {}
    assert await state_of(database, first.id) is State.COMPLETED
    assert await state_of(database, second.id) is State.SUBMITTED


async def test_what_an_end_lets_go_on_is_claimed_though_new_tasks_are_written_before_it(ledger):
    ledger.room_of = lambda _: (1, 3)
    first, next_of_it = new("known"), new("known")
    await ledger.submit(first)
    await ledger.submit(next_of_it)
    assert [deliver.task_id for _, deliver in ledger.delivered] == [str(first.id)]
    fresh, elsewhere = alone(), alone(workspace_id=uuid4())

    async def end():
        ledger.claim(ADA)  # a worker that ends something has room
        await ledger.happen(first.id, Finished(1, 1, State.COMPLETED), lasting=True)

    await asyncio.gather(end(), ledger.submit(elsewhere), ledger.submit(fresh))
    await ledger.inspect(ADA, lambda _: Decision([], []))
    assert {deliver.task_id for _, deliver in ledger.delivered} == {
        str(row.id) for row in (first, next_of_it, fresh, elsewhere)
    }
    assert ledger.queued == {}


async def test_nothing_to_claim_is_no_transaction(ledger, monkeypatch):
    ledger.room_of = lambda _: (1, 1)

    async def transact(*_):
        raise AssertionError("a transaction for nothing")

    monkeypatch.setattr(ledger, "_transact", transact)
    ledger.claim(ADA)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert ledger.delivered == []


async def test_a_stopped_writer_tells_the_senders(database):
    events = EventLog(database)
    await events.start()
    ledger = Ledger(database, events, Notices(), SystemClock())
    writer = spawn(ledger.write_forever(), name="ledger")
    await asyncio.sleep(0)
    sending = asyncio.ensure_future(ledger.submit(new()))
    await asyncio.sleep(0)
    writer.cancel()
    with pytest.raises(Unavailable, match="stopping"):
        await sending
    await asyncio.gather(writer, return_exceptions=True)


class LostAnswer:
    """The database commits, and its answer does not arrive."""

    def __init__(self, database, ledger):
        self._ledger = ledger
        self.lost = 0

    def after(self, step):
        if step == "after the commit" and not self.lost:
            self.lost += 1
            raise Unavailable("the answer was lost")


async def test_what_was_committed_without_an_answer_is_delivered_all_the_same(ledger, database):
    """The count of what waits is in memory: after a doubt it is taken from the database again."""
    row = new()
    failure = LostAnswer(database, ledger)
    ledger.failpoint = failure.after
    ledger.room_of = lambda _: None
    with pytest.raises(Unavailable):
        await ledger.submit(row, key=Key("eve", ADA, "k", row.id, b"f", NOW))
    assert failure.lost == 1
    ledger.room_of = lambda _: (1, 1)
    ledger.claim(ADA)
    async with asyncio.timeout(10):
        while not ledger.delivered:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert [deliver.task_id for _, deliver in ledger.delivered] == [str(row.id)]


async def test_a_batch_that_the_database_does_not_take_is_tried_in_smaller_ones(ledger, monkeypatch):
    sizes = []
    transact = ledger._transact

    async def slow_for_many(items, claims):
        sizes.append(len(items))
        if len(items) > 3:
            raise Unavailable("too slow")
        await transact(items, claims)

    rows = [new(context=str(n)) for n in range(8)]
    await asyncio.gather(*(ledger.submit(row) for row in rows))
    monkeypatch.setattr("truebeat.server.services.ledger.RETRY", 0.01)
    ledger._transact = slow_for_many
    happened = [ledger.happen(row.id, CancelRequested(False, "enough"), lasting=True) for row in rows]
    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(*happened)
    assert [outcome.task.state for outcome in outcomes] == [State.CANCELED] * 8
    assert sizes[0] == 8
    assert max(sizes[1:]) < 8


def test_what_is_structured_weighs_too():
    parts = [{"kind": "data", "data": {"x": "y" * 5000}}]
    assert weight_of("abc", parts, None) > 5000
    assert weight_of("abc", None, {"x": "y" * 7000}) > 7000
    assert weight_of("abc", [], None) == 3


async def test_events_are_told_as_they_are_on_disk(ledger, database):
    """PostgreSQL keeps no NUL; whoever follows the stream and whoever reads the log see the same."""
    ledger.room_of = lambda _: (1, 2)
    told = []
    ledger._events.publish = told.extend
    rows = [alone(), alone()]
    await asyncio.gather(*map(ledger.submit, rows))
    ends = [Finished(1, 1, State.FAILED, "no\x00reason"), Finished(1, 1, State.COMPLETED)]
    await asyncio.gather(*(ledger.happen(row.id, end, lasting=True) for row, end in zip(rows, ends, strict=True)))
    async with database.acquire() as connection:
        kept = await event_store.since(connection, 0, 100)
    assert [event.type for event in kept] == ["TASK_SUBMITTED", "TASK_SUBMITTED", "TASK_FAILED", "TASK_COMPLETED"]
    assert told == kept
    assert "\x00" not in str(told)
