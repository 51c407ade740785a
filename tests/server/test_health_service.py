"""Load -> judge -> save -> emit, on the real database."""

import asyncio
import contextlib
from uuid import UUID, uuid4

import pytest
from judge_stand import judging, link_beat

from truebeat.domain.health import Beat, LeaseExpired, Record, Status, Symptom
from truebeat.errors import Conflict, Gone, NotFound, Unavailable
from truebeat.protocol.link import Hello
from truebeat.protocol.resources import Heartbeat
from truebeat.server.services.availability import in_vain
from truebeat.server.services.health import restart_id
from truebeat.server.services.heartbeats import Heartbeats
from truebeat.server.store import workspaces as workspace_store

HEALTHY = Beat("", 0.0)
WEDGED = Beat("wedged", 0.0, "Control request timeout: initialize")


@pytest.fixture
async def rig(database):
    async with judging(database) as made:
        yield made


async def test_a_change_and_its_event_are_on_disk_when_observe_returns(rig):
    lease = await rig.member()
    await rig.observe(lease, HEALTHY)
    await rig.observe(lease, WEDGED)
    row = await rig.stored(lease)
    assert row.record == lease.record
    assert row.version == lease.version == 2
    assert lease.status is Status.DEGRADED
    events = await rig.events_on_disk()
    assert [event.type for event in events] == ["WORKSPACE_ONLINE", "WORKSPACE_DEGRADED"]
    assert await rig.all_events() == rig.published
    degraded = events[1]
    assert degraded.payload["sample_error"] == "Control request timeout: initialize"
    assert degraded.payload["conditions"][0]["symptom"] == "wedged"
    assert degraded.payload["previous"] == "online"
    assert degraded.cause == "beat"


async def test_no_event_without_a_change(rig):
    lease = await rig.member()
    for _ in range(3):
        await rig.observe(lease, HEALTHY)
    assert len(await rig.events_on_disk()) == 1


async def test_the_same_change_seen_by_many_at_once_is_told_once(rig):
    lease = await rig.member()
    await rig.observe(lease, HEALTHY)
    await asyncio.gather(*(rig.observe(lease, WEDGED) for _ in range(50)))
    assert [event.type for event in await rig.events_on_disk()] == ["WORKSPACE_ONLINE", "WORKSPACE_DEGRADED"]


async def test_a_burst_over_many_members_keeps_records_and_events_together(rig):
    members = [await rig.member() for _ in range(30)]
    await asyncio.gather(*(rig.observe(lease, HEALTHY) for lease in members))
    await asyncio.gather(*(rig.observe(lease, WEDGED) for lease in members))
    for lease in members:
        assert (await rig.stored(lease)).record == lease.record
    events = await rig.events_on_disk()
    assert sorted(event.workspace_id for event in events if event.type == "WORKSPACE_DEGRADED") == sorted(
        UUID(lease.id) for lease in members
    )


async def test_a_row_changed_by_somebody_else_is_judged_afresh(rig):
    lease = await rig.member()
    await rig.observe(lease, HEALTHY)
    async with rig.database.acquire() as connection:
        other = await workspace_store.get(connection, UUID(lease.id))
        changed = Record(other.record.conditions, generation=7)
        assert await workspace_store.save_records(connection, [(other.id, other.version, changed)])
    # generation 6 is fenced by what the other writer stored, though this server did not know of it
    await rig.observe(lease, Beat("wedged", 0.0, "late", generation=6))
    assert lease.record.generation == 7
    assert lease.status is Status.ONLINE
    assert (await rig.stored(lease)).record == lease.record
    assert [event.type for event in await rig.events_on_disk()] == ["WORKSPACE_ONLINE"]


async def test_without_the_database_nothing_changes_and_the_caller_is_told(rig, monkeypatch):
    lease = await rig.member()

    @contextlib.asynccontextmanager
    async def down():
        raise Unavailable("the database does not answer", retry_after=1)
        yield

    with monkeypatch.context() as patch:
        patch.setattr(rig.database, "transaction", down)
        with pytest.raises(Unavailable):
            await rig.observe(lease, HEALTHY)
    assert lease.status is Status.PROVISIONING
    assert rig.published == []
    await rig.observe(lease, HEALTHY)
    assert lease.status is Status.ONLINE


async def test_removal_is_final_and_told_once(rig):
    lease = await rig.member()
    removed = []
    rig.health.on_removed.append(removed.append)
    await rig.health.remove(lease.id, "operator")
    assert removed == [lease]
    assert (await rig.stored(lease)).record.status is Status.REMOVED
    for late in (HEALTHY, WEDGED, LeaseExpired(50)):
        with pytest.raises(Gone):
            await rig.observe(lease, late)
    with pytest.raises(Gone):
        await rig.health.remove(lease.id, "operator")
    assert [event.type for event in await rig.events_on_disk()] == ["WORKSPACE_REMOVED"]


