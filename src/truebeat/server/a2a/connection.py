"""A request in work ends when its client goes away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from truebeat.server.background.tasks import spawn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from starlette.types import Receive, Send


async def while_connected(
    serve: Callable[[Receive, Send], Awaitable[None]], content: bytes, receive: Receive, send: Send
) -> None:
    """`serve` gets the body that was read already. Before its answer begins it is canceled with its client; after that
    it hears of it: an event stream ends itself.
    """
    started = False
    given = False
    gone = asyncio.Event()

    async def again() -> MutableMapping[str, Any]:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": content, "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def answer(message: MutableMapping[str, Any]) -> None:
        nonlocal started
        started = True
        await send(message)

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    work = spawn(_caught(serve(again, answer)), name="a2a request")
    watcher = spawn(watch(), name="a2a client")
    try:
        await asyncio.wait({work, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if started:
            await asyncio.wait({work})
    finally:
        watcher.cancel()
        work.cancel()
        await asyncio.wait({work})
    if not work.cancelled():
        outcome = work.result()
        if outcome is not None:
            raise outcome


async def _caught(work: Awaitable[None]) -> Exception | None:
    """What it raised, for a task that another one awaits: a plain task's error is logged as lost."""
    try:
        await work
    except Exception as error:
        return error
    return None
