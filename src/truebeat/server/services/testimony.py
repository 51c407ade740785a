"""The witnesses of one workspace, side by side: what each says, how old that is, and the evidence itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from truebeat.domain.conditions import WEDGED_STATE, Symptom, Witness
from truebeat.domain.phases import bounds_of
from truebeat.protocol.testimony import CanaryView, EvidenceView, WitnessView

if TYPE_CHECKING:
    from truebeat.clock import Clock
    from truebeat.domain.conditions import Record
    from truebeat.server.leases import Lease


def evidence(lease: Lease, clock: Clock, *, details: bool) -> EvidenceView | None:
    """None for one that sent no evidence since this server started."""
    told = lease.told
    if told is None or told.standing is None or told.counters is None:
        return None
    now = clock.monotonic()
    age = max(now - lease.stamped, 0.0)
    canary = None
    if told.canary_failures is not None:
        canary = CanaryView(
            age=round(told.canary_age + age, 3),
            failures=told.canary_failures,
            detail=told.canary_detail if details else "",
        )
    return EvidenceView(
        age=round(age, 3),
        phase=lease.phase or "",
        phase_age=round(told.phase_age + age, 3),
        unmoved=round(max(now - told.standing.moved_at, 0.0), 3),
        counters=told.counters,
        loop_lag=told.loop_lag,
        tick_age=None if told.tick_age is None else round(told.tick_age + age, 3),
        process_state=told.process_state,
        canary=canary,
        stall=(told.beat_stall or told.still) if details else "",
        note=told.note if details else "",
        capacity=told.capacity,
        holding=list(told.holding) if details else [],
    )


def witnesses(lease: Lease, record: Record, clock: Clock, *, details: bool) -> list[WitnessView]:
    """Always the same five, in the same order."""
    views = [
        _self(lease, record, clock, details=details),
        _evidence(lease, record, clock),
        _silence(lease, record, clock),
        _sender(lease, record, clock),
        _canary(lease, record, clock),
    ]
    silent = record.open(Symptom.SILENT) is not None
    for view in views:
        if silent and view.witness in {Witness.SELF, Witness.EVIDENCE, Witness.CANARY}:
            view.healthy = None  # too old to tell; the age says how old
        if not details:
            view.detail = ""
    return views


def shown_state(state: str | None, *, details: bool) -> str | None:
    """What the runtime says of itself: its own words only for those who may see error texts."""
    return state if details or state in {None, "", WEDGED_STATE} else "a state of its own"


def _view(witness: Witness, says: str, healthy: bool | None, age: float | None, detail: str = "") -> WitnessView:
    rounded = None if age is None else round(max(age, 0.0), 3)
    return WitnessView(witness=witness, says=says, detail=detail, age=rounded, healthy=healthy)


def _beat_age(lease: Lease, clock: Clock) -> float | None:
    """By the wall clock: a server that restarted knows of the last beat from the database."""
    return None if lease.last_beat_at is None else (clock.now() - lease.last_beat_at).total_seconds()


def _self(lease: Lease, record: Record, clock: Clock, *, details: bool) -> WitnessView:
    age, error = _beat_age(lease, clock), lease.sample_error or ""
    state = lease.runtime_state
    if age is None or state is None:
        return _view(Witness.SELF, "nothing yet", None, age, error)
    if state == WEDGED_STATE:
        return _view(Witness.SELF, "wedged", False, age, error)
    if record.open(Symptom.ERRORS):
        return _view(Witness.SELF, f"error rate {lease.error_rate or 0:.2f}", False, age, error)
    if state:
        return _view(Witness.SELF, shown_state(state, details=details) or "", None, age, error)
    return _view(Witness.SELF, "healthy", True, age, error)


def _evidence(lease: Lease, record: Record, clock: Clock) -> WitnessView:
    told = lease.told
    if told is None or told.standing is None:
        return _view(Witness.EVIDENCE, "no evidence: plain heartbeats" if told is None else "nothing yet", None, None)
    age = clock.monotonic() - told.standing.moved_at
    stall = told.beat_stall or told.still
    stalled = record.open(Symptom.STALLED)
    if stall or stalled is not None:
        return _view(Witness.EVIDENCE, "stands still", False, age, stall or (stalled.detail if stalled else ""))
    phase = told.standing.evidence.phase
    if bounds_of(phase).still_after is None and phase not in told.bounds:
        return _view(Witness.EVIDENCE, f"nothing can move: {phase}", None, age, told.note)
    return _view(Witness.EVIDENCE, "moves", True, age, told.note)


def _silence(lease: Lease, record: Record, clock: Clock) -> WitnessView:
    age = _beat_age(lease, clock)
    silent = record.open(Symptom.SILENT)
    if silent is not None:
        return _view(Witness.SILENCE, "silent", False, age, silent.detail)
    return _view(Witness.SILENCE, "no beat yet" if age is None else "beats come", None if age is None else True, age)


def _sender(lease: Lease, record: Record, clock: Clock) -> WitnessView:
    stuck = record.open(Symptom.UNRESPONSIVE)
    sender = None if lease.told is None else lease.told.sender
    if stuck is not None and stuck.witness is Witness.SENDER:
        age = (clock.now() - stuck.since).total_seconds()
        return _view(Witness.SENDER, "deliveries do not begin", False, age, stuck.detail)
    if sender is None:
        return _view(Witness.SENDER, "no delivery yet", None, None)
    at, succeeded, text = sender
    says = "a delivery succeeded" if succeeded else "a delivery does not begin"
    return _view(Witness.SENDER, says, True if succeeded else None, clock.monotonic() - at, text)


def _canary(lease: Lease, record: Record, clock: Clock) -> WitnessView:
    told = lease.told
    if told is None or told.canary_failures is None:
        return _view(Witness.CANARY, "none yet", None, None)
    age = told.canary_age + clock.monotonic() - lease.stamped
    unresponsive = record.open(Symptom.UNRESPONSIVE)
    if told.canary_failures == 0:
        return _view(Witness.CANARY, "passed", None if lease.worker_pid is None else True, age, told.canary_detail)
    condemned = unresponsive is not None and unresponsive.witness is Witness.CANARY
    says = f"failed, {told.canary_failures} in a row"
    return _view(Witness.CANARY, says, False if condemned else None, age, told.canary_detail)
