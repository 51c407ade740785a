"""Frames of the pipe between a supervisor and its worker: one JSON object a line, told apart by `type`.

The worker writes to the file descriptor named by TRUEBEAT_PIPE_OUT and reads from TRUEBEAT_PIPE_IN, so that an agent
that prints to stdout disturbs nothing.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from truebeat.protocol.delivery import Begun, Cancel, Chunk, Deliver, Finished, HandedBack
from truebeat.protocol.link import FRAME_LIMIT, Counters

#: bytes of one line: a whole result with its envelope; less than a frame of the link, which adds a number
LINE_LIMIT: Final = FRAME_LIMIT - 1024


class Tick(Struct, kw_only=True, tag="tick"):
    """From the worker's event loop every 250 ms. `lag` is how late it came, in seconds; `counters` as of now."""

    lag: float
    counters: Counters


class Phase(Struct, kw_only=True, tag="phase"):
    """The worker entered a phase of domain/phases.py, or one of its executor's own.

    bound: seconds it may stand still, where that is known for this one (a tool's own, an announced retry).
    """

    name: str
    current_task: str = ""
    bound: float | None = None


class Ready(Struct, kw_only=True, tag="ready"):
    """The executor started and its canary passed: this generation can take work, `capacity` tasks at a time."""

    capacity: int = 1


class Room(Struct, kw_only=True, tag="room"):
    """From here on it takes `capacity` tasks at a time: canceled turns that go on keep their places until they end."""

    capacity: int


class Canary(Struct, kw_only=True, tag="canary"):
    """A probe of the runtime ended. failures: failed ones in a row, 0 when it passed."""

    failures: int
    detail: str = ""


class Recovered(Struct, kw_only=True, tag="recovered"):
    """One step of a repair in place. ok: whether the runtime works again; step: what was done ("fresh client")."""

    step: str
    ok: bool
    detail: str = ""


class Note(Struct, kw_only=True, tag="note"):
    """What people should know and what is no fault of the workspace ("upstream_stalled: ..."); "" ends it."""

    text: str


class Wedged(Struct, kw_only=True, tag="wedged"):
    """The runtime admits a wedge; the first reason stays until cleared."""

    reason: str


class Cleared(Struct, kw_only=True, tag="cleared"):
    """The wedge is over: a turn produced content."""


class Outcomes(Struct, kw_only=True, tag="outcomes"):
    """Share of failed turns within the worker's window, and the last error's text."""

    error_rate: float
    sample_error: str


class Fatal(Struct, kw_only=True, tag="fatal"):
    """A configuration error: restarting can't help. The supervisor quarantines at once with this reason."""

    reason: str


class Stop(Struct, kw_only=True, tag="stop"):
    """Finish within `grace` seconds and exit 0."""

    grace: float


class Probe(Struct, kw_only=True, tag="probe"):
    """Probe the runtime now."""


FromWorker = (
    Tick
    | Phase
    | Ready
    | Room
    | Canary
    | Recovered
    | Note
    | Wedged
    | Cleared
    | Outcomes
    | Fatal
    | Begun
    | Chunk
    | Finished
    | HandedBack
)
ToWorker = Stop | Probe | Deliver | Cancel
