"""command, mode=ndjson: one long-lived runtime. The module docstring of command.py has the protocol."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING, Final, cast

import msgspec

from truebeat.workspace.executors.base import Executor, Options, Output, Progress, Result, Text, Turn, TurnError
from truebeat.workspace.executors.child import Child
from truebeat.workspace.executors.command import words

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

#: bytes of one line from the runtime
LINE_LIMIT: Final = 16 * 1024 * 1024
#: seconds to wait for the output of a runtime that has ended
_LAST_WORDS: Final = 0.3

_log = logging.getLogger(__name__)


class Reply(msgspec.Struct):
    """A line from the runtime; which fields count follows from `type`."""

    type: str
    id: int | str = ""
    text: str = ""
    note: str = ""
    error: str = ""


class NdjsonExecutor(Executor):
    """Invariant: whoever waits for the runtime is woken when it ends; nobody waits for a process that is gone."""

    def __init__(self, target: str | Sequence[str], options: Options) -> None:
        super().__init__(target, options)
        self._start_timeout = options.seconds("start_timeout", 30.0)
        self._child: Child | None = None
        self._buffer = bytearray()
        self._numbers = itertools.count(1)
        self._pings: dict[int, asyncio.Future[None]] = {}
        self._turns: dict[str, asyncio.Queue[Reply | TurnError]] = {}

    async def start(self) -> None:
        self._child = await Child.start(
            words(self.target), cwd=self.options.text("cwd") or None, on_output=self._received
        )
        self.runtime_pid = self._child.pid
        loop = asyncio.get_running_loop()
        # `closed` comes with its last words read; a grandchild that holds its output open must not delay the news
        self._child.closed.add_done_callback(lambda _: self._ended())
        self._child.exited.add_done_callback(lambda _: loop.call_later(_LAST_WORDS, self._ended))
        try:
            async with asyncio.timeout(self._start_timeout):
                await self.probe()
        except TimeoutError:
            text = f"the runtime (pid {self._child.pid}) did not answer its first ping within {self._start_timeout:g} s"
            raise TimeoutError(text) from None
        except TurnError:
            # it closed its stdin or ended: how it ended, and its last words, follow at once
            await asyncio.wait({self._child.closed}, timeout=_LAST_WORDS)
            raise TurnError(f"the runtime {self.exit_text() or 'closed its stdin before its first pong'}") from None

    async def probe(self) -> None:
        number = next(self._numbers)
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pings[number] = answer
        try:
            self._send({"type": "ping", "id": number})
            await answer
        finally:
            self._pings.pop(number, None)

    async def run(self, turn: Turn) -> AsyncGenerator[Output, None]:
        name = f"t{next(self._numbers)}"
        replies: asyncio.Queue[Reply | TurnError] = asyncio.Queue()
        self._turns[name] = replies
        line = {"type": "turn", "id": name, "text": turn.text, "context_id": turn.context_id, "task_id": turn.task_id}
        pieces: list[str] = []
        try:
            self._send(line)
            while True:
                reply = await replies.get()
                if isinstance(reply, TurnError):
                    raise reply
                match reply.type:
                    case "text":
                        pieces.append(reply.text)
                        yield Text(reply.text)
                    case "progress":
                        yield Progress(reply.note)
                    case "error":
                        raise TurnError(reply.error or "the runtime gave an error without a text")
                    case "result":
                        yield Result(reply.text or "".join(pieces))
                        return
                    case other:
                        _log.warning("the runtime sent a line of unknown type %r; ignored", other)
        finally:
            del self._turns[name]

    def exit_text(self) -> str:
        return self._child.ending() if self._child is not None else ""

    async def close(self) -> None:
        self.runtime_pid = None
        if self._child is not None:
            await self._child.end()

    def _send(self, line: Mapping[str, object]) -> None:
        child = self._child
        if child is None or child.closed.done():
            raise TurnError(f"the runtime {self.exit_text() or 'was not started'}")
        try:
            child.write(msgspec.json.encode(line) + b"\n")
        except BrokenPipeError as error:
            raise TurnError("the runtime closed its stdin") from error

    def _received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            if line.strip():
                self._line(line)
        if len(self._buffer) > LINE_LIMIT:
            self._buffer.clear()
            self._fail_all(TurnError(f"the runtime wrote a line longer than {LINE_LIMIT} bytes"))

    def _line(self, line: bytes) -> None:
        try:
            reply = msgspec.json.decode(line, type=Reply)
        except msgspec.MsgspecError as error:
            _log.warning("the runtime wrote a line that is no reply (%s): %r", error, line[:200])
            return
        if reply.type == "pong":
            waiting = self._pings.get(cast("int", reply.id))
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
        elif (turn := self._turns.get(str(reply.id))) is not None:
            turn.put_nowait(reply)
        elif len(self._turns) == 1 and reply.id == "":
            # one turn at a time: a runtime that leaves the id out means that one
            next(iter(self._turns.values())).put_nowait(reply)

    def _ended(self) -> None:
        self._fail_all(TurnError(f"the runtime {self.exit_text()}"))

    def _fail_all(self, error: TurnError) -> None:
        for waiting in self._pings.values():
            if not waiting.done():
                waiting.set_exception(error)
        for turn in self._turns.values():
            turn.put_nowait(error)
