"""What goes down a link: in order, no faster than it is taken, and only what is still to be sent."""

import asyncio
from uuid import UUID, uuid4

import pytest

from truebeat.errors import Unavailable
from truebeat.protocol.delivery import Cancel, Deliver, Sender
from truebeat.server.services import outflow
from truebeat.server.services.outflow import Outflow

EVE = Sender(kind="person", id="eve", name="eve")


class Session:
    """One of which the test says when its other end takes something."""

    def __init__(self):
        self.posted = []
        self.taken = 0

    @property
    def waiting(self):
        return sum(len(getattr(frame, "text", "")) for frame in self.posted[self.taken :])

    def post(self, frame):
        self.posted.append(frame)

    def take(self, count=1):
        for _ in range(count):
            self.taken += 1
            self.on_taken()


class Down:
    def __init__(self):
        self.session = Session()
        self.held = {}
        self.reads = []
        self.sent = []
        self.told = []
        self.broken = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self.out = Outflow(
            self.session,
            read=self.read,
            sent=self.sent.append,
            free=lambda: self.told.append("free"),
            doubt=lambda: self.told.append("doubt"),
        )

    async def read(self, ids):
        self.reads.append(ids)
        await self.answers.wait()
        if self.broken:
            self.broken -= 1
            raise Unavailable("the database does not answer")
        return [self.held[task_id] for task_id in ids if task_id in self.held]

    @property
    def posted(self):
        return [UUID(frame.task_id) for frame in self.session.posted]

    async def until(self, check):
        async with asyncio.timeout(20):
            while not check():  # noqa: ASYNC110
                await asyncio.sleep(0.001)


def deliver(size=30):
    return Deliver(task_id=str(uuid4()), context_id="c", generation=1, attempt=1, sender=EVE, text="x" * size)


@pytest.fixture
def down(monkeypatch):
    monkeypatch.setattr(outflow, "FULL", 100)
    monkeypatch.setattr(outflow, "RETRY", 0.001)
    return Down()


async def test_what_a_link_does_not_take_waits_and_nothing_new_is_claimed_for_it(down):
    frames = [deliver() for _ in range(10)]
    for frame in frames:
        down.out.send(frame)
    assert down.session.posted == down.sent == frames[:4]
    assert down.out.busy
    down.session.take(2)
    assert down.session.posted == frames[:6]
    assert not down.told
    down.session.take(6)
    assert down.session.posted == frames
    assert (down.out.busy, down.told) == (False, ["free"])


async def test_an_order_does_not_overtake_its_task(down):
    frames = [deliver(100), deliver(100)]
    cancel = Cancel(task_id=frames[1].task_id, generation=1, attempt=1)
    for frame in (*frames, cancel):
        down.out.send(frame)
    assert down.session.posted == frames[:1]
    down.session.take(2)
    assert down.session.posted == [*frames, cancel]
    later = Cancel(task_id=frames[0].task_id, generation=1, attempt=1)
    down.out.send(later)
    assert down.session.posted[-1] is later


async def test_many_large_ones_are_sent_again_a_few_at_a_time(down):
    frames = [deliver(60) for _ in range(21)]
    down.held = {UUID(frame.task_id): frame for frame in frames}
    down.out.send_again(list(down.held))
    while len(down.session.posted) < 21:
        await down.until(lambda: down.session.waiting)
        assert down.session.waiting <= 160
        down.session.take()
    assert down.session.posted == frames
    assert max(map(len, down.reads)) <= outflow.READ
    assert "doubt" not in down.told


async def test_what_is_not_held_any_more_is_not_sent_and_is_looked_at_again(down):
    frames = [deliver(), deliver()]
    gone = uuid4()
    down.held = {UUID(frame.task_id): frame for frame in frames}
    down.out.send_again([UUID(frames[0].task_id), gone, UUID(frames[1].task_id)])
    await down.until(lambda: not down.out.busy)
    assert down.session.posted == frames
    assert down.told == ["doubt", "free"]


async def test_a_newer_comparison_takes_back_what_the_older_had_asked_for(down):
    old, new = deliver(), deliver()
    down.held = {UUID(frame.task_id): frame for frame in (old, new)}
    down.answers.clear()
    down.out.send_again([UUID(old.task_id)])
    await down.until(lambda: down.reads)
    down.out.send_again([UUID(new.task_id)])
    down.answers.set()
    await down.until(lambda: not down.out.busy)
    assert down.session.posted == [new]


async def test_a_database_that_is_away_only_delays_it(down):
    frame = deliver()
    down.held = {UUID(frame.task_id): frame}
    down.broken = 3
    down.out.send_again([UUID(frame.task_id)])
    await down.until(lambda: down.posted)
    assert (down.session.posted, len(down.reads)) == ([frame], 4)


async def test_nothing_follows_on_a_link_that_is_lost(down):
    frame = deliver(200)
    down.held = {UUID(frame.task_id): frame}
    down.out.send(deliver(200))
    down.out.send(frame)
    down.out.send_again([UUID(frame.task_id)])
    down.out.close()
    down.out.send(frame)
    down.out.send_again([UUID(frame.task_id)])
    down.session.take()
    for reading in [task for task in asyncio.all_tasks() if task.get_name() == "tasks that are sent again"]:
        await reading
    assert len(down.session.posted) == 1
    assert not down.out.busy
