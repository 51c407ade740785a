"""Workspaces: what is written comes back; of several writers one wins."""

import asyncio
import dataclasses
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from truebeat.domain.health import Condition, Record, Status, Symptom, created
from truebeat.errors import Conflict, Invalid, NotFound
from truebeat.server.store import workspaces
from truebeat.server.store.workspaces import WorkspaceRow

NOW = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
ONLINE = Record(generation=3)
REMOVED = Record((Condition(Symptom.REMOVED, "removed", NOW),))
DEGRADED = Record(
    (Condition(Symptom.WEDGED, "no answer \u2014 ever", NOW, 2), Condition(Symptom.ERRORS, "", NOW)), 7, 6
)


def new(name="alice", record=None, **facts):
    row = WorkspaceRow(uuid4(), name, "coder", None, None, None, NOW, None, record or created(NOW))
    return dataclasses.replace(row, **facts)


async def add(database, *rows):
    async with database.acquire() as conn:
        for row in rows:
            await workspaces.insert(conn, row)
    return rows


@pytest.mark.parametrize("record", [created(NOW), ONLINE, REMOVED, DEGRADED])
async def test_a_row_comes_back_as_it_was(database, record):
    row = new(record=record, url="http://x", agent_card={"name": "a", "n": [1.5]}, registered_at=NOW)
    child = new("child", parent_id=row.id)
    await add(database, row, child)
    async with database.acquire() as conn:
        assert await workspaces.get(conn, row.id) == row
        assert await workspaces.get(conn, child.id) == child
        assert await workspaces.get(conn, uuid4()) is None
        status = await conn.fetchval("SELECT status::text FROM workspaces WHERE id = $1", row.id)
    assert status == record.status.value


async def test_a_taken_id_and_an_unknown_parent(database):
    row, *_ = await add(database, new())
    async with database.acquire() as conn:
        with pytest.raises(Conflict, match=str(row.id)):
            await workspaces.insert(conn, new("other", id=row.id))
        with pytest.raises(Invalid, match="parent_id"):
            await workspaces.insert(conn, new("orphan", parent_id=uuid4()))
        assert [found.name for found in await workspaces.live(conn)] == ["alice"]


async def test_pages_are_ordered_by_name_and_id_and_lose_nothing(database):
    rows = [new(name) for name in ("b", "B", "ä", "a", "a", "a", "_", "b c")]
    await add(database, *rows)
    expected = sorted(rows, key=lambda row: (row.name, row.id.bytes))
    async with database.acquire() as conn:
        seen: list[WorkspaceRow] = []
        while page := await workspaces.page(conn, after=(seen[-1].name, seen[-1].id) if seen else None, limit=3):
            assert len(page) <= 3
            seen += page
    assert seen == expected


async def test_removed_ones_are_shown_only_if_asked_for(database):
    alive, removed, degraded = await add(database, new("a", ONLINE), new("b", REMOVED), new("c", DEGRADED))
    async with database.acquire() as conn:

        async def page(**asked):
            return [row.name for row in await workspaces.page(conn, after=None, limit=10, **asked)]

        assert await page() == ["a", "c"]
        assert await page(include_removed=True) == ["a", "b", "c"]
        assert await page(status=Status.DEGRADED) == ["c"]
        assert await page(status=Status.REMOVED) == ["b"]
        assert await page(status=Status.FAILED) == []
        assert await workspaces.live(conn) == [alive, degraded]
        assert (await workspaces.get(conn, removed.id)) == removed


async def test_only_the_expected_version_is_written(database):
    one, two = await add(database, new("a"), new("b"))
    async with database.acquire() as conn:
        assert await workspaces.save_records(conn, []) == set()
        assert await workspaces.save_records(
            conn, [(one.id, 0, ONLINE), (two.id, 5, ONLINE), (uuid4(), 0, ONLINE)]
        ) == {one.id}
        assert await workspaces.save_records(conn, [(one.id, 0, DEGRADED)]) == set()
        assert await workspaces.save_records(conn, [(one.id, 1, DEGRADED), (two.id, 0, REMOVED)]) == {one.id, two.id}
        assert await workspaces.get(conn, one.id) == dataclasses.replace(one, record=DEGRADED, version=2)
        assert await workspaces.get(conn, two.id) == dataclasses.replace(two, record=REMOVED, version=1)


