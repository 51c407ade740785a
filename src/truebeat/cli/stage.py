"""The demo's stage: a scratch directory with a real `truebeat up` in it. Nothing of it stays behind."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from truebeat import errors
from truebeat.cli import connection
from truebeat.cli.fleet import end_tree
from truebeat.cli.parent import PARENT
from truebeat.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

#: in the environment of every process of one demo
MARKER: Final = "TRUEBEAT_DEMO"
#: seconds `up` gets to end everything in its order
STOP_GRACE: Final = 15.0
#: seconds that what is left gets to notice, before it is killed
SWEEP_GRACE: Final = 2.0
#: seconds between two beats here, so that beats can be seen arriving; 10 outside the demo
BEAT_INTERVAL: Final = 0.2
_POLL: Final = 0.02

#: who leads, who is stopped at work, and who goes on: a Python function, and two programs
LEAD: Final = "ada"
VICTIM: Final = "grace"
OTHER: Final = "linus"
AGENTS: Final = (LEAD, VICTIM, OTHER)
_RUNTIME: Final = "truebeat.kit.counter"
_LEADS: Final = f"""
[[workspace]]
name = "{LEAD}"
role = "leads"
agent = "python"
target = "truebeat.kit.lead:answer"
"""
_COUNTS: Final = f"""
[[workspace]]
name = "%s"
role = "counts"
parent = "{LEAD}"
agent = "command"
target = [%s, "-m", "{_RUNTIME}"]
options = {{ mode = "ndjson", probe_interval = 0.3, probe_timeout = 0.5 }}
"""


class Interrupted(Exception):
    """The person pressed Ctrl-C."""


class Stage:
    """Signals never raise in here: they set `interrupted`, and every wait looks at it."""

    def __init__(self) -> None:
        self.interrupted = threading.Event()
        self.clock = SystemClock()
        self.marker = secrets.token_hex(8)
        self.directory = Path()
        self._up: subprocess.Popen[bytes] | None = None
        self._before: dict[signal.Signals, Any] = {}

    def open(self) -> None:
        """Watch for signals, then make the scratch directory."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, lambda *_: self.interrupted.set())
        self.directory = Path(tempfile.mkdtemp(prefix="truebeat-demo-")).resolve()

    def start(self) -> connection.Connection:
        """`truebeat up` with the small fleet; returns when it answers."""
        fleet = self.directory / "fleet.toml"
        counters = [_COUNTS % (name, json.dumps(sys.executable)) for name in (VICTIM, OTHER)]
        fleet.write_text("".join([_LEADS, *counters]), encoding="utf-8")
        kept = {key: value for key, value in os.environ.items() if not key.startswith("TRUEBEAT_")}
        own = {MARKER: self.marker, PARENT: str(os.getpid()), "TRUEBEAT_BEAT_INTERVAL": str(BEAT_INTERVAL)}
        command = ["up", "--data-dir", str(self.directory), "--port", "0", "--fleet", str(fleet), "--json"]
        with (self.directory / "up.log").open("ab") as log:
            self._up = subprocess.Popen(
                [sys.executable, "-m", "truebeat.cli.main", *command],
                env={**kept, **own},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.until(lambda: connection.read(self.directory) is not None, 40, "the server did not start")
        left = connection.read(self.directory)
        if left is None:
            raise errors.Unavailable("the server went away while the demo was starting")
        return left

    def until(self, condition: Callable[[], bool], limit: float, problem: str) -> float:
        """Wait for a fact; the seconds it took. Interrupted, or Unavailable with the problem and the server's log."""
        start = self.clock.monotonic()
        while not condition():
            if self.interrupted.is_set():
                raise Interrupted
            if self._up is not None and self._up.poll() is not None:
                raise errors.Unavailable(f"the server ended (exit code {self._up.returncode}): {self._log_tail()}")
            if self.clock.monotonic() - start > limit:
                raise errors.Unavailable(f"{problem} within {limit:.0f} s: {self._log_tail()}")
            time.sleep(_POLL)
        return self.clock.monotonic() - start

    def close(self, *, keep: bool = False) -> list[str]:
        """End everything in its order, sweep up what did not obey, remove the directory; what had to be swept up."""
        swept: list[str] = []
        if self._up is not None and self._up.poll() is None:
            self._up.send_signal(signal.SIGTERM)
            try:
                self._up.wait(STOP_GRACE)
            except subprocess.TimeoutExpired:
                end_tree(self._up)
        if self._up is not None:
            deadline = self.clock.monotonic() + SWEEP_GRACE
            while (left := self.processes()) and self.clock.monotonic() < deadline:
                time.sleep(_POLL)
            for process in left:
                with contextlib.suppress(psutil.Error):
                    swept.append(f"{process.pid} {process.name()}")
                    process.kill()
        if self.directory != Path() and not keep:
            shutil.rmtree(self.directory, ignore_errors=True)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        return swept

    def processes(self) -> list[psutil.Process]:
        """Every living process of this demo: by its marker, or by working in its directory."""
        return processes_of(self.marker, self.directory)

    def _log_tail(self) -> str:
        try:
            text = (self.directory / "up.log").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return "no log"
        return text[-800:] or "its log is empty"


def processes_of(marker: str, directory: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if _environment(process).get(MARKER) == marker or str(directory) in _place(process):
                found.append(process)
    return found


def _environment(process: psutil.Process) -> dict[str, str]:
    with contextlib.suppress(psutil.Error):
        return dict(process.environ())
    return {}


def _place(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return str(process.cwd())
    return ""


def runtime_under(worker: int) -> psutil.Process | None:
    """The agent's runtime: the program that the worker holds."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(worker).children(recursive=True):
            if _RUNTIME in child.cmdline():
                return child
    return None
