"""command, mode=turn: one process a turn."""

from __future__ import annotations

import asyncio
import codecs
import os
import shutil
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from truebeat.domain import envelope
from truebeat.protocol.delivery import RESULT_LIMIT
from truebeat.workspace import processes
from truebeat.workspace.executors.base import (
    AnsweredError,
    Executor,
    Options,
    Output,
    Result,
    Step,
    Text,
    Turn,
    TurnError,
)
from truebeat.workspace.executors.child import Child, check_program
from truebeat.workspace.executors.command import words
from truebeat.workspace.executors.results_file import Handed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

#: bytes of one answer
ANSWER_LIMIT: Final = RESULT_LIMIT
#: seconds that a grandchild may hold stdout open after the process itself has ended
_OUTPUT_GRACE: Final = 1.0
_STOPPED: Final = frozenset({"T", "t"})


class TurnExecutor(Executor):
    """Nothing runs between turns: the probe then sees that the program can still be started. During a turn its process
    must be there and not be stopped. An exit status other than 0 fails the turn.
    """

    def __init__(self, target: str | Sequence[str], options: Options) -> None:
        super().__init__(target, options)
        self.capacity = max(options.integer("capacity", 1), 1)
        self._cwd = options.text("cwd") or None
        self._children: set[Child] = set()
        self._prompts = options.choice("results", "file", ("file", "prompt")) == "prompt"

    @cached_property
    def _handed(self) -> Handed:
        return Handed(self.options.text("results_file"), self.place)

    async def start(self) -> None:
        check_program(words(self.target), self._cwd)
        await self._handed.start()

    async def probe(self) -> None:
        for child in self._children:
            if why := _fault(child):
                raise TurnError(why)
        _check_startable(words(self.target)[0], self._cwd)

    def suspicion(self) -> str:
        return next((why for child in self._children if (why := _fault(child))), "")

    async def recover(self, reason: str) -> AsyncGenerator[Step, None]:
        """The turns were ended, and their processes with them; what remains is whether the next can be started."""
        for child in tuple(self._children):
            child.kill()
        yield Step("the turn's process killed", ok=True, detail=reason)

    async def run(self, turn: Turn) -> AsyncGenerator[Output, None]:
        pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        received = 0

        def receive(data: bytes) -> None:
            nonlocal received
            received += len(data)
            if received > ANSWER_LIMIT:
                # no more of it is kept, however much is still in the pipe
                child.kill()
                pieces.put_nowait(None)
            else:
                pieces.put_nowait(data)

        handed = self._handed
        await handed.give(turn)
        try:
            child = await Child.start(
                words(self.target), cwd=self._cwd, on_output=receive, more=handed.environment(turn)
            )
        except BaseException:
            handed.over(turn)
            raise
        self._children.add(child)
        loop = asyncio.get_running_loop()
        child.closed.add_done_callback(lambda _: pieces.put_nowait(None))
        child.exited.add_done_callback(lambda _: loop.call_later(_OUTPUT_GRACE, pieces.put_nowait, None))
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        answer: list[str] = []
        try:
            # a command need not read its input; its exit status says whether the turn went well
            with suppress(BrokenPipeError):
                text = envelope.render(turn.results) + turn.text if self._prompts else turn.text
                child.write(text.encode(errors="replace"))
            child.end_input()
            while (piece := await pieces.get()) is not None:
                if text := decoder.decode(piece):
                    answer.append(text)
                    yield Text(text)
            if received > ANSWER_LIMIT:
                raise TurnError(f"the answer is longer than {ANSWER_LIMIT} bytes")
            if child.exited.result() != 0:
                raise AnsweredError(f"the command {child.ending()}")
            await handed.succeeded(turn)
            yield Result("".join(answer).strip())
        finally:
            handed.over(turn)
            self._children.discard(child)
            child.kill()
            await child.gone()

    async def close(self) -> None:
        for child in tuple(self._children):
            child.kill()
            await child.gone()
        self._handed.close()


def _fault(child: Child) -> str:
    """What is wrong with a turn's process; "" if nothing is, or if it has just ended."""
    process = processes.read(child.pid)
    if process is not None and process.state in _STOPPED and not child.exited.done():
        return f"the turn's process (pid {child.pid}) is stopped (state {process.state})"
    return ""


def _check_startable(program: str, cwd: str | None) -> None:
    """Whether the next turn could start its process: the file is there and this user may run it."""
    if cwd is not None and not Path(cwd).is_dir():
        raise TurnError(f"the working directory {cwd!r} is gone")
    if os.sep in program:
        place = Path(cwd or ".", program)
        if not (place.is_file() and os.access(place, os.X_OK)):
            raise TurnError(f"the program {program!r} can't be run any more")
    elif shutil.which(program) is None:
        raise TurnError(f"the program {program!r} is not on the PATH any more")
