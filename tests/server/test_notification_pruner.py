"""Old notifications go, read or not; of too many the oldest; and no step reads more of the table than it drops."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from truebeat.clock import SystemClock
from truebeat.server.background import notification_pruner
from truebeat.server.background.notification_pruner import NotificationPruner
from truebeat.server.settings import Settings
from truebeat.server.store import notifications as store
from truebeat.server.store.sql import queries

DAY = 86400
NOW = datetime.now(UTC)


@pytest.fixture
async def conn(database):
    async with database.acquire() as connection:
        yield connection


@pytest.fixture
def prune(database, monkeypatch):
    monkeypatch.setattr(notification_pruner, "PAUSE", 0)
    monkeypatch.setattr(notification_pruner, "STEP", 4)
    return lambda **more: NotificationPruner(database, SystemClock(), retention=30 * DAY, **more).prune()


async def add(conn, days, count=1):
    notes = [
        store.Note(uuid4(), uuid4(), None, NOW - timedelta(days=days, seconds=number), "info", "m", "")
        for number in range(count)
    ]
    await store.insert(conn, notes)
    return [note.id for note in notes]


async def left(conn):
    return {row["id"] for row in await conn.fetch("SELECT id FROM notifications")}


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 11])
async def test_what_is_older_than_the_retention_goes_in_steps(conn, prune, count):
    kept = await add(conn, 29, 3)
    gone = await add(conn, 31, count)
    if gone:
        await store.read(conn, gone[0], NOW)
    assert await prune() == count
    assert await left(conn) == set(kept)
    assert await prune() == 0


async def test_of_too_many_the_oldest_go(conn, prune):
    await add(conn, 2, 7)
    newest = await add(conn, 1, 5)
    assert await prune(most=5) == 7
    assert await left(conn) == set(newest)
    assert await prune(most=5) == 0


async def test_a_step_finds_the_oldest_without_reading_the_rest(conn):
    await conn.execute(
        "INSERT INTO notifications (id, workspace_id, at, type, message, link)"
        " SELECT gen_random_uuid(), gen_random_uuid(), now() - n * interval '1 second', 'info', 'm', ''"
        " FROM generate_series(1, 50000) AS n"
    )
    await conn.execute("ANALYZE notifications")
    query = queries("notifications")
    for name, arguments in {
        "prune": (NOW - timedelta(days=30), 1000),
        "newest_beyond": (1000,),
        "page": (False, NOW, uuid4(), 50),
    }.items():
        plan = "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN {query[name]}", *arguments))
        assert "Seq Scan on notifications" not in plan, f"{name}:\n{plan}"


def test_it_is_a_setting():
    assert Settings.from_env({}).notification_retention == 30 * DAY
    assert Settings.from_env({"TRUEBEAT_NOTIFICATION_RETENTION": "7200"}).notification_retention == 7200
