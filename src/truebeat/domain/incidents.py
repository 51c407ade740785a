"""When an incident opens, goes on and closes, and what it says of how it ended. Pure.

An incident is the story of one trouble of one workspace: from the announcement that takes it out of {online,
provisioning} to the one that makes it online again (or removes it). Of one workspace at most one is open.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from truebeat.domain.conditions import PRECEDENCE, Condition, Status, Symptom, Witness

if TYPE_CHECKING:
    from datetime import datetime

    from truebeat.domain.health import Announcement

_WELL: Final = frozenset({Status.ONLINE, Status.PROVISIONING})
#: kinds of reports that tell of nothing wrong by themselves: a planned restart makes them too
CALM_KINDS: Final = frozenset({"ended", "restarted", "resumed", "verified"})
#: the kind of report that says the runtime was repaired without a new process
REPAIRED: Final = "recovered"
#: seconds within which a report belongs to an incident that opened later, or closed before it
NEAR: Final = 60.0

RESUMED: Final = "resumed by itself"
IN_PLACE: Final = "recovered in place"
BEATS_RETURNED: Final = "beats returned"
REMOVED: Final = "removed by an operator"
OVER: Final = "over before the server noticed"


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the timeline. kind: "status" (with the open conditions) or "restart_ordered"."""

    at: datetime
    kind: str
    status: Status
    cause: str
    text: str = ""
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Incident:
    """An open incident as far as its end depends on it.

    generation: the highest known when it opened. only_silence: nothing but silence was ever open in it.
    repaired: a supervisor reported a repair in place. ordered_by: who ordered the last restart within it, or "".
    """

    symptom: Symptom
    witness: Witness
    detail: str
    opened_at: datetime
    generation: int
    worst: Status
    only_silence: bool
    repaired: bool = False
    ordered_by: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one announcement means. incident: the open one afterwards. recovery is set exactly if one closed."""

    incident: Incident | None
    opened: bool = False
    recovery: str = ""
    steps: tuple[Step, ...] = field(default_factory=tuple)


def turn(present: Incident | None, announcement: Announcement, generation: int, now: datetime) -> Turn:
    """`generation`: the highest known after the observation that was announced."""
    step = Step(now, "status", announcement.status, announcement.cause, conditions=announcement.conditions)
    if present is None:
        if announcement.status in _WELL or announcement.status is Status.REMOVED:
            return Turn(None)
        return Turn(_opened(announcement, generation, now), opened=True, steps=(step,))
    if announcement.status is Status.REMOVED:
        return Turn(None, recovery=REMOVED, steps=(step,))
    if announcement.status is Status.ONLINE:
        return Turn(None, recovery=recovery(present, generation), steps=(step,))
    return Turn(
        replace(
            present,
            worst=min(present.worst, announcement.status, key=PRECEDENCE.index),
            only_silence=present.only_silence and _only_silence(announcement.conditions),
        ),
        steps=(step,),
    )


def _opened(announcement: Announcement, generation: int, now: datetime) -> Incident:
    first = announcement.conditions[0]
    return Incident(
        first.symptom,
        first.witness,
        first.detail,
        now,
        generation,
        announcement.status,
        _only_silence(announcement.conditions),
    )


def _only_silence(conditions: tuple[Condition, ...]) -> bool:
    return all(condition.symptom in {Symptom.SILENT, Symptom.AWAITING} for condition in conditions)


def recovery(incident: Incident, generation: int) -> str:
    """How it came back, for people. A new generation is online only once its canary passed: that is the proof."""
    if generation > incident.generation:
        by = f", ordered by {incident.ordered_by}" if incident.ordered_by else ""
        return f"restart verified by generation {generation}{by}"
    if incident.only_silence:
        return BEATS_RETURNED
    return IN_PLACE if incident.repaired else RESUMED


def grace_after(kind: str) -> float:
    """Seconds after an incident closed within which a report still belongs to it. What tells of new trouble does not:
    it belongs to the incident that is about to open.
    """
    return NEAR if kind == REPAIRED or kind in CALM_KINDS else 0.0
