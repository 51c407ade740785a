"""A beat becomes an observation. One that changes nothing touches no database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from truebeat.domain import health, phases
from truebeat.domain.health import Symptom, changes_nothing, plain_changes_nothing
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
#: tasks in hand that are kept for people to see, and the characters of each one's name
HOLDING_LIMIT = 64
HOLDING_CHARACTERS = 80


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
        lease.current_task = clean(beat.current_task) if beat.current_task else ""
        if is_supervised(lease):
            # What its agent says over HTTP is for people. It proves nothing, and hides neither a wedge nor a dead
            # supervisor.
            return None
        lease.plain = lease.record.generation > 0
        state = "" if beat.runtime_state is UNSET or beat.runtime_state is None else beat.runtime_state
        lease.uptime_seconds = beat.uptime_seconds
        lease.runtime_state = clean(state) if state else ""
        lease.error_rate = beat.error_rate
        lease.sample_error = clean(beat.sample_error) if beat.sample_error else ""
        self._leases.stamp(lease, self._clock.monotonic(), self._clock.now())
        if not lease.pending and plain_changes_nothing(lease.record, state, beat.error_rate):
            return None
        return health.Beat(state, beat.error_rate, lease.sample_error)

    async def settle(self, lease: Lease, observation: health.Observation) -> None:
        """Judge it and write what it changed."""
        await self._health.observe(lease.id, observation, self._clock.now())

    def declare(self, lease: Lease, hello: link.Hello) -> None:
        """A supervisor presents itself: its boot, and the bounds it declares for phases."""
        lease.plain = False
        bounds = {clean(phase)[:100]: bound for phase, bound in list(hello.bounds.items())[:BOUNDS_LIMIT]}
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
        observation = self._testimony(lease, beat)
        self._leases.stamp(lease, self._clock.monotonic(), self._clock.now())
        if beat.quarantine:
            await self.settle(lease, observation)
            await self.settle(lease, health.BudgetSpent(clean(beat.quarantine), beat.generation))
            return
        if beat.runtime_state == "" and lease.record.open(Symptom.QUARANTINED):
            # The worker of a new generation says it is well: it does so only once its canary has passed.
            await self.settle(lease, health.GenerationVerified(beat.generation))
        if lease.pending or not changes_nothing(lease.record, observation):
            await self.settle(lease, observation)
        deadline = self._start_deadline(lease, beat)
        if is_awaited(lease.record) and lease.told is not None and lease.told.waited > deadline:
            # It beats, and its new generation does not come up.
            await self.settle(lease, health.ProvisioningExpired(deadline))

    def _start_deadline(self, lease: Lease, beat: link.Beat) -> float:
        """Seconds that it may take to come up: one that is starting may have declared that it needs longer."""
        deadline = self._leases.provisioning_deadline
        if beat.phase != "starting" or lease.told is None:
            return deadline
        declared = lease.told.bounds.get("starting", 0.0) if beat.phase_bound is None else beat.phase_bound
        return max(deadline, declared)

    def _testimony(self, lease: Lease, beat: link.Beat) -> health.Beat:
        """What the beat says about the worker, weighed against what the beats before it said. Not stamped yet."""
        told = lease.told = lease.told or Told(0, {})
        now = self._clock.monotonic()
        keep(told, beat)
        first = told.standing is None
        # Only time in which beats came counts: neither a backlog read after a stop of ours, nor a lost link.
        gap = now - lease.stamped
        unseen = max(self._leases.doubt.unseen(lease.stamped, now), gap - self._leases.lease / 2, 0.0)
        if not is_awaited(lease.record):
            told.waited = 0.0
        elif not first:
            told.waited += gap - unseen
        told.standing = phases.follow(told.standing, evidence_of(beat), now, unseen)
        still = phases.stall(told.standing, told.bounds, now)
        told.still = still or ""
        stall = told.beat_stall or still
        if not stall and first and lease.record.open(Symptom.STALLED):
            stall = None  # the first evidence since this server started: whether it moves is not known yet
        return health.Beat(
            beat.runtime_state,
            beat.error_rate,
            lease.sample_error or "",
            beat.generation,
            stall=stall,
            canary_failures=told.canary_failures,
            canary_detail=told.canary_detail,
        )


def is_supervised(lease: Lease) -> bool:
    """A supervisor speaks for it: its link is open, or was a moment ago (generations come only over links).

    Once that has been silent for long enough to be offline, plain beats count again, until the next supervisor presents
    itself: somebody runs it without one.
    """
    if lease.linked:
        return True
    return lease.record.generation > 0 and not lease.plain and lease.record.open(Symptom.SILENT) is None


def is_awaited(record: health.Record) -> bool:
    """Whether a first beat, or that of a new generation, is still to come."""
    return record.restart_pending or record.open(Symptom.AWAITING) is not None


def evidence_of(beat: link.Beat) -> phases.Evidence:
    """What the beat proves."""
    counters = beat.counters
    return phases.Evidence(
        beat.generation,
        counters.turns_started,
        counters.turns_finished,
        counters.frames,
        counters.tools_started,
        counters.tools_finished,
        counters.canaries_passed,
        clean(beat.phase),
        beat.phase_bound,
    )


def keep(told: Told, beat: link.Beat) -> None:
    """The beat's facts for people, each within its bound."""
    told.counters = beat.counters
    told.phase_age = beat.phase_age
    told.loop_lag = beat.loop_lag
    told.tick_age = beat.tick_age
    told.process_state = clean(beat.process_state)
    told.beat_stall = clean(beat.stall)
    told.note = clean(beat.note)
    told.capacity = beat.capacity
    told.holding = tuple(clean(held)[:HOLDING_CHARACTERS] for held in beat.holding[:HOLDING_LIMIT])
    if beat.canary is None:
        told.canary_failures, told.canary_age, told.canary_detail = None, 0.0, ""
    else:
        told.canary_failures, told.canary_age = beat.canary.failures, beat.canary.age
        told.canary_detail = clean(beat.canary.detail)


def clean(text: str | None) -> str:
    """Bounded, and without NUL, which PostgreSQL can't hold."""
    if not text:
        return ""
    return text[:SAMPLE_ERROR_LIMIT].replace("\x00", "\N{REPLACEMENT CHARACTER}")
