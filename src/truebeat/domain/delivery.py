"""The life cycle of a task, as a table: which event is taken in which state, and what is refused and why.

A task is a row in a workspace's mailbox. A worker holds it by a lease: (generation, attempt). Whatever a worker says
carries the lease it speaks for; one that is not the present lease is refused, so a task is never completed twice and no
late result is accepted. No clock, no I/O: `server/services/ledger.py` performs it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """A2A's task states."""

    SUBMITTED = "submitted"
    WORKING = "working"
    INPUT_REQUIRED = "input-required"
    AUTH_REQUIRED = "auth-required"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    REJECTED = "rejected"

    @property
    def final(self) -> bool:
        """It never changes any more."""
        return self in _FINAL

    @property
    def paused(self) -> bool:
        """It waits for its sender's reply."""
        return self in _PAUSED


_FINAL: Final = frozenset({State.COMPLETED, State.FAILED, State.CANCELED, State.REJECTED})
_PAUSED: Final = frozenset({State.INPUT_REQUIRED, State.AUTH_REQUIRED})
#: states that keep the later tasks of the same context waiting
UNFINISHED: Final = frozenset({State.SUBMITTED, State.WORKING})

#: attempts that had begun, after which an interruption is final
BEGUN_LIMIT: Final = 3
#: attempts handed back before they began: not the task's fault, but no reason to go on for ever
RETURNED_LIMIT: Final = 20
#: attempts of one task, replies included
ATTEMPT_LIMIT: Final = 1000


class OnInterrupt(StrEnum):
    """What the sender wants if the worker dies after it began."""

    RETRY = "retry"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Task:
    """What the table needs to know of one task.

    Invariants: `held` only in submitted (delivered, not begun) and working; `attempt` only grows; once the state is
    final nothing changes any more.
    """

    state: State = State.SUBMITTED
    on_interrupt: OnInterrupt = OnInterrupt.RETRY
    #: attempts handed to a worker so far; with `generation` the fence of the present lease
    attempt: int = 0
    #: the worker's generation while it is held, else None
    generation: int | None = None
    #: attempts that had begun, and attempts handed back before they did, since it was sent or last replied to
    begun: int = 0
    returned: int = 0
    #: the next attempt answers a question of the task
    reply: bool = False
    #: an earlier attempt had begun and was interrupted
    interrupted: bool = False
    cancel_requested: bool = False
    #: the platform's words about the present state
    reason: str = ""

    @property
    def held(self) -> bool:
        return self.generation is not None


# --- what happens to a task -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Claimed:
    """It goes to the worker of that generation."""

    generation: int


@dataclass(frozen=True, slots=True)
class Begun:
    """The executor was given the turn."""

    generation: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Progressed:
    """Output of the turn came."""

    generation: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The worker ended the attempt with this state; `reason` only if the platform has words of its own."""

    generation: int
    attempt: int
    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HandedBack:
    """The supervisor gives the attempt back without a result, and knows whether it had begun."""

    generation: int
    attempt: int
    begun: bool
    reason: str


@dataclass(frozen=True, slots=True)
class LeaseExpired:
    """Whoever held it is gone, and nobody handed it back: whether it had begun is known only if it was told."""

    generation: int
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The sender wants it no more. reachable: its worker can be told, and will answer."""

    reachable: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Replied:
    """The sender answered the task's question."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The workspace will never do it (it was removed)."""

    reason: str


Event = Claimed | Begun | Progressed | Finished | HandedBack | LeaseExpired | CancelRequested | Replied | Rejected


@dataclass(frozen=True, slots=True)
class Outcome:
    """The task afterwards (the same object if nothing changed). refused: why the event counts for nothing, else "".
    requeued: it goes back to the mailbox. cancel: its worker must be told to stop.
    """

    task: Task
    refused: str = ""
    requeued: bool = False
    cancel: bool = False


#: Which events a state takes at all. What is not here is refused; docs/tasks.md shows this table.
TAKES: Final[dict[State, frozenset[type[Event]]]] = {
    State.SUBMITTED: frozenset(
        {Claimed, Begun, Progressed, Finished, HandedBack, LeaseExpired, CancelRequested, Rejected}
    ),
    State.WORKING: frozenset({Begun, Progressed, Finished, HandedBack, LeaseExpired, CancelRequested, Rejected}),
    State.INPUT_REQUIRED: frozenset({CancelRequested, Replied, Rejected}),
    State.AUTH_REQUIRED: frozenset({CancelRequested, Replied, Rejected}),
    State.COMPLETED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELED: frozenset(),
    State.REJECTED: frozenset(),
}


