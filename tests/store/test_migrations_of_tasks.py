"""Upgrades with tasks and tokens that there were before, and back."""

import contextlib
from datetime import UTC, datetime
from uuid import UUID

import pytest

from truebeat.domain.delivery import State
from truebeat.server.store import migrate, task_pages, tasks
from truebeat.server.store.database import connect
from truebeat.server.store.task_pages import Filter

NOW = datetime(2026, 1, 1, tzinfo=UTC)
#: the last versions before tasks had heads, and sizes, and senders their lineage
BY_STATE, BYTES = 8, 11
ADA = UUID(int=1)
TASK = """
    INSERT INTO tasks (
        id, workspace_id, context_id, priority, state, on_interrupt, generation, sender_kind, sender_id, sender_name,
        text, parts, metadata, updates, created_at, updated_at{more}
    )
    VALUES ($1, $2, $3, 0, $4, 'retry', $5, $6, $7, $7, $8, '[]', '{{}}', 1, $9, $9{values})
"""
TOKEN = """
    INSERT INTO tokens (id, name, role, hash, created_at, replaced_by)
    VALUES ($1, $2, 'member', sha256($1::uuid::text::bytea), $3, $4)
"""


def task_id(n):
    return UUID(int=100 + n)


async def add_task(conn, n, context="c", state="submitted", generation=None, sender="eve", text="hi", kind="person"):
    has_heads = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'tasks'::regclass AND attname = 'head'"
    more, values = (", head, bytes", ", true, 0") if await conn.fetchval(has_heads) else ("", "")
    query = TASK.format(more=more, values=values)
    await conn.execute(query, task_id(n), ADA, context, state, generation, kind, sender, text, NOW)


@pytest.fixture
def connected(empty_database_url):
    @contextlib.asynccontextmanager
    async def connected():
        connection = await connect(empty_database_url)
        try:
            yield connection
        finally:
            await connection.close()

    return connected


async def test_what_waits_can_be_claimed_after_the_upgrade(empty_database_url, connected):
    await migrate.up(empty_database_url, BY_STATE)
    async with connected() as conn:
        await add_task(conn, 1, "a", "working", 1)
        for n, context in enumerate(["a", "b", "b", "c"], 2):
            await add_task(conn, n, context)
        await add_task(conn, 6, "c", "input-required")
    await migrate.up(empty_database_url)
    async with connected() as conn:
        claimed = await tasks.claim(conn, [(ADA, 1, 10)], NOW)
        assert [UUID(deliver.task_id) for *_, deliver in claimed] == [task_id(3), task_id(5)]
    await migrate.down(empty_database_url, BY_STATE)
    await migrate.up(empty_database_url)
    async with connected() as conn:
        heads = await conn.fetch("SELECT id FROM tasks WHERE head ORDER BY id")
        assert [row["id"] for row in heads] == [task_id(1), task_id(3), task_id(5)]


async def test_large_tasks_of_before_count_in_pages(empty_database_url, connected):
    await migrate.up(empty_database_url, BY_STATE)
    async with connected() as conn:
        for n in range(5):
            await add_task(conn, n, text="x" * 100_000)
    await migrate.up(empty_database_url)
    async with connected() as conn:
        which = Filter(states=(State.SUBMITTED,), updated_after=datetime(1, 1, 1, tzinfo=UTC))
        rows, more = await task_pages.page(conn, which, (datetime(9999, 1, 1, tzinfo=UTC), UUID(int=0)), 5, 150_000)
        assert (len(rows), more) == (2, True)


async def test_whose_a_task_is_goes_over_where_the_name_was_one_tokens(empty_database_url, connected):
    first, second, third = (UUID(int=n) for n in (11, 12, 13))
    await migrate.up(empty_database_url, BYTES)
    async with connected() as conn:
        await conn.execute(TOKEN, third, "ann", NOW, None)
        await conn.execute(TOKEN, second, "ann", NOW, third)
        await conn.execute(TOKEN, first, "ann", NOW, second)
        for n in (21, 22):
            await conn.execute(TOKEN, UUID(int=n), "bob", NOW, None)
        await add_task(conn, 1, sender="ann")
        await add_task(conn, 2, sender="ann", state="input-required", kind="client")
        await add_task(conn, 3, sender="ann", state="completed")
        await add_task(conn, 4, sender="bob")
        await add_task(conn, 5, sender="ann", kind="workspace")
        await add_task(conn, 6, sender="ann", kind="client")
        await conn.execute("INSERT INTO wakes (task_id, workspace_id) VALUES ($1, $2)", task_id(6), ADA)
        for sender in ("person:ann", "client:ann", "person:bob", "workspace:ann"):
            await conn.execute(
                "INSERT INTO idempotency_keys VALUES ($1, $2, 'k', $3, 'f', $4)", sender, ADA, task_id(1), NOW
            )

    async def senders():
        async with connected() as conn:
            rows = await conn.fetch("SELECT sender_id FROM tasks ORDER BY id")
            keys = await conn.fetch("SELECT sender FROM idempotency_keys ORDER BY sender")
        return [row["sender_id"] for row in rows], {row["sender"] for row in keys}

    before = await senders()
    await migrate.up(empty_database_url)
    async with connected() as conn:
        lines = dict(await conn.fetch("SELECT id, lineage FROM tokens"))
        assert lines == dict.fromkeys((first, second, third), first) | {UUID(int=n): UUID(int=n) for n in (21, 22)}
    assert await senders() == (
        [str(first), str(first), "ann", "bob", "ann", "ann"],
        {f"person:{first}", f"client:{first}", "person:bob", "workspace:ann"},
    )
    async with connected() as conn:  # keys that are one again when names are what counts
        for n in (21, 22):
            await conn.execute(
                "INSERT INTO idempotency_keys VALUES ($1, $2, 'b', $3, 'f', $4)",
                f"person:{UUID(int=n)}", ADA, task_id(1), NOW,
            )  # fmt: skip
    await migrate.down(empty_database_url, BYTES)
    assert await senders() == before
