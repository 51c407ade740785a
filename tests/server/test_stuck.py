"""What is delivered and does not begin: the senders' witness, look by look."""

import asyncio
from uuid import UUID, uuid4

import pytest
from judge_stand import judging, link_beat

from truebeat.domain.health import Status, Symptom
from truebeat.protocol.delivery import Begun, Deliver, HandedBack, Sender
from truebeat.server.services.dispatch import Dispatch
from truebeat.server.services.stuck import BEGIN_WITHIN, Stuck

LATE = BEGIN_WITHIN + 1


@pytest.fixture
def stuck():
    made = Stuck()
    made.of(1)
    return made


def late(stuck, *, room=1, looks=LATE, tick_age=0.1):
    """So many looks, then a beat, then one more look."""
    for _ in range(looks):
        assert stuck.look(room) is None
    stuck.ticked(tick_age)
    return stuck.look(room)


def test_a_single_one_is_evidence_where_it_takes_one_at_a_time(stuck):
    stuck.delivered("a/1", "ada")
    found = late(stuck)
    assert (found.tasks, found.senders, found.room) == (1, 1, 1)
    assert found.detail == "1 task was delivered and did not begin within 10 s"


def test_a_single_one_is_none_where_it_takes_more(stuck):
    stuck.delivered("a/1", "ada")
    assert late(stuck, room=2) is None
    stuck.delivered("b/1", "ada")
    assert late(stuck, room=2).detail == "2 tasks of 1 senders were delivered and did not begin within 10 s"


def test_a_worker_that_gets_no_cpu_is_not_accused(stuck):
    stuck.delivered("a/1", "ada")
    assert late(stuck, tick_age=7.0) is None
    stuck.ticked(0.2)
    assert stuck.look(1)


def test_a_beat_before_it_was_late_says_nothing_of_it(stuck):
    stuck.delivered("a/1", "ada")
    for _ in range(BEGIN_WITHIN):
        stuck.ticked(0.1)
        assert stuck.look(1) is None
    assert stuck.look(1) is None


def test_delivered_again_it_has_waited_all_the_while(stuck):
    stuck.delivered("a/1", "ada")
    for _ in range(LATE):
        stuck.look(1)
        stuck.delivered("a/1", "ada")
        stuck.of(1)
    assert late(stuck, looks=0)


def test_another_generation_begins_afresh(stuck):
    stuck.delivered("a/1", "ada")
    assert late(stuck)
    stuck.of(2)
    assert not stuck
    assert not stuck.moved("a/1")


def test_the_last_of_those_that_were_told_ends_it(stuck):
    stuck.delivered("a/1", "ada")
    stuck.delivered("b/1", "eve")
    assert not stuck.moved("never/1")
    assert late(stuck, room=2)
    stuck.delivered("c/1", "eve")
    assert not stuck.moved("a/1")
    assert stuck.moved("b/1")
    assert not stuck.moved("c/1")


def test_what_is_not_its_own_any_more_is_forgotten(stuck):
    stuck.delivered("a/1", "ada")
    stuck.delivered("b/1", "ada")
    stuck.keep({"b/1"})
    assert late(stuck).tasks == 1


# --- through the dispatch ---------------------------------------------------------------------------------------------


class Ledger:
    """Where nothing waits, and everything is written at once."""

    def claim(self, workspace_id):
        pass

    def inspect(self, workspace_id, decide):
        return self._done([])

    def happen(self, task_id, event, **more):
        return self._done(None)

    @staticmethod
    def _done(result):
        future = asyncio.get_running_loop().create_future()
        future.set_result(result)
        return future


class Session:
    waiting = 0

    def __init__(self):
        self.posted = []

    def post(self, frame):
        self.posted.append(frame)

    def cut(self, reason):
        raise AssertionError(reason)


class Stand:
    """One workspace that takes `capacity` tasks, and the dispatch."""

    def __init__(self, rig, lease, capacity):
        self.rig = rig
        self.lease = lease
        self.capacity = capacity
        self.held = []
        self.dispatch = Dispatch(Ledger(), None, rig.health, rig.clock)

    def dial(self):
        self.dispatch.linked(self.lease, Session())

    async def beat(self, **fields):
        room = max(self.capacity - len(self.held), 0)
        self.dispatch.capacity(self.lease, link_beat(capacity=room, holding=list(self.held), **fields))
        await asyncio.sleep(0)

    def deliver(self):
        frame = Deliver(
            task_id=str(uuid4()), generation=1, attempt=1, context_id="c", text="hello",
            sender=Sender(kind="person", id="eve", name="eve"),
        )  # fmt: skip
        self.dispatch._deliver([(UUID(self.lease.id), frame)])
        self.held.append(f"{frame.task_id}/1")
        return frame

    async def looks(self, count=LATE):
        for _ in range(count):
            await self.dispatch.look()

    def frame(self, kind, deliver, **fields):
        self.dispatch.on_frame(self.lease, kind(n=1, task_id=deliver.task_id, generation=1, attempt=1, **fields))


@pytest.fixture
async def rig(database):
    async with judging(database) as made:
        yield made


@pytest.fixture
async def stand(rig):
    made = Stand(rig, await rig.linked(), capacity=1)
    made.dial()
    await made.beat()
    return made


async def test_one_swallowed_delivery_of_a_worker_that_takes_one(stand):
    stand.deliver()
    await stand.looks()
    await stand.beat()
    await stand.looks(1)
    condition = stand.lease.record.open(Symptom.UNRESPONSIVE)
    assert condition.witness == "sender"
    assert condition.detail == "1 task was delivered and did not begin within 10 s"


async def test_links_that_come_and_go_hide_nothing(stand):
    stand.deliver()
    for _ in range(LATE):
        await stand.looks(1)
        stand.dispatch.unlinked(stand.lease)
        stand.dial()
        await stand.beat()
    await stand.looks(1)
    assert stand.lease.status is Status.DEGRADED


async def test_what_begins_at_last_ends_it(rig, stand):
    deliver = stand.deliver()
    await stand.looks()
    await stand.beat()
    await stand.looks(1)
    assert stand.lease.status is Status.DEGRADED
    stand.frame(Begun, deliver)
    async with asyncio.timeout(10):
        while stand.lease.status is not Status.ONLINE:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_what_is_given_back_ends_nothing(stand):
    deliver = stand.deliver()
    await stand.looks()
    await stand.beat()
    await stand.looks(1)
    stand.frame(HandedBack, deliver, begun=False, reason="stopping")
    await asyncio.sleep(0.1)
    assert stand.lease.status is Status.DEGRADED
