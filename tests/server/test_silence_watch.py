"""The shell over the deadline heap: whom it accuses, and when it accuses nobody."""

import itertools
from uuid import uuid4

import pytest

from truebeat.clock import ManualClock
from truebeat.domain.health import Beat, LeaseExpired, ProvisioningExpired, Record, Status, created, judge
from truebeat.errors import Unavailable
from truebeat.server.background.silence_watch import TICK, SilenceWatch
from truebeat.server.leases import Leases
from truebeat.server.store.workspaces import WorkspaceRow

LEASE = 45


class Judged:
    """Records what the watch says, and judges it in memory."""

    def __init__(self, leases):
        self.leases = leases
        self.heard = []
        self.told = []
        self.down = False

    async def tell(self, event):
        self.told.append(event.type)

    async def observe(self, workspace_id, observation, now):
        if self.down:
            raise Unavailable("the database does not answer")
        self.heard.append((workspace_id, observation))
        lease = self.leases.get(workspace_id)
        verdict = judge(lease.record, observation, now)
        lease.settle(verdict.record, lease.version)
        return verdict


class Rig:
    def __init__(self):
        self.clock = ManualClock()
        self.leases = Leases(lease=LEASE, link_grace=5, provisioning_deadline=120)
        self.judged = Judged(self.leases)
        self.watch = SilenceWatch(self.leases, self.judged, self.clock)
        self.names = itertools.count()

    def member(self, record=None):
        row = WorkspaceRow(
            id=uuid4(), name=f"m{next(self.names)}", role="", parent_id=None, url=None, agent_card=None,
            created_at=self.clock.now(), registered_at=None, record=record or Record(generation=1),
        )  # fmt: skip
        return self.leases.add(row, self.clock.monotonic())

    def beat(self, *leases):
        for lease in leases:
            self.leases.stamp(lease, self.clock.monotonic(), self.clock.now())

    async def pass_time(self, seconds, *, beating=(), step=TICK):
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end - 1e-9:
            self.clock.advance(step)
            self.beat(*beating)
            await self.look()

    async def look(self):
        now = self.clock.monotonic()
        await self.watch.expire(self.watch.look(now), now)

    @property
    def accused(self):
        return [workspace_id for workspace_id, _ in self.judged.heard]


@pytest.fixture
def rig():
    return Rig()


async def test_the_silent_one_is_accused_once_and_the_others_not(rig):
    silent, others = rig.member(), [rig.member() for _ in range(5)]
    await rig.pass_time(LEASE - 0.1, beating=others)
    assert rig.accused == []
    await rig.pass_time(LEASE, beating=others)
    assert rig.accused == [silent.id]
    assert isinstance(rig.judged.heard[0][1], LeaseExpired)


async def test_one_that_came_back_is_watched_again(rig):
    one = rig.member()
    await rig.pass_time(LEASE + 1)
    rig.beat(one)
    await rig.pass_time(LEASE + 1)
    assert rig.accused == [one.id, one.id]


async def test_a_first_beat_that_never_comes(rig):
    rig.member(created(rig.clock.now()))
    await rig.pass_time(119)
    assert rig.accused == []
    await rig.pass_time(2)
    assert isinstance(rig.judged.heard[0][1], ProvisioningExpired)


async def test_one_that_falls_silent_after_its_first_beat_is_accused_within_the_lease(rig):
    one = rig.member(created(rig.clock.now()))
    rig.beat(one)
    one.settle(Record(generation=1), 1)
    await rig.pass_time(LEASE + 0.1)
    assert isinstance(rig.judged.heard[0][1], LeaseExpired)


async def test_a_stall_of_the_server_accuses_nobody(rig):
    members = [rig.member() for _ in range(3)]
    await rig.pass_time(40)  # nobody has beaten for 40 of 45 seconds
    rig.clock.advance(10)  # the server is stopped for 10 seconds; beats wait in its socket buffers
    await rig.look()
    assert rig.accused == []
    await rig.pass_time(4.8)
    assert rig.accused == []
    await rig.pass_time(0.5)  # but a stall is no amnesty: silence through the extension is silence
    assert sorted(rig.accused) == sorted(lease.id for lease in members)


