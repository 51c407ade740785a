"""Migrations: up, down and up again with data, on both versions of the wheel; refusals leave everything untouched."""

import asyncio
import contextlib
import dataclasses
import re
import subprocess
from datetime import UTC, datetime
from importlib.resources import files
from uuid import uuid4

import asyncpg
import pytest

from truebeat.domain.health import Status
from truebeat.errors import Conflict, Invalid, Unavailable
from truebeat.server.store import migrate
from truebeat.server.store.database import connect
from truebeat.server.store.embedded import EmbeddedPostgres, binaries

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHIPPED = migrate.shipped()
LAST = len(SHIPPED)
FREE_TEXT, ENUM = 1, 2


@contextlib.asynccontextmanager
async def connected(url):
    connection = await connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def add_workspaces(url, *statuses):
    """One workspace of each status, written as the database itself would be told."""
    async with connected(url) as connection:
        for status in statuses:
            value = "DEFAULT" if status is None else "'" + status.replace("'", "''") + "'"
            await connection.execute(
                f"INSERT INTO workspaces (id, name, created_at, status) VALUES ($1, $2, $3, {value})",
                uuid4(),
                status or "default",
                NOW,
            )


async def column(url):
    """(type, default, definition of its index) of workspaces.status, and the statuses by name."""
    async with connected(url) as connection:
        described = await connection.fetchrow(
            "SELECT format_type(atttypid, atttypmod) AS type, pg_get_expr(adbin, adrelid) AS default_, attnotnull "
            "FROM pg_attribute JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum "
            "WHERE attrelid = 'workspaces'::regclass AND attname = 'status'"
        )
        index = await connection.fetchval("SELECT pg_get_indexdef('workspaces_status'::regclass)")
        rows = await connection.fetch("SELECT name, status::text AS status FROM workspaces")
    assert described["attnotnull"]
    assert "(status)" in index
    return described["type"], described["default_"], {row["name"]: row["status"] for row in rows}


