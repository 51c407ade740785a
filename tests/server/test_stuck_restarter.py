"""What stays stuck by this server's own finding is probed, then restarted, within the budget."""

import pytest
from judge_stand import judging

from truebeat.domain.health import DeliveriesStuck, LeaseExpired, Status, Symptom
from truebeat.domain.restart import RestartPolicy
from truebeat.protocol import link
from truebeat.server.background.stuck_restarter import TICK, StuckRestarter
from truebeat.server.services.health import ordered_by_platform

HELLO = link.Hello(version=2, boot=7, agent="python", pid=1)


class Watched:
    def __init__(self, rig, **policy):
        self.rig = rig
        self.probes = []
        self.duty = StuckRestarter(
            rig.leases,
            rig.health,
            lambda lease, reason: self.probes.append((lease, reason)),
            rig.clock,
            restart_after=30,
            policy=RestartPolicy(**policy),
        )

    async def pass_time(self, seconds):
        """Looks every tick; orders what is due. Returns what was ordered."""
        ordered = []
        for _ in range(int(seconds / TICK)):
            self.rig.clock.advance(TICK)
            for lease, why in self.duty.look(self.rig.clock.monotonic()):
                ordered.append(lease)
                await self.duty.order(lease, why)
        return ordered


@pytest.fixture
async def rig(database):
    async with judging(database) as made:
        yield made


@pytest.fixture
def watched(rig):
    return Watched(rig)


async def stall(rig, lease, generation=1, **fields):
    for _ in range(6):
        rig.clock.advance(10)
        await rig.beat(lease, generation=generation, **fields)
    assert lease.record.open(Symptom.STALLED)


async def orders(rig):
    return [event for event in await rig.all_events() if event.type == "RESTART_ORDERED"]


async def test_a_stall_of_the_servers_own_finding_is_probed_then_restarted_once(rig, watched):
    lease = await rig.linked()
    await stall(rig, lease)
    assert await watched.pass_time(29) == []
    assert [asked for asked, _ in watched.probes] == [lease]
    assert await watched.pass_time(3) == [lease]
    assert lease.record.restart_pending
    assert await watched.pass_time(100) == []
    (order,) = await orders(rig)
    assert (order.cause, order.payload["by"]) == ("platform", "platform")
    assert "no evidence" in order.payload["detail"]
    assert lease.told.restart_reason.startswith("ordered by platform: stalled for 3")
    assert ordered_by_platform(lease)
    rig.heartbeats.declare(lease, HELLO)
    assert ordered_by_platform(lease)
    lease.told = None  # as after a restart of the server
    assert ordered_by_platform(lease)
    rig.heartbeats.declare(lease, HELLO)
    await rig.beat(lease, phase="restarting")  # the supervisor ends it; the worker's last word was "healthy"
    assert lease.status is Status.DEGRADED
    await rig.beat(lease, generation=2)
    events = [event for event in await rig.all_events() if event.type == "INCIDENT_CLOSED"]
    assert events[0].payload["recovery"] == "restart verified by generation 2, ordered by platform"


async def test_evidence_that_moves_again_saves_it(rig, watched):
    lease = await rig.linked()
    await stall(rig, lease)
    await watched.pass_time(20)
    await rig.beat(lease, counters=link.Counters(canaries_passed=1))
    assert await watched.pass_time(60) == []
    await stall(rig, lease, counters=link.Counters(canaries_passed=1))
    assert await watched.pass_time(29) == []  # counted from its own beginning


async def test_what_its_supervisor_measures_is_left_to_it(rig, watched):
    lease = await rig.linked()
    await rig.beat(lease, stall="the event loop has been blocked for 2.1 s")
    assert await watched.pass_time(100) == []
    assert watched.probes == []


async def test_senders_without_progress_count_and_canaries_do_not(rig, watched):
    stuck, deaf = await rig.linked(), await rig.linked()
    await rig.observe(stuck, DeliveriesStuck(2, 2))
    await rig.beat(deaf, canary=link.Canary(age=0, failures=2, detail=""))
    assert await watched.pass_time(31) == [stuck]
    assert [lease for lease, _ in watched.probes] == [stuck]


async def test_a_stop_of_this_server_does_not_count(rig, watched):
    lease = await rig.linked()
    await rig.observe(lease, DeliveriesStuck(2, 2))
    await watched.pass_time(5)
    rig.clock.advance(600)
    assert await watched.pass_time(20) == []
    assert await watched.pass_time(10) == [lease]


async def test_the_unreachable_and_the_failed_are_left_alone(rig, watched):
    silent, unlinked = await rig.linked(), await rig.linked()
    for lease in (silent, unlinked):
        await rig.observe(lease, DeliveriesStuck(2, 2))
    unlinked.linked = False
    rig.clock.advance(46)
    await rig.observe(silent, LeaseExpired(46))
    assert await watched.pass_time(100) == []


async def test_the_budget_and_then_failed_until_a_new_generation(rig):
    watched = Watched(rig, limit=2, window=10_000)
    lease = await rig.linked()
    for generation in (1, 2):
        await stall(rig, lease, generation)
        assert await watched.pass_time(31) == [lease]
        await rig.beat(lease, generation=generation + 1)
        assert lease.status is Status.ONLINE
    await stall(rig, lease, 3)
    assert await watched.pass_time(31) == [lease]
    assert lease.status is Status.FAILED
    assert "the platform restarted it 2 times" in lease.record.open(Symptom.QUARANTINED).detail
    assert len(await orders(rig)) == 2
    await watched.pass_time(100)
    await rig.beat(lease, generation=3)
    assert lease.status is Status.FAILED
    await rig.beat(lease, generation=4)
    assert lease.status is Status.ONLINE


async def test_an_operators_restart_makes_the_budget_whole_again(rig):
    watched = Watched(rig, limit=2, window=10_000)
    lease = await rig.linked()
    for generation in (2, 3):
        await rig.observe(lease, DeliveriesStuck(2, 2))
        await watched.pass_time(31)
        await rig.beat(lease, generation=generation)
    await rig.health.order_restart(lease.id, "eve")
    await rig.beat(lease, generation=4)
    await rig.observe(lease, DeliveriesStuck(2, 2))
    assert await watched.pass_time(31) == [lease]
    assert lease.record.restart_pending
    assert lease.status is Status.DEGRADED


async def test_a_pending_order_of_an_operators_is_enough(rig, watched):
    lease = await rig.linked()
    await rig.observe(lease, DeliveriesStuck(2, 2))
    await rig.health.order_restart(lease.id, "eve")
    assert not ordered_by_platform(lease)
    lease.told = None
    assert not ordered_by_platform(lease)
    assert await watched.pass_time(100) == []
    assert len(await orders(rig)) == 1


async def test_five_restarts_of_the_supervisor_then_failed_until_an_operator(rig):
    lease = await rig.linked()
    reason = "5 restarts within 600 s: killed by SIGKILL"
    await rig.beat(lease, generation=5, runtime_state="wedged", quarantine=reason)
    assert lease.status is Status.FAILED
    assert lease.record.conditions[0].detail == reason
    await rig.beat(lease, generation=5)
    assert lease.status is Status.FAILED
    await rig.health.order_restart(lease.id, "eve")
    await rig.beat(lease, generation=6, runtime_state=None)
    assert lease.status is not Status.ONLINE
    await rig.beat(lease, generation=6)
    assert lease.status is Status.ONLINE
