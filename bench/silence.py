"""100,000 members: the lag from a lease's end to its offline event on disk and published, and the memory of a member.

The ratio is against one full look at all members, what a server that polls would have to do at each tick.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import time
import tracemalloc
from datetime import timedelta
from uuid import uuid4

from bench.harness import percentile, scratch_postgres
from truebeat.clock import SystemClock
from truebeat.domain.health import Record
from truebeat.server.background.silence_watch import SilenceWatch
from truebeat.server.background.tasks import Duties
from truebeat.server.leases import Leases
from truebeat.server.services.events import EventLog
from truebeat.server.services.health import Health
from truebeat.server.store.database import Database
from truebeat.server.store.workspaces import WorkspaceRow

LEASE = 5.0


async def measure(url: str, members: int, silent: int) -> None:
    clock = SystemClock()
    database = await Database.connect(url)
    now = clock.now()
    rows = [(uuid4(), f"member-{number}") for number in range(members)]
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO workspaces (id, name, status, created_at, generation) "
            "SELECT id, name, 'online', $3, 1 FROM unnest($1::uuid[], $2::text[]) AS t(id, name)",
            [row[0] for row in rows],
            [row[1] for row in rows],
            now - timedelta(hours=1),
        )
        await connection.execute("ANALYZE workspaces")
        version = await connection.fetchval("SELECT min(version) FROM workspaces")
    leases = Leases(lease=LEASE, link_grace=1, provisioning_deadline=60)
    gc.collect()
    tracemalloc.start()
    record = Record(generation=1)
    for identity, name in rows:
        leases.add(
            WorkspaceRow(
                id=identity, name=name, role="", parent_id=None, url=None, agent_card=None, created_at=now,
                registered_at=None, record=record, version=version,
            ),
            clock.monotonic(),
        )  # fmt: skip
    gc.collect()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    print(f"memory per member          {size / members:7.0f} bytes   (goal <= 1024)")

    events = EventLog(database)
    health = Health(database, leases, events, clock)
    watch = SilenceWatch(leases, health, clock)
    duties = Duties(clock)
    everyone = list(leases)
    start = time.monotonic()
    quiet = set(random.sample(everyone, silent))
    ends: dict[str, float] = {}
    for lease in everyone:
        lease.stamped = start + random.uniform(0, LEASE / 3)
        if lease in quiet:
            ends[lease.id] = lease.stamped + LEASE
    lags: dict[str, float] = {}
    publish = events.publish

    def published(written):
        at = time.monotonic()
        for event in written:
            if event.type == "WORKSPACE_OFFLINE":
                lags[str(event.workspace_id)] = at - ends[str(event.workspace_id)]
        publish(written)

    events.publish = published
    duties.start("writer", health.write_forever)
    duties.start("silence", watch.run)
    beating = [lease for lease in everyone if lease not in quiet]
    deadline = time.monotonic() + LEASE * 3
    place = 0
    while len(lags) < silent and time.monotonic() < deadline:
        # everybody else beats every 2 s, in slices of 10 ms, as a server under load would see it
        for _ in range(len(beating) // 200):
            leases.stamp(beating[place % len(beating)], time.monotonic(), now)
            place += 1
        leases.take_dirty()
        await asyncio.sleep(0.01)
    await duties.stop()
    begun = time.perf_counter()
    sum(1 for lease in everyone if lease.stamped + lease.term < begun)
    poll = time.perf_counter() - begun
    values = list(lags.values())
    false = [identity for identity in lags if identity not in ends]
    await database.close()
    print(f"offline events             {len(values)} of {silent}, {len(false)} false")
    print(f"lease end -> offline event  p50 {percentile(values, 0.5) * 1000:.0f} ms, "
          f"p99 {percentile(values, 0.99) * 1000:.0f} ms   (goal p99 <= 100 ms)")  # fmt: skip
    print(f"one look at every member    {poll * 1000:.0f} ms; ratio p99/look {percentile(values, 0.99) / poll:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=100_000)
    parser.add_argument("--silent", type=int, default=2_000)
    options = parser.parse_args()
    with scratch_postgres() as url:
        asyncio.run(measure(url, options.members, options.silent))


if __name__ == "__main__":
    main()
