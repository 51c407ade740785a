"""What the supervisor's brain hears and what it answers: plain values, no behaviour."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from truebeat.protocol import link

# --- events: about the worker of a generation ---


class WorkerStarted(NamedTuple):
    generation: int
    pid: int


class WorkerReady(NamedTuple):
    generation: int


class WorkerTicked(NamedTuple):
    """The worker's event loop runs."""

    generation: int


class WorkerWedged(NamedTuple):
    generation: int
    reason: str


class WorkerCleared(NamedTuple):
    generation: int


class WorkerFatal(NamedTuple):
    generation: int
    reason: str


class WorkerExited(NamedTuple):
    """`reason`: "exit code 3 (last line on stderr)" or "killed by SIGKILL"; also when it could not be started."""

    generation: int
    reason: str


class PhaseChanged(NamedTuple):
    generation: int
    name: str
    current_task: str


class OutcomesChanged(NamedTuple):
    generation: int
    error_rate: float
    sample_error: str


WorkerEvent = (
    WorkerStarted
    | WorkerReady
    | WorkerTicked
    | WorkerWedged
    | WorkerCleared
    | WorkerFatal
    | WorkerExited
    | PhaseChanged
    | OutcomesChanged
)


class TreeGone(NamedTuple):
    """Nothing of that generation's process tree is left."""

    generation: int


# --- events: about the link ---


class Refusal(Enum):
    """Why a link ended, as far as it decides what to do next."""

    NONE = "none"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    REPLACED = "replaced"
    GONE = "gone"
    INVALID = "invalid"


_REFUSALS = {
    401: Refusal.UNAUTHENTICATED,
    403: Refusal.FORBIDDEN,
    404: Refusal.NOT_FOUND,
    409: Refusal.REPLACED,
    410: Refusal.GONE,
    422: Refusal.INVALID,
}


def refusal_of(code: int | None) -> Refusal:
    """From an HTTP status or a WebSocket close code of our own (4000 + the status)."""
    if code is None:
        return Refusal.NONE
    return _REFUSALS.get(code - 4000 if 4000 <= code < 5000 else code, Refusal.NONE)


class LinkUp(NamedTuple):
    welcome: link.Welcome


class LinkLost(NamedTuple):
    """A link or a try for one ended."""

    reason: str
    refusal: Refusal = Refusal.NONE


class AckReceived(NamedTuple):
    seq: int


class RestartOrdered(NamedTuple):
    restart_id: str
    reason: str


class Retired(NamedTuple):
    reason: str


# --- events: about the supervisor itself ---


class StopRequested(NamedTuple):
    """SIGTERM or SIGINT; the second one kills at once."""


class TimerDue(NamedTuple):
    """`next_due()` has come."""


Event = WorkerEvent | TreeGone | LinkUp | LinkLost | AckReceived | RestartOrdered | Retired | StopRequested | TimerDue

# --- commands ---


class StartWorker(NamedTuple):
    generation: int


class AskToStop(NamedTuple):
    """Send the worker a Stop frame."""

    grace: float


class EndTree(NamedTuple):
    """TERM, `grace` seconds, KILL, for the whole tree; then TreeGone. Again with a smaller grace: hurry."""

    grace: float


class SendBeat(NamedTuple):
    beat: link.Beat


class Dial(NamedTuple):
    """Try for a link; answered by LinkUp or LinkLost."""


class DropLink(NamedTuple):
    """Give the link up; answered by LinkLost."""

    reason: str


class RefreshToken(NamedTuple):
    """Read the token again."""


class Exit(NamedTuple):
    code: int
    message: str


class Log(NamedTuple):
    level: str
    text: str
    facts: dict[str, Any]


Command = StartWorker | AskToStop | EndTree | SendBeat | Dial | DropLink | RefreshToken | Exit | Log
