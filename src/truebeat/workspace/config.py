"""What a supervisor and its worker are told: JSON in argv[1] of both. The token is never here: argv is public."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct, field

#: the environment variables with which a supervisor tells its worker who it is
ENV_PIPE_IN = "TRUEBEAT_PIPE_IN"
ENV_PIPE_OUT = "TRUEBEAT_PIPE_OUT"
ENV_GENERATION = "TRUEBEAT_GENERATION"


class RestartLimits(Struct, kw_only=True, frozen=True):
    """The restart budget: `limit` restarts within `window` seconds; the first waits `first_delay` seconds."""

    limit: int = 5
    window: float = 600.0
    first_delay: float = 0.2


class RunConfig(Struct, kw_only=True, frozen=True):
    """One workspace, as it is to be run.

    url: the server's base URL, http or https. target: `module:function` (python) or a command line (command).
    token_file: re-read when the token is refused; without it TRUEBEAT_TOKEN or TRUEBEAT_TOKEN_FILE is used.
    stop_grace: seconds the worker has to finish when asked to stop; kill_grace: between SIGTERM and SIGKILL.
    ack_timeout: seconds without an acknowledgement until the link is dropped; never less than two beat intervals.
    parent_pid: stop when this process, which started the supervisor, is gone; without it the supervisor outlives it.
    bounds: seconds that a phase may stand still, and suspects: seconds of silence in a phase after which the runtime is
    probed, where they differ from domain/phases.py. loop_bound: seconds without a tick after which the worker counts as
    stalled; loop_kill: after which it is also restarted.
    worker_command: the program started as the worker, instead of `python -m truebeat.workspace.worker`.
    """

    name: str
    workspace_id: str
    url: str
    agent: str = "python"
    target: str | list[str] = ""
    options: dict[str, str] = field(default_factory=dict)
    token_file: str | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    restart: RestartLimits = RestartLimits()
    stop_grace: float = 5.0
    kill_grace: float = 2.0
    ack_timeout: float = 15.0
    parent_pid: int | None = None
    bounds: dict[str, float] = field(default_factory=dict)
    suspects: dict[str, float] = field(default_factory=dict)
    loop_bound: float = 2.0
    loop_kill: float = 20.0
    worker_command: list[str] | None = None


def encode(config: RunConfig) -> str:
    """The JSON for argv[1]."""
    return msgspec.json.encode(config).decode()


def decode(text: str) -> RunConfig:
    """From argv[1]; raises msgspec.ValidationError or msgspec.DecodeError."""
    return msgspec.json.decode(text, type=RunConfig)
