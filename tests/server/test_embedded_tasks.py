"""Tasks of an embedded workspace through a whole server, also over its restart, and the documented program."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

import truebeat

ADMIN = "admin-token-for-tests"
APP = Path(__file__).parents[2] / "examples" / "embedding" / "app.py"
DEADLINE = 30.0


class Sender:
    """A person who sends tasks and waits for answers."""

    def __init__(self, url: str) -> None:
        self.client = httpx2.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {ADMIN}"}, timeout=DEADLINE, trust_env=False
        )

    async def send(self, workspace_id: str, text: str) -> str:
        answer = await self.client.post(f"/workspaces/{workspace_id}/tasks", json={"text": text})
        assert answer.status_code in {200, 201, 202}, answer.text
        return str(answer.json()["id"])

    async def ended(self, task_id: str, not_yet: str = "") -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE):
            while True:
                answer = await self.client.get(f"/tasks/{task_id}", params={"wait": 2})
                assert answer.status_code == 200, answer.text
                view: dict[str, Any] = answer.json()
                if view["state"] in {"completed", "failed", "canceled", "rejected", "input-required"} - {not_yet}:
                    return view


@asynccontextmanager
async def asking(url: str) -> AsyncIterator[Sender]:
    made = Sender(url)
    try:
        yield made
    finally:
        await made.client.aclose()


@pytest.fixture
async def sender(live: str) -> AsyncIterator[Sender]:
    async with asking(live) as made:
        yield made


async def test_a_task_is_answered_and_another_one_too(live: str, sender: Sender) -> None:
    async def handler(turn: truebeat.Turn) -> str:
        return turn.text.upper()

    async with truebeat.Workspace("ada", url=live, token=ADMIN, handler=handler) as ws:
        for text in ("one", "two"):
            view = await sender.ended(await sender.send(ws.id, text))
            assert (view["state"], view["answer"], view["attempt"]) == ("completed", text.upper(), 1)


async def test_a_question_and_its_reply(live: str, sender: Sender) -> None:
    async def handler(turn: truebeat.Turn) -> AsyncIterator[Any]:
        if turn.reply:
            yield truebeat.Result(f"{turn.text} it is")
        else:
            yield truebeat.InputRequired("which one?")

    async with truebeat.Workspace("ada", url=live, token=ADMIN, handler=handler) as ws:
        view = await sender.ended(await sender.send(ws.id, "fetch one"))
        assert (view["state"], view["answer"]) == ("input-required", "which one?")
        answer = await sender.client.post(
            f"/workspaces/{ws.id}/tasks", json={"text": "the red one", "task_id": view["id"]}
        )
        assert answer.status_code in {200, 201, 202}, answer.text
        view = await sender.ended(view["id"], "input-required")
        assert (view["state"], view["answer"]) == ("completed", "the red one it is")


@asynccontextmanager
async def serving(database_url: str, port: int) -> AsyncIterator[str]:
    """A server in a process of its own; it ends by SIGKILL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "truebeat.cli.main", "serve", "--port", str(port)),
        env={**os.environ, "TRUEBEAT_DATABASE_URL": database_url, "TRUEBEAT_ADMIN_TOKEN": ADMIN},
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(DEADLINE), httpx2.AsyncClient(trust_env=False) as client:
            while True:
                with contextlib.suppress(httpx2.TransportError):
                    if (await client.get(f"{url}/readyz")).is_success:
                        break
                await asyncio.sleep(0.05)
        yield url
    finally:
        process.kill()
        await process.wait()


async def test_a_server_that_is_killed_and_comes_back_gets_the_result(database_url: str, unused_port: int) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def handler(turn: truebeat.Turn) -> str:
        begun.set()
        await go.wait()
        return "done"

    url = f"http://127.0.0.1:{unused_port}"
    async with AsyncExitStack() as stack:
        async with serving(database_url, unused_port):
            workspace = truebeat.Workspace("ada", url=url, token=ADMIN, handler=handler)
            ws = await stack.enter_async_context(workspace)
            first = await stack.enter_async_context(asking(url))
            task_id = await first.send(ws.id, "hello")
            await asyncio.wait_for(begun.wait(), DEADLINE)
        go.set()
        async with serving(database_url, unused_port), asking(url) as second:
            view = await second.ended(task_id)
            assert (view["state"], view["answer"], view["attempt"]) == ("completed", "done", 1)


async def test_the_documented_program(live: str, sender: Sender) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        APP,
        env={**os.environ, "TRUEBEAT_URL": live, "TRUEBEAT_TOKEN": ADMIN},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(DEADLINE):
            said = (await process.stdout.readline()).decode()
        workspace_id = said.split()[1]
        view = await sender.ended(await sender.send(workspace_id, "hello world"))
        assert (view["state"], view["answer"]) == ("completed", "olleh dlrow ")
        assert (await sender.client.delete(f"/workspaces/{workspace_id}")).is_success
        async with asyncio.timeout(DEADLINE):
            assert b"removed" in await process.stdout.read()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
