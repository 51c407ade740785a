"""A server that speaks only the link: what a supervisor meets, under the test's control."""

from __future__ import annotations

import http
import json
import queue
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from truebeat.protocol import link

DEADLINE = 20.0


@dataclass
class FakeServer:
    """`frames` holds every beat that came up, in order, as dicts; `told` every report and what became of tasks;
    `connections` every link that said hello.
    """

    generation: int = 0
    beat_interval: float = 0.2
    token: str = "secret"
    refuse: int | None = None
    close_with: int | None = None
    acknowledge: bool = True
    settle: bool = True
    frames: queue.Queue[dict[str, Any]] = field(default_factory=queue.Queue)
    seen: list[dict[str, Any]] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    connections: list[ServerConnection] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    hellos: list[dict[str, Any]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = serve(self._handle, "127.0.0.1", 0, process_request=self._check, max_size=link.FRAME_LIMIT)
        self.port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        for connection in self.connections:
            connection.socket.close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _check(self, connection: ServerConnection, request: Any) -> Any:
        self.paths.append(request.path)
        offered = request.headers.get("Authorization", "")
        self.authorizations.append(offered)
        if self.refuse is not None:
            return connection.respond(http.HTTPStatus(self.refuse), "no\n")
        if offered != f"Bearer {self.token}":
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "no\n")
        return None

    def _handle(self, connection: ServerConnection) -> None:
        try:
            hello = json.loads(connection.recv())
            if self.close_with is not None:
                connection.close(self.close_with, "refused")
                return
            self.hellos.append(hello)
            welcome = {"type": "welcome", "version": link.VERSION, "generation": self.generation}
            connection.send(json.dumps({**welcome, "beat_interval": self.beat_interval, "lease": 5.0}))
            self.connections.append(connection)
            for text in connection:
                frame = json.loads(text)
                self.generation = max(self.generation, frame["generation"])
                if frame["type"] != "beat":
                    self.told.append(frame)
                    if self.settle:
                        connection.send(json.dumps({"type": "settled", "n": frame["n"]}))
                    continue
                self.seen.append(frame)
                self.frames.put(frame)
                if self.acknowledge:
                    connection.send(json.dumps({"type": "ack", "seq": frame["seq"], "status": "online"}))
        except (ConnectionClosed, OSError):
            return

    def send(self, **frame: Any) -> None:
        self.connections[-1].send(json.dumps(frame))

    def beat(self, deadline: float = DEADLINE, **wanted: Any) -> dict[str, Any]:
        """Wait for a beat with these values (a callable is asked); earlier beats are consumed."""
        until = time.monotonic() + deadline
        while True:
            try:
                frame = self.frames.get(timeout=max(until - time.monotonic(), 0.01))
            except queue.Empty:
                raise AssertionError(f"no beat with {wanted}; the last were {self.seen[-3:]}") from None
            if all(want(frame[key]) if callable(want) else frame[key] == want for key, want in wanted.items()):
                return frame

    def heard(self, deadline: float = DEADLINE, **wanted: Any) -> dict[str, Any]:
        """Wait for a report or a task's frame with these values, also an earlier one."""

        def found() -> dict[str, Any] | None:
            return next((f for f in self.told if all(f.get(key) == want for key, want in wanted.items())), None)

        frame: dict[str, Any] = until(found, deadline, f"a frame with {wanted}")
        return frame


def until(condition: Any, deadline: float = DEADLINE, what: str = "the condition") -> Any:
    """Poll until it holds, and return what it returned."""
    end = time.monotonic() + deadline
    while not (value := condition()):
        assert time.monotonic() < end, f"{what} did not come true"
        time.sleep(0.01)
    return value
