"""Entering that is given up, and leaving whatever else the process does: nothing is left behind."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import truebeat
from truebeat.workspace import embed_place

_spec = importlib.util.spec_from_file_location("embed_stand", Path(__file__).with_name("embed_stand.py"))
assert _spec is not None
assert _spec.loader is not None
embed_stand = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(embed_stand)
DEADLINE, until, workspace = embed_stand.DEADLINE, embed_stand.until, embed_stand.workspace
other_loop, stand, no_wedge_is_left = embed_stand.other_loop, embed_stand.stand, embed_stand.no_wedge_is_left


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("truebeat")]


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        yield listening.getsockname()[1]


async def test_entering_that_is_given_up_leaves_nothing(silent: int) -> None:
    ws = truebeat.Workspace("ada", url=f"http://127.0.0.1:{silent}", token="secret", workspace_id="w", grace=0.5)
    entering = asyncio.ensure_future(ws.__aenter__())
    await until(threads)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    await until(lambda: threads() == [])
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_entering_that_is_given_up_when_the_link_is_there_says_goodbye(stand: Any) -> None:
    stand.acknowledges = False
    entering = asyncio.ensure_future(workspace(stand).__aenter__())
    await until(lambda: stand.of("beat"))
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    await until(lambda: stand.closes)
    assert (stand.of("beat")[-1]["runtime_state"], stand.of("beat")[-1]["phase"]) == (None, "draining")
    await until(lambda: threads() == [])


async def test_a_connection_that_comes_after_the_end_is_closed(silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dialling, go, late = threading.Event(), threading.Event(), []
    connect = socket.create_connection

    def slowly(*arguments: Any, **more: Any) -> socket.socket:
        made = connect(*arguments, **more)
        dialling.set()
        go.wait(DEADLINE)
        late.append(made)
        return made

    monkeypatch.setattr(socket, "create_connection", slowly)
    ws = truebeat.Workspace("ada", url=f"http://127.0.0.1:{silent}", token="secret", workspace_id="w", grace=0.5)
    entering = asyncio.ensure_future(ws.__aenter__())
    await until(dialling.is_set)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    await until(lambda: threads() == [])
    go.set()
    await until(lambda: late and late[0].fileno() == -1)


async def test_a_token_that_comes_after_entering_was_given_up_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, go, back = threading.Event(), threading.Event(), threading.Event()

    def find(*_: Any, **__: Any) -> embed_place.Place:
        asked.set()
        go.wait(DEADLINE)
        return embed_place.Place("w", embed_place.tokens_of("secret", None), back.set)

    monkeypatch.setattr(embed_place, "find", find)
    entering = asyncio.ensure_future(truebeat.Workspace("ada", url="http://127.0.0.1:9", token="x").__aenter__())
    await until(asked.is_set)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    go.set()
    await until(back.is_set)
    await until(lambda: threads() == [])


async def test_a_search_that_is_given_up_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed_place, "AGAIN", DEADLINE * 10)
    ws = truebeat.Workspace("ada", url="http://127.0.0.1:9", token="x")
    entering = asyncio.ensure_future(ws.__aenter__())
    await until(threads)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    await until(lambda: threads() == [])


async def test_leaving_needs_no_thread_of_the_loops_pool(stand: Any) -> None:
    full = threading.Event()
    pool = ThreadPoolExecutor(1)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(pool)
    ws = await workspace(stand).__aenter__()
    loop.run_in_executor(None, full.wait, DEADLINE * 2)
    try:
        await asyncio.wait_for(ws.__aexit__(None, None, None), DEADLINE)
        await until(lambda: threads() == [])
    finally:
        full.set()


async def test_every_consumer_ends_when_the_block_is_left(stand: Any) -> None:
    async def consume(ws: truebeat.Workspace) -> None:
        async for task in ws.tasks():
            task.finish("x")

    async with workspace(stand, capacity=3) as ws:
        consumers = [asyncio.ensure_future(consume(ws)) for _ in range(3)]
        await until(lambda: stand.of("beat", capacity=3))
    await asyncio.wait_for(asyncio.gather(*consumers), DEADLINE)


async def test_every_consumer_hears_that_the_workspace_was_removed(stand: Any) -> None:
    async def consume(ws: truebeat.Workspace) -> None:
        async for task in ws.tasks():
            task.finish("x")

    async with workspace(stand, capacity=2) as ws:
        consumers = [asyncio.ensure_future(consume(ws)) for _ in range(2)]
        await until(lambda: stand.of("beat", capacity=2))
        stand.send(type="retire", reason="removed")
        ended = await asyncio.wait_for(asyncio.gather(*consumers, return_exceptions=True), DEADLINE)
    assert [type(one) for one in ended] == [truebeat.errors.Gone] * 2
