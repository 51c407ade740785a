"""What tests of the judge stand on: the services on the real database, without any duty but the writer."""

from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from truebeat.clock import ManualClock
from truebeat.domain.health import Record, created
from truebeat.protocol import link
from truebeat.server.background.tasks import Duties
from truebeat.server.leases import Leases
from truebeat.server.services.events import EventLog
from truebeat.server.services.health import Health
from truebeat.server.services.heartbeats import Heartbeats
from truebeat.server.services.incidents import Incidents
from truebeat.server.store import events as event_store
from truebeat.server.store import workspaces as workspace_store
from truebeat.server.store.workspaces import WorkspaceRow


class Rig:
    def __init__(self, database):
        self.clock = ManualClock()
        self.database = database
        self.leases = Leases(lease=45, link_grace=5, provisioning_deadline=120)
        self.events = EventLog(database)
        self.health = Health(database, self.leases, self.events, self.clock)
        self.heartbeats = Heartbeats(self.leases, self.health, self.clock)
        self.incidents = Incidents(database, self.events, self.clock)
        self.published = []
        publish = self.events.publish
        self.events.publish = lambda events: (self.published.extend(events), publish(events))

    async def member(self, record: Record | None = None):
        row = WorkspaceRow(
            id=uuid4(),
            name="member",
            role="",
            parent_id=None,
            url=None,
            agent_card=None,
            created_at=self.clock.now(),
            registered_at=None,
            record=record or created(self.clock.now()),
        )
        async with self.database.acquire() as connection:
            await workspace_store.insert(connection, row)
        return self.leases.add(row, self.clock.monotonic())

    async def observe(self, lease, observation):
        return await self.health.observe(lease.id, observation, self.clock.now())

    async def stored(self, lease):
        async with self.database.acquire() as connection:
            return await workspace_store.get(connection, UUID(lease.id))

    async def all_events(self):
        async with self.database.acquire() as connection:
            return await event_store.since(connection, 0, 1000)

    async def events_on_disk(self):
        """Without those of incidents, which have tests of their own."""
        return [event for event in await self.all_events() if not event.type.startswith("INCIDENT_")]

    async def linked(self, **hello):
        """A member with a link, online in generation 1."""
        lease = await self.member()
        lease.linked = True
        told = {"version": 2, "boot": 7, "agent": "python", "pid": 1}
        self.heartbeats.declare(lease, link.Hello(**told | hello))
        await self.beat(lease)
        return lease

    async def beat(self, lease, **fields):
        await self.heartbeats.accept_link(lease, link_beat(**fields))

    async def report(self, lease, n=1, **fields):
        plain = {"n": n, "generation": 1, "kind": "exited", "age": 0.0, "detail": "killed by SIGKILL"}
        await self.incidents.accept_report(lease, link.Report(**plain | fields))


@asynccontextmanager
async def judging(database):
    """A started rig; no duty may have crashed when it ends."""
    rig = Rig(database)
    await rig.events.start()
    duties = Duties(rig.clock)
    duties.start("writer", rig.health.write_forever)
    try:
        yield rig
    finally:
        await duties.stop()
        rig.events.close()
    assert duties.crashes == {}


def link_beat(**fields):
    plain = {
        "seq": 1, "generation": 1, "runtime_state": "", "error_rate": 0.0, "sample_error": "", "active_tasks": 0,
        "current_task": "", "uptime_seconds": 1.0, "phase": "idle", "phase_age": 0.0, "worker_pid": 1, "restarts": 0,
        "quarantine": "", "counters": link.Counters(), "loop_lag": 0.0, "tick_age": 0.1, "process_state": "S",
        "canary": None, "phase_bound": None, "stall": "", "note": "", "capacity": 1, "holding": [],
    }  # fmt: skip
    return link.Beat(**plain | fields)