async def test_mass_silence_is_the_servers_own_problem_until_it_ends(rig):
    fleet = [rig.member() for _ in range(20)]
    for number, lease in enumerate(fleet):
        lease.stamped -= number / 2  # they beat at different moments; the first lease ends long before the last
    await rig.pass_time(LEASE * 2)
    assert rig.accused == []
    assert "20 of 20" in rig.watch.suspended == rig.watch.unsure()
    rig.beat(*fleet[1:])
    await rig.pass_time(2, beating=fleet[1:])
    assert rig.watch.suspended == ""
    assert rig.accused == [fleet[0].id]
    assert rig.judged.told == ["EXPIRY_SUSPENDED", "EXPIRY_RESUMED"]


async def test_a_dead_part_of_the_fleet_is_believed_in_the_end(rig):
    dead, living = [rig.member() for _ in range(10)], [rig.member() for _ in range(10)]
    await rig.pass_time(LEASE + 500, beating=living, step=0.4)
    assert rig.accused == []
    assert rig.watch.suspended
    await rig.pass_time(200, beating=living, step=0.4)
    assert sorted(rig.accused) == sorted(lease.id for lease in dead)


async def test_removed_members_do_not_dilute_mass_silence(rig):
    removed, fleet = [rig.member() for _ in range(3000)], [rig.member() for _ in range(20)]
    for lease in removed:
        rig.leases.discard(lease)
    assert len(rig.leases) == 20
    assert {lease.id for lease in rig.leases} == {lease.id for lease in fleet}
    await rig.pass_time(LEASE + 5)
    assert rig.accused == []
    assert rig.watch.suspended


async def test_a_link_lost_during_a_start_is_silence_not_a_missed_deadline(rig):
    one = rig.member(created(rig.clock.now()))
    one.settle(judge(one.record, Beat(None, None, generation=1), rig.clock.now()).record, 1)
    rig.beat(one)
    rig.leases.link_lost(one, rig.clock.monotonic())
    await rig.pass_time(6)
    assert isinstance(rig.judged.heard[0][1], LeaseExpired)
    assert one.status is Status.OFFLINE


async def test_a_lost_link_is_accused_after_its_grace_unless_it_comes_back(rig):
    back, lost = rig.member(), rig.member()
    for lease in (back, lost):
        lease.linked = True
        rig.leases.link_lost(lease, rig.clock.monotonic())
    await rig.pass_time(4)
    rig.beat(back)
    await rig.pass_time(2)
    assert rig.accused == [lost.id]


async def test_silence_that_can_not_be_written_is_written_later(rig):
    one = rig.member()
    await rig.pass_time(LEASE - 3)
    rig.leases.doubt.works(rig.clock.monotonic())
    rig.judged.down = True
    await rig.pass_time(6)
    assert rig.accused == []
    rig.judged.down = False
    await rig.pass_time(1.5)
    assert rig.accused == []  # it is not known yet that the database answers
    rig.leases.doubt.works(rig.clock.monotonic())
    await rig.pass_time(2.5)
    assert rig.accused == []  # while nothing could be written it may have been turned away
    await rig.pass_time(2)
    assert rig.accused == [one.id]


async def test_nobody_is_accused_of_an_outage_of_the_database(rig):
    one, fleet = rig.member(), [rig.member() for _ in range(20)]
    rig.leases.doubt.works(rig.clock.monotonic())
    await rig.pass_time(10, beating=fleet, step=0.4)
    rig.leases.doubt.lost(rig.clock.monotonic())
    await rig.pass_time(1000, step=0.4)  # everybody is turned away
    rig.leases.doubt.works(rig.clock.monotonic())
    await rig.pass_time(20, step=0.4)
    assert rig.accused == []
    assert rig.watch.suspended == ""
    await rig.pass_time(30, beating=fleet, step=0.4)
    assert rig.accused == [one.id]


async def test_without_its_database_the_server_is_unsure(rig):
    assert rig.watch.unsure() == ""
    rig.leases.doubt.lost(rig.clock.monotonic())
    assert "database" in rig.watch.unsure()
    rig.leases.doubt.works(rig.clock.monotonic())
    assert rig.watch.unsure() == ""
