"""How long a start may take, and that an order for one delays no other witness."""

import asyncio

import pytest
from judge_stand import judging

from truebeat.domain.health import DeliveriesStuck, Status, Symptom
from truebeat.errors import Conflict
from truebeat.protocol import link
from truebeat.server.background.silence_watch import TICK, SilenceWatch
from truebeat.server.services import testimony
from truebeat.server.services.health import restart_id

STARTING = {"runtime_state": None, "error_rate": None, "phase": "starting"}


@pytest.fixture
async def rig(database):
    async with judging(database) as made:
        yield made


async def beats(rig, lease, seconds, step=10.0, **fields):
    for _ in range(int(seconds / step)):
        rig.clock.advance(step)
        await rig.beat(lease, **fields)


@pytest.mark.parametrize("declared", [{"bounds": {"starting": 600.0}}, {"phase_bound": 600.0}])
async def test_a_start_may_take_as_long_as_is_declared(rig, declared):
    lease = await rig.linked(**{name: value for name, value in declared.items() if name == "bounds"})
    start = {"generation": 2, **STARTING, **{name: value for name, value in declared.items() if name != "bounds"}}
    await rig.beat(lease, **start)
    await beats(rig, lease, 600, **start)
    assert lease.status is Status.PROVISIONING
    await beats(rig, lease, 20, **start)
    assert lease.status is Status.FAILED
    assert "within 600 s" in lease.record.open(Symptom.OVERDUE).detail


async def test_a_first_supervisor_that_comes_late_has_the_whole_deadline(rig):
    lease = await rig.member()
    rig.clock.advance(119)
    lease.linked = True
    rig.heartbeats.declare(lease, link.Hello(version=2, boot=7, agent="python", pid=1))
    await rig.beat(lease, **STARTING)
    await beats(rig, lease, 100, **STARTING)
    assert lease.status is Status.PROVISIONING
    await rig.beat(lease)
    assert lease.status is Status.ONLINE


async def test_time_without_a_link_is_no_time_of_a_start(rig):
    lease = await rig.linked()
    await rig.health.order_restart(lease.id, "eve")
    rig.clock.advance(500)
    await rig.beat(lease, phase="restarting")
    assert lease.status is Status.PROVISIONING


async def test_a_restart_that_never_happens_is_failed_and_may_be_ordered_again(rig):
    lease = await rig.linked()
    await rig.observe(lease, DeliveriesStuck(2, 2))
    await rig.health.order_restart(lease.id, "eve")
    await beats(rig, lease, 120, counters=link.Counters())
    assert lease.status is Status.DEGRADED
    with pytest.raises(Conflict):
        await rig.health.order_restart(lease.id, "eve")
    await beats(rig, lease, 10)
    assert lease.status is Status.FAILED
    assert await rig.health.order_restart(lease.id, "eve") == restart_id(lease.id, 1)
    assert lease.status is Status.DEGRADED
    await beats(rig, lease, 110)
    assert lease.status is Status.DEGRADED  # it has a deadline of its own
    await rig.beat(lease, generation=2)
    assert lease.status is Status.ONLINE


async def test_an_order_rejuvenates_nothing_and_delays_no_silence(rig):
    watch = SilenceWatch(rig.leases, rig.health, rig.clock)
    lease = await rig.linked()
    rig.clock.advance(40)
    await rig.health.order_restart(lease.id, "eve")
    assert testimony.evidence(lease, rig.clock, details=True).age == 40
    rig.clock.advance(6)
    watch.looked_at = rig.clock.monotonic() - TICK
    await watch.expire(watch.look(rig.clock.monotonic()), rig.clock.monotonic())
    assert lease.status is Status.OFFLINE


async def test_the_order_that_is_told_is_the_one_that_is_sent(rig):
    lease = await rig.linked()
    # Both wait to be written when the order is given.
    _, told = await asyncio.gather(rig.beat(lease, generation=2), rig.health.order_restart(lease.id, "eve"))
    assert told == restart_id(lease.id, 2)
    [event] = [event for event in await rig.all_events() if event.type == "RESTART_ORDERED"]
    assert (event.payload["restart_id"], event.payload["generation"]) == (str(told), 2)


async def test_a_runtimes_own_words_are_for_those_who_may_see_them(rig):
    lease = await rig.linked()
    await rig.beat(lease, runtime_state="Traceback: key sk-SECRET refused")
    for details, said in ((True, "Traceback: key sk-SECRET refused"), (False, "a state of its own")):
        views = testimony.witnesses(lease, lease.record, rig.clock, details=details)
        assert views[0].says == said
    await rig.beat(lease, runtime_state="wedged", sample_error="sk-SECRET")
    assert testimony.witnesses(lease, lease.record, rig.clock, details=False)[0].says == "wedged"
