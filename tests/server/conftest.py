"""A whole server on a real database, driven over ASGI (`api`) or over a real socket (`live`)."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from truebeat.clock import SystemClock
from truebeat.domain.access import Role
from truebeat.server.main import App, build
from truebeat.server.serve import serve
from truebeat.server.settings import Settings

ADMIN = "admin-token-for-tests"


class Api:
    """An HTTP client with an operator's token, and shortcuts to what tests need first."""

    def __init__(self, app: App, client: httpx2.AsyncClient, clock: Any) -> None:
        self.app = app
        self.client = client
        self.clock = clock

    async def __call__(self, method: str, path: str, token: str | None = ADMIN, **more: Any) -> httpx2.Response:
        headers = list(more.pop("headers", []))
        if token is not None:
            headers.append(("Authorization", f"Bearer {token}"))
        return await self.client.request(method, path, headers=headers, **more)

    async def workspace(self, name: str = "ada", **more: Any) -> tuple[str, str]:
        """(id, token) of a new workspace."""
        answer = await self("POST", "/workspaces", json={"name": name, **more})
        assert answer.status_code == 201, answer.text
        return answer.json()["workspace"]["id"], answer.json()["token"]

    async def token(self, role: Role, workspace_id: str | None = None) -> str:
        issued = await self.app.tokens.issue(f"a {role}", role, None if workspace_id is None else UUID(workspace_id))
        return issued.token

    async def beat(self, workspace_id: str, token: str, **fields: Any) -> httpx2.Response:
        body = {"workspace_id": workspace_id, **fields}
        return await self("POST", "/registry/heartbeat", token, json=body)


@asynccontextmanager
async def running(settings: Settings, database: Any, clock: Any = None):
    """A started server and a client of it."""
    clock = clock or SystemClock()
    app = build(settings, database, clock)
    await app.start()
    try:
        transport = httpx2.ASGITransport(app.asgi)
        async with httpx2.AsyncClient(transport=transport, base_url="http://truebeat") as client:
            yield Api(app, client, clock)
    finally:
        await app.stop()


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(database_url=database_url, admin_token=ADMIN)


@pytest.fixture
async def api(settings, database):
    async with running(settings, database) as started:
        yield started


@pytest.fixture
def start_server(settings, database):
    """`async with start_server(clock=...) as api`: for tests that need another clock or more than one start."""
    return lambda **more: running(
        more.pop("settings", settings), more.pop("database", database), more.pop("clock", None)
    )


@pytest.fixture
async def live(settings):
    """The URL of a server on a real socket, stopped as a signal would."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(serve(settings, "127.0.0.1", 0, ready=ready.set_result))
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        await task
    yield ready.result()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.fixture
def unknown() -> str:
    return str(uuid4())
