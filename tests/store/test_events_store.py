"""The event log: seq is the order of commits; bounds tell a late reader what it missed."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from truebeat.protocol.events import Event
from truebeat.server.store import events
from truebeat.server.store.events import NewEvent

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def new(number=0, workspace_id=None, **payload):
    return NewEvent(NOW + timedelta(seconds=number), "WORKSPACE_ONLINE", workspace_id, payload, "beat")


async def append(database, *fresh):
    async with database.transaction() as conn:
        return await events.append(conn, fresh)


async def test_what_is_appended_is_returned_and_read(database):
    here, there = uuid4(), uuid4()
    assert await append(database) == []
    written = await append(database, new(0, here, a=1), new(1, there), new(2, None), new(3, here, b="\x00"))
    assert written[0] == Event(
        seq=written[0].seq, at=NOW, type="WORKSPACE_ONLINE", workspace_id=here, payload={"a": 1}, cause="beat"
    )
    assert [event.seq for event in written] == sorted({event.seq for event in written})
    async with database.acquire() as conn:
        assert await events.since(conn, 0, 10) == written
        assert await events.since(conn, written[1].seq, 10) == written[2:]
        assert await events.since(conn, 0, 2) == written[:2]
        assert await events.since(conn, 0, 10, here) == [written[0], written[3]]
        assert await events.since(conn, written[0].seq, 10, there) == [written[1]]
        assert await events.since(conn, written[-1].seq, 10) == []
    assert written[3].payload == {"b": "\ufffd"}


async def test_without_a_transaction_it_refuses(database):
    async with database.acquire() as conn:
        with pytest.raises(RuntimeError, match="transaction"):
            await events.append(conn, [new()])


async def test_what_is_rolled_back_was_never_there(database):
    await append(database, new())
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as conn:
            await events.append(conn, [new()])
            raise ZeroDivisionError
    (kept,) = await append(database, new())
    async with database.acquire() as conn:
        assert await events.bounds(conn) == (1, kept.seq)
        assert [event.seq for event in await events.since(conn, 0, 10)] == [1, kept.seq]


async def test_events_become_visible_in_the_order_of_seq(database):
    """Eight writers with transactions of different lengths; a reader that only goes forward misses none."""
    count, writers = 25, 8
    seen: list[int] = []
    written: list[int] = []

    async def write(writer):
        for number in range(count):
            async with database.transaction() as conn:
                fresh = await events.append(conn, [new(number, None, w=writer)] * (1 + number % 3))
                await conn.execute("SELECT pg_sleep($1)", (writer + number) % 4 / 1000)
            written.extend(event.seq for event in fresh)

    async def read():
        async with database.acquire() as conn:
            while True:
                last = done.is_set()
                fresh = await events.since(conn, seen[-1] if seen else 0, 5)
                if last and not fresh:
                    return
                seen.extend(event.seq for event in fresh)

    done = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        await asyncio.gather(*(write(writer) for writer in range(writers)))
        done.set()
    assert seen == sorted(written)


async def test_bounds_of_an_empty_log(database):
    async with database.acquire() as conn:
        assert await events.bounds(conn) == (0, 0)
        assert await events.prune(conn, NOW) == 0
        assert await events.bounds(conn) == (0, 0)


async def test_bounds_survive_pruning(database):
    await append(database, *(new(number) for number in range(10)))
    async with database.acquire() as conn:
        assert await events.bounds(conn) == (1, 10)
        assert await events.prune(conn, NOW) == 0
        assert await events.bounds(conn) == (1, 10)
        assert await events.prune(conn, NOW + timedelta(seconds=4)) == 4
        assert await events.bounds(conn) == (5, 10)
        assert [event.seq for event in await events.since(conn, 0, 1)] == [5]
        assert await events.prune(conn, NOW + timedelta(days=1)) == 6
        assert await events.bounds(conn) == (11, 10)
        assert await events.prune(conn, NOW + timedelta(days=1)) == 0
        assert await events.bounds(conn) == (11, 10)
    (fresh,) = await append(database, new())
    async with database.acquire() as conn:
        assert await events.bounds(conn) == (11, fresh.seq)


async def test_pruning_cuts_a_prefix_even_if_a_clock_was_wrong(database):
    await append(database, new(0), new(100), new(1), new(101))
    async with database.acquire() as conn:
        assert await events.prune(conn, NOW + timedelta(seconds=50)) == 1
        assert [event.seq for event in await events.since(conn, 0, 10)] == [2, 3, 4]
        assert await events.bounds(conn) == (2, 4)
