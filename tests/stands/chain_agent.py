"""An agent that hands work on: "hand on bob,eve" goes to bob as "hand on eve". It journals the results it was given.

A file named after its workspace in CHAIN_ORDERS wedges it, once: "admit" has it say so, "block" has it hold its loop.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import truebeat
from truebeat.errors import Conflict, Unavailable
from truebeat.tools.place import here
from truebeat.workspace.wedge import mark_wedged

if TYPE_CHECKING:
    from truebeat.workspace.executors.base import Turn

JOURNAL = os.open(os.environ["CHAIN_JOURNAL"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
ORDERS = Path(os.environ["CHAIN_ORDERS"])


async def answer(text: str, turn: Turn) -> str:
    words = text.split()
    if words[:2] == ["hand", "on"] and len(words) == 3:
        target, _, rest = words[2].partition(",")
        await hand_on(target, f"hand on {rest}" if rest else "the last", turn)
    await obey()
    used = ",".join(result.delegation_id for result in turn.results)
    # one line, whole or not at all, as the last thing of the turn
    os.write(JOURNAL, f"{turn.task_id} {turn.attempt} {used}\n".encode())
    return f"{len(turn.results)} results"


async def hand_on(target: str, text: str, turn: Turn) -> None:
    """Once for each task, however often its turn is done. What passes by itself is waited for."""
    while True:
        try:
            await truebeat.delegate(target, text, wait=False, key=turn.task_id)
        except (Unavailable, Conflict) as error:
            if isinstance(error, Conflict) and "limit" not in error.facts:
                raise
            await asyncio.sleep(0.1)
        else:
            return


async def obey() -> None:
    order = ORDERS / here().place.workspace_id
    try:
        what = order.read_text()
        order.unlink()
    except FileNotFoundError:
        return
    if what == "admit":
        mark_wedged("it was ordered to wedge")
        await asyncio.Event().wait()
    elif what == "block":
        time.sleep(3600)  # noqa: ASYNC251
