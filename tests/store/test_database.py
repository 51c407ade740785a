"""The pool: types that come back, transactions, and what a lost database means."""

import asyncio
import os
import signal
from uuid import UUID, uuid4

import pytest

from truebeat.errors import Invalid, Unavailable
from truebeat.server.store import database as module
from truebeat.server.store.database import Database
from truebeat.server.store.embedded import EmbeddedPostgres


@pytest.fixture
def server(new_directory):
    """A server of the test's own, to be killed."""
    server = EmbeddedPostgres(new_directory(), settings={"fsync": "off"})
    server.start()
    yield server
    server.stop()


async def test_types(database):
    some = uuid4()
    async with database.acquire() as connection:
        row = await connection.fetchrow(
            "SELECT $1::uuid AS id, ARRAY[$1::uuid] AS ids, $2::jsonb AS doc, $3::uuid[] AS back",
            some,
            {"a": [1]},
            [some],
        )
    assert row["id"] == some
    assert type(row["id"]) is UUID
    assert [type(one) for one in row["ids"]] == [UUID]
    assert row["back"] == [some]
    assert row["doc"] == {"a": [1]}


async def test_a_transaction_that_raises_leaves_nothing(database):
    class Stop(Exception):
        pass

    with pytest.raises(Stop):
        async with database.transaction() as connection:
            await connection.execute("CREATE TABLE half ()")
            raise Stop
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT to_regclass('half')") is None


async def test_nobody_listens():
    with pytest.raises(Unavailable, match="the database does not answer") as lost:
        await Database.connect("postgresql://postgres@127.0.0.1:1/truebeat")
    assert lost.value.facts == {"retry_after": 1}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("/postgres?", "/nowhere?"), 'database "nowhere" does not exist'),
        (("postgres@", "nobody@"), 'role "nobody" does not exist'),
        (("postgresql://", "mysql://"), "mysql"),
    ],
)
async def test_a_url_that_can_not_work(postgres_url_base, change, why):
    url = postgres_url_base("postgres").replace(*change)
    with pytest.raises(Invalid, match=f"the database URL: .*{why}"):
        await Database.connect(url)
    with pytest.raises(Invalid, match=f"the database URL: .*{why}"):
        await module.connect(url)


async def test_a_closed_pool(database):
    await database.close()
    with pytest.raises(Unavailable):
        await database.ping()


async def test_a_killed_server_is_unavailable_and_then_back(server):
    database = await Database.connect(server.ensure_running())
    pid = server._pid()
    with pytest.raises(Unavailable):
        async with database.transaction() as connection:
            await connection.execute("SELECT 1")
            os.kill(pid, signal.SIGKILL)
            await connection.execute("SELECT pg_sleep(4)")
    with pytest.raises(Unavailable):
        await database.ping()
    await asyncio.to_thread(server._wait, lambda: not server._alive(), 10)
    await asyncio.to_thread(server.ensure_running)
    await database.ping()
    await database.close()


async def test_a_shutdown_is_unavailable(server):
    database = await Database.connect(server.ensure_running())
    await asyncio.to_thread(server.stop)
    with pytest.raises(Unavailable):
        await database.ping()
    await database.close()


async def test_a_last_word_that_comes_before_the_end_of_an_idle_connection_is_unavailable(database):
    dismissed = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0"
    with pytest.raises(Unavailable):
        async with database.acquire() as connection:
            connection._con._protocol.data_received(b"E" + (len(dismissed) + 4).to_bytes(4) + dismissed)
            await connection.fetchval("SELECT 1")
    await database.ping()


async def test_a_stuck_server_is_unavailable_in_time(server, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    database = await Database.connect(server.ensure_running())
    async with database.acquire() as connection:
        backend = connection.get_server_pid()
    stopped = [backend, server._pid()]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(10):
            with pytest.raises(Unavailable):
                await database.ping()
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    await database.ping()
    await database.close()


async def test_an_exhausted_pool_is_unavailable(database_url, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    database = await Database.connect(database_url, max_size=1)
    async with database.acquire():
        with pytest.raises(Unavailable):
            await database.ping()
    await database.ping()
    await database.close()
