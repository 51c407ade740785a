"""The server as a process: it ends promptly on a signal, whoever is still connected, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

import pytest
from websockets.asyncio.client import connect

from truebeat.errors import Conflict, Invalid
from truebeat.server.serve import serve
from truebeat.server.settings import Settings

ADMIN = "admin-token-for-tests"
PROGRAM = """
import sys
from truebeat.server.serve import run
from truebeat.server.settings import Settings
run(Settings.from_env(), "127.0.0.1", 0, ready=lambda url: print(url, flush=True))
print("ended", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_within_two_seconds_with_a_hundred_streams(database_url, number):
    env = {**os.environ, "TRUEBEAT_DATABASE_URL": database_url, "TRUEBEAT_ADMIN_TOKEN": ADMIN}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, stdout=asyncio.subprocess.PIPE, env=env
    )
    try:
        async with asyncio.timeout(60):
            url = ""
            while not url.startswith("http"):
                url = (await process.stdout.readline()).decode().strip()
            headers = {"Authorization": f"Bearer {ADMIN}"}
            address = url.replace("http", "ws") + "/events"
            sockets = [await connect(address, additional_headers=headers) for _ in range(100)]
            began = time.monotonic()
            process.send_signal(number)
            assert await process.wait() == 0
            took = time.monotonic() - began
        assert took < 2, f"it took {took:.2f} s"
        for socket in sockets:
            await socket.wait_closed()
            assert socket.close_code == 1012
        assert b"ended" in await process.stdout.read()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_taken_port_is_a_clear_error(live, database_url, empty_database_url):
    from truebeat.server.store import migrate

    await migrate.up(empty_database_url)
    port = int(live.rsplit(":", 1)[1])
    with pytest.raises(Conflict, match=f"can't listen on 127.0.0.1:{port}"):
        await serve(Settings(database_url=empty_database_url), "127.0.0.1", port)


async def test_no_database_is_a_clear_error():
    with pytest.raises(Invalid, match="TRUEBEAT_DATABASE_URL"):
        await serve(Settings(), "127.0.0.1", 0)
