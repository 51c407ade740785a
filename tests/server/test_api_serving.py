"""The server as a process: it ends promptly on a signal, whoever is still connected, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time

import httpx2
import pytest
from websockets.asyncio.client import connect

from truebeat.errors import Conflict, Invalid
from truebeat.server.serve import serve
from truebeat.server.settings import Settings
from truebeat.server.store.embedded import EmbeddedPostgres

ADMIN = "admin-token-for-tests"
PROGRAM = """
import sys
from truebeat.server.serve import run
from truebeat.server.settings import Settings
run(Settings.from_env(), "127.0.0.1", 0, ready=lambda url: print(url, flush=True))
print("ended", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_a_hundred_streams_open(database_url, number):
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
            process.send_signal(number)
            assert await process.wait() == 0
        for socket in sockets:
            await socket.wait_closed()
            assert socket.close_code == 1012
        assert b"ended" in await process.stdout.read()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_client_that_reads_nothing_does_not_hold_up_the_end(database_url):
    ready = asyncio.get_running_loop().create_future()
    settings = Settings(database_url=database_url, admin_token=ADMIN)
    task = asyncio.ensure_future(serve(settings, "127.0.0.1", 0, ready=ready.set_result))
    port = int((await ready).rsplit(":", 1)[1])
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {ADMIN}"}
    ) as client:
        deaf = socket.create_connection(("127.0.0.1", port))
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(
            b"GET /events?since=0 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Authorization: Bearer " + ADMIN.encode() + b"\r\n\r\n"
        )
        created = (await client.post("/workspaces", json={"name": "a"})).json()
        beat = {"workspace_id": created["workspace"]["id"], "sample_error": "x" * 2000}
        own = {"Authorization": f"Bearer {created['token']}"}
        for number in range(400):
            state = "wedged" if number % 2 else ""
            await client.post("/registry/heartbeat", json={**beat, "runtime_state": state}, headers=own)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(30):
        await task
    deaf.close()


async def test_an_answer_does_not_wait_for_an_acknowledgement(live):
    async with httpx2.AsyncClient(base_url=live, headers={"Authorization": f"Bearer {ADMIN}"}) as client:
        took = 1.0
        for _ in range(500):  # each would take the kernel's 40 ms if one did
            began = time.monotonic()
            await client.get("/workspaces")
            took = min(took, time.monotonic() - began)
            if took < 0.03:
                break
    assert took < 0.03


async def test_a_taken_port_is_a_clear_error(live, database_url, empty_database_url):
    from truebeat.server.store import migrate

    await migrate.up(empty_database_url)
    port = int(live.rsplit(":", 1)[1])
    with pytest.raises(Conflict, match=f"can't listen on 127.0.0.1:{port}"):
        await serve(Settings(database_url=empty_database_url), "127.0.0.1", port)


async def test_no_database_is_a_clear_error():
    with pytest.raises(Invalid, match="TRUEBEAT_DATABASE_URL"):
        await serve(Settings(), "127.0.0.1", 0)


async def test_an_embedded_database_that_is_killed_comes_back_and_nobody_is_flipped(tmp_path):
    embedded = EmbeddedPostgres(tmp_path / "data")
    ready = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(
        serve(Settings(admin_token=ADMIN), "127.0.0.1", 0, embedded=embedded, ready=ready.set_result)
    )
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    async with (
        httpx2.AsyncClient(base_url=ready.result(), headers={"Authorization": f"Bearer {ADMIN}"}) as client,
        asyncio.timeout(60),
    ):
        created = (await client.post("/workspaces", json={"name": "a"})).json()
        own = {"Authorization": f"Bearer {created['token']}"}
        beat = {"workspace_id": created["workspace"]["id"]}
        assert (await client.post("/registry/heartbeat", json=beat, headers=own)).json()["status"] == "online"
        os.kill(embedded._pid(), signal.SIGKILL)
        answers = set()
        while "ready" not in answers:
            answers.add((await client.get("/readyz")).json()["status"])
            assert (await client.post("/registry/heartbeat", json=beat, headers=own)).status_code == 200
        types = [event["type"] for event in (await client.get("/events")).json()["events"]]
        assert types == ["WORKSPACE_PROVISIONING", "WORKSPACE_ONLINE"]
    os.kill(os.getpid(), signal.SIGTERM)
    await task
    assert not embedded._alive()
