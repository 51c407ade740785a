"""What the benchmarks share: a scratch PostgreSQL, a server in its own process on its own core, a load of beats."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from truebeat.server.store import migrate
from truebeat.server.store.embedded import EmbeddedPostgres

#: tasks that a scripted agent takes together
PLACES = 64
ADMIN = "tb_" + "bench" * 8


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def scratch_postgres() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="tb-bench-", ignore_cleanup_errors=True) as directory:
        os.chmod(directory, 0o755)
        postgres = EmbeddedPostgres(Path(directory) / "pg")
        url = postgres.start()
        try:
            asyncio.run(migrate.up(url))
            yield url
        finally:
            postgres.stop()


@contextlib.contextmanager
def server(target: str, port: int, core: int, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m bench.servers TARGET PORT`, pinned to one core, ready when it accepts connections."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.servers", target, str(port)], env={**os.environ, **environment}
    )
    try:
        os.sched_setaffinity(process.pid, {core})
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{target} did not start")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(10)


def beat_request(port: int, token: str, workspace_id: str) -> bytes:
    body = json.dumps(
        {
            "workspace_id": workspace_id,
            "error_rate": 0.0,
            "sample_error": "",
            "active_tasks": 1,
            "current_task": "reading",
            "uptime_seconds": 3600,
            "runtime_state": "",
        }
    ).encode()
    head = (
        f"POST /registry/heartbeat HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def load(
    port: int, requests: list[bytes], seconds: float, depth: int = 8, answer: bytes = b"HTTP/1.1 200"
) -> tuple[float, int]:
    """(requests a second, requests), over one keep-alive connection for each request text, `depth` in flight on each.
    An answer is one that holds `answer`, once.
    """
    chooser = selectors.DefaultSelector()
    outstanding: dict[socket.socket, tuple[bytes, int]] = {}
    for request in requests:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(request * depth)
        outstanding[connection] = (request, 0)
        chooser.register(connection, selectors.EVENT_READ)
    answered = 0
    begun = time.monotonic()
    end = begun + seconds
    while (now := time.monotonic()) < end:
        for key, _ in chooser.select(0.5):
            connection = key.fileobj
            data = connection.recv(65536)
            if not data or b"HTTP/1.1 4" in data or b"HTTP/1.1 5" in data or b'"error":' in data:
                raise SystemExit(f"the server refused a request: {data[:300]!r}")
            count = data.count(answer)
            answered += count
            connection.sendall(outstanding[connection][0] * count)
    elapsed = now - begun
    for connection in outstanding:
        connection.close()
    return answered / elapsed, answered


def processor_seconds(pid: int) -> float:
    """What a process has used so far: on a machine that others use too it says more than the clock."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def postgres_seconds(url: str) -> float:
    """What all processes of the scratch PostgreSQL have used so far, if none of them has ended meanwhile."""
    postmaster = int((Path(unquote(url.partition("?host=")[2])) / "postmaster.pid").read_text().split()[0])
    used = processor_seconds(postmaster)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == postmaster:
                used += processor_seconds(int(stat.parent.name))
    return used


def median_of(rounds: list[float]) -> float:
    return statistics.median(rounds)


def healthy_beat(seq: int, **fields) -> dict:
    """A beat of a link whose worker is well and has room."""
    return {
        "type": "beat", "seq": seq, "generation": 1, "runtime_state": "", "error_rate": 0.0,
        "sample_error": "", "active_tasks": 0, "current_task": "", "uptime_seconds": 1.0, "phase": "idle",
        "phase_age": 0.5, "worker_pid": 42, "restarts": 0, "quarantine": "", "counters": {}, "loop_lag": 0.0,
        "tick_age": 0.1, "process_state": "S", "canary": None, "phase_bound": None, "stall": "", "note": "",
        "capacity": PLACES, "holding": [], **fields,
    }  # fmt: skip


def new_id() -> str:
    return str(uuid.uuid4())
