"""The table of leases in memory: one entry per living workspace, stamped by beats without touching the database.

A lease holds the judged record (the truth is the row in PostgreSQL, `version` is its compare-and-set key) and the last
beat's facts (flushed once a second). Goal: at most 1 KB a member.
"""

from __future__ import annotations

import math
import random
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from truebeat.domain.health import Status, Symptom
from truebeat.domain.silence import Deadlines, Doubt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from uuid import UUID

    from truebeat.domain.health import Record
    from truebeat.domain.incidents import Incident
    from truebeat.domain.phases import Standing
    from truebeat.protocol.link import Counters
    from truebeat.server.store.workspaces import WorkspaceRow

#: above this many leases, mass silence is estimated from a sample of so many
SAMPLE = 500


class Told:
    """What only a supervisor tells, over its link: kept for people, and as evidence. One a linked member."""

    __slots__ = (
        "beat_stall",
        "boot",
        "bounds",
        "canary_age",
        "canary_detail",
        "canary_failures",
        "capacity",
        "counters",
        "holding",
        "loop_lag",
        "note",
        "phase_age",
        "process_state",
        "restart_by",
        "restart_reason",
        "sender",
        "standing",
        "still",
        "tick_age",
        "waited",
    )

    def __init__(self, boot: int, bounds: Mapping[str, float]) -> None:
        #: milliseconds since the epoch at which its supervisor started: with it, numbers of frames are unique
        self.boot = boot
        #: seconds each phase may stand still, where it declares others than the table
        self.bounds = bounds
        #: the newest evidence and when it moved; None before the first beat since this server started
        self.standing: Standing | None = None
        #: why this server itself finds that the evidence stands still; "" while it moves
        self.still = ""
        #: what the supervisor measures against the worker; "" for nothing
        self.beat_stall = ""
        self.counters: Counters | None = None
        #: seconds, when the last beat came
        self.phase_age = 0.0
        self.loop_lag = 0.0
        self.tick_age: float | None = None
        self.process_state = ""
        #: None: no canary yet
        self.canary_failures: int | None = None
        self.canary_age = 0.0
        self.canary_detail = ""
        self.note = ""
        self.capacity = 0
        self.holding: tuple[str, ...] = ()
        #: the last outcome of deliveries: (monotonic time, whether one succeeded, text); None before any
        self.sender: tuple[float, bool, str] | None = None
        #: who ordered the pending restart, "" for before this server started; and why
        self.restart_by = ""
        self.restart_reason = "ordered before this server started"
        #: seconds that its beats have come while its start is awaited; below 0: the order came after the last beat
        self.waited = 0.0


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """An incident that is open on disk."""

    id: UUID
    incident: Incident


class Lease:
    """One workspace as this server knows it."""

    __slots__ = (
        "active_tasks",
        "current_task",
        "dirty",
        "error_rate",
        "id",
        "incident",
        "last_beat_at",
        "linked",
        "name",
        "pending",
        "phase",
        "place",
        "plain",
        "record",
        "restarts",
        "runtime_state",
        "sample_error",
        "scheduled",
        "stamped",
        "status",
        "term",
        "told",
        "uptime_seconds",
        "version",
        "worker_pid",
    )

    def __init__(self, workspace_id: str, name: str, record: Record, version: int, stamped: float, term: float) -> None:
        self.id = workspace_id
        self.name = name
        self.record = record
        #: always record.status; kept beside it because the hot path reads it on each beat
        self.status: Status = record.status
        self.version = version
        #: monotonic seconds of the last sign of life, and how long it is good for
        self.stamped = stamped
        self.term = term
        self.scheduled = math.inf
        self.linked = False
        #: its supervisor fell silent for good, and what beats now beats by itself
        self.plain = False
        #: observations that wait to be written: until they are, `record` is not the last word
        self.pending = 0
        #: where it stands in the table's order
        self.place = 0
        #: stamped since the last flush
        self.dirty = False
        self.last_beat_at: datetime | None = None
        self.runtime_state: str | None = None
        self.error_rate: float | None = None
        self.sample_error: str | None = None
        self.active_tasks: int | None = None
        self.current_task: str | None = None
        self.uptime_seconds: float | None = None
        self.phase: str | None = None
        self.restarts: int | None = None
        self.worker_pid: int | None = None
        #: the incident that is open
        self.incident: OpenIncident | None = None
        #: None for one that beats over HTTP only
        self.told: Told | None = None

    @property
    def deadline(self) -> float:
        return self.stamped + self.term

    def settle(self, record: Record, version: int) -> None:
        """The record that is now on disk."""
        self.record = record
        self.status = record.status
        self.version = version


