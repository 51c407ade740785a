"""A server that speaks the link to an embedded workspace, in another thread; and what tests with it share."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, Self

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

import truebeat
from truebeat.workspace import wedge

DEADLINE = 20.0


class Stand:
    """`seen` holds each frame that came up, in order, as dicts. It runs in a thread of its own loop's choosing: none.

    Because the tests block the loop of the workspace under test, this server runs in another thread (`stand` fixture).
    """

    def __init__(self) -> None:
        self.generation = 0
        self.beat_interval = 0.2
        self.token = "secret"
        self.settle = True
        self.acknowledges = True
        self.refuse: int | None = None
        self.port = 0
        self.seen: list[dict[str, Any]] = []
        self.hellos: list[dict[str, Any]] = []
        self.closes: list[int | None] = []
        self.connections: list[ServerConnection] = []

    async def start(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._server = await serve(self._handle, "127.0.0.1", self.port, process_request=self._check, max_size=None)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _check(self, connection: ServerConnection, request: Any) -> Any:
        if self.refuse is not None:
            return connection.respond(self.refuse, "no\n")
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return connection.respond(401, "no\n")
        return None

    async def _handle(self, connection: ServerConnection) -> None:
        try:
            self.hellos.append(json.loads(await connection.recv()))
            welcome = {"type": "welcome", "version": 2, "generation": self.generation}
            await connection.send(json.dumps({**welcome, "beat_interval": self.beat_interval, "lease": 5.0}))
            self.connections.append(connection)
            async for text in connection:
                frame = json.loads(text)
                self.generation = max(self.generation, frame["generation"])
                self.seen.append(frame)
                if frame["type"] == "beat" and self.acknowledges:
                    await connection.send(json.dumps({"type": "ack", "seq": frame["seq"], "status": "online"}))
                elif frame["type"] != "beat" and self.settle:
                    await connection.send(json.dumps({"type": "settled", "n": frame["n"]}))
        except ConnectionClosed:
            pass
        finally:
            self.closes.append(connection.close_code)

    def send(self, **frame: Any) -> None:
        sending = self.connections[-1].send(json.dumps(frame))
        asyncio.run_coroutine_threadsafe(sending, self._loop).result(DEADLINE)

    def deliver(self, task_id: str, text: str = "hi", **more: Any) -> None:
        sender = {"kind": "person", "id": "p", "name": "Ann"}
        frame = {"task_id": task_id, "context_id": "c", "generation": self.generation, "attempt": 1, **more}
        self.send(type="deliver", sender=sender, text=text, **frame)

    def of(self, frame_type: str, **wanted: Any) -> list[dict[str, Any]]:
        """The frames of a type with these values (a callable is asked), so far."""
        return [
            frame
            for frame in list(self.seen)
            if frame["type"] == frame_type
            and all(want(frame[key]) if callable(want) else frame[key] == want for key, want in wanted.items())
        ]


@pytest.fixture
def other_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop in another thread: the tests block their own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(DEADLINE)
    loop.close()


@pytest.fixture
def stand(other_loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    made = Stand()
    asyncio.run_coroutine_threadsafe(made.start(), other_loop).result(DEADLINE)
    yield made
    asyncio.run_coroutine_threadsafe(made.stop(), other_loop).result(DEADLINE)


@pytest.fixture(autouse=True)
def no_wedge_is_left() -> Iterator[None]:
    yield
    wedge.clear_wedge()


async def until(condition: Callable[[], Any]) -> Any:
    """Poll until it holds, and return what it returned."""
    async with asyncio.timeout(DEADLINE):
        while not (value := condition()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return value


def workspace(stand: Any, **more: Any) -> truebeat.Workspace:
    return truebeat.Workspace("ada", url=stand.url, token="secret", workspace_id="w", **{"grace": 0.5, **more})
