"""Tasks of an embedded workspace through a whole server, also over its restart, and the documented program."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

import truebeat
from truebeat.server.serve import serve

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


@pytest.fixture
async def sender(live: str) -> AsyncIterator[Sender]:
    made = Sender(live)
    yield made
    await made.client.aclose()


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


async def test_a_server_that_goes_and_comes_back_gets_the_result(settings: Any, unused_port: int) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def handler(turn: truebeat.Turn) -> str:
        begun.set()
        await go.wait()
        return "done"

    async def start() -> tuple[asyncio.Future[Any], str]:
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(serve(settings, "127.0.0.1", unused_port, ready=ready.set_result))
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            await task
        return task, ready.result()

    async def end(task: asyncio.Future[Any]) -> None:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    server, url = await start()
    sender = Sender(url)
    try:
        async with truebeat.Workspace("ada", url=url, token=ADMIN, handler=handler) as ws:
            task_id = await sender.send(ws.id, "hello")
            await asyncio.wait_for(begun.wait(), DEADLINE)
            await sender.client.aclose()
            await end(server)
            go.set()
            server, _ = await start()
            sender = Sender(url)
            view = await sender.ended(task_id)
            assert (view["state"], view["answer"], view["attempt"]) == ("completed", "done", 1)
    finally:
        await sender.client.aclose()
        await end(server)


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
