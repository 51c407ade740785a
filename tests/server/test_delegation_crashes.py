"""A server that ends at any step of any transaction of a delegation: each result is used by exactly one turn."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from truebeat.clock import SystemClock
from truebeat.domain.delivery import Begun, Finished, OnInterrupt, State
from truebeat.domain.health import created
from truebeat.protocol.delivery import Sender
from truebeat.server.background.tasks import spawn
from truebeat.server.services.events import EventLog
from truebeat.server.services.ledger import Ledger
from truebeat.server.services.ledger_items import Decision
from truebeat.server.services.notices import Notices
from truebeat.server.store import delegations as store
from truebeat.server.store import events as event_store
from truebeat.server.store import tasks as task_store
from truebeat.server.store import workspaces as workspace_store
from truebeat.server.store.events import NewEvent
from truebeat.server.store.keys import Key
from truebeat.server.store.tasks import NewRow
from truebeat.server.store.workspaces import WorkspaceRow

NOW = datetime(2026, 1, 1, tzinfo=UTC)

STEPS = (
    "before the transaction", "before delegations are inserted", "delegations inserted", "tasks saved",
    "before results are ready", "results ready", "before wakes are put", "wakes put", "before results are given",
    "results given", "before results are settled", "results settled", "before the commit", "after the commit",
)  # fmt: skip


class Crash(BaseException):
    """kill -9: nothing after it happens."""


class Worker:
    """A supervisor with its worker: it outlives the server, and repeats what was not settled."""

    def __init__(self, workspace_id):
        self.id = workspace_id
        self.held = {}
        #: (task, attempt) of turns that were done, and the results that each was given
        self.done = {}
        #: endings that are not settled
        self.unsettled = {}
        self.seen = set()

    def take(self, deliver):
        key = (deliver.task_id, deliver.attempt)
        if key not in self.seen:
            self.seen.add(key)
            self.held[key] = deliver

    @property
    def room(self):
        return 1 - len(self.held) - len(self.unsettled)


class World:
    """What survives servers: the database, and workers."""

    def __init__(self, database, source, target):
        self.database = database
        self.workers = {worker.id: worker for worker in (source, target)}
        self.source, self.target = source, target
        self.crashes = 0
        self.reached = set()

    async def life(self, failpoint, at, goal):
        """One server until the goal, or until it passes `failpoint` for the `at`-th time."""
        events = EventLog(self.database)
        await events.start()
        ledger = Ledger(self.database, events, Notices(), SystemClock())
        passed = 0
        dead = asyncio.get_running_loop().create_future()

        def hook(name):
            nonlocal passed
            self.reached.add(name)
            if dead.done():
                raise Crash
            if name == failpoint:
                passed += 1
                if passed == at:
                    dead.set_result(None)
                    raise Crash

        ledger.failpoint = hook
        ledger.room_of = lambda one: (1, room) if (room := self.workers[one].room) > 0 else None
        ledger.deliver = lambda delivered: [self.workers[one].take(deliver) for one, deliver in delivered]
        await ledger.start()

        async def write():
            try:
                await ledger.write_forever()
            except Crash:
                self.crashes += 1

        writer = spawn(write(), name="ledger")
        works = spawn(self._work(ledger, goal), name="workers")
        await asyncio.wait({writer, works}, return_when=asyncio.FIRST_COMPLETED)
        for task in (writer, works):
            task.cancel()
        ended = await asyncio.gather(writer, works, return_exceptions=True)
        assert not isinstance(ended[1], Exception), ended[1]
        return not dead.done()

    async def _work(self, ledger, goal):
        for worker in self.workers.values():
            # as after a link: what the ledger thinks is held and the worker never got is delivered again
            def compare(leases, worker=worker):
                again = [one.id for one in leases if (str(one.id), one.attempt) not in worker.seen]
                return Decision([], again)

            for deliver in await ledger.deliveries(await ledger.inspect(worker.id, compare), 1):
                worker.take(deliver)
        while not await goal(ledger):
            for worker in self.workers.values():
                for key, deliver in list(worker.held.items()):
                    await ledger.happen(_uuid(deliver.task_id), Begun(1, deliver.attempt), lasting=True, by=worker.id)
                    # the turn is done now, whatever becomes of its telling
                    worker.done[key] = [result.delegation_id for result in deliver.results]
                    worker.unsettled[key] = worker.held.pop(key)
                for key, deliver in list(worker.unsettled.items()):
                    finished = Finished(1, deliver.attempt, State.COMPLETED)
                    await ledger.happen(_uuid(deliver.task_id), finished, lasting=True, by=worker.id, text="an answer")
                    del worker.unsettled[key]
                ledger.claim(worker.id)
            await asyncio.sleep(0.002)


def _uuid(text):
    from uuid import UUID

    return UUID(text)


@pytest.fixture
async def world(database):
    workers = []
    async with database.transaction() as connection:
        for name in ("ada", "bob"):
            row = WorkspaceRow(
                id=uuid4(), name=name, role="", parent_id=None, url=None, agent_card=None, created_at=NOW,
                registered_at=None, record=created(NOW), version=0,
            )  # fmt: skip
            await workspace_store.insert(connection, row)
            workers.append(Worker(row.id))
    return World(database, *workers)


def delegation(world, key):
    """As each attempt to send it makes it: the task is another, the key is the same."""
    sender = Sender(kind="workspace", id=str(world.source.id), name="ada")
    row = NewRow(
        id=uuid4(), workspace_id=world.target.id, context_id=str(uuid4()), sender=sender, text="count", parts=[],
        message=None, metadata={}, priority=0, on_interrupt=OnInterrupt.RETRY, at=NOW,
    )  # fmt: skip
    kept = Key(f"workspace:{world.source.id}", world.target.id, key, row.id, b"x" * 32, datetime.now(UTC))
    new = store.NewRow(
        task_id=row.id, source_id=world.source.id, target_id=world.target.id, source_task_id=None, root_id=row.id,
        depth=1, at=NOW, deadline_at=None, waited=False, context_id=f"results-{world.source.id}",
    )  # fmt: skip
    return row, kept, new


async def all_consumed(world, ids):
    async with world.database.acquire() as connection:
        found = await connection.fetch(
            "SELECT task_id FROM delegations WHERE consumed_at IS NOT NULL AND task_id = ANY($1::uuid[])", ids
        )
    return len(found) == len(ids)


@pytest.mark.parametrize("step", STEPS)
async def test_each_result_is_used_exactly_once_whichever_step_is_the_last(world, step):
    """A server dies the first time it passes the step, and the next one ends the work; again, with the second time that
    it is passed; and so on, until the work ends before.
    """
    ids = []
    async with asyncio.timeout(60):
        for at in range(1, 100):
            accepted = {}

            async def goal(ledger, at=at, accepted=accepted):
                for key in (f"a{at}", f"b{at}"):
                    if key not in accepted:
                        # whoever sends repeats it with its key until it is answered
                        accepted[key] = (await ledger.submit(*delegation(world, key))).task_id
                return await all_consumed(world, list(accepted.values()))

            survived = await world.life(step, at, goal)
            if not survived:
                assert await world.life("", 0, goal)
            ids += accepted.values()
            if survived:
                break
    assert world.crashes
    used = [result for key in world.source.done for result in world.source.done[key]]
    assert sorted(used) == sorted(map(str, ids))
    async with world.database.acquire() as connection:
        left = await connection.fetchval(
            "SELECT count(*) FROM tasks WHERE state NOT IN ('completed', 'canceled', 'failed', 'rejected')"
        )
        ends = await connection.fetch(
            "SELECT payload->>'delegation_id' AS id, count(*) FROM events WHERE type = $1 GROUP BY 1",
            "DELEGATION_COMPLETED",
        )
        told = await connection.fetchval("SELECT count(*) FROM notifications")
    assert left == 0
    assert {row["id"]: row["count"] for row in ends} == dict.fromkeys(map(str, ids), 1)
    assert told == len(ids)


async def test_every_step_is_one_that_is_passed(world):
    """So that no test above is about a step that has another name by now."""
    sent = []

    async def goal(ledger):
        if not sent:
            sent.append((await ledger.submit(*delegation(world, "a"))).task_id)
        return await all_consumed(world, sent)

    async with asyncio.timeout(20):
        assert await world.life("", 0, goal)
    assert world.reached >= set(STEPS)


async def test_a_commit_that_is_still_under_way_when_the_next_server_starts_is_counted(world):
    """Its server was killed after it had asked for it: no other word of it will come."""
    row, _, new = delegation(world, "a")
    ledger = Ledger(world.database, EventLog(world.database), Notices(), SystemClock())
    async with world.database.acquire() as connection:
        killed = connection.transaction()
        await killed.start()
        told = NewEvent(NOW, "TASK_COMPLETED", world.target.id, {}, "finished")
        await event_store.append(connection, [told])
        await task_store.insert(connection, [row])
        await store.insert(connection, [new])
        await connection.execute(
            "UPDATE delegations SET ready_at = now(), given_task_id = $1, given_attempt = 1", row.id
        )
        starts = spawn(ledger.start(), name="start")
        async with asyncio.timeout(20):
            while not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                await asyncio.sleep(0.005)
                assert not starts.done()
        await killed.commit()
    await starts
    assert ledger.queued == {world.target.id: 1}
    assert ledger.results._given == {row.id}
    assert ledger.results._sources == {world.source.id}
