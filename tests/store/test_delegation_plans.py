"""The plans of the queries of delegations with many rows."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from truebeat.server.store.sql import queries

#: a few thousand are under way: to be done, being done, to be given, or given; all others are over
MANY = (
    """
    INSERT INTO tasks (
        id, workspace_id, context_id, priority, state, on_interrupt, attempt, generation, head, bytes, sender_kind,
        sender_id, sender_name, text, parts, metadata, updates, created_at, updated_at
    )
    SELECT
        pg_temp.id('a', n), pg_temp.id('e', n % 1000), 'c' || n % 50000, 0,
        CASE WHEN n < 2000 THEN 'submitted' WHEN n < 2100 THEN 'working' ELSE 'completed' END, 'retry', 1,
        CASE WHEN n BETWEEN 2000 AND 2099 THEN 1 END, n < 2100, 0, 'workspace',
        pg_temp.id('e', (n + 1) % 1000)::text, '', '', '[]', '{}', 1, now(), now() - n * interval '1 second'
    FROM generate_series(1, $1::integer) AS n
    """,
    """
    INSERT INTO delegations (
        task_id, source_id, target_id, source_task_id, root_id, depth, created_at, deadline_at, ended_at, waited,
        ready_at, given_task_id, given_attempt, consumed_at, source_context
    )
    SELECT
        pg_temp.id('a', n), pg_temp.id('e', (n + 1) % 1000), pg_temp.id('e', n % 1000),
        CASE WHEN n % 4 > 0 THEN pg_temp.id('a', n - 1) END, pg_temp.id('a', n - n % 4), 1 + n % 4,
        now() - n * interval '1 second', CASE WHEN n % 10 = 0 THEN now() + interval '1 hour' END,
        CASE WHEN n >= 2100 THEN now() END, false, CASE WHEN n >= 2100 THEN now() END,
        CASE WHEN n BETWEEN 3000 AND 3099 THEN pg_temp.id('a', n - 1000) END,
        CASE WHEN n BETWEEN 3000 AND 3099 THEN 1 END,
        CASE WHEN n >= 3500 THEN now() END, 'c' || n % 50000
    FROM generate_series(1, $1::integer) AS n
    """,
    """
    INSERT INTO wakes (task_id, workspace_id, origin_task_id, latest, context_id)
    SELECT pg_temp.id('a', n), pg_temp.id('e', n % 1000), pg_temp.id('a', n - 1), n <= 50000, 'c' || n % 50000
    FROM generate_series(1, $1::integer / 2) AS n
    """,
    """
    INSERT INTO workspaces (id, name, status, created_at)
    SELECT pg_temp.id('e', n), 'w' || n, 'online', now()
    FROM generate_series(0, 999) AS n
    """,
)
IDENTITY = """
    CREATE FUNCTION pg_temp.id(kind text, n integer) RETURNS uuid IMMUTABLE LANGUAGE sql AS
    $$ SELECT ('00000000-0000-4000-' || kind || '000-' || lpad(n::text, 12, '0'))::uuid $$
"""
GENERIC = """
    CREATE FUNCTION pg_temp.generic(query text) RETURNS SETOF text LANGUAGE plpgsql AS
    $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN (GENERIC_PLAN) ' || query; END $$
"""
TABLES = ("delegations", "tasks", "wakes")


def task(n):
    return UUID(f"00000000-0000-4000-a000-{n:012}")


def workspace(n):
    return UUID(f"00000000-0000-4000-e000-{n:012}")


NOW = datetime.now(UTC)
SOME = [workspace(n) for n in range(20)]
PLANS = {
    "count_open": (SOME,),
    "ready": ([task(1)], NOW, NOW, [True], [None], [False]),
    "replied": ([task(1)],),
    "consume_given": ([task(2000), task(2001)], [1, 1], NOW),
    "release_given": ([task(2002), task(2003)], [1, 1], NOW),
    "give": ([workspace(102), workspace(103)], [task(1), task(2)], [1, 1], NOW, 16, ["c2101", "c2102"]),
    "given": ([task(2000)], 16_000),
    "unwoken": (SOME, NOW, 6),
    "unwoken of all": (None, NOW, 6),
    "retire_wakes": (SOME, [f"c{n}" for n in range(20)]),
    "idle_wakes": (SOME, NOW),
    "waiting_sources": (),
    "given_tasks": (),
    "confirm": (task(3200), NOW, None, None),
    "done_well": (task(3200), workspace(200)),
    "unwait": (task(1),),
    "hold": (task(3200), NOW),
    "chain": (task(50_003),),
    "working": (workspace(0),),
    "below": (task(50_000),),
    "withdraw": ([task(1)],),
    "overdue": (NOW + timedelta(hours=2), 100),
    "orphans": (100,),
    "left_behind": (100,),
    "get": (task(50_000), 16_000),
    "page_of_source": (workspace(7), 100, 16_000),
    "page_of_target": (workspace(7), 100, 16_000),
    "open_ones": (None, 500),
    "tree": (task(50_000), 2000),
    "root": (task(50_000),),
}
#: they write new rows, or read workspaces only
OTHERS = {"insert", "insert_wakes", "relations", "exists", "living"}


def test_every_query_is_looked_at():
    assert {name.partition(" ")[0] for name in PLANS} | OTHERS == set(queries("delegations"))


@pytest.mark.parametrize("count", [200_000])
async def test_queries_of_delegations_read_few_rows_of_many(database, count):
    """No scan of a table and few pages read; nor would the plan for any arguments scan one."""
    async with database.acquire() as conn:
        await conn.execute(IDENTITY)
        await conn.execute(GENERIC)
        for many in MANY:
            await conn.execute(many, *([count] if "$1" in many else []), timeout=300)
        await conn.execute("VACUUM ANALYZE", timeout=300)
        every = queries("delegations")
        for name, arguments in PLANS.items():
            query = every[name.partition(" ")[0]]
            undone = conn.transaction()
            await undone.start()
            rows = await conn.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {query}", *arguments)
            await undone.rollback()
            plan = "\n".join(row[0] for row in rows)
            generic = "\n".join(row[0] for row in await conn.fetch("SELECT pg_temp.generic($1)", query))
            for table in TABLES:
                scan = re.compile(rf"Seq Scan on {table}\b")
                assert not scan.search(plan), f"{name}:\n{plan}"
                assert not scan.search(generic), f"{name}, generic:\n{generic}"
            touched = re.search(r"Buffers: shared (.*)", plan)
            pages = sum(map(int, re.findall(r"(?:hit|read)=(\d+)", touched[1]))) if touched else 0
            # what is under way is a few thousand rows, however many there are
            assert pages < 25_000, f"{name}: {pages} pages\n{plan}"
