"""How a workspace's health is judged. Nothing changes a status but `judge`.

The record of a workspace's health is its set of open *conditions* (conditions.py). Status is derived from them and
never set by hand. `judge(record, observation, now)` takes one observation (observations.py) and says which conditions
are open afterwards and whether that must be told (an `Announcement`). No clock, no I/O: the shell in
`server/services/health.py` performs it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from truebeat.domain.conditions import (
    DETAIL_LIMIT,
    ERRORS_CLOSE_BELOW,
    ERRORS_OPEN_AT,
    HARMLESS,
    PRECEDENCE,
    RULES,
    WEDGED_STATE,
    Condition,
    Record,
    Rule,
    Status,
    Symptom,
    Witness,
    created,
    derive_status,
    rejects_work,
    takes_work,
)
from truebeat.domain.observations import (
    Beat,
    BudgetSpent,
    DeliveriesStuck,
    DeliverySucceeded,
    GenerationVerified,
    LeaseExpired,
    Observation,
    ProvisioningExpired,
    RemovalOrdered,
    RestartOrdered,
)

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "DETAIL_LIMIT",
    "ERRORS_CLOSE_BELOW",
    "ERRORS_OPEN_AT",
    "PRECEDENCE",
    "RULES",
    "STUCK_SENDERS",
    "STUCK_TASKS",
    "WEDGED_STATE",
    "Announcement",
    "Beat",
    "BudgetSpent",
    "Condition",
    "DeliveriesStuck",
    "DeliverySucceeded",
    "GenerationVerified",
    "LeaseExpired",
    "Observation",
    "ProvisioningExpired",
    "Record",
    "RemovalOrdered",
    "RestartOrdered",
    "Rule",
    "Status",
    "Symptom",
    "Verdict",
    "Witness",
    "cause_of",
    "changes_nothing",
    "created",
    "derive_status",
    "enough_stuck",
    "judge",
    "rejects_work",
    "takes_work",
]

#: failed canaries in a row, and tasks or senders whose deliveries do not begin, that mean "unresponsive"
CANARY_FAILURES: Final = 2
STUCK_TASKS: Final = 2
STUCK_SENDERS: Final = 2


@dataclass(frozen=True, slots=True)
class Announcement:
    """What must be told, once: an event of type WORKSPACE_<STATUS>."""

    previous: Status
    status: Status
    conditions: tuple[Condition, ...]
    #: the observation that did it, for the event's `cause`
    cause: str

    @property
    def event_type(self) -> str:
        return f"WORKSPACE_{self.status.value.upper()}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The new record (the same object if nothing changed); `announcement` is set iff the conditions changed."""

    record: Record
    announcement: Announcement | None = None
    #: whether the record is another one than before
    changed: bool = False


# --- the judge ------------------------------------------------------------------------------------------------------

_ORDER: Final = {symptom: place for place, symptom in enumerate(RULES)}


class _Conditions:
    """The open conditions while one observation is applied."""

    def __init__(self, record: Record, now: datetime) -> None:
        self._open = {condition.symptom: condition for condition in record.conditions}
        #: of what opens now
        self.generation = record.generation
        self._now = now
        self.changed = False

    def open(self, symptom: Symptom, detail: str, said_by: Witness | None = None) -> None:
        """The first detail stays: opening what is open changes nothing."""
        if symptom not in self._open:
            self._open[symptom] = Condition(symptom, detail[:DETAIL_LIMIT], self._now, self.generation, said_by)
            self.changed = True

    def get(self, symptom: Symptom) -> Condition | None:
        return self._open.get(symptom)

    def close(self, *symptoms: Symptom) -> None:
        for symptom in symptoms:
            if self._open.pop(symptom, None) is not None:
                self.changed = True

    def harmless(self) -> bool:
        """Whether it would get its work in spite of all that is open."""
        return self._open.keys() <= HARMLESS

    def sorted(self) -> tuple[Condition, ...]:
        return tuple(sorted(self._open.values(), key=lambda condition: _ORDER[condition.symptom]))


