"""Functions for the python executor, `truebeat.kit.faults.functions:answer`: the text of a turn names what happens.

Each lie is told once; afterwards the same turn gets an honest answer.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Final

from truebeat.kit.faults import scene
from truebeat.kit.faults.worker import deadlock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

#: seconds of the honest silences, and of the pause that is none
SLOW: Final = 8.0
PAUSE: Final = 1.2
#: characters
BURST: Final = 16 * 1024 * 1024
_PIECE: Final = 32 * 1024


def _block() -> None:
    """A blocking call in async code."""
    time.sleep(3600)


def _leave() -> None:
    """A library that ends the process as if all was done."""
    os._exit(0)


#: on the event loop itself
_ON_THE_LOOP: Final[dict[str, Callable[[], None]]] = {
    "block the loop": _block,
    "spin": scene.spin,
    "deadlock": deadlock,
    "exit 0": _leave,
}


async def _block_pool() -> None:
    """Fill asyncio's own thread pool, then need it."""
    loop = asyncio.get_running_loop()
    for _ in range(64):
        loop.run_in_executor(None, time.sleep, 3600)
    scene.stamp()
    await asyncio.to_thread(int)


async def answer(text: str) -> AsyncIterator[str]:
    name = text.strip()
    if name in _ON_THE_LOOP and scene.once(name.replace(" ", "-")):
        scene.stamp()
        _ON_THE_LOOP[name]()
    elif name == "block the pool" and scene.once("pool"):
        await _block_pool()
    scene.stamp()
    if name == "slow model":
        await asyncio.sleep(SLOW)
    elif name == "pause":
        time.sleep(PAUSE)  # noqa: ASYNC251 - a long garbage collection looks like this
    elif name == "burst":
        for _ in range(BURST // _PIECE // 2):
            yield "z" * 64
            await asyncio.sleep(0)
    yield f"done: {name}"
