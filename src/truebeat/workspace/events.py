"""What the supervisor's brain hears and what it answers: plain values, no behaviour."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from truebeat.protocol import link
    from truebeat.protocol.delivery import Begun, Cancel, Chunk, Deliver, Finished, HandedBack
    from truebeat.protocol.pipe import ToWorker
    from truebeat.workspace.measure import Reading

# --- events: about the worker of a generation ---


class WorkerStarted(NamedTuple):
    generation: int
    pid: int


class WorkerReady(NamedTuple):
    """Its executor started and its canary passed; it takes `capacity` tasks at a time."""

    generation: int
    capacity: int = 1


class WorkerTicked(NamedTuple):
    """The worker's event loop runs."""

    generation: int
    lag: float = 0.0
    counters: link.Counters | None = None


class WorkerMeasured(NamedTuple):
    """What the kernel says of the worker's process: the answer to Measure. Without a process `state` is ""."""

    generation: int
    reading: Reading


class WorkerWedged(NamedTuple):
    generation: int
    reason: str


class WorkerCleared(NamedTuple):
    generation: int


class WorkerFatal(NamedTuple):
    generation: int
    reason: str


class WorkerExited(NamedTuple):
    """`reason`: "exit code 3 (last line on stderr)" or "killed by SIGKILL"; also when it could not be started.
    `tail`: its last lines on stderr.
    """

    generation: int
    reason: str
    tail: str = ""


class PipeClosed(NamedTuple):
    """The worker's end of a pipe is closed; its process may live."""

    generation: int


class StackCaptured(NamedTuple):
    """The answer to CaptureStack: the stack of every thread, or "" and why there is none."""

    generation: int
    stack: str
    missing: str
    tail: str = ""


class PhaseChanged(NamedTuple):
    """`bound`: seconds it may stand still, where the worker declares that."""

    generation: int
    name: str
    current_task: str
    bound: float | None = None


class CanaryTold(NamedTuple):
    """A probe of the runtime ended: `failures` in a row, 0 when it passed."""

    generation: int
    failures: int
    detail: str


class RepairTold(NamedTuple):
    """One step of a repair in place ended."""

    generation: int
    step: str
    ok: bool
    detail: str


class NoteTold(NamedTuple):
    generation: int
    text: str


class TaskTold(NamedTuple):
    """What became of a task."""

    generation: int
    frame: Begun | Chunk | Finished | HandedBack


class OutcomesChanged(NamedTuple):
    generation: int
    error_rate: float
    sample_error: str


class RoomTold(NamedTuple):
    """It takes `capacity` tasks at a time from here on."""

    generation: int
    capacity: int


WorkerEvent = (
    WorkerStarted
    | WorkerReady
    | WorkerTicked
    | WorkerMeasured
    | WorkerWedged
    | WorkerCleared
    | WorkerFatal
    | WorkerExited
    | PipeClosed
    | StackCaptured
    | PhaseChanged
    | OutcomesChanged
    | CanaryTold
    | RepairTold
    | NoteTold
    | RoomTold
    | TaskTold
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
    """`above`: the generation that is to be replaced, None if not told.

    An operator's order renews the budget; the platform's does not.
    """

    restart_id: str
    reason: str
    above: int | None = None
    by_operator: bool = True


class Retired(NamedTuple):
    reason: str


class Delivered(NamedTuple):
    """A task came for the worker."""

    frame: Deliver


class CancelOrdered(NamedTuple):
    frame: Cancel


class ProbeOrdered(NamedTuple):
    reason: str


class FrameSettled(NamedTuple):
    """The server has frame `n`."""

    n: int


class LinkMoved(NamedTuple):
    """The server took a part of what is waiting to be sent: it is slow, not dead."""


# --- events: about the supervisor itself ---


class StopRequested(NamedTuple):
    """SIGTERM or SIGINT; the second one kills at once."""


class TimerDue(NamedTuple):
    """`next_due()` has come."""


LinkEvent = (
    LinkUp
    | LinkLost
    | LinkMoved
    | AckReceived
    | FrameSettled
    | RestartOrdered
    | Retired
    | Delivered
    | CancelOrdered
    | ProbeOrdered
)
Event = WorkerEvent | TreeGone | LinkEvent | StopRequested | TimerDue

# --- commands ---


class StartWorker(NamedTuple):
    generation: int


class AskToStop(NamedTuple):
    """Send the worker a Stop frame."""

    grace: float


class Measure(NamedTuple):
    """Look at the worker's process; answered by WorkerMeasured at once."""


class CaptureStack(NamedTuple):
    """Ask the worker for the stack of every thread; answered by StackCaptured. An EndTree waits for that."""


class TellWorker(NamedTuple):
    """Write a frame to the worker, without waiting for it to read."""

    frame: ToWorker


class EndTree(NamedTuple):
    """TERM, `grace` seconds, KILL, for the whole tree; then TreeGone. Again with a smaller grace: hurry."""

    grace: float


class SendBeat(NamedTuple):
    beat: link.Beat


class SendFrame(NamedTuple):
    """A numbered frame: kept by the outbox until it is settled, so losing it here loses nothing."""

    frame: link.Report | Begun | Chunk | Finished | HandedBack


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


Command = (
    StartWorker
    | AskToStop
    | Measure
    | CaptureStack
    | TellWorker
    | EndTree
    | SendBeat
    | SendFrame
    | Dial
    | DropLink
    | RefreshToken
    | Exit
    | Log
)
