"""The database in tests is the real one: an embedded PostgreSQL 18 per test process, one database per test.

And a whole server on it, driven over ASGI (`api`) or over a real socket (`live`).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import httpx2
import pytest

from truebeat.clock import SystemClock
from truebeat.domain.access import Role
from truebeat.server import logs
from truebeat.server.main import App, build
from truebeat.server.serve import serve
from truebeat.server.settings import Settings
from truebeat.server.store import migrate
from truebeat.server.store.database import Database, connect
from truebeat.server.store.embedded import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

# a server in this process must not write into what a command prints
logs.configure()

#: durability is not what most tests are about
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def run_async() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Runs a coroutine to its end in a thread with a loop of its own, from a synchronous fixture or test."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield lambda coroutine: pool.submit(asyncio.run, coroutine).result()


def _fast_place() -> str | None:
    """Memory, if there is enough of it: copying a database takes 10 ms there and was seen to take 200 ms on a disk."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4 * 2**30:
        return str(memory)
    return None


@pytest.fixture(scope="session")
def new_directory() -> Iterator[Callable[[], Path]]:
    """Makes directories for servers. Not below pytest's: as root, the next pytest to start closes those to others."""
    place = _fast_place()
    with ExitStack() as made:
        yield lambda: Path(made.enter_context(tempfile.TemporaryDirectory(prefix="truebeat-test-", dir=place)))


@pytest.fixture(scope="session")
def postgres_url_base(new_directory: Callable[[], Path]) -> Iterator[Callable[[str], str]]:
    """The running server: call it with a database's name to get that database's URL."""
    server = EmbeddedPostgres(new_directory(), settings=FAST)
    url = server.start()
    yield lambda name: url.replace("/truebeat?", f"/{name}?")
    server.stop()


async def _execute(url: str, *statements: str) -> None:
    connection = await connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
def empty_database_url(postgres_url_base: Any, run_async: Any) -> Iterator[str]:
    """A database without any table, dropped afterwards."""
    name = f"empty_{next(_numbers)}"
    run_async(_execute(postgres_url_base("postgres"), f"CREATE DATABASE {name} STRATEGY file_copy"))
    yield postgres_url_base(name)
    run_async(_execute(postgres_url_base("postgres"), f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def migrated_template(postgres_url_base: Any, run_async: Any) -> str:
    """Name of a database with every migration applied, to be copied."""
    run_async(_execute(postgres_url_base("postgres"), "CREATE DATABASE migrated_template"))
    run_async(migrate.up(postgres_url_base("migrated_template")))
    return "migrated_template"


@pytest.fixture
def database_url(postgres_url_base: Any, migrated_template: str, run_async: Any) -> Iterator[str]:
    """A migrated database of this test's own, dropped afterwards."""
    name = f"test_{next(_numbers)}"
    copy = f"CREATE DATABASE {name} TEMPLATE {migrated_template} STRATEGY file_copy"
    run_async(_execute(postgres_url_base("postgres"), copy))
    yield postgres_url_base(name)
    run_async(_execute(postgres_url_base("postgres"), f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """That database, connected."""
    connected = await Database.connect(database_url)
    yield connected
    await connected.close()


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
