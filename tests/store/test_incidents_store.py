"""Incidents and reports on the real database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from truebeat.domain.health import created
from truebeat.server.store import incidents as store
from truebeat.server.store import workspaces as workspace_store
from truebeat.server.store.incidents import IncidentRow, Proceeding, ReportRow
from truebeat.server.store.workspaces import WorkspaceRow

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
STEP = {"at": NOW.isoformat(), "kind": "status", "status": "degraded", "cause": "beat", "text": "", "conditions": []}


def later(seconds):
    return NOW + timedelta(seconds=seconds)


@pytest.fixture
async def conn(database):
    async with database.acquire() as connection:
        yield connection


@pytest.fixture
def member(conn):
    async def member(name="ada"):
        row = WorkspaceRow(uuid4(), name, "", None, None, None, NOW, None, created(NOW))
        await workspace_store.insert(conn, row)
        return row.id

    return member


def incident(workspace_id, at=NOW, **more):
    row = IncidentRow(uuid4(), workspace_id, at, None, "wedged", "self", "stuck", "degraded", 3, timeline=[STEP])
    return replace(row, **more)


def report(workspace_id, n=1, at=NOW, **more):
    return replace(ReportRow(workspace_id, 7, n, at, 3, "exited", "killed by SIGKILL"), **more)


async def test_one_is_open_at_most(conn, member):
    ada = await member()
    first, second = incident(ada), incident(ada, later(5))
    await store.open_all(conn, [first])
    await store.open_all(conn, [second, incident(await member("bob"))])
    assert await store.get(conn, second.id) is None
    assert await store.get(conn, first.id) == replace(first, name="ada")
    await store.proceed(conn, [Proceeding(first.id, "offline", [STEP], later(3), "beats returned")])
    await store.open_all(conn, [second])
    assert await store.get(conn, second.id) is not None
    closed = await store.get(conn, first.id)
    assert (closed.worst, closed.closed_at, closed.recovery, len(closed.timeline)) == (
        "offline", later(3), "beats returned", 2,
    )  # fmt: skip
    assert {row.id for row in await store.still_open(conn)} >= {second.id}


async def test_a_closed_one_stays_as_it_is(conn, member):
    one = incident(await member(), closed_at=later(1), recovery="resumed by itself")
    await store.open_all(conn, [one])
    await store.proceed(conn, [Proceeding(one.id, "failed", [STEP], None)])
    assert (await store.get(conn, one.id)).timeline == one.timeline


async def test_the_timeline_has_a_bound_and_counts_the_rest(conn, member):
    one = incident(await member(), timeline=[STEP] * store.STEPS_LIMIT)
    await store.open_all(conn, [one])
    await store.proceed(conn, [Proceeding(one.id, "failed", [STEP, STEP])])
    full = await store.get(conn, one.id)
    assert (len(full.timeline), full.left_out, full.worst) == (store.STEPS_LIMIT, 2, "failed")
    await store.proceed(conn, [Proceeding(one.id, "failed", [STEP], later(9), "over")])
    assert len((await store.get(conn, one.id)).timeline) == store.STEPS_LIMIT + 1  # its end is always told


@pytest.mark.parametrize(
    ("at", "found"), [(0, True), (-59, True), (-61, False), (100, True), (159, True), (161, False), (1e6, False)]
)
async def test_a_report_goes_to_the_incident_it_happened_in_or_near(conn, member, at, found):
    ada = await member()
    one = incident(ada, closed_at=later(100))
    await store.open_all(conn, [one])
    assert await store.attach(conn, report(ada, at=later(at), kind="verified")) == (True, one.id if found else None)


async def test_new_trouble_after_its_end_waits_for_the_incident_that_is_about_to_open(conn, member):
    ada = await member()
    one = incident(ada, closed_at=later(100))
    await store.open_all(conn, [one])
    assert await store.attach(conn, report(ada, 1, later(99))) == (True, one.id)
    assert await store.attach(conn, report(ada, 2, later(101))) == (True, None)
    assert await store.attach(conn, report(ada, 3, later(101), kind="recovered")) == (True, one.id)


async def test_of_several_the_one_it_happened_in_takes_it(conn, member):
    ada = await member()
    old, new = incident(ada, closed_at=later(10)), incident(ada, later(40))
    await store.open_all(conn, [old, new])
    for n, (at, taker) in enumerate(((250, new), (39, new), (20, old), (9, old), (-5, old))):
        assert (await store.attach(conn, report(ada, n, later(at), kind="verified")))[1] == taker.id, at
    assert (await store.attach(conn, report(await member("bob"), 1, later(20))))[1] is None


async def test_the_same_report_is_stored_once(conn, member):
    ada = await member()
    one = incident(ada)
    await store.open_all(conn, [one])
    assert await store.attach(conn, report(ada)) == (True, one.id)
    assert await store.attach(conn, report(ada, detail="another text")) == (False, None)
    assert (await store.attach(conn, replace(report(ada), boot=8)))[0]
    assert len(await store.reports(conn, one.id)) == 2
    assert (await store.get(conn, one.id)).left_out == 0


async def test_reports_have_a_bound(conn, member):
    ada, bob = await member(), await member("bob")
    one = incident(ada)
    await store.open_all(conn, [one])
    for n in range(store.REPORTS_LIMIT):
        assert (await store.attach(conn, report(ada, n)))[0]
        assert (await store.attach(conn, report(bob, n)))[0]
    assert await store.attach(conn, report(ada, 999)) == (False, None)
    assert await store.attach(conn, report(bob, 999)) == (False, None)
    assert (await store.get(conn, one.id)).left_out == 1


async def test_reports_that_came_before_are_adopted(conn, member):
    ada = await member()
    for n, at in enumerate((-100, -30, -1)):
        await store.attach(conn, report(ada, n, later(at)))
    one = incident(ada)
    await store.open_all(conn, [incident(ada, closed_at=later(1))], adopt=None)
    assert len(await store.loose(conn, later(0))) == 3
    await store.open_all(conn, [one])
    assert [row.n for row in await store.reports(conn, one.id)] == [1, 2]
    assert [row.n for row in await store.loose(conn, later(0))] == [0]
    await store.open_all(conn, [incident(ada)], adopt=1e6)  # one that is not opened adopts nothing
    assert [row.name for row in await store.loose(conn, later(0))] == ["ada"]


async def test_what_no_database_can_hold_is_replaced(conn, member):
    ada = await member()
    one = incident(ada, detail="a\x00b\ud800", evidence={"note": "\x00"}, timeline=[STEP | {"text": "\x00"}])
    await store.open_all(conn, [one])
    await store.attach(conn, replace(report(ada), stack="\x00\ud800", facts={"a\x00": "b\x00"}))
    assert (await store.get(conn, one.id)).detail == "a\ufffdb?"
    assert (await store.reports(conn, one.id))[0].facts == {"a\ufffd": "b\ufffd"}


async def test_pages_newest_first_and_filters(conn, member):
    ada, bob = await member(), await member("bob")
    rows = [incident(ada, later(n), closed_at=later(n + 1)) for n in range(4)]
    rows.append(incident(ada, later(2), closed_at=later(9)))  # the same moment as another
    await store.open_all(conn, [*rows, incident(bob, later(50))])
    seen, after = [], None
    while found := await store.page(conn, after=after, limit=2, workspace_id=ada):
        seen += [row.id for row in found]
        after = (found[-1].opened_at, found[-1].id)
    assert seen == [row.id for row in sorted(rows, key=lambda row: (row.opened_at, row.id), reverse=True)]
    assert [row.name for row in await store.page(conn, after=None, limit=1)] == ["bob"]
    assert [row.name for row in await store.page(conn, after=None, limit=9, open_=True)] == ["bob"]
    assert len(await store.page(conn, after=None, limit=9, open_=False)) == 5


async def test_pruning_takes_the_reports_along_and_leaves_what_is_open(conn, member):
    ada = await member()
    old, present = incident(ada, closed_at=later(1)), incident(ada, later(2))
    await store.open_all(conn, [old, present])
    await store.attach(conn, report(ada, 1, later(0.5)))
    assert await store.prune(conn, later(1000)) == 1
    assert await store.get(conn, old.id) is None
    assert await store.get(conn, present.id) is not None
    assert await conn.fetchval("SELECT count(*) FROM incident_reports") == 0


async def test_lists_use_their_indexes(conn, member):
    """With many incidents none of the questions asked often reads them all."""
    ada = await member()
    await conn.execute(
        "INSERT INTO incidents (id, workspace_id, opened_at, closed_at, symptom, witness, detail, worst, generation,"
        " timeline) SELECT gen_random_uuid(), $1, $2::timestamptz - n * interval '1 s', $2::timestamptz, 'wedged',"
        " 'self', '', 'degraded', 1, '[]' FROM generate_series(1, 20000) AS n",
        ada, NOW,
    )  # fmt: skip
    await conn.execute("ANALYZE incidents")
    for name, arguments in (
        ("page", "(NULL, NULL, 20, NULL)"),
        ("page_of_workspace", f"(NULL, NULL, 20, NULL, '{ada}')"),
        ("still_open", "('recovered', NULL)"),
    ):
        types = {"page": "(timestamptz, uuid, bigint, boolean)", "still_open": "(text, uuid[])"}.get(
            name, "(timestamptz, uuid, bigint, boolean, uuid)"
        )
        await conn.execute(f"PREPARE asked{types} AS {store._SQL[name]}")
        plan = "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN EXECUTE asked{arguments}"))
        await conn.execute("DEALLOCATE asked")
        assert "Seq Scan on incidents" not in plan, plan
