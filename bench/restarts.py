"""What many restarts leave behind in a supervisor: file descriptors, threads, memory, processes.

200 restarts of a tiny worker that starts a child of its own, then 10 of the real worker. Each worker is killed as soon
as it is ready; the restart limits are out of the way. The server is only the link, in this process.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from truebeat.workspace import config, processes

#: seconds for a worker to be ready
PATIENCE = 60.0
#: restarts before the first measurement: buffers and caches fill once
WARM = 10

TINY = """
import os, subprocess
out, into = int(os.environ["TRUEBEAT_PIPE_OUT"]), int(os.environ["TRUEBEAT_PIPE_IN"])
subprocess.Popen(["sleep", "1000"])
for frame in ('{"type":"phase","name":"starting"}', '{"type":"ready"}', '{"type":"phase","name":"idle"}'):
    os.write(out, frame.encode() + b"\\n")
while os.read(into, 65536):
    pass
"""


class Server:
    """Speaks the link to one supervisor; `ready` gets (generation, worker's pid) for each generation that is ready."""

    def __init__(self) -> None:
        self.ready: queue.Queue[tuple[int, int]] = queue.Queue()
        self._newest = 0
        self._server = serve(self._handle, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join(10)

    def _handle(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed, OSError):
            connection.recv()
            welcome = {"type": "welcome", "version": 2, "generation": self._newest, "beat_interval": 5.0, "lease": 45.0}
            connection.send(json.dumps(welcome))
            for text in connection:
                self._heard(connection, json.loads(text))

    def _heard(self, connection: ServerConnection, frame: dict[str, Any]) -> None:
        if frame["type"] != "beat":
            connection.send(json.dumps({"type": "settled", "n": frame["n"]}))
            return
        connection.send(json.dumps({"type": "ack", "seq": frame["seq"], "status": "online"}))
        if frame["runtime_state"] == "" and frame["generation"] > self._newest:
            self._newest = frame["generation"]
            self.ready.put((frame["generation"], frame["worker_pid"]))


def members(workspace_id: str) -> list[int]:
    """Living processes that carry the workspace's marker."""
    living = [process.pid for process in processes.snapshot() if process.state not in "ZX"]
    mine = f"{workspace_id}/"
    return [pid for pid in living if processes.environment(pid).get(processes.MARKER, "").startswith(mine)]


@contextmanager
def supervised(server: Server, workspace_id: str, **more: Any) -> Iterator[psutil.Process]:
    run = config.RunConfig(
        name="bench",
        workspace_id=workspace_id,
        url=server.url,
        log_level="error",
        restart=config.RestartLimits(limit=1000, window=0.001, first_delay=0.005),
        kill_grace=0.5,
        **more,
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "truebeat.workspace.supervisor", config.encode(run)],
        env={**os.environ, "TRUEBEAT_TOKEN": "bench"},
        stdin=subprocess.DEVNULL,
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def restarts(kind: str, count: int, **more: Any) -> bool:
    """Kill `count` workers one after the other; True if nothing grew and nothing was left."""
    server, workspace_id = Server(), str(uuid.uuid4())
    before = (0, 0, 0.0)
    try:
        with supervised(server, workspace_id, **more) as process:
            begun = time.monotonic()
            for number in range(WARM + count + 1):
                _, pid = server.ready.get(timeout=PATIENCE)
                if number == WARM:
                    before = measured(process)
                    begun = time.monotonic()
                if number < WARM + count:
                    os.kill(pid, signal.SIGKILL)
            elapsed = time.monotonic() - begun
            after = measured(process)
            alive = len(members(workspace_id))
    finally:
        server.stop()
    left = len(members(workspace_id))
    grown = after[2] - before[2]
    print(f"{kind}: {count} restarts in {elapsed:.0f} s")
    print(f"  file descriptors {before[0]} -> {after[0]}, threads {before[1]} -> {after[1]}   (goal: no growth)")
    print(f"  memory {before[2]:.1f} -> {after[2]:.1f} MB resident ({grown * 1024 / count:+.1f} KB a restart)")
    print(f"  processes of the workspace: {alive} while running, {left} after the supervisor ended   (goal: 0)")
    return after[0] <= before[0] and after[1] <= before[1] and left == 0


def measured(process: psutil.Process) -> tuple[int, int, float]:
    """File descriptors, threads, and MB of resident memory."""
    return process.num_fds(), process.num_threads(), process.memory_info().rss / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", type=int, default=200, help="restarts of the tiny worker")
    parser.add_argument("--real", type=int, default=10, help="restarts of the real worker")
    options = parser.parse_args()
    clean = restarts("a tiny worker with a child", options.tiny, worker_command=[sys.executable, "-S", "-c", TINY])
    clean &= restarts("the real worker", options.real, agent="python", target="builtins:str")
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
