"""A beat becomes an observation. One that changes nothing touches no database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from truebeat.domain import health
from truebeat.domain.health import Symptom, changes_nothing
from truebeat.errors import Gone, NotFound
from truebeat.protocol.resources import SAMPLE_ERROR_LIMIT
from truebeat.server.leases import Told

if TYPE_CHECKING:
    from truebeat.clock import Clock
    from truebeat.protocol import link
    from truebeat.protocol.resources import Heartbeat
    from truebeat.server.leases import Lease, Leases
    from truebeat.server.services.health import Health

#: phases a workspace may declare bounds for
BOUNDS_LIMIT = 64


class Heartbeats:
    """Both kinds of beat: over HTTP and over the link."""

    def __init__(self, leases: Leases, judged: Health, clock: Clock) -> None:
        self._leases = leases
        self._health = judged
        self._clock = clock

    def lease(self, workspace_id: str) -> Lease:
        """The lease of a living workspace. Errors: NotFound, Gone."""
        lease = self._leases.get(workspace_id) or self._leases.get(workspace_id.lower())
        if lease is not None:
            return lease
        if self._leases.was_removed(workspace_id):
            raise Gone("the workspace was removed; stop this agent")
        raise NotFound("no such workspace; register it, or check workspace_id")

    def accept(self, lease: Lease, beat: Heartbeat) -> health.Beat | None:
        """Stamp an HTTP beat. Returns the observation if it changes something, to be given to `settle`; else None."""
        lease.active_tasks = beat.active_tasks
        lease.current_task = clean(beat.current_task)
        if is_supervised(lease):
            # What its agent says over HTTP is for people. It proves nothing, and hides neither a wedge nor a dead
            # supervisor.
            return None
        state = "" if beat.runtime_state is UNSET or beat.runtime_state is None else beat.runtime_state
        lease.uptime_seconds = beat.uptime_seconds
        lease.runtime_state = clean(state)
        lease.error_rate = beat.error_rate
        lease.sample_error = clean(beat.sample_error)
        self._leases.stamp(lease, self._clock.monotonic(), self._clock.now())
        observation = health.Beat(state, beat.error_rate, lease.sample_error)
        return None if not lease.pending and changes_nothing(lease.record, observation) else observation

    async def settle(self, lease: Lease, observation: health.Observation) -> None:
        """Judge it and write what it changed."""
        await self._health.observe(lease.id, observation, self._clock.now())

    def declare(self, lease: Lease, hello: link.Hello) -> None:
        """A supervisor presents itself: its boot, and the bounds it declares for phases."""
        bounds = dict(list(hello.bounds.items())[:BOUNDS_LIMIT])
        if lease.told is None:
            lease.told = Told(hello.boot, bounds)
        else:
            lease.told.boot, lease.told.bounds = hello.boot, bounds

    async def accept_link(self, lease: Lease, beat: link.Beat) -> None:
        """A beat over the link. What it changed is on disk when this returns. Errors: Unavailable, Gone."""
        if beat.generation < lease.record.generation:
            return  # fenced
        lease.active_tasks = beat.active_tasks
        lease.uptime_seconds = beat.uptime_seconds
        lease.current_task = clean(beat.current_task)
        lease.runtime_state = None if beat.runtime_state is None else clean(beat.runtime_state)
        lease.error_rate = beat.error_rate
        lease.sample_error = clean(beat.sample_error)
        lease.phase = clean(beat.phase)
        lease.restarts = beat.restarts
        lease.worker_pid = beat.worker_pid
        self._leases.stamp(lease, self._clock.monotonic(), self._clock.now())
        observation = health.Beat(beat.runtime_state, beat.error_rate, lease.sample_error, beat.generation)
        if beat.quarantine:
            await self.settle(lease, observation)
            await self.settle(lease, health.BudgetSpent(clean(beat.quarantine), beat.generation))
            return
        if beat.runtime_state == "" and lease.record.open(Symptom.QUARANTINED):
            # The worker of a new generation answered its executor's start handshake: that is its canary.
            await self.settle(lease, health.GenerationVerified(beat.generation))
        if lease.pending or not changes_nothing(lease.record, observation):
            await self.settle(lease, observation)
        awaiting = lease.record.open(Symptom.AWAITING)
        deadline = self._leases.provisioning_deadline
        if awaiting is not None and (self._clock.now() - awaiting.since).total_seconds() > deadline:
            # It beats, and its new generation does not come up.
            await self.settle(lease, health.ProvisioningExpired(deadline))


def is_supervised(lease: Lease) -> bool:
    """A supervisor speaks for it: its link is open, or was a moment ago (generations come only over links).

    Once that has been silent for long enough to be offline, plain beats count again: somebody runs it without one.
    """
    return lease.linked or (lease.record.generation > 0 and lease.record.open(Symptom.SILENT) is None)


def clean(text: str | None) -> str:
    """Bounded, and without NUL, which PostgreSQL can't hold."""
    if not text:
        return ""
    return text[:SAMPLE_ERROR_LIMIT].replace("\x00", "\N{REPLACEMENT CHARACTER}")
