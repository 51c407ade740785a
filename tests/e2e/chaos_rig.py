"""A real fleet to be attacked: `truebeat up` with its PostgreSQL, supervisors, workers and runtimes, all processes.

Whoever kills something here restarts it as an operator would: the server with the same command, a supervisor with
`truebeat run`. Everything else has to come back by itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from truebeat.client.credentials import FixedToken
from truebeat.client.http import Client
from truebeat.domain.health import Status
from truebeat.errors import TruebeatError
from truebeat.protocol.events import Event
from truebeat.protocol.resources import WorkspaceView

T = TypeVar("T")
TOKEN = "chaos-operator-token"
#: seconds any fact may take on a busy machine
PATIENCE = 90.0
LEASE = 3.0
SETTINGS = {
    "TRUEBEAT_BEAT_INTERVAL": "0.5",
    "TRUEBEAT_LEASE": str(LEASE),
    "TRUEBEAT_LINK_GRACE": "1.5",
    "TRUEBEAT_ADMIN_TOKEN": TOKEN,
}
AGENT = ["--", sys.executable, "-m", "truebeat.kit.agent"]
RUN = ["--agent", "command", "--option", "mode=ndjson", "--option", "probe_interval=0.3", *AGENT]


def until(fact: Callable[[], T], what: str | Callable[[], str], limit: float = PATIENCE) -> T:
    """The first true answer; a server that does not answer is no answer."""
    deadline = time.monotonic() + limit
    while True:
        with contextlib.suppress(TruebeatError):
            if found := fact():
                return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit:.0f} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.05)


class Subscriber:
    """Keeps every event it was ever sent, and after each loss connects again with `since` the last of them."""

    def __init__(self, url: str) -> None:
        self.events: list[Event] = []
        self._url = url.replace("http://", "ws://") + "/events"
        self._socket: ClientConnection | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="subscriber", daemon=True)
        self._thread.start()

    @property
    def seq(self) -> int:
        return self.events[-1].seq if self.events else 0

    def drop(self) -> None:
        """Lose the connection without a goodbye."""
        if (held := self._socket) is not None:
            with contextlib.suppress(OSError):
                held.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._stop.set()
        self.drop()
        self._thread.join(PATIENCE)

    def _listen(self) -> None:
        header = {"Authorization": f"Bearer {TOKEN}"}
        while not self._stop.is_set():
            with contextlib.suppress(OSError, WebSocketException, TimeoutError, msgspec.DecodeError):  # noqa: SIM117
                with connect(
                    f"{self._url}?since={self.seq}",
                    additional_headers=header,
                    open_timeout=5,
                    close_timeout=1,
                    proxy=None,
                ) as self._socket:
                    while not self._stop.is_set():
                        self.events.append(msgspec.json.decode(self._socket.recv(), type=Event))
            self._stop.wait(0.05)


class Rig:
    """One server with its own data directory, and whatever is run against it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.server: subprocess.Popen[bytes] | None = None
        self.supervisors: dict[str, subprocess.Popen[bytes]] = {}
        self._started: list[subprocess.Popen[bytes]] = []
        self.client = Client(self.url, FixedToken(TOKEN), timeout=5)
        self.start_server()
        self.subscriber = Subscriber(self.url)

    # --- what an operator does ---

    def truebeat(self, log: str, *arguments: str) -> subprocess.Popen[bytes]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("TRUEBEAT_")}
        with (self.directory / log).open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "truebeat.cli.main", *arguments],
                env={**kept, **SETTINGS, "TRUEBEAT_DATA_DIR": str(self.directory)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        self._started.append(process)
        return process

    def start_server(self) -> None:
        self.server = self.truebeat("server.log", "up", "--data-dir", str(self.directory), "--port", str(self.port))
        until(self.ready, lambda: f"the server was ready; its log ends: {self.tail('server.log')}")

    def ready(self) -> bool:
        return self.client.probe().ready

    def start_supervisor(self, name: str) -> subprocess.Popen[bytes]:
        self.supervisors[name] = self.truebeat(f"{name}.log", "run", name, *RUN)
        return self.supervisors[name]

    def start_fleet(self, *names: str) -> None:
        for name in names:
            self.start_supervisor(name)
        self.all_online()

    # --- what the killer does ---

    def kill_server(self) -> None:
        assert self.server is not None
        _kill(self.server)

    def kill_supervisor(self, name: str) -> None:
        _kill(self.supervisors[name])

    def postmaster(self) -> int:
        """Its pid, once there is one."""

        def told() -> int:
            with contextlib.suppress(OSError, ValueError, IndexError):
                return int((self.directory / "postgres-18" / "postmaster.pid").read_text().splitlines()[0])
            return 0

        return until(told, "PostgreSQL wrote its pid")

    def kill_postgres(self) -> int:
        """The pid that was killed."""
        killed = self.postmaster()
        os.kill(killed, signal.SIGKILL)
        return killed

    # --- what is to be seen ---

    def views(self) -> dict[str, WorkspaceView]:
        return {view.name: view for view in self.client.workspaces.snapshot().workspaces}

    def all_online(self, **above: int) -> dict[str, WorkspaceView]:
        """Wait until each supervised workspace is linked and online; `above`: name=generation it must exceed."""
        seen: dict[str, WorkspaceView] = {}

        def online() -> bool:
            seen.clear()
            seen.update(self.views())
            return all(
                name in seen
                and seen[name].status is Status.ONLINE
                and seen[name].linked
                and seen[name].runtime_state == ""
                and seen[name].generation > above.get(name, 0)
                for name in self.supervisors
            )

        until(online, lambda: f"everybody was online; seen {seen}; server: {self.tail('server.log')}")
        return seen

    def log(self, since: int = 0) -> list[Event]:
        """The event log as GET /events shows it."""
        return self.client.events.page(since, limit=1000).events

    def seq(self) -> int:
        return self.client.events.page(limit=1).seq

    def output_of(self, name: str) -> str:
        return (self.directory / name).read_text(errors="replace")

    def tail(self, name: str) -> str:
        return self.output_of(name)[-1500:]

    def processes(self, mark: str | None = None) -> dict[int, str]:
        """Living processes that carry this mark (the data directory by default) in environment, command or place."""
        wanted = (mark or str(self.directory)).encode()
        found = {}
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (place / "stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                    continue
                facts = (place / "environ").read_bytes() + (command := (place / "cmdline").read_bytes())
                if wanted in facts + os.fsencode((place / "cwd").readlink()):
                    found[int(place.name)] = command.replace(b"\0", b" ").decode(errors="replace")[:200]
        return found

    def stop_supervisors(self) -> None:
        for process in self._started:
            if process is not self.server:
                _stop(process)
        self.supervisors.clear()

    def close(self) -> dict[int, str]:
        """Stop everything in order; what was still there afterwards (and is killed now)."""
        self.subscriber.close()
        self.client.close()
        self.stop_supervisors()
        if self.server is not None:
            _stop(self.server)
        with contextlib.suppress(AssertionError):
            until(lambda: not self.processes(), "all processes ended", limit=5)
        left = self.processes()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._started:
            process.wait(PATIENCE)
        return left


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(PATIENCE)


def _free_port() -> int:
    """Outside the range of outgoing connections: a client that dials a dead server there could reach itself."""
    while True:
        port = secrets.choice(range(20000, 30000))
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def dice() -> random.Random:
    """Moments and victims. CHAOS_SEED repeats a run as far as its dice go."""
    seed = int(os.environ.get("CHAOS_SEED") or secrets.randbits(32))
    print(f"CHAOS_SEED={seed}")
    return random.Random(seed)


def run_cli(rig: Rig, *arguments: str) -> tuple[int, Any]:
    """A command of `truebeat` to its end: its exit code and the JSON it printed."""
    name = f"cli-{secrets.token_hex(4)}.log"
    code = rig.truebeat(name, *arguments).wait(PATIENCE)
    text = (rig.directory / name).read_text()
    return code, json.loads(text) if text.startswith("{") else text
