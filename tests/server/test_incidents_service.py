"""Incidents open, take reports and close with the announcements, on the real database."""

import asyncio
from uuid import UUID

import pytest
from judge_stand import judging

from truebeat.domain.access import Principal, Role
from truebeat.domain.health import LeaseExpired, RemovalOrdered, Status, created
from truebeat.errors import NotFound
from truebeat.protocol import link
from truebeat.server.background.incident_keeper import IncidentKeeper
from truebeat.server.services import incident_book

OPERATOR = Principal(Role.OPERATOR, "eve")
VIEWER = Principal(Role.VIEWER, "vic")


@pytest.fixture
async def rig(database):
    async with judging(database) as made:
        yield made


async def wedge(rig, lease, **fields):
    await rig.beat(lease, runtime_state="wedged", sample_error="stuck", **fields)


async def incident_events(rig):
    return [event for event in await rig.all_events() if event.type.startswith("INCIDENT_")]


async def the_one(rig, lease, principal=OPERATOR):
    page = await rig.incidents.page(None, 10, principal, open_=None, workspace_id=UUID(lease.id))
    assert len(page.incidents) == 1, page
    return await rig.incidents.show(page.incidents[0].id, principal)


async def test_from_the_first_symptom_to_the_verified_recovery(rig):
    lease = await rig.linked()
    await rig.beat(lease, note="all quiet", counters=link.Counters(frames=5))
    await wedge(rig, lease)
    rig.clock.advance(1)
    await rig.report(lease, 1, stack="Thread 1: stuck", stderr_tail="boom", action="killed the tree", age=0.5)
    await rig.health.order_restart(lease.id, "eve", "enough")
    await rig.beat(lease, runtime_state=None, error_rate=None, generation=2, phase="starting")
    rig.clock.advance(2)
    open_one = await the_one(rig, lease)
    assert (open_one.closed_at, open_one.seconds, lease.incident.id) == (None, 3, open_one.id)
    await rig.beat(lease, generation=2)
    one = await the_one(rig, lease)
    assert lease.incident is None
    assert one.recovery == "restart verified by generation 2, ordered by eve"
    assert (one.symptom, one.witness, one.detail, one.worst, one.generation) == (
        "wedged",
        "self",
        "stuck",
        "degraded",
        1,
    )
    assert (one.stack, one.stderr_tail, one.seconds) == ("Thread 1: stuck", "boom", 3)
    assert one.evidence.counters.frames == 0  # of the very beat that opened it
    assert [(step.kind, step.by, step.after) for step in one.timeline] == [
        ("status", "self", 0),
        ("exited", "supervisor", 0.5),
        ("restart_ordered", "eve", 1),
        ("status", "beat", 3),
    ]
    assert one.timeline[1].action == "killed the tree"
    assert one.timeline[2].text == "enough"
    events = await incident_events(rig)
    assert [event.type for event in events] == ["INCIDENT_OPENED", "INCIDENT_UPDATED", "INCIDENT_CLOSED"]
    assert {event.payload["incident_id"] for event in events} == {str(one.id)}
    assert events[-1].payload["seconds"] == 3


async def test_a_burst_opens_one_for_each_and_closes_each(rig):
    members = [await rig.linked() for _ in range(20)]
    await asyncio.gather(*(wedge(rig, lease) for lease in members for _ in range(3)))
    assert len({lease.incident.id for lease in members}) == 20
    await asyncio.gather(*(rig.beat(lease) for lease in members))
    assert [lease.incident for lease in members] == [None] * 20
    kinds = [event.type for event in await incident_events(rig)]
    assert kinds.count("INCIDENT_OPENED") == kinds.count("INCIDENT_CLOSED") == 20


async def test_what_opens_and_closes_within_one_transaction_is_still_told(rig):
    lease = await rig.linked()
    await asyncio.gather(wedge(rig, lease), rig.beat(lease), rig.observe(lease, LeaseExpired(9)), rig.beat(lease))
    page = await rig.incidents.page(None, 10, OPERATOR, open_=False, workspace_id=None)
    assert page.incidents
    assert lease.incident is None
    assert all(view.recovery for view in page.incidents)


async def test_a_lost_race_writes_nothing_twice(rig):
    lease = await rig.linked()
    async with rig.database.acquire() as connection:  # another writer
        await connection.execute("UPDATE workspaces SET version = version + 1")
    await wedge(rig, lease)
    assert lease.incident is not None
    assert len(await incident_events(rig)) == 1
    assert (await the_one(rig, lease)).id == lease.incident.id


async def test_removal_closes_it_and_opens_none(rig):
    lease, other = await rig.linked(), await rig.linked()
    await wedge(rig, lease)
    await rig.observe(lease, RemovalOrdered())
    await rig.observe(other, RemovalOrdered())
    page = await rig.incidents.page(None, 10, OPERATOR, open_=None, workspace_id=None)
    assert [view.recovery for view in page.incidents] == ["removed by an operator"]


