"""An agent that keeps a journal of what it was given and what it answered: one line each, whole or not at all."""

from __future__ import annotations

import asyncio
import os
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from truebeat.workspace.executors.base import Turn

GENERATION = os.environ.get("TRUEBEAT_GENERATION", "0")
JOURNAL = os.open(os.environ["HISTORY_JOURNAL"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def note(what: str, turn: Turn) -> None:
    os.write(JOURNAL, f"{what} {turn.task_id} {turn.attempt} {turn.context_id}\n".encode())


async def answer(text: str, turn: Turn) -> str:
    note("begin", turn)
    await asyncio.sleep(random.random() * float(os.environ.get("HISTORY_WORK", "0.01")))
    note("end", turn)
    return f"{text} attempt={turn.attempt}"
