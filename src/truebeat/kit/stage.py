"""The kit's stage: a scratch directory with a real server in it, and everything that must be gone afterwards."""

from __future__ import annotations

import contextlib
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
from typing import TYPE_CHECKING, Final, Self

import msgspec
import psutil

from truebeat import errors
from truebeat.client.credentials import FixedToken
from truebeat.client.http import Client
from truebeat.clock import SystemClock
from truebeat.kit.subscriber import Subscriber

if TYPE_CHECKING:
    from collections.abc import Callable

#: in the environment of every process of one run
MARKER: Final = "TRUEBEAT_CHECK"
#: tells a command of ours to end when the process it names is gone (cli/parent.py)
_PARENT: Final = "TRUEBEAT_PARENT"
#: seconds
START_LIMIT: Final = 60.0
STOP_GRACE: Final = 20.0
SWEEP_GRACE: Final = 3.0
POLL: Final = 0.02


class _Left(msgspec.Struct):
    """What `up` writes when it is ready."""

    url: str
    token: str


class Stage:
    """Start it with `with`. Every wait of the kit ends when `interrupted` is set."""

    client: Client
    subscriber: Subscriber

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.interrupted = threading.Event()
        self.marker = secrets.token_hex(8)
        self.directory = Path()
        self.token = ""
        self._held = contextlib.ExitStack()
        self._server: subprocess.Popen[bytes] | None = None
        #: processes that had to be killed at the end: there must be none
        self.left_over: list[str] = []

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def server_pid(self) -> int:
        return self._server.pid if self._server is not None else 0

    def environment(self) -> dict[str, str]:
        """What every process of the run starts with: nothing that would lead it to another server."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("TRUEBEAT_")}
        return {**kept, MARKER: self.marker}

    def until(self, fact: Callable[[], bool], limit: float) -> bool:
        """Wait for a fact; False if it did not come."""
        deadline = self.clock.monotonic() + limit
        while not self.interrupted.is_set():
            if fact():
                return True
            if self.clock.monotonic() > deadline:
                return False
            time.sleep(POLL)
        return False

    def rest(self, seconds: float) -> None:
        """Let time pass, unless interrupted."""
        self.interrupted.wait(seconds)

    def processes(self, mark: str | None = None) -> list[psutil.Process]:
        """Every living process of this run, or with that text in its environment."""
        return marked(mark or f"{MARKER}={self.marker}", self.directory if mark is None else None)

    def close(self) -> None:
        """End everything in its order; what did not obey is named in `left_over` and killed."""
        self._held.close()
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(signal.SIGCONT)
            self._server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._server.wait(STOP_GRACE)
        deadline = self.clock.monotonic() + SWEEP_GRACE
        while self.processes() and self.clock.monotonic() < deadline:
            time.sleep(POLL)
        self.left_over += sweep(self.processes())
        if self._server is not None:
            self._server.wait(5)
            self._server = None
        if self.directory != Path():
            shutil.rmtree(self.directory, ignore_errors=True)

    def _open(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="truebeat-check-")).resolve()
        log = self.directory / "server.log"
        with log.open("ab") as out:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "truebeat.cli.main", "up", "--data-dir", str(self.directory), "--port", "0"],
                env={**self.environment(), _PARENT: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        server = self._server
        self.until(lambda: self._left() is not None or server.poll() is not None, START_LIMIT)
        left = self._left()
        if left is None:
            raise errors.Unavailable(f"the server did not start: {tail(log) or 'it said nothing'}")
        self.token = left.token
        self.client = self._held.enter_context(Client(left.url, FixedToken(left.token), timeout=30.0))
        self.subscriber = self._held.enter_context(Subscriber(self.client))

    def _left(self) -> _Left | None:
        with contextlib.suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode((self.directory / "connection.json").read_bytes(), type=_Left)
        return None


def marked(mark: str, place: Path | None = None) -> list[psutil.Process]:
    """Living processes other than this one with `mark` in their environment, or working in `place`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            environment = Path(f"/proc/{process.pid}/environ").read_bytes()
            inside = place is not None and Path(process.cwd()).is_relative_to(place)
            if inside or mark.encode() in environment.split(b"\0"):
                found.append(process)
    return found


def sweep(processes: list[psutil.Process]) -> list[str]:
    """Kill them; what they were."""
    said = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            said.append(f"{process.pid} {' '.join(process.cmdline())[:120]}")
            process.kill()
    return said


def tail(log: Path, limit: int = 1500) -> str:
    """The end of a log; "" if there is none."""
    try:
        return log.read_text(encoding="utf-8", errors="replace").strip()[-limit:]
    except OSError:
        return ""
