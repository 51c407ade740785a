"""fleet.toml: the workspaces that `truebeat up` runs, and running them.

[[workspace]]
name = "writer"
agent = "claude"            # or "command", "python"
target = ["python", "a.py"] # a command line, or "module:function"; not for claude
role = "writes drafts"
parent = "editor"           # the name of another workspace
bounds = { waiting_model = 120 }  # seconds a phase may stand still; suspects: seconds until the runtime is probed
options = { model = "…" }
env = { KEY = "value" }
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import msgspec

from truebeat import errors
from truebeat.cli.parent import PARENT
from truebeat.clock import SystemClock
from truebeat.workspace.executors import names as executor_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

#: seconds a supervisor gets to end its worker
STOP_GRACE: Final = 8.0


class Member(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One [[workspace]]."""

    name: str
    agent: str
    target: str | list[str] = msgspec.field(default_factory=list)
    role: str = ""
    parent: str = ""
    bounds: dict[str, float] = msgspec.field(default_factory=dict)
    suspects: dict[str, float] = msgspec.field(default_factory=dict)
    options: dict[str, str | int | float | bool] = msgspec.field(default_factory=dict)
    env: dict[str, str] = msgspec.field(default_factory=dict)

    def command(self) -> list[str]:
        """The `truebeat run` that runs it."""
        target = [self.target] if isinstance(self.target, str) else self.target
        options = [part for key, value in self.options.items() for part in ("--option", f"{key}={_text(value)}")]
        role = ["--role", self.role] if self.role else []
        parent = ["--parent", self.parent] if self.parent else []
        bounds = [part for phase, value in self.bounds.items() for part in ("--bound", f"{phase}={value:g}")]
        suspects = [part for phase, value in self.suspects.items() for part in ("--suspect", f"{phase}={value:g}")]
        line = ["run", self.name, "--agent", self.agent, *role, *parent, *bounds, *suspects, *options]
        return [sys.executable, "-m", "truebeat.cli.main", *line, *(["--", *target] if target else [])]


class Fleet(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    workspace: list[Member] = msgspec.field(default_factory=list)


def load(path: Path) -> Fleet:
    """The file, checked; Invalid names what is wrong with it."""
    try:
        fleet = msgspec.toml.decode(path.read_bytes(), type=Fleet)
    except OSError as error:
        raise errors.Invalid(f"cannot read {path}: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise errors.Invalid(f"{path}: {error}") from None
    known = executor_names()
    names = [member.name for member in fleet.workspace]
    for member in fleet.workspace:
        if member.agent not in known:
            raise errors.Invalid(f"{path}: workspace {member.name!r}: agent must be one of {', '.join(known)}")
        if member.parent == member.name:
            raise errors.Invalid(f"{path}: workspace {member.name!r} can't be its own parent")
        if names.count(member.name) > 1:
            raise errors.Invalid(f"{path}: two workspaces are named {member.name!r}")
    return fleet


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class Running:
    """The fleet's supervisors: started once, never restarted from here, stopped together."""

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, members: Sequence[Member], environment: Mapping[str, str]) -> None:
        """Each in a session of its own: a Ctrl-C reaches it only through us. Each ends if we are killed.

        A member's own `env` may add to `environment` and may not touch its TRUEBEAT_ variables.
        """
        self._log_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        ours = {key: value for key, value in environment.items() if key.startswith("TRUEBEAT_")}
        ours[PARENT] = str(os.getpid())
        for place, member in enumerate(members):
            with (self._log_dir / f"{place:02}-{_file_name(member.name)}.log").open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        member.command(),
                        env={**environment, **member.env, **ours},
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )

    def stop(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        clock = SystemClock()
        deadline = clock.monotonic() + STOP_GRACE
        for process in self._processes:
            try:
                process.wait(max(0.0, deadline - clock.monotonic()))
            except subprocess.TimeoutExpired:
                end_tree(process)
        self._processes.clear()


def end_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with all its descendants, and reap it."""
    import psutil

    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    process.kill()
    process.wait()


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)[:60]