def apply(task: Task, event: Event) -> Outcome:
    """One event applied to one task."""
    if type(event) not in TAKES[task.state]:
        return Outcome(task, f"a task that is {task.state} takes no {_WORDS[type(event)]}")
    if isinstance(event, Begun | Progressed | Finished | HandedBack | LeaseExpired):
        if not task.held:
            return Outcome(task, "nobody holds it: the lease it speaks for has ended")
        if (event.generation, event.attempt) != (task.generation, task.attempt):
            return Outcome(
                task,
                f"fenced: it speaks for attempt {event.attempt} of generation {event.generation}, "
                f"the lease is attempt {task.attempt} of generation {task.generation}",
            )
    match event:
        case Claimed():
            return _claimed(task, event)
        case Begun() | Progressed():
            return Outcome(_begun(task))
        case Finished():
            return _finished(task, event)
        case HandedBack():
            return _interrupted(_begun(task) if event.begun else task, event.reason)
        case LeaseExpired():
            unknown = task.state is State.SUBMITTED and task.on_interrupt is OnInterrupt.FAIL
            reason = f"{event.reason}; whether it had begun is not known" if unknown else event.reason
            return _interrupted(_begun(task) if unknown else task, reason)
        case CancelRequested():
            if not task.held or not event.reachable:
                return Outcome(_ended(task, State.CANCELED, event.reason))
            return Outcome(replace(task, cancel_requested=True), cancel=True)
        case Replied():
            if task.attempt >= ATTEMPT_LIMIT:
                return Outcome(task, f"a task has at most {ATTEMPT_LIMIT} turns; send a new one")
            return Outcome(replace(task, state=State.SUBMITTED, reply=True, reason=""), requeued=True)
        case Rejected():
            state = State.FAILED if task.state is State.WORKING else State.REJECTED
            return Outcome(_ended(task, state, event.reason))


def _claimed(task: Task, event: Claimed) -> Outcome:
    if task.held:
        return Outcome(task, "it is held already")
    return Outcome(replace(task, generation=event.generation, attempt=task.attempt + 1, reason=""))


def _begun(task: Task) -> Task:
    if task.state is State.WORKING:
        return task
    return replace(task, state=State.WORKING, begun=task.begun + 1)


def _finished(task: Task, event: Finished) -> Outcome:
    if not event.state.final and not event.state.paused:
        return Outcome(task, f"an attempt can't end as {event.state}")
    if event.state.final:
        return Outcome(_ended(task, event.state, event.reason))
    if task.cancel_requested:
        return Outcome(_ended(task, State.CANCELED, "canceled by its sender"))
    asks = replace(task, state=event.state, generation=None, reply=False, interrupted=False, begun=0, returned=0)
    return Outcome(replace(asks, reason=event.reason))


def _ended(task: Task, state: State, reason: str) -> Task:
    return replace(task, state=state, generation=None, reason=reason)


def _interrupted(task: Task, reason: str) -> Outcome:
    """The lease ends without a result: back into the mailbox, or to an honest end."""
    if task.cancel_requested:
        return Outcome(_ended(task, State.CANCELED, f"canceled by its sender; {reason}"))
    if task.state is State.WORKING:
        if task.on_interrupt is OnInterrupt.FAIL:
            return Outcome(_ended(task, State.FAILED, f"interrupted: {reason}; its sender allows no second attempt"))
        if task.begun >= BEGUN_LIMIT:
            return Outcome(_ended(task, State.FAILED, f"interrupted {task.begun} times, the last time: {reason}"))
        back = replace(task, state=State.SUBMITTED, generation=None, interrupted=True, reason=f"interrupted: {reason}")
        return Outcome(back, requeued=True)
    if task.returned + 1 >= RETURNED_LIMIT:
        times = task.returned + 1
        return Outcome(
            _ended(task, State.FAILED, f"handed back {times} times before it began, the last time: {reason}")
        )
    back = replace(task, generation=None, returned=task.returned + 1, reason=f"handed back: {reason}")
    return Outcome(back, requeued=True)


_WORDS: Final[dict[type[Event], str]] = {
    Claimed: "worker",
    Begun: "begin",
    Progressed: "progress",
    Finished: "result",
    HandedBack: "hand-back",
    LeaseExpired: "end of a lease",
    CancelRequested: "cancellation",
    Replied: "reply",
    Rejected: "rejection",
}