async def test_of_writers_at_once_exactly_one_wins(database):
    row, *_ = await add(database, new())
    start = asyncio.Barrier(8)

    async def write(number):
        async with database.transaction() as conn:
            await conn.fetch("SELECT 1")
            await start.wait()
            return await workspaces.save_records(conn, [(row.id, 0, Record(generation=number))])

    wins = await asyncio.gather(*(write(number) for number in range(1, 9)))
    winners = [number for number, won in enumerate(wins, 1) if won == {row.id}]
    assert len(winners) == 1
    assert sorted(map(len, wins)) == [0] * 7 + [1]
    async with database.acquire() as conn:
        saved = await workspaces.get(conn, row.id)
    assert saved is not None
    assert (saved.record.generation, saved.version) == (winners[0], 1)


async def test_a_loser_learns_it_even_if_it_looked_before_the_winner_committed(database):
    row, *_ = await add(database, new())
    async with database.transaction() as winner:
        assert await workspaces.save_records(winner, [(row.id, 0, ONLINE)])
        async with asyncio.TaskGroup() as group:
            loser = group.create_task(late(database, row.id))
            await blocked(winner)
            await winner.execute("COMMIT; BEGIN")
    assert loser.result() == set()


async def late(database, workspace_id: UUID):
    async with database.acquire() as conn:
        return await workspaces.save_records(conn, [(workspace_id, 0, DEGRADED)])


async def blocked(conn):
    """Waits until some other connection of this database waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        # each look sees the present; one transaction would else see the first look's snapshot
        while not await conn.fetchval(waiting):
            await conn.execute("SELECT pg_stat_clear_snapshot()")


async def test_batches_in_opposite_orders_do_not_deadlock(database):
    rows = await add(database, *(new(f"w{number:03}") for number in range(60)))

    async def writer(order):
        won = 0
        for _ in range(10):
            async with database.transaction() as conn:
                seen = {row.id: row for row in await workspaces.live(conn)}
                changes = [(row.id, seen[row.id].version, ONLINE) for row in order]
                won += len(await workspaces.save_records(conn, changes))
        return won

    wins = await asyncio.gather(writer(rows), writer(rows[::-1]), writer(rows))
    async with database.acquire() as conn:
        assert sum(row.version for row in await workspaces.live(conn)) == sum(wins)


async def test_a_write_beside_a_registration_loses_neither(database):
    row, *_ = await add(database, new())
    async with database.transaction() as registering:
        assert await workspaces.register(registering, row.id, url="http://x", agent_card=None, now=NOW)
        async with asyncio.TaskGroup() as group:
            saving = group.create_task(late(database, row.id))
            await blocked(registering)
            await registering.execute("COMMIT; BEGIN")
    assert saving.result() == {row.id}
    async with database.acquire() as conn:
        assert await workspaces.get(conn, row.id) == dataclasses.replace(
            row, url="http://x", registered_at=NOW, record=DEGRADED, version=1
        )


async def test_the_first_registration_is_one(database):
    row, *_ = await add(database, new())

    async def register():
        async with database.acquire() as conn:
            return await workspaces.register(conn, row.id, url="http://x", agent_card={"a": 1}, now=NOW)

    assert sorted(await asyncio.gather(*(register() for _ in range(6)))) == [False] * 5 + [True]
    async with database.acquire() as conn:
        assert not await workspaces.register(conn, row.id, url=None, agent_card={"a": 2}, now=datetime.now(UTC))
        assert await workspaces.get(conn, row.id) == dataclasses.replace(
            row, url="http://x", agent_card={"a": 2}, registered_at=NOW
        )
        with pytest.raises(NotFound):
            await workspaces.register(conn, uuid4(), url=None, agent_card=None, now=NOW)


async def test_text_that_postgresql_can_not_hold_is_made_so(database):
    bad = Record((Condition(Symptom.WEDGED, "a\x00b\ud800", NOW),))
    row, *_ = await add(database, new("n\x00", role="\x00", agent_card={"x": "\x00"}))
    async with database.acquire() as conn:
        assert await workspaces.save_records(conn, [(row.id, 0, bad)]) == {row.id}
        found = await workspaces.get(conn, row.id)
    assert found is not None
    assert (found.name, found.role, found.agent_card) == ("n\ufffd", "\ufffd", {"x": "\ufffd"})
    assert found.record.conditions[0].detail == "a\ufffdb?"
