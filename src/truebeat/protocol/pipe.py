"""Frames of the pipe between a supervisor and its worker: one JSON object a line, told apart by `type`.

The worker writes to the file descriptor named by TRUEBEAT_PIPE_OUT and reads from TRUEBEAT_PIPE_IN, so that an agent
that prints to stdout disturbs nothing.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

#: bytes of one line
LINE_LIMIT: Final = 64 * 1024


class Tick(Struct, kw_only=True, tag="tick"):
    """From the worker's event loop every 250 ms. `lag` is how late it came, in seconds."""

    lag: float


class Phase(Struct, kw_only=True, tag="phase"):
    """The worker entered a phase: starting, idle, working, draining."""

    name: str
    current_task: str = ""


class Ready(Struct, kw_only=True, tag="ready"):
    """The executor started: this generation can take work."""


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


FromWorker = Tick | Phase | Ready | Wedged | Cleared | Outcomes | Fatal
ToWorker = Stop
