"""A beat becomes an observation. One that changes nothing touches no database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from truebeat.domain import health
from truebeat.domain.health import Symptom, changes_nothing
from truebeat.errors import Gone, NotFound
from truebeat.protocol.resources import SAMPLE_ERROR_LIMIT

if TYPE_CHECKING:
    from truebeat.clock import Clock
    from truebeat.protocol import link
    from truebeat.protocol.resources import Heartbeat
    from truebeat.server.leases import Lease, Leases
    from truebeat.server.services.health import Health


class Heartbeats:
    """Both kinds of beat: over HTTP and over the link."""

    def __init__(self, leases: Leases, judged: Health, clock: Clock) -> None:
        self._leases = leases
        self._health = judged
        self._clock = clock

    def lease(self, workspace_id: str) -> Lease:
        """The lease of a living workspace. Errors: NotFound, Gone."""
        lease = self._leases.get(workspace_id) or self._leases.get(workspace_id.lower())
        if lease is None:
            raise NotFound("no such workspace; register it, or check workspace_id")
        if lease.record.open(Symptom.REMOVED):
            raise Gone("the workspace was removed; stop this agent")
        return lease

    def accept(self, lease: Lease, beat: Heartbeat) -> health.Beat | None:
        """Stamp an HTTP beat. Returns the observation if it changes something, to be given to `settle`; else None."""
        state = beat.runtime_state
        if state is UNSET:
            # Absent claims health. Beside a live link it is a partial beat, and those prove nothing.
            state = None if lease.linked else ""
        elif state is None:
            state = ""
        lease.active_tasks = beat.active_tasks
        lease.uptime_seconds = beat.uptime_seconds
        lease.current_task = clean(beat.current_task)
        if state is not None:
            lease.runtime_state = clean(state)
        lease.error_rate = beat.error_rate
        lease.sample_error = clean(beat.sample_error)
        self._leases.stamp(lease, self._clock.monotonic(), self._clock.now())
        observation = health.Beat(state, beat.error_rate, lease.sample_error)
        return None if changes_nothing(lease.record, observation) else observation

    async def settle(self, lease: Lease, observation: health.Observation) -> None:
        """Judge it and write what it changed."""
        await self._health.observe(lease.id, observation, self._clock.now())

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
        if not changes_nothing(lease.record, observation):
            await self.settle(lease, observation)


def clean(text: str | None) -> str:
    """Bounded, and without NUL, which PostgreSQL can't hold."""
    if not text:
        return ""
    return text[:SAMPLE_ERROR_LIMIT].replace("\x00", "\N{REPLACEMENT CHARACTER}")