def judge(record: Record, observation: Observation, now: datetime) -> Verdict:
    """One observation applied to one record. `now` is when the observation was made."""
    if record.open(Symptom.REMOVED):
        return Verdict(record)
    conditions = _Conditions(record, now)
    generation, awaiting_above = record.generation, record.awaiting_above
    match observation:
        case Beat():
            if observation.generation is not None:
                if observation.generation < record.generation:
                    return Verdict(record)  # fenced: an old generation's word counts for nothing
                generation = conditions.generation = observation.generation
            fulfils_restart = observation.generation is None or observation.generation > awaiting_above
            if fulfils_restart:
                awaiting_above = -1
            _judge_beat(conditions, observation, fulfils_restart=fulfils_restart)
            _judge_evidence(conditions, observation, fulfils_restart=fulfils_restart)
            starting = observation.runtime_state is None and generation > record.generation
            if starting and conditions.harmless():
                conditions.open(Symptom.AWAITING, f"generation {generation} is starting")
        case LeaseExpired():
            # One that never beat is awaited, not silent; the provisioning deadline judges it.
            if record.open(Symptom.AWAITING) is None or record.generation > 0:
                conditions.open(Symptom.SILENT, f"no beat for {observation.silence:.1f} s")
        case ProvisioningExpired():
            if record.open(Symptom.AWAITING) is not None or record.restart_pending:
                what = "no first beat" if record.generation == 0 else "the new generation did not start"
                conditions.open(Symptom.OVERDUE, f"{what} within {observation.deadline:.0f} s")
        case BudgetSpent():
            conditions.generation = max(observation.generation, record.generation)
            # A pending restart has already overruled what the old generation's supervisor reports.
            if observation.generation >= record.generation and observation.generation > awaiting_above:
                conditions.open(Symptom.QUARANTINED, observation.reason or "the restart budget is spent")
        case GenerationVerified():
            quarantined = record.open(Symptom.QUARANTINED)
            if quarantined is not None and observation.generation > max(quarantined.generation, record.generation - 1):
                conditions.close(Symptom.QUARANTINED)
                generation = observation.generation
        case DeliveriesStuck():
            if enough_stuck(observation.tasks, observation.senders, observation.room):
                detail = observation.detail or (
                    f"{observation.tasks} tasks of {observation.senders} senders were delivered and did not begin"
                )
                conditions.open(Symptom.UNRESPONSIVE, detail, Witness.SENDER)
        case DeliverySucceeded():
            conditions.close(Symptom.UNRESPONSIVE, Symptom.DISAGREEMENT)
        case RestartOrdered():
            conditions.close(Symptom.QUARANTINED, Symptom.OVERDUE)
            if conditions.harmless():
                conditions.open(Symptom.AWAITING, "restart ordered; waiting for the new generation's first beat")
            awaiting_above = generation
        case RemovalOrdered():
            conditions.open(Symptom.REMOVED, "removed by an operator")
    after = conditions.sorted()
    if not conditions.changed:
        if (generation, awaiting_above) == (record.generation, record.awaiting_above):
            return Verdict(record)
        return Verdict(replace(record, generation=generation, awaiting_above=awaiting_above), changed=True)
    new = Record(after, generation, awaiting_above)
    announcement = Announcement(record.status, new.status, after, cause=cause_of(observation))
    return Verdict(new, announcement, changed=True)