class Leases:
    """All of them, and the deadline heap over them. Durations are seconds."""

    def __init__(self, *, lease: float, link_grace: float, provisioning_deadline: float) -> None:
        self.lease = lease
        self.link_grace = link_grace
        self.provisioning_deadline = provisioning_deadline
        self.doubt = Doubt()
        self.deadlines: Deadlines[Lease] = Deadlines(self.doubt)
        #: leases stamped since the last flush
        self.dirty: list[Lease] = []
        self._by_id: dict[str, Lease] = {}
        self._order: list[Lease] = []
        self._removed: set[str] = set()

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Lease]:
        return iter(self._by_id.values())

    def get(self, workspace_id: str) -> Lease | None:
        return self._by_id.get(workspace_id)

    def add(self, row: WorkspaceRow, now: float) -> Lease:
        """Start a lease. `now` is monotonic: whoever is known at a server's start gets a whole lease from then."""
        never_beat = row.record.open(Symptom.AWAITING) and row.record.generation == 0
        term = self.provisioning_deadline if never_beat else self.lease
        lease = Lease(sys.intern(str(row.id)), row.name, row.record, row.version, now, term)
        self._by_id[lease.id] = lease
        lease.place = len(self._order)
        self._order.append(lease)
        self.deadlines.watch(lease)
        return lease

    def discard(self, lease: Lease) -> None:
        """It was removed. Its id is remembered, to answer those who still beat for it."""
        if self._by_id.pop(lease.id, None) is None:
            return
        self._removed.add(lease.id)
        last = self._order.pop()
        if last is not lease:
            self._order[lease.place] = last
            last.place = lease.place

    def was_removed(self, workspace_id: str) -> bool:
        """Removed since this server started; of earlier removals the database knows."""
        return workspace_id in self._removed

    def stamp(self, lease: Lease, now: float, at: datetime) -> None:
        """A sign of life. Constant time; nothing else happens."""
        lease.stamped = now
        lease.term = self.lease
        lease.last_beat_at = at
        if now + self.lease < lease.scheduled:
            # It is looked at later than its new deadline: after a first beat (the term before was the provisioning
            # deadline), or not at all after its silence was told. From then on beats leave the heap alone.
            self.deadlines.watch(lease)
        if not lease.dirty:
            lease.dirty = True
            self.dirty.append(lease)

    def link_lost(self, lease: Lease, now: float) -> None:
        """The link is a witness: its loss shortens the lease to the grace, never lengthens it."""
        lease.linked = False
        remaining = lease.deadline - now
        if remaining > self.link_grace:
            lease.term = now + self.link_grace - lease.stamped
            self.deadlines.watch(lease)

    def is_over(self, lease: Lease, now: float) -> bool:
        """Whether its silence has lasted as long as it may, by an observer that has doubted itself."""
        return not self.doubt.blind and now >= lease.deadline + self.doubt.allowance(lease.stamped)

    def take_dirty(self) -> list[Lease]:
        """The leases stamped since the last call."""
        taken, self.dirty = self.dirty, []
        for lease in taken:
            lease.dirty = False
        return taken

    def silent_share(self, now: float) -> tuple[int, int]:
        """(silent, watched): of those that should beat, how many have not for half a lease. A large fleet: a sample."""
        pool = self._order if len(self._order) <= SAMPLE else random.sample(self._order, SAMPLE)
        half = self.lease / 2
        watched = [lease for lease in pool if lease.status in _BEATING]
        silent = sum(1 for lease in watched if now - lease.stamped - self.doubt.allowance(lease.stamped) > half)
        return silent, len(watched)


_BEATING = frozenset({Status.ONLINE, Status.DEGRADED})
