"""What can be wrong with a workspace: the conditions, the table of their rules, and the status derived from them."""

from __future__ import annotations

from dataclasses import dataclass
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
    EVIDENCE = "evidence"
    SILENCE = "silence"
    SENDER = "sender"
    CANARY = "canary"
    SUPERVISOR = "supervisor"
    PLATFORM = "platform"
    OPERATOR = "operator"


class Symptom(StrEnum):
    """The type of a condition; at most one condition of each is open at a time."""

    AWAITING = "awaiting"
    WEDGED = "wedged"
    STALLED = "stalled"
    UNRESPONSIVE = "unresponsive"
    DISAGREEMENT = "disagreement"
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
        "no first beat, or no start of a new generation, within the provisioning deadline (or the longer bound that a "
        "supervisor declares for starting; counted while its beats come)",
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
        'a beat with runtime_state "" (while a restart is pending: one of a newer generation)',
    ),
    Symptom.STALLED: Rule(
        Status.DEGRADED,
        Witness.EVIDENCE,
        "the evidence in the beats stands still past the phase's bound, or the supervisor measures that the worker's "
        "event loop is blocked, its process stopped or its pipe closed",
        "a beat of the same generation whose evidence moves (not while a restart is pending), or a newer generation is "
        "verified",
    ),
    Symptom.UNRESPONSIVE: Rule(
        Status.DEGRADED,
        Witness.CANARY,
        "two canaries in a row failed (witness canary), or tasks of two senders, or two tasks, or the only one that it "
        "takes at a time, were delivered and did not begin (witness sender)",
        "a canary passes (if a canary opened it; not while a restart is pending), a delivery succeeds, or (witness "
        "sender) begins at last, or a newer generation is verified",
    ),
    Symptom.DISAGREEMENT: Rule(
        Status.DEGRADED,
        Witness.PLATFORM,
        "a beat claims health while two other witnesses (evidence, canary or sender) say otherwise",
        "fewer than two of them say so, or the runtime admits it",
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
    the highest worker generation known at that moment. `said_by` is None when it is the rule's own witness.
    """

    symptom: Symptom
    detail: str
    since: datetime
    generation: int = 0
    said_by: Witness | None = None

    @property
    def witness(self) -> Witness:
        return self.said_by or RULES[self.symptom].witness


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


#: open conditions under which an online or degraded workspace still gets its work
HARMLESS: Final = frozenset({Symptom.ERRORS})


def takes_work(record: Record) -> bool:
    """Whether deliveries may go out now; if not, the mailbox is held until it is verified healthy again."""
    return not record.restart_pending and all(condition.symptom in HARMLESS for condition in record.conditions)


def rejects_work(record: Record) -> bool:
    """Whether new work is refused, because nothing that is under way will make it able to take any."""
    return record.status in {Status.FAILED, Status.REMOVED}


def created(now: datetime) -> Record:
    """The record of a workspace that was just created."""
    return Record(conditions=(Condition(Symptom.AWAITING, "waiting for its first beat", now),))
