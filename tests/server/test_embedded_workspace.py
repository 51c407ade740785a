"""truebeat.Workspace against a whole server on a real socket."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

import truebeat
from truebeat import errors
from truebeat.client.credentials import FixedToken
from truebeat.client.http import Client
from truebeat.protocol.resources import NewWorkspace
from truebeat.workspace import wedge

ADMIN = "admin-token-for-tests"
DEADLINE = 20.0


class Outside:
    """An operator, from threads: never by the loop under test."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def __call__(self, act: Any) -> Any:
        def done() -> Any:
            with Client(self.url, FixedToken(ADMIN)) as client:
                return act(client)

        return await asyncio.to_thread(done)

    async def until(self, name: str, **wanted: Any) -> Any:
        """The workspace, once it has these values."""
        async with asyncio.timeout(DEADLINE):
            while True:
                view = await self(lambda client: client.workspaces.find(name))
                if all(
                    value(getattr(view, key)) if callable(value) else getattr(view, key) == value
                    for key, value in wanted.items()
                ):
                    return view
                await asyncio.sleep(0.02)


def created(client: Client, name: str) -> None:
    """Wait for a workspace of that name."""
    deadline = time.monotonic() + DEADLINE
    while not list(client.workspaces.named(name)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def outside(live: str) -> Outside:
    return Outside(live)


@pytest.fixture(autouse=True)
def no_wedge_is_left():
    yield
    wedge.clear_wedge()


async def echo(turn: truebeat.Turn) -> str:
    return f"you said {turn.text}"


def workspace(url: str, name: str = "ada", **more: Any) -> truebeat.Workspace:
    return truebeat.Workspace(name, url=url, token=more.pop("token", ADMIN), handler=echo, **more)


async def test_it_is_created_online_and_offline_after_it_left(live, outside):
    async with workspace(live, role="a poet") as ws:
        view = await outside.until("ada", status="online")
        assert (str(view.id), view.role) == (ws.id, "a poet")
    await outside.until("ada", status="offline")


async def test_an_existing_one_is_taken_and_its_token_given_back(live, outside):
    created = await outside(lambda client: client.workspaces.create(NewWorkspace(name="ada")))
    async with workspace(live) as ws:
        assert ws.id == str(created.workspace.id)
        await outside.until("ada", status="online")
    tokens = await outside(lambda client: client.tokens.listing())
    (issued,) = [view for view in tokens if view.name == "embedded ada"]
    assert issued.revoked_at is not None


async def test_its_own_token_is_enough(live, outside):
    created = await outside(lambda client: client.workspaces.create(NewWorkspace(name="ada")))
    async with workspace(live, token=created.token):
        await outside.until("ada", status="online")


async def test_a_token_that_may_not_is_refused_when_entering(live, outside):
    created = await outside(lambda client: client.workspaces.create(NewWorkspace(name="ada")))
    with pytest.raises(errors.Forbidden):
        async with workspace(live, "bob", token=created.token):
            pytest.fail("entered")
    with pytest.raises(errors.Unauthenticated):
        async with workspace(live, token="nonsense"):
            pytest.fail("entered")


async def test_a_wedge_is_degraded_and_its_end_online(live, outside):
    async with workspace(live):
        await outside.until("ada", status="online")
        truebeat.mark_wedged("the browser hangs")
        view = await outside.until("ada", status="degraded")
        assert "the browser hangs" in [condition.detail for condition in view.conditions]
        truebeat.clear_wedge()
        await outside.until("ada", status="online")


async def test_a_removed_one_ends(live, outside):
    async with workspace(live) as ws:
        view = await outside.until("ada", status="online")
        await outside(lambda client: client.workspaces.remove(view.id))
        with pytest.raises(errors.Gone):
            await asyncio.wait_for(ws.serve(), DEADLINE)
    assert "truebeat" not in [thread.name for thread in threading.enumerate()]


async def test_an_ordered_restart_is_obeyed(live, outside):
    async with workspace(live):
        view = await outside.until("ada", status="online")
        await outside(lambda client: client.workspaces.restart(view.id))
        await outside.until("ada", status="online", generation=lambda generation: generation > view.generation)


async def test_a_blocked_loop_is_degraded_as_stalled_and_online_when_it_moves(live, outside):
    block, move, leave = asyncio.Event(), threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def embedded() -> None:
        loops.append(asyncio.get_running_loop())
        async with workspace(live, loop_bound=0.5):
            await block.wait()
            move.wait(DEADLINE)  # the loop stands here
            await leave.wait()

    thread = threading.Thread(target=lambda: asyncio.run(embedded()))
    thread.start()
    try:
        await outside(lambda client: created(client, "ada"))
        await outside.until("ada", status="online")
        loops[0].call_soon_threadsafe(block.set)
        view = await outside.until("ada", status="degraded")
        (condition,) = view.conditions
        assert condition.symptom == "stalled"
        assert "the event loop has been blocked" in condition.detail
        move.set()
        await outside.until("ada", status="online")
    finally:
        move.set()
        loops[0].call_soon_threadsafe(block.set)
        loops[0].call_soon_threadsafe(leave.set)
        await asyncio.to_thread(thread.join, DEADLINE)
