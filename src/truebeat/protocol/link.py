"""Frames of the link: one WebSocket per workspace, JSON text frames, told apart by `type`.

Up (supervisor to server): hello first, then beats, reports and what became of tasks (delivery.py). Down: welcome, ack,
restart, retire, and tasks.
Over the link every field is always sent; None means unknown, never healthy.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct, field

from truebeat.protocol.delivery import Begun, Cancel, Chunk, Deliver, Finished, HandedBack, Settled

VERSION: Final = 2
#: bytes of one frame: a whole result with its envelope
FRAME_LIMIT: Final = 12 * 1024 * 1024
#: characters of the stack and of the stderr tail in a report
STACK_LIMIT: Final = 64 * 1024
STDERR_LIMIT: Final = 16 * 1024

#: WebSocket close codes with a meaning of our own
CLOSE_UNAUTHENTICATED: Final = 4401
CLOSE_FORBIDDEN: Final = 4403
CLOSE_NOT_FOUND: Final = 4404
CLOSE_REPLACED: Final = 4409
CLOSE_GONE: Final = 4410
CLOSE_INVALID: Final = 4422


Counter = Annotated[int, Meta(ge=0, le=2**53)]
Seconds = Annotated[float, Meta(ge=0, le=1e12)]


class Hello(Struct, kw_only=True, tag="hello"):
    """First frame up. `boot` names one start of the supervisor: milliseconds since the epoch at that start.
    A link with a newer boot replaces the present one; one with an older boot is refused (4409).
    bounds: seconds that a phase may stand still, where this workspace declares others than domain/phases.py.
    """

    version: int
    boot: Annotated[int, Meta(ge=0, le=2**53)]
    agent: Annotated[str, Meta(max_length=200)]
    pid: Counter
    bounds: dict[str, Seconds] = field(default_factory=dict)


class Counters(Struct, kw_only=True, frozen=True):
    """What the worker of this generation has done; each only grows."""

    turns_started: Counter = 0
    turns_finished: Counter = 0
    frames: Counter = 0
    tools_started: Counter = 0
    tools_finished: Counter = 0
    canaries_passed: Counter = 0


class Canary(Struct, kw_only=True):
    """The last probe of the runtime. age: seconds since; failures: failed ones in a row, 0 when it passed."""

    age: Seconds
    failures: Counter
    detail: str


class Beat(Struct, kw_only=True, tag="beat"):
    """The supervisor's testimony. `seq` counts beats within one boot and is acknowledged.

    runtime_state: what the worker admits ("" health, "wedged", other), or "wedged" by the supervisor's own
    measurement when the worker is gone; None while a new worker has not yet proved that it can start.
    quarantine: the reason, once the restart budget is spent; "" otherwise.

    The evidence: counters, phase and its age, loop_lag (the last tick's lateness), tick_age (since the last tick),
    process_state (one letter as ps shows it, "" when there is no process), the canary (None before the first).
    phase_bound: what the worker declares for the present phase, None for the usual. stall: what the supervisor itself
    measures against the worker ("the event loop has been blocked for 2.1 s"), "" for nothing. note: what it knows and
    what is no fault of the workspace ("upstream_stalled: ..."), for people.
    capacity: how many more tasks it takes now. holding: "task_id/attempt" of each that it has.
    """

    seq: Counter
    generation: Annotated[int, Meta(ge=0, le=2**62)]
    runtime_state: str | None
    error_rate: Annotated[float, Meta(ge=0, le=1)] | None
    sample_error: str
    active_tasks: Counter
    current_task: str
    uptime_seconds: Seconds
    phase: Annotated[str, Meta(max_length=100)]
    #: seconds the worker has been in that phase
    phase_age: Seconds
    worker_pid: Counter | None
    restarts: Counter
    quarantine: str
    counters: Counters
    loop_lag: Seconds
    tick_age: Seconds | None
    process_state: Annotated[str, Meta(max_length=1)]
    canary: Canary | None
    phase_bound: Seconds | None
    stall: str
    note: str
    capacity: Counter
    holding: list[str]


class Report(Struct, kw_only=True, tag="report"):
    """What a supervisor saw and did, for the incident that is open. Acknowledged by Settled(n) and repeated until then.

    kind: wedged, exited, blocked, stopped, pipe_closed, recovered, recovery_failed, restarted, verified, quarantined...
    age: seconds ago that it happened. stack: of every thread of the worker. action: what the supervisor did about it.
    """

    n: Counter
    generation: Annotated[int, Meta(ge=0, le=2**62)]
    kind: Annotated[str, Meta(max_length=60)]
    age: Seconds
    detail: str
    action: str = ""
    stack: str = ""
    stderr_tail: str = ""
    facts: dict[str, str] = field(default_factory=dict)


class Welcome(Struct, kw_only=True, tag="welcome"):
    """First frame down. The supervisor numbers its workers above `generation`: the server issues the fence."""

    version: int
    generation: int
    beat_interval: float
    lease: float


class Ack(Struct, kw_only=True, tag="ack"):
    """Beat `seq` was judged and what it changed is on disk."""

    seq: int
    status: str


class Restart(Struct, kw_only=True, tag="restart"):
    """An order to replace the worker; the same `restart_id` is obeyed once. Repeated until a newer generation beats.
    by_operator: a person's order, which also renews the supervisor's restart budget; the platform's own does not.
    above: the generation that is to be replaced; a newer one fulfils the order already.
    """

    restart_id: str
    reason: str
    by_operator: bool = True
    above: int | None = None


class Retire(Struct, kw_only=True, tag="retire"):
    """The workspace was removed: stop the worker and exit 0."""

    reason: str


class Probe(Struct, kw_only=True, tag="probe"):
    """Ask the runtime now whether it answers; the next beats carry the canary."""

    reason: str


Up = Hello | Beat | Report | Begun | Chunk | Finished | HandedBack
Down = Welcome | Ack | Settled | Restart | Retire | Probe | Deliver | Cancel