def dump(url):
    """The schema as pg_dump tells it, without what differs between any two runs."""
    text = subprocess.run(
        [binaries(18) / "pg_dump", "--schema-only", "--no-owner", "--exclude-table=schema_migrations", "-d", url],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def postgres_16(new_directory):
    """The older version of the wheel; its database is used by the tests one after another."""
    server = EmbeddedPostgres(new_directory(), version=16, settings={"fsync": "off"})
    yield server.start()
    server.stop()


@pytest.fixture(params=[16, 18])
def either_url(request, run_async):
    """An empty database on PostgreSQL 16, then on 18."""
    if request.param == 18:
        return request.getfixturevalue("empty_database_url")
    url = request.getfixturevalue("postgres_16")

    async def empty():
        async with connected(url) as connection:
            await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    run_async(empty())
    return url


async def test_up_down_up_with_data(either_url):
    await migrate.up(either_url, FREE_TEXT)
    await add_workspaces(either_url, None, *Status)
    statuses = {"default": "provisioning"} | {status.value: status.value for status in Status}
    as_text = ("text", "'provisioning'::text", statuses)
    as_enum = ("workspace_status", "'provisioning'::workspace_status", statuses)
    assert await column(either_url) == as_text
    for _ in range(2):
        assert [step.version for step in await migrate.up(either_url)] == list(range(ENUM, LAST + 1))
        assert await column(either_url) == as_enum
        assert [step.version for step in await migrate.down(either_url, FREE_TEXT)] == list(range(LAST, 1, -1))
        assert await column(either_url) == as_text
    await migrate.up(either_url)
    await add_workspaces(either_url, None)
    await migrate.down(either_url, 0)
    async with connected(either_url) as connection:
        left = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert [row["tablename"] for row in left] == ["schema_migrations"]
        assert await connection.fetchval("SELECT to_regtype('workspace_status')") is None
    assert len(await migrate.up(either_url)) == LAST


async def test_the_enum_is_the_domains_status(database):
    async with database.acquire() as connection:
        labels = await connection.fetchval("SELECT enum_range(NULL::workspace_status)::text[]")
    assert set(labels) == {status.value for status in Status}


async def test_a_rogue_value_aborts_and_leaves_everything(either_url):
    await migrate.up(either_url, FREE_TEXT)
    await add_workspaces(either_url, "online", "onlin", "onlin", "it's", "")
    before = await column(either_url)
    schema = dump(either_url)
    with pytest.raises(Conflict) as refused:
        await migrate.up(either_url)
    message = str(refused.value)
    assert message.startswith("migration 0002_workspace_status was not applied and nothing was changed")
    assert "'' in 1 row(s), 'it''s' in 1 row(s), 'onlin' in 2 row(s)" in message
    assert "migrate again" in message
    assert await column(either_url) == before
    assert dump(either_url) == schema
    assert [one.applied_at is None for one in await migrate.status(either_url)] == [False] + [True] * (LAST - 1)
    async with connected(either_url) as connection:  # mended, it goes through
        await connection.execute("UPDATE workspaces SET status = 'online' WHERE status IN ('onlin', 'it''s', '')")
    await migrate.up(either_url)
    assert (await column(either_url))[0] == "workspace_status"


async def test_a_typo_is_refused_by_the_database(database):
    async with database.acquire() as connection:
        insert = "INSERT INTO workspaces (id, name, created_at, status) VALUES ($1, 'a', $2, 'onlin')"
        with pytest.raises(asyncpg.InvalidTextRepresentationError, match="onlin"):
            await connection.execute(insert, uuid4(), NOW)
        await connection.execute(insert.replace("onlin", "online"), uuid4(), NOW)
        with pytest.raises(asyncpg.InvalidTextRepresentationError, match="Online"):
            await connection.execute("UPDATE workspaces SET status = 'Online'")
        assert await connection.fetchval("SELECT status::text FROM workspaces") == "online"


async def test_a_table_in_use_is_not_waited_for_long(empty_database_url, monkeypatch):
    migrations = migrate.shipped()
    hasty = dataclasses.replace(migrations[1], up=migrations[1].up.replace("'5s'", "'50ms'"))
    assert hasty.up != migrations[1].up
    monkeypatch.setattr(migrate, "shipped", lambda: [migrations[0], hasty])
    await migrate.up(empty_database_url, FREE_TEXT)
    async with connected(empty_database_url) as reader:
        async with reader.transaction():
            await reader.fetch("SELECT FROM workspaces")
            with pytest.raises(Unavailable, match="0002_workspace_status was not applied and nothing was changed"):
                await migrate.up(empty_database_url)
        assert [step.version for step in await migrate.up(empty_database_url)] == [ENUM]


async def test_runs_at_once_apply_each_migration_once(empty_database_url):
    runs = await asyncio.gather(*(migrate.up(empty_database_url) for _ in range(5)))
    assert sorted(len(run) for run in runs) == [0, 0, 0, 0, LAST]


async def test_status_tells_what_is_pending_and_what_was_changed(empty_database_url, monkeypatch):
    await migrate.up(empty_database_url, FREE_TEXT)
    assert [(one.name, one.applied_at is None, one.changed) for one in await migrate.status(empty_database_url)][
        :2
    ] == [
        ("tables", False, False),
        ("workspace_status", True, False),
    ]
    first, *others = migrate.shipped()
    monkeypatch.setattr(migrate, "shipped", lambda: [dataclasses.replace(first, up=first.up + " "), *others])
    assert (await migrate.status(empty_database_url))[0].changed
    for attempt in (migrate.up(empty_database_url), migrate.down(empty_database_url, 0)):
        with pytest.raises(Conflict, match="0001_tables was changed after it was applied"):
            await attempt


async def test_a_database_of_a_newer_truebeat_is_left_alone(database_url, monkeypatch):
    monkeypatch.setattr(migrate, "shipped", lambda: SHIPPED[:1])
    with pytest.raises(Conflict, match="0002_workspace_status, which this truebeat does not know"):
        await migrate.up(database_url)
    assert (await migrate.status(database_url))[1].changed


@pytest.mark.parametrize("target", [-1, LAST + 1])
async def test_an_unknown_target(empty_database_url, target):
    for attempt in (migrate.up(empty_database_url, target), migrate.down(empty_database_url, target)):
        with pytest.raises(Invalid, match=f"no migration {target}"):
            await attempt


async def test_a_failing_step_keeps_the_steps_before_it(empty_database_url, monkeypatch):
    broken = migrate.Migration(LAST + 1, "broken", "CREATE TABLE half (); SELECT 1 / 0", "")
    monkeypatch.setattr(migrate, "shipped", lambda: [*SHIPPED, broken])
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate.up(empty_database_url)
    assert [one.applied_at is None for one in await migrate.status(empty_database_url)] == [False] * LAST + [True]
    async with connected(empty_database_url) as connection:
        assert await connection.fetchval("SELECT to_regclass('half')") is None


async def test_schema_sql_is_what_the_migrations_yield(database_url, empty_database_url):
    schema = files("truebeat.server.store").joinpath("schema.sql").read_text()
    async with connected(empty_database_url) as connection:
        await connection.execute(schema)
    assert dump(empty_database_url) == dump(database_url)


async def test_down_yields_what_was_before(empty_database_url):
    await migrate.up(empty_database_url, FREE_TEXT)
    before = dump(empty_database_url)
    await migrate.up(empty_database_url)
    await migrate.down(empty_database_url, FREE_TEXT)
    assert dump(empty_database_url) == before
