"""Beats over the link: evidence followed, stalls judged, and an observer that doubts itself first."""

import sys

import pytest
from judge_stand import judging

from truebeat.domain.health import DeliveriesStuck, Status, Symptom
from truebeat.protocol import link
from truebeat.server.services import testimony


@pytest.fixture
async def rig(database):
    async with judging(database) as made:
        yield made


def counted(canaries=0, **more):
    return {"counters": link.Counters(canaries_passed=canaries, **more)}


async def stand_still(rig, lease, seconds, step=10.0, **fields):
    for _ in range(int(seconds / step)):
        rig.clock.advance(step)
        await rig.beat(lease, **fields)


async def test_beats_that_claim_health_while_the_counters_stand_are_not_believed(rig):
    lease = await rig.linked()
    await stand_still(rig, lease, 40)
    assert lease.status is Status.ONLINE
    await stand_still(rig, lease, 10)
    assert lease.status is Status.DEGRADED
    stalled = lease.record.open(Symptom.STALLED)
    assert stalled.witness == "evidence"
    assert "phase idle" in stalled.detail
    await rig.beat(lease, **counted(canaries=1))
    assert lease.status is Status.ONLINE


async def test_a_silent_tool_is_healthy_as_long_as_the_probe_answers(rig):
    lease = await rig.linked()
    for canary in range(180):  # half an hour
        rig.clock.advance(10)
        await rig.beat(lease, phase="in_tool", **counted(canaries=canary // 2, tools_started=1))
        assert lease.status is Status.ONLINE


async def test_bounds_that_a_workspace_declares(rig):
    lease = await rig.linked(bounds={"idle": 12.0})
    await stand_still(rig, lease, 20)
    assert lease.record.open(Symptom.STALLED)
    patient = await rig.linked(bounds={"idle": 10_000.0})
    await stand_still(rig, patient, 200)
    assert patient.status is Status.ONLINE
    own = await rig.linked()
    await stand_still(rig, own, 200, phase="in_tool", phase_bound=3600.0)
    assert own.status is Status.ONLINE


async def test_what_the_supervisor_measures_counts_at_once_and_ends_at_once(rig):
    lease = await rig.linked()
    await rig.beat(lease, stall="the event loop has been blocked for 2.1 s")
    assert lease.record.open(Symptom.STALLED).detail == "the event loop has been blocked for 2.1 s"
    await rig.beat(lease)
    assert lease.status is Status.ONLINE


async def test_a_backlog_read_after_a_stop_of_this_server_accuses_nobody(rig):
    lease = await rig.linked()
    await stand_still(rig, lease, 20)
    rig.clock.advance(300)  # stopped; the old beats wait in the socket
    for canary in (0, 0, 0, 1):
        await rig.beat(lease, **counted(canaries=canary))
        assert lease.status is Status.ONLINE


async def test_a_stop_that_no_tick_has_counted_yet(rig):
    lease = await rig.linked()

    def on_time(seconds, late=0.0):
        rig.clock.advance(seconds)
        rig.leases.doubt.tick(rig.clock.monotonic() - late, rig.clock.monotonic())

    for _ in range(3):
        on_time(10)
        await rig.beat(lease)
    rig.clock.advance(20)  # less than half a lease; the duty that ticks was stopped too and comes after this beat
    await rig.beat(lease)
    assert lease.status is Status.ONLINE
    on_time(0, late=20)
    on_time(10)
    await rig.beat(lease)
    assert lease.status is Status.ONLINE
    on_time(10)
    await rig.beat(lease)
    assert lease.record.open(Symptom.STALLED)  # 50 s that it saw, 20 that it did not


async def test_the_first_evidence_after_a_restart_of_this_server_proves_no_movement(rig):
    lease = await rig.linked()
    await stand_still(rig, lease, 60)
    assert lease.record.open(Symptom.STALLED)
    lease.told = None  # as a server finds it that just started
    await rig.beat(lease)
    assert lease.record.open(Symptom.STALLED)
    await rig.beat(lease, **counted(canaries=1))
    assert lease.status is Status.ONLINE


async def test_a_failed_canary_alone_and_two_in_a_row(rig):
    lease = await rig.linked()
    await rig.beat(lease, canary=link.Canary(age=0.1, failures=1, detail="no answer"))
    assert lease.status is Status.ONLINE
    await rig.beat(lease, canary=link.Canary(age=0.1, failures=2, detail="no answer"))
    assert lease.record.open(Symptom.UNRESPONSIVE).witness == "canary"
    await rig.beat(lease, canary=link.Canary(age=0.1, failures=0, detail=""))
    assert lease.status is Status.ONLINE


async def test_hostile_texts_and_lists_are_bounded_and_cleaned(rig):
    lease = await rig.linked(bounds={f"p{n}": 1.0 for n in range(10_000)})
    await rig.beat(
        lease,
        note="\x00" * 100_000,
        stall="\x00s" * 100_000,
        holding=["h" * 1000] * 1000,
        canary=link.Canary(age=0, failures=9, detail="\x00" * 9999),
    )
    told = lease.told
    assert len(told.bounds) == 64
    assert len(told.note) == len(told.beat_stall) == len(told.canary_detail) == 2000
    assert "\x00" not in told.note + told.beat_stall + told.canary_detail
    assert (len(told.holding), {len(held) for held in told.holding}) == (64, {80})
    assert lease.status is Status.DEGRADED


def says(rig, lease, *, details=True):
    views = testimony.witnesses(lease, lease.record, rig.clock, details=details)
    return {view.witness.value: (view.says, view.healthy, view.age) for view in views}


async def test_five_witnesses_side_by_side(rig):
    lease = await rig.linked()
    assert says(rig, lease) == {
        "self": ("healthy", True, 0),
        "evidence": ("moves", True, 0),
        "silence": ("beats come", True, 0),
        "sender": ("no delivery yet", None, None),
        "canary": ("none yet", None, None),
    }
    rig.health.note_delivery(lease, succeeded=True)
    await rig.beat(lease, canary=link.Canary(age=2.0, failures=0, detail=""))
    rig.clock.advance(3)
    assert says(rig, lease)["sender"] == ("a delivery succeeded", True, 3)
    assert says(rig, lease)["canary"] == ("passed", True, 5)
    await stand_still(rig, lease, 50)
    assert says(rig, lease)["evidence"] == ("stands still", False, 53)
    assert says(rig, lease)["self"] == ("healthy", True, 0)
    await rig.observe(lease, DeliveriesStuck(2, 1))
    assert says(rig, lease)["sender"][:2] == ("deliveries do not begin", False)
    views = testimony.witnesses(lease, lease.record, rig.clock, details=False)
    assert {view.detail for view in views} == {""}


async def test_of_plain_heartbeats_there_is_no_evidence(rig):
    lease = await rig.member()
    assert says(rig, lease)["silence"] == ("no beat yet", None, None)
    assert says(rig, lease)["evidence"] == ("no evidence: plain heartbeats", None, None)
    assert testimony.evidence(lease, rig.clock, details=True) is None


async def test_what_beats_over_http_only_costs_no_more_than_a_kilobyte(rig):
    lease = await rig.member()
    assert lease.told is None
    assert sys.getsizeof(lease) < 400


async def test_a_fenced_beat_leaves_no_trace(rig):
    lease = await rig.linked()
    await rig.beat(lease, generation=3)
    before = lease.told.standing
    await rig.beat(lease, generation=2, note="late", stall="late", **counted(canaries=99))
    assert lease.told.standing is before
    assert lease.told.note == ""
    assert lease.status is Status.ONLINE
