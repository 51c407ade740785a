"""How a workspace's health is judged. Everything that can change a status lives in this one file.

The record of a workspace's health is its set of open *conditions*. Status is derived from them and never set by hand.
`judge(record, observation, now)` takes one observation and says which conditions are open afterwards and whether
that must be told (an `Announcement`). No clock, no I/O: the shell in `server/services/health.py` performs it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime


class Status(StrEnum):
    """The PostgreSQL ENUM `workspace_status` has exactly these labels."""

    PROVISIONING = "provisioning"
    ONLINE = "online"
    OFFLINE = "offline"
    DEGRADED = "degraded"
    FAILED = "failed"
    REMOVED = "removed"


class Witness(StrEnum):
    """Who says so."""

    SELF = "self"
    SILENCE = "silence"
    SUPERVISOR = "supervisor"
    PLATFORM = "platform"
    OPERATOR = "operator"


class Symptom(StrEnum):
    """The type of a condition; at most one condition of each is open at a time."""

    AWAITING = "awaiting"
    WEDGED = "wedged"
    ERRORS = "errors"
    SILENT = "silent"
    OVERDUE = "overdue"
    QUARANTINED = "quarantined"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table that docs/states.md shows."""

    status: Status
    witness: Witness
    opens: str
    closes: str


#: The table. Its order is the order in which open conditions are listed: the first is the reason people read.
RULES: Final[dict[Symptom, Rule]] = {
    Symptom.REMOVED: Rule(Status.REMOVED, Witness.OPERATOR, "an operator removes the workspace", "never"),
    Symptom.QUARANTINED: Rule(
        Status.FAILED,
        Witness.SUPERVISOR,
        "the restart budget is spent",
        "an operator restarts it, or a newer generation is verified by its canary",
    ),
    Symptom.OVERDUE: Rule(
        Status.FAILED,
        Witness.PLATFORM,
        "no first beat, or no start of a new generation, within the provisioning deadline",
        "the first beat that says how the runtime is, or an operator restarts it",
    ),
    Symptom.SILENT: Rule(
        Status.OFFLINE,
        Witness.SILENCE,
        "no beat within the lease, or the link is lost longer than its grace",
        "the next beat",
    ),
    Symptom.WEDGED: Rule(
        Status.DEGRADED,
        Witness.SELF,
        'a beat with runtime_state "wedged"; looked at before the error rate; the first reason stays',
        'a beat with runtime_state ""',
    ),
    Symptom.ERRORS: Rule(
        Status.DEGRADED, Witness.SELF, "a beat with error_rate >= 0.5", "a beat with error_rate < 0.1"
    ),
    Symptom.AWAITING: Rule(
        Status.PROVISIONING,
        Witness.PLATFORM,
        "the workspace is created or restarted by an operator, or a new generation is starting",
        "a beat that says how the runtime is (after a restart: one of a newer generation)",
    ),
}

#: Worst first. `online` is what remains when nothing worse is open.
PRECEDENCE: Final[tuple[Status, ...]] = (
    Status.REMOVED,
    Status.FAILED,
    Status.OFFLINE,
    Status.DEGRADED,
    Status.PROVISIONING,
    Status.ONLINE,
)

ERRORS_OPEN_AT: Final = 0.5
ERRORS_CLOSE_BELOW: Final = 0.1
WEDGED_STATE: Final = "wedged"
#: characters of a condition's detail that are kept
DETAIL_LIMIT: Final = 2000