async def test_a_repeated_report_counts_once_and_another_boots_number_is_another(rig):
    lease = await rig.linked()
    await wedge(rig, lease)
    for _ in range(3):
        await rig.report(lease, 1)
    rig.heartbeats.declare(lease, link.Hello(version=2, boot=8, agent="python", pid=2))
    await rig.report(lease, 1)
    assert len((await the_one(rig, lease)).timeline) == 3
    assert len(await incident_events(rig)) == 3


async def test_a_repair_in_place_however_late_it_is_reported(rig):
    early, late = await rig.linked(), await rig.linked()
    for lease in (early, late):
        await wedge(rig, lease)
    await rig.report(early, 1, kind="recovered", action="a fresh client with resume")
    await rig.beat(early)
    await rig.beat(late)
    assert (await the_one(rig, late)).recovery == "resumed by itself"
    await rig.report(late, 1, kind="recovered")
    assert (await the_one(rig, early)).recovery == (await the_one(rig, late)).recovery == "recovered in place"


async def test_a_report_that_came_before_the_beat_is_taken_along(rig):
    lease = await rig.linked()
    await rig.report(lease, 1, stack="Thread 1")
    assert await incident_events(rig) == []
    await wedge(rig, lease)
    assert (await the_one(rig, lease)).stack == "Thread 1"


async def test_a_death_that_nobody_noticed_is_told_nevertheless(rig):
    lease, planned = await rig.linked(), await rig.linked()
    await rig.report(lease, 1, detail="killed by SIGKILL")
    await rig.report(lease, 2, kind="restarted", age=0.0)
    await rig.report(planned, 1, kind="restarted")
    assert await rig.incidents.gather_loose() == 0  # an incident may still open for them
    rig.clock.advance(61)
    assert await rig.incidents.gather_loose() == 1
    one = await the_one(rig, lease)
    assert (one.detail, one.recovery, one.worst) == ("killed by SIGKILL", "over before the server noticed", "online")
    assert [step.kind for step in one.timeline] == ["exited", "restarted"]
    assert [event.type for event in await incident_events(rig)] == ["INCIDENT_OPENED", "INCIDENT_CLOSED"]
    assert await rig.incidents.gather_loose() == 0


async def test_hostile_reports_are_cut_and_cleaned(rig):
    lease = await rig.linked()
    await wedge(rig, lease)
    await rig.report(
        lease, 1, age=1e12, stack="\x00" * 999_999, stderr_tail="e" * 999_999, detail="\ud800" * 9999,
        action="a" * 9999, facts={f"f{n}" * 999: "v" * 9999 for n in range(99)},
    )  # fmt: skip
    await rig.report(lease, 2, stack="s" * 999_999, stderr_tail="e" * 99_999 + "END")
    one = await the_one(rig, lease)
    assert (len(one.stack), len(one.stderr_tail)) == (link.STACK_LIMIT, link.STDERR_LIMIT)
    assert one.stderr_tail.endswith("END")


async def test_who_may_not_see_error_texts_sees_none(rig):
    lease = await rig.linked()
    await wedge(rig, lease, note="a secret note")
    await rig.report(lease, 1, stack="secret", stderr_tail="secret", action="secret", facts={"a": "secret"})
    await rig.health.order_restart(lease.id, "eve", "secret")
    for principal in (VIEWER, Principal(Role.WORKSPACE, "x", "00000000-0000-0000-0000-000000000000")):
        one = await the_one(rig, lease, principal)
        assert "secret" not in repr(one)
        assert "stuck" not in repr(one)
        assert one.symptom == "wedged"
    assert (await the_one(rig, lease, Principal(Role.WORKSPACE, "x", lease.id))).stack == "secret"


async def test_a_server_that_starts_goes_on_with_what_is_open(rig):
    lease = await rig.linked()
    await wedge(rig, lease)
    await rig.report(lease, 1, kind="recovered")
    known, lease.incident = lease.incident, None
    async with rig.database.acquire() as connection:
        await incident_book.load(connection, rig.leases)
    assert lease.incident == known
    await rig.beat(lease)
    assert (await the_one(rig, lease)).recovery == "recovered in place"


async def test_pages_and_unknown_ones(rig):
    lease = await rig.linked()
    for _ in range(5):
        await wedge(rig, lease)
        rig.clock.advance(1)
        await rig.beat(lease)
    seen, after = [], None
    while True:
        page = await rig.incidents.page(after, 2, OPERATOR, open_=None, workspace_id=None)
        seen += [view.opened_at for view in page.incidents]
        if (after := page.next) is None:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 5
    with pytest.raises(NotFound):
        await rig.incidents.show(UUID(lease.id), OPERATOR)


async def test_old_ones_are_dropped_and_open_ones_kept(rig):
    keeper = IncidentKeeper(rig.database, rig.incidents, rig.clock, retention=60)
    over, present = await rig.linked(), await rig.linked()
    for lease in (over, present):
        await wedge(rig, lease)
    await rig.beat(over)
    rig.clock.advance(61)
    assert await keeper.prune() == 1
    assert (await the_one(rig, present)).id == present.incident.id


async def test_one_that_never_came_up_is_an_incident(rig):
    lease = await rig.member(created(rig.clock.now()))
    await rig.observe(lease, LeaseExpired(9))
    assert lease.incident is None
    assert lease.status is Status.PROVISIONING