async def test_an_unknown_workspace(rig):
    with pytest.raises(NotFound):
        await rig.health.observe(str(uuid4()), HEALTHY, rig.clock.now())


async def test_silence_is_not_written_over_a_beat_that_came_meanwhile(rig):
    lease = await rig.member()
    await rig.observe(lease, HEALTHY)
    rig.leases.stamp(lease, rig.clock.monotonic(), rig.clock.now())
    await rig.observe(lease, LeaseExpired(45))
    assert lease.status is Status.ONLINE
    rig.clock.advance(46)
    await rig.observe(lease, LeaseExpired(46))
    assert lease.status is Status.OFFLINE


async def test_what_comes_while_a_change_is_being_written_is_judged_after_it(rig):
    """A beat that changes nothing now may change much once what is in flight is on disk."""
    lease = await rig.member()
    await rig.observe(lease, WEDGED)
    await asyncio.gather(rig.observe(lease, HEALTHY), rig.observe(lease, WEDGED))
    assert lease.status is Status.DEGRADED
    assert lease.pending == 0


async def test_a_beat_that_seems_to_change_nothing_ends_the_wedge_that_is_being_written(rig):
    lease = await rig.member()
    heartbeats = Heartbeats(rig.leases, rig.health, rig.clock)
    await heartbeats.accept_link(lease, link_beat())
    await asyncio.gather(
        heartbeats.accept_link(lease, link_beat(runtime_state="wedged", sample_error="stuck")),
        heartbeats.accept_link(lease, link_beat()),
    )
    assert lease.status is Status.ONLINE
    types = [event.type for event in await rig.events_on_disk()]
    assert types == ["WORKSPACE_ONLINE", "WORKSPACE_DEGRADED", "WORKSPACE_ONLINE"]


async def test_a_supervisor_whose_worker_never_comes_up_fails_at_the_provisioning_deadline(rig):
    lease = await rig.member()
    heartbeats = Heartbeats(rig.leases, rig.health, rig.clock)
    for _ in range(13):
        await heartbeats.accept_link(lease, link_beat(runtime_state=None, error_rate=None, phase="starting"))
        assert lease.status is Status.PROVISIONING
        rig.clock.advance(10)
    await heartbeats.accept_link(lease, link_beat(runtime_state=None, error_rate=None, phase="starting"))
    assert lease.status is Status.FAILED
    await heartbeats.accept_link(lease, link_beat())
    assert lease.status is Status.ONLINE


async def test_a_restart_is_ordered_once_until_a_newer_generation_beats(rig):
    lease = await rig.member()
    await rig.observe(lease, Beat("", 0.0, generation=1))
    with pytest.raises(Conflict, match="link"):
        await rig.health.order_restart(lease.id, "operator")
    lease.linked = True
    orders = await asyncio.gather(
        *(rig.health.order_restart(lease.id, "operator") for _ in range(5)), return_exceptions=True
    )
    assert [type(order) for order in orders].count(Conflict) == 4
    assert restart_id(lease.id, 1) in orders
    assert [event.type for event in await rig.events_on_disk()].count("RESTART_ORDERED") == 1
    assert lease.status is Status.PROVISIONING
    with pytest.raises(Conflict, match="pending"):
        await rig.health.order_restart(lease.id, "operator")
    await rig.observe(lease, Beat("", 0.0, generation=1))
    assert lease.record.open(Symptom.AWAITING)
    await rig.observe(lease, Beat("", 0.0, generation=2))
    assert lease.status is Status.ONLINE
    assert await rig.health.order_restart(lease.id, "operator") == restart_id(lease.id, 2)


async def test_one_that_lost_its_supervisor_for_good_beats_by_itself_from_then_on(rig):
    """And is not offline once a lease, for ever."""
    lease = await rig.member()
    heartbeats = Heartbeats(rig.leases, rig.health, rig.clock)
    await heartbeats.accept_link(lease, link_beat())
    plain = Heartbeat(
        workspace_id=lease.id, error_rate=0.0, sample_error="", active_tasks=0, current_task="", uptime_seconds=1.0
    )
    assert heartbeats.accept(lease, plain) is None, "its supervisor speaks for it"
    rig.clock.advance(46)
    await rig.observe(lease, LeaseExpired(46.0))
    observation = heartbeats.accept(lease, plain)
    assert observation is not None
    await heartbeats.settle(lease, observation)
    assert lease.status is Status.ONLINE
    for _ in range(3):
        rig.clock.advance(30)
        heartbeats.accept(lease, plain)
        assert lease.deadline > rig.clock.monotonic() + 30, "each of its beats counts"
    assert in_vain(lease), "and no link carries work to it"
    heartbeats.declare(lease, Hello(version=2, boot=5, agent="python", pid=1))
    assert heartbeats.accept(lease, plain) is None
