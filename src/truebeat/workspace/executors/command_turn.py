"""command, mode=turn: one process a turn."""

from __future__ import annotations

import asyncio
import codecs
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from truebeat.workspace.executors.base import Executor, Output, Result, Text, Turn, TurnError
from truebeat.workspace.executors.child import Child, check_program
from truebeat.workspace.executors.command import words

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

#: characters of one answer
ANSWER_LIMIT: Final = 16 * 1024 * 1024
#: seconds that a grandchild may hold stdout open after the process itself has ended
_OUTPUT_GRACE: Final = 1.0


class TurnExecutor(Executor):
    """Nothing runs between turns, so there is nothing to probe; an exit status other than 0 fails the turn."""

    async def start(self) -> None:
        check_program(words(self.target), self.options.text("cwd") or None)

    async def run(self, turn: Turn) -> AsyncGenerator[Output, None]:
        pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        child = await Child.start(words(self.target), cwd=self.options.text("cwd") or None, on_output=pieces.put_nowait)
        loop = asyncio.get_running_loop()
        child.closed.add_done_callback(lambda _: pieces.put_nowait(None))
        child.exited.add_done_callback(lambda _: loop.call_later(_OUTPUT_GRACE, pieces.put_nowait, None))
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        answer: list[str] = []
        size = 0
        try:
            # a command need not read its input; its exit status says whether the turn went well
            with suppress(BrokenPipeError):
                child.write(turn.text.encode(errors="replace"))
            child.end_input()
            while (piece := await pieces.get()) is not None:
                if text := decoder.decode(piece):
                    size += len(text)
                    if size > ANSWER_LIMIT:
                        raise TurnError(f"the answer is longer than {ANSWER_LIMIT} characters")
                    answer.append(text)
                    yield Text(text)
            if child.exited.result() != 0:
                raise TurnError(f"the command {child.ending()}")
            yield Result("".join(answer).strip())
        finally:
            child.kill()
