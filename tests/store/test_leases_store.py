"""Leases: flushed in one statement; no beat, however odd, fails the batch."""

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from truebeat.server.store import leases
from truebeat.server.store.leases import LeaseRow

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)
FULL = LeaseRow(uuid4(), NOW, "wedged", 0.25, "why", 3, "task", 12.5, "working", 2, 4711)
BARE = LeaseRow(uuid4(), NOW)


async def loaded(conn):
    return {row.workspace_id: row for row in await leases.load(conn)}


async def test_leases_come_back_as_they_were(database):
    async with database.acquire() as conn:
        await leases.upsert(conn, [])
        assert await leases.load(conn) == []
        await leases.upsert(conn, [FULL, BARE])
        assert await loaded(conn) == {FULL.workspace_id: FULL, BARE.workspace_id: BARE}


async def test_the_latest_beat_stays(database):
    newer = dataclasses.replace(BARE, last_beat_at=LATER, workspace_id=FULL.workspace_id)
    async with database.acquire() as conn:
        await leases.upsert(conn, [newer, FULL])
        assert await loaded(conn) == {FULL.workspace_id: newer}
        await leases.upsert(conn, [FULL])
        assert await loaded(conn) == {FULL.workspace_id: newer}
        again = dataclasses.replace(FULL, last_beat_at=LATER)
        await leases.upsert(conn, [again])
        assert await loaded(conn) == {FULL.workspace_id: again}


async def test_odd_values_are_made_storable(database):
    odd = LeaseRow(uuid4(), NOW, "a\x00", 1.0, "\ud800", 2**64, "\x00", 1e300, "\x00", 2**63, 2**63 - 1)
    top = 2**63 - 1
    async with database.acquire() as conn:
        await leases.upsert(conn, [odd, BARE])
        assert (await loaded(conn))[odd.workspace_id] == LeaseRow(
            odd.workspace_id, NOW, "a\ufffd", 1.0, "?", top, "\ufffd", 1e300, "\ufffd", top, top
        )


async def test_flushes_at_once_do_not_deadlock(database):
    rows = [LeaseRow(uuid4(), NOW) for _ in range(300)]

    async def flush(order, beat):
        async with database.acquire() as conn:
            for _ in range(5):
                await leases.upsert(conn, [dataclasses.replace(row, last_beat_at=beat) for row in order])

    await asyncio.gather(flush(rows, NOW), flush(rows[::-1], LATER), flush(rows, NOW))
    async with database.acquire() as conn:
        assert {row.last_beat_at for row in await leases.load(conn)} == {LATER}


async def test_leases_cost_no_write_ahead_log(database):
    async with database.acquire() as conn:
        assert await conn.fetchval("SELECT relpersistence = 'u' FROM pg_class WHERE relname = 'leases'")
