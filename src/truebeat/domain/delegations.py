"""Who may give whom work, how deep and how much, and the platform's own words about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from truebeat.domain.delivery import State

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

#: delegations from the first task of a chain to the last, and open ones of one source
DEPTH_LIMIT: Final = 8
OPEN_LIMIT: Final = 32
#: seconds for a caller that got its answer to confirm it; after that it waits for the source's next turn
CONFIRM_WITHIN: Final = 30
#: results given with one turn; the others come with the next
GIVE_LIMIT: Final = 16
#: turns that got a result and did not end well, after which nobody is woken for it any more: it comes with the next one
GIVES_LIMIT: Final = 6
#: begins the name of the conversation in which a workspace gets results that it asked for in no other
OWN_CONTEXT: Final = "results-"


class Messaging(StrEnum):
    """Who may message whom: those related in the hierarchy, or everybody."""

    HIERARCHY = "hierarchy"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Kin:
    """Where a workspace stands. above: its parent, then the parent's, ...; leads: it has children."""

    id: str
    above: tuple[str, ...] = ()
    leads: bool = False

    @property
    def lone(self) -> bool:
        """It is part of no hierarchy."""
        return not self.above and not self.leads


def relation(source: Kin, target: Kin) -> str:
    """What `target` is to `source`: parent, child, sibling, ancestor, descendant, peer (neither is in a hierarchy); ""
    for nothing.
    """
    if source.id == target.id:
        return ""
    if target.id in source.above:
        return "parent" if source.above[0] == target.id else "ancestor"
    if source.id in target.above:
        return "child" if target.above[0] == source.id else "descendant"
    if source.above and target.above and source.above[0] == target.above[0]:
        return "sibling"
    return "peer" if source.lone and target.lone else ""


def may_message(source: Kin, target: Kin, messaging: Messaging) -> bool:
    """Never itself: it would wait for its own turn."""
    if source.id == target.id:
        return False
    return messaging is Messaging.ALL or bool(relation(source, target))


@dataclass(frozen=True, slots=True)
class Step:
    """One delegation of the chain above: who asked whom, and until when."""

    source: str
    target: str
    deadline: datetime | None = None


def refusal(chain: Sequence[Step], source: str, target: str, now: datetime) -> str:
    """Why the chain allows no delegation from `source` to `target`, and what to do instead; "" if it does.

    `chain` is from the delegation that the source works on now up to the first.
    """
    if source == target:
        return "a workspace can't delegate to itself: it would wait for its own turn; do it yourself"
    if any(target in {step.source, step.target} for step in chain):
        return (
            "that workspace waits for this very work already (it is part of the chain that asked for it), so it can't "
            "be given a part of it; do it yourself, or ask another one"
        )
    if len(chain) + 1 > DEPTH_LIMIT:
        return f"work is handed on at most {DEPTH_LIMIT} times; do this part yourself"
    if (end := deadline(chain, None)) is not None and end <= now:
        return "the deadline of the work that this would be part of has passed; finish with what you have"
    return ""


def deadline(chain: Sequence[Step], own: datetime | None) -> datetime | None:
    """The earliest of its own and of all above it."""
    return min((end for end in (own, *(step.deadline for step in chain)) if end is not None), default=None)


def status(state: State) -> str:
    """The state in four words, for clients that know no more."""
    match state:
        case State.SUBMITTED:
            return "pending"
        case State.COMPLETED:
            return "completed"
        case State.FAILED | State.CANCELED | State.REJECTED:
            return "failed"
        case _:
            return "in_progress"


def wake_text(delegation_id: str, state: State, parent_id: str | None) -> str:
    """What a woken workspace is told: the platform's own words, ids and states; nothing that others wrote."""
    told = "asks you something (input-required)" if state.paused else f"has ended ({state.value})"
    report = (
        f"report to your parent, workspace {parent_id}"
        if parent_id is not None
        else "tell the user, if it matters to them"
    )
    return (
        f"[truebeat] Delegation {delegation_id}, which you had given, {told}. All results that wait for you come with "
        f"this turn, as data. Go on with what you needed them for; when that is done, {report}."
    )
