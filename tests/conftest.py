"""The database in tests is the real one: an embedded PostgreSQL 18 per test process, one database per test."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from truebeat.server.store import migrate
from truebeat.server.store.database import Database, connect
from truebeat.server.store.embedded import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

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