@dataclass(frozen=True, slots=True)
class Condition:
    """One open symptom. `detail` is for people: bounded, plain text; `since` is when it opened, and `generation`
    the highest worker generation known at that moment.
    """

    symptom: Symptom
    detail: str
    since: datetime
    generation: int = 0

    @property
    def witness(self) -> Witness:
        return RULES[self.symptom].witness


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one workspace's health.

    Invariants: `conditions` is ordered as `RULES` and has each symptom once; `generation` never falls;
    once `removed` is open nothing changes any more.
    """

    conditions: tuple[Condition, ...] = ()
    #: highest worker generation seen; 0 before any. It fences: a beat of a lower one is ignored.
    generation: int = 0
    #: a restart is pending: only a generation above this one fulfils it. -1: none is pending.
    awaiting_above: int = -1

    @property
    def status(self) -> Status:
        return derive_status(self.conditions)

    @property
    def restart_pending(self) -> bool:
        return self.awaiting_above >= 0

    def open(self, symptom: Symptom) -> Condition | None:
        """The open condition of that symptom, or None."""
        for condition in self.conditions:
            if condition.symptom is symptom:
                return condition
        return None


def derive_status(conditions: tuple[Condition, ...]) -> Status:
    """The worst status any open condition means; online if none is open."""
    worst = Status.ONLINE
    for condition in conditions:
        status = RULES[condition.symptom].status
        if PRECEDENCE.index(status) < PRECEDENCE.index(worst):
            worst = status
    return worst


def created(now: datetime) -> Record:
    """The record of a workspace that was just created."""
    return Record(conditions=(Condition(Symptom.AWAITING, "waiting for its first beat", now),))


# --- observations ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Beat:
    """One heartbeat.

    runtime_state: "" is a claim of health, "wedged" an admission, None means unknown (a link frame that does not know);
    any other text is kept by the shell and changes nothing here.
    error_rate: 0..1, or None when unknown. generation: None for a plain HTTP runtime, which has no generations.
    """

    runtime_state: str | None
    error_rate: float | None
    sample_error: str = ""
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class LeaseExpired:
    """No beat for `silence` seconds, by an observer that has already doubted itself."""

    silence: float


@dataclass(frozen=True, slots=True)
class ProvisioningExpired:
    """No first beat within `deadline` seconds of creation."""

    deadline: float


@dataclass(frozen=True, slots=True)
class BudgetSpent:
    """The supervisor gave up restarting the worker of `generation`."""

    reason: str
    generation: int


@dataclass(frozen=True, slots=True)
class GenerationVerified:
    """A canary passed through the worker of `generation`."""

    generation: int


@dataclass(frozen=True, slots=True)
class RestartOrdered:
    """An operator asked for a new generation."""


@dataclass(frozen=True, slots=True)
class RemovalOrdered:
    """An operator removed the workspace."""


Observation = (
    Beat | LeaseExpired | ProvisioningExpired | BudgetSpent | GenerationVerified | RestartOrdered | RemovalOrdered
)


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
        self._generation = record.generation
        self._now = now
        self.changed = False

    def open(self, symptom: Symptom, detail: str) -> None:
        """The first detail stays: opening what is open changes nothing."""
        if symptom not in self._open:
            self._open[symptom] = Condition(symptom, detail[:DETAIL_LIMIT], self._now, self._generation)
            self.changed = True

    def close(self, *symptoms: Symptom) -> None:
        for symptom in symptoms:
            if self._open.pop(symptom, None) is not None:
                self.changed = True

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
                generation = observation.generation
            fulfils_restart = observation.generation is None or observation.generation > awaiting_above
            if fulfils_restart:
                awaiting_above = -1
            _judge_beat(conditions, observation, fulfils_restart=fulfils_restart)
            starting = observation.runtime_state is None and generation > record.generation
            if starting and derive_status(conditions.sorted()) is Status.ONLINE:
                conditions.open(Symptom.AWAITING, f"generation {generation} is starting")
        case LeaseExpired():
            # One that never beat is awaited, not silent; the provisioning deadline judges it.
            if record.open(Symptom.AWAITING) is None or record.generation > 0:
                conditions.open(Symptom.SILENT, f"no beat for {observation.silence:.1f} s")
        case ProvisioningExpired():
            if record.open(Symptom.AWAITING) is not None:
                what = "no first beat" if record.generation == 0 else "the new generation did not start"
                conditions.open(Symptom.OVERDUE, f"{what} within {observation.deadline:.0f} s")
        case BudgetSpent():
            # A pending restart has already overruled what the old generation's supervisor reports.
            if observation.generation >= record.generation and observation.generation > awaiting_above:
                conditions.open(Symptom.QUARANTINED, observation.reason or "the restart budget is spent")
        case GenerationVerified():
            quarantined = record.open(Symptom.QUARANTINED)
            if quarantined is not None and observation.generation > max(quarantined.generation, record.generation - 1):
                conditions.close(Symptom.QUARANTINED)
                generation = observation.generation
        case RestartOrdered():
            conditions.close(Symptom.QUARANTINED, Symptom.OVERDUE)
            if derive_status(conditions.sorted()) in {Status.ONLINE, Status.PROVISIONING}:
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


def changes_nothing(record: Record, beat: Beat) -> bool:
    """A quick sufficient test for the hot path: True only if `judge` would return the same record."""
    return (
        not record.conditions
        and record.awaiting_above < 0
        and beat.runtime_state != WEDGED_STATE
        and (beat.error_rate is None or beat.error_rate < ERRORS_OPEN_AT)
        and (beat.generation is None or beat.generation == record.generation)
    )


def _judge_beat(conditions: _Conditions, beat: Beat, *, fulfils_restart: bool) -> None:
    # A plain HTTP beat is a first beat whatever it says; a supervisor beats before its worker can: an answer counts.
    if fulfils_restart and (beat.generation is None or beat.runtime_state in {"", WEDGED_STATE}):
        conditions.close(Symptom.AWAITING, Symptom.OVERDUE)
    conditions.close(Symptom.SILENT)
    if beat.runtime_state == WEDGED_STATE:
        conditions.open(Symptom.WEDGED, beat.sample_error or "the runtime says it is wedged and gives no reason")
    elif beat.runtime_state == "":
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
    RestartOrdered: "restart_ordered",
    RemovalOrdered: "removal_ordered",
}


def cause_of(observation: Observation) -> str:
    """The word an event's `cause` carries for this observation."""
    return _CAUSES[type(observation)]
