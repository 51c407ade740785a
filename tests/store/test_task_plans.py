"""The plans of the hot queries with many rows."""

import re
from datetime import UTC, datetime
from uuid import UUID

import pytest
from task_rows import EVER, LAST, NOW

from truebeat.domain.delivery import State
from truebeat.server.store.sql import queries

MANY = """
    INSERT INTO tasks (
        id, workspace_id, context_id, priority, state, on_interrupt, generation, sender_kind, sender_id, sender_name,
        text, parts, metadata, updates, created_at, updated_at, head, bytes
    )
    SELECT
        ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
        ('00000000-0000-4000-8000-' || lpad((n % 1000)::text, 12, '0'))::uuid,
        'c' || n % 50000, 0,
        CASE WHEN n % 20 = 0 THEN 'submitted' WHEN n % 5000 = 1 THEN 'working' ELSE 'completed' END,
        'retry', CASE WHEN n % 5000 = 1 THEN 1 END,
        CASE WHEN n % 10 = 0 THEN 'workspace' ELSE 'person' END,
        ('00000000-0000-4000-8000-' || lpad((n % 1000)::text, 12, '0')), '',
        '', '[]', '{}', 1, now(), now() - n * interval '1 second', n <= 50000 AND (n % 20 = 0 OR n % 5000 = 1), 4
    FROM generate_series(1, $1::integer) AS n
"""
# mailboxes of 10,000 tasks each: of one conversation of which one is worked on, and of as many as there are tasks
DEEP, WIDE = UUID(int=1), UUID(int=2)
FULL = """
    INSERT INTO tasks (
        id, workspace_id, context_id, priority, state, on_interrupt, generation, sender_kind, sender_id, sender_name,
        text, parts, metadata, updates, created_at, updated_at, head, bytes
    )
    SELECT
        gen_random_uuid(), $1, CASE WHEN $2 THEN 'one' ELSE 'full' || n END, 0,
        CASE WHEN n = 1 THEN 'working' ELSE 'submitted' END, 'retry', CASE WHEN n = 1 THEN 1 END, 'person', 'eve', '',
        '', '[]', '{}', 1, now(), now(), n = 1 OR NOT $2, 4
    FROM generate_series(1, 10000) AS n
"""
QUESTIONS = "UPDATE tasks SET state = 'input-required', head = false WHERE context_id IN ('c40', 'c20')"
WORKSPACES = """
    INSERT INTO workspaces (id, name, created_at, status)
    SELECT
        ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'w' || n, now(),
        CASE WHEN n % 7 = 0 THEN 'removed'::workspace_status ELSE 'online' END
    FROM generate_series(0, 999) AS n
"""
GENERIC = """
    CREATE FUNCTION pg_temp.generic(query text) RETURNS SETOF text LANGUAGE plpgsql AS
    $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN (GENERIC_PLAN) ' || query; END $$
"""
ONE = UUID("00000000-0000-4000-8000-000000000020")
ALL_STATES = [state.value for state in State]
PAGE = (ALL_STATES, EVER, *LAST, 50, 2**23)
COUNT = (ALL_STATES, EVER, 10000)
#: of these a few pages for each row they yield are all they may read, however much waits
FEW = {
    "claim": 400,
    "claim of one conversation behind a turn": 50,
    "claim of many conversations": 1000,
    "paused": 100,
    "lead": 50,
}
PLANS = {
    "claim": ([ONE], [1], [5], NOW),
    "claim of one conversation behind a turn": ([DEEP], [1], [16], NOW),
    "claim of many conversations": ([WIDE], [1], [16], NOW),
    "lead": ([DEEP, WIDE], ["one", "full2"]),
    "paused": (ONE, 100),
    "orphaned": (100,),
    "held": (ONE,),
    "unfinished": (ONE, 100),
    "hold": ([ONE],),
    "get": (ONE,),
    "position": (ONE,),
    "page_of_all": PAGE,
    "count_of_all": (ALL_STATES, EVER, 1000),  # as much as it may count, and no more, is read
    "page_of_all by a state that none is in": (["auth-required", "failed"], EVER, *LAST, 50, 2**23),
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
        await conn.execute(FULL, DEEP, True)
        await conn.execute(FULL, WIDE, False)
        await conn.execute(WORKSPACES)
        await conn.execute(QUESTIONS, timeout=100)
        await conn.execute("VACUUM ANALYZE tasks", timeout=100)
        table = await conn.fetchval("SELECT relpages FROM pg_class WHERE relname = 'tasks'")
        # how many rows an index-only scan has to look up depends on what the vacuum could mark: never a tenth of all
        few = max(3000, table // 10)
        await conn.execute(GENERIC)
        every = queries("tasks") | queries("task_pages") | queries("retention")
        for name, arguments in PLANS.items():
            query = every[name.partition(" ")[0]]
            rows = await conn.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {query}", *arguments)
            plan = "\n".join(row[0] for row in rows)
            generic = "\n".join(row[0] for row in await conn.fetch("SELECT pg_temp.generic($1)", query))
            assert "Seq Scan on tasks" not in plan, f"{name}:\n{plan}"
            assert "Seq Scan on tasks" not in generic, f"{name}, generic:\n{generic}"
            touched = re.search(r"Buffers: shared (.*)", plan)
            pages = sum(map(int, re.findall(r"(?:hit|read)=(\d+)", touched[1])))
            assert pages < FEW.get(name, few), f"{name}: {pages} of {table} pages\n{plan}"
