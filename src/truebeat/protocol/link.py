"""Frames of the link: one WebSocket per workspace, JSON text frames, told apart by `type`.

Up (supervisor to server): hello first, then beats. Down: welcome, ack, restart, retire.
Over the link every field is always sent; None means unknown, never healthy.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

VERSION: Final = 1
#: bytes of one frame
FRAME_LIMIT: Final = 256 * 1024

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
    """

    version: int
    boot: Annotated[int, Meta(ge=0, le=2**53)]
    agent: Annotated[str, Meta(max_length=200)]
    pid: Counter


class Beat(Struct, kw_only=True, tag="beat"):
    """The supervisor's testimony. `seq` counts beats within one boot and is acknowledged.

    runtime_state: what the worker admits ("" health, "wedged", other), or "wedged" by the supervisor's own
    measurement when the worker is gone; None while a new worker has not yet proved that it can start.
    quarantine: the reason, once the restart budget is spent; "" otherwise.
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
    """An operator's order; the same `restart_id` is obeyed once. Repeated until a newer generation beats."""

    restart_id: str
    reason: str


class Retire(Struct, kw_only=True, tag="retire"):
    """The workspace was removed: stop the worker and exit 0."""

    reason: str


Up = Hello | Beat
Down = Welcome | Ack | Restart | Retire
