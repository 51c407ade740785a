"""An agent that does what the words of its turn say, and asks others to.

ask NAME TEXT    delegates TEXT to NAME and answers with what came back
give NAME TEXT   delegates it and goes on; the turn that brings the result says how many came
hold FILE TEXT   says TEXT once FILE is there
which            asks which one; the reply is said again
fail TEXT        fails with it
other            is said again
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import truebeat

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from truebeat import Output, Turn


async def answer(text: str, turn: Turn) -> AsyncIterator[str | Output]:
    word, _, rest = text.partition(" ")
    if turn.results:
        yield f"{len(turn.results)} results came"
    elif turn.reply:
        yield f"You chose {text}"
    elif word in {"ask", "give"}:
        target, _, asked = rest.partition(" ")
        view = await truebeat.delegate(target, asked, wait=600 if word == "ask" else False)
        yield "given" if view.result is None else view.result.text
    elif word == "hold":
        file, _, said = rest.partition(" ")
        while not Path(file).exists():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        yield said
    elif word == "which":
        yield truebeat.InputRequired("Which one?")
    elif word == "fail":
        raise truebeat.TurnError(rest)
    else:
        yield text
