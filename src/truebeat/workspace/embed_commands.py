"""What the core of an embedded workspace is told (Facts, Measured), and what it answers: plain values, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from truebeat.protocol import link

if TYPE_CHECKING:
    from truebeat.protocol.delivery import Cancel, Deliver
    from truebeat.workspace.events import Refusal


class Dial(NamedTuple):
    """Try for a link."""


class Send(NamedTuple):
    """Put a frame on the link; without one it is lost, and said again after the next welcome."""

    frame: link.Up


class Drop(NamedTuple):
    """Give the link up."""

    reason: str


class RefreshToken(NamedTuple):
    """Read the token again."""


class Begin(NamedTuple):
    """A task for the process."""

    deliver: Deliver


class Interrupt(NamedTuple):
    """Stop working on a task."""

    cancel: Cancel


class Renew(NamedTuple):
    """Start over as another generation: whatever runs is to be interrupted and is handed back already. start: which
    one this is, counted from 1; canaries that set out after it was done say so.
    """

    reason: str
    start: int


class Refused(NamedTuple):
    """The server refuses the link, and it is not just a stale token. Tried again all the same."""

    refusal: Refusal
    reason: str


class End(NamedTuple):
    """The workspace is over. refusal: NONE when it was asked to stop."""

    refusal: Refusal
    reason: str


class Log(NamedTuple):
    level: str
    text: str


Command = Dial | Send | Drop | RefreshToken | Begin | Interrupt | Renew | Refused | End | Log


@dataclass(frozen=True, slots=True)
class Facts:
    """What the process tells of itself; None of it is believed by anybody but beside the measurements."""

    counters: link.Counters = field(default_factory=link.Counters)
    phase: str = "starting"
    current_task: str = ""
    error_rate: float = 0.0
    sample_error: str = ""
    note: str = ""
    #: tasks it does at a time; 0 while nobody takes any
    capacity: int = 0


class Measured(NamedTuple):
    """What the watching thread sees of the loop: seconds since its last tick, how late that was, its thread's state."""

    tick_age: float
    loop_lag: float
    state: str