def _judge_evidence(conditions: _Conditions, beat: Beat, *, fulfils_restart: bool) -> None:
    """What others than the runtime itself say in this beat, and whether they contradict it.

    A new generation closes what the old one left open only by saying itself that it is well: it says so once its canary
    has passed. Of the same generation, moving evidence and a passed canary are enough, unless its restart is pending.
    """
    claims_health = beat.runtime_state == ""
    if beat.stall:
        conditions.open(Symptom.STALLED, beat.stall)
    elif fulfils_restart and (stalled := conditions.get(Symptom.STALLED)) is not None:
        same = beat.stall == "" and beat.generation is not None and beat.generation <= stalled.generation
        if same or (claims_health and _is_verified(beat, stalled)):
            conditions.close(Symptom.STALLED)
    if beat.canary_failures is not None and beat.canary_failures >= CANARY_FAILURES:
        said = f": {beat.canary_detail}" if beat.canary_detail else ""
        conditions.open(Symptom.UNRESPONSIVE, f"{beat.canary_failures} canaries in a row failed{said}")
    elif fulfils_restart and claims_health and (unresponsive := conditions.get(Symptom.UNRESPONSIVE)) is not None:
        passed = beat.canary_failures == 0 and unresponsive.witness is Witness.CANARY
        if passed or _is_verified(beat, unresponsive):
            conditions.close(Symptom.UNRESPONSIVE)
    others = [
        found for found in (conditions.get(Symptom.STALLED), conditions.get(Symptom.UNRESPONSIVE)) if found is not None
    ]
    if claims_health and len(others) == 2:
        who = " and ".join(f"{found.witness} ({found.symptom})" for found in others)
        conditions.open(Symptom.DISAGREEMENT, f"the runtime claims health; {who} say otherwise")
    else:
        conditions.close(Symptom.DISAGREEMENT)


def _is_verified(beat: Beat, condition: Condition) -> bool:
    """A claim of health by another than the one the condition is about. A plain beat counts only once the supervisor
    has fallen silent: then its word is all there is.
    """
    return beat.generation is None or beat.generation > condition.generation


def enough_stuck(tasks: int, senders: int, room: int) -> bool:
    """Whether so many deliveries that do not begin are evidence. One that takes a single task can't have two."""
    return tasks >= STUCK_TASKS or senders >= STUCK_SENDERS or (room == 1 and tasks == 1)


def changes_nothing(record: Record, beat: Beat) -> bool:
    """A quick sufficient test for the hot path: True only if `judge` would return the same record."""
    return (
        not record.conditions
        and record.awaiting_above < 0
        and beat.runtime_state != WEDGED_STATE
        and (beat.error_rate is None or beat.error_rate < ERRORS_OPEN_AT)
        and (beat.generation is None or beat.generation == record.generation)
        and not beat.stall
        and (beat.canary_failures or 0) < CANARY_FAILURES
    )


def plain_changes_nothing(record: Record, runtime_state: str, error_rate: float) -> bool:
    """The same for a beat of no generation and without evidence, before it is made an observation."""
    return (
        not record.conditions
        and record.awaiting_above < 0
        and runtime_state != WEDGED_STATE
        and error_rate < ERRORS_OPEN_AT
    )


def _judge_beat(conditions: _Conditions, beat: Beat, *, fulfils_restart: bool) -> None:
    # A plain HTTP beat is a first beat whatever it says; a supervisor beats before its worker can: an answer counts.
    if fulfils_restart and (beat.generation is None or beat.runtime_state in {"", WEDGED_STATE}):
        conditions.close(Symptom.AWAITING, Symptom.OVERDUE)
    conditions.close(Symptom.SILENT)
    if beat.runtime_state == WEDGED_STATE:
        conditions.open(Symptom.WEDGED, beat.sample_error or "the runtime says it is wedged and gives no reason")
    elif beat.runtime_state == "" and fulfils_restart:
        conditions.close(Symptom.WEDGED)
    if beat.error_rate is not None:
        if beat.error_rate >= ERRORS_OPEN_AT:
            sample = f": {beat.sample_error}" if beat.sample_error else ""
            conditions.open(Symptom.ERRORS, f"error rate {beat.error_rate:.2f}{sample}")
        elif beat.error_rate < ERRORS_CLOSE_BELOW:
            conditions.close(Symptom.ERRORS)


_CAUSES: Final = {
    Beat: "beat",
    LeaseExpired: "lease_expired",
    ProvisioningExpired: "provisioning_expired",
    BudgetSpent: "restart_budget_spent",
    GenerationVerified: "generation_verified",
    DeliveriesStuck: "deliveries_stuck",
    DeliverySucceeded: "delivery_succeeded",
    RestartOrdered: "restart_ordered",
    RemovalOrdered: "removal_ordered",
}


def cause_of(observation: Observation) -> str:
    """The word an event's `cause` carries for this observation."""
    return _CAUSES[type(observation)]
