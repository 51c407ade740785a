"""command, mode=ndjson: one long-lived runtime. ndjson.py has its lines."""

from __future__ import annotations

import asyncio
import itertools
import logging
from functools import cached_property
from typing import TYPE_CHECKING, Final, cast

import msgspec

from truebeat.protocol.delivery import RESULT_LIMIT
from truebeat.workspace.executors.base import Executor, Options, Output, Result, Step, Text, Turn, TurnError
from truebeat.workspace.executors.child import Child
from truebeat.workspace.executors.command import words
from truebeat.workspace.executors.lines import LineCutter
from truebeat.workspace.executors.ndjson import ENDS, LINE_LIMIT, Reply, encode_line, output_of, turn_line
from truebeat.workspace.executors.results_file import Handed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

#: seconds to wait for the output of a runtime that has ended
_LAST_WORDS: Final = 0.3
#: seconds that a runtime has to end before it is killed and started afresh
_KILL_GRACE: Final = 0.2

_log = logging.getLogger(__name__)


class _Talk:
    """One turn's replies, bounded: a runtime that says more than is taken from it fails its turn, and no memory."""

    def __init__(self) -> None:
        self.replies: asyncio.Queue[Reply | TurnError] = asyncio.Queue()
        #: the runtime has ended this turn, or is no more
        self.ended = asyncio.Event()
        self._deaf = False
        self._size = 0

    def put(self, reply: Reply | TurnError, size: int = 0) -> None:
        if isinstance(reply, TurnError) or reply.type in ENDS:
            self.ended.set()
        if self._deaf:
            return
        self._size += size
        if self._size > RESULT_LIMIT + LINE_LIMIT:
            self.fail(TurnError(f"the runtime said more than {RESULT_LIMIT + LINE_LIMIT} bytes that wait to be read"))
        else:
            self.replies.put_nowait(reply)

    def fail(self, error: TurnError) -> None:
        """It failed, although the runtime has not ended it."""
        if not self._deaf:
            self._deaf = True
            self.replies.put_nowait(error)

    async def get(self) -> Reply:
        reply = await self.replies.get()
        if self.replies.empty():
            self._size = 0
        if isinstance(reply, TurnError):
            raise reply
        return reply


class NdjsonExecutor(Executor):
    """Invariant: whoever waits for the runtime is woken when it ends; nobody waits for a process that is gone."""

    def __init__(self, target: str | Sequence[str], options: Options) -> None:
        super().__init__(target, options)
        self.capacity = max(options.integer("capacity", 1), 1)
        self._start_timeout = options.seconds("start_timeout", 30.0)
        self._cancel_timeout = options.seconds("cancel_timeout", 10.0)
        self._pings_in_turns = options.choice("ping_in_turns", "yes", ("yes", "no")) == "yes"
        self._child: Child | None = None
        self._lines = LineCutter(LINE_LIMIT)
        self._numbers = itertools.count(1)
        self._pings: dict[int, asyncio.Future[None]] = {}
        self._turns: dict[str, _Talk] = {}
        self._garbage = 0

    @cached_property
    def _handed(self) -> Handed:
        return Handed(self.options.text("results_file"), self.place)

    async def start(self) -> None:
        self._lines = LineCutter(LINE_LIMIT)
        handed = self._handed
        await handed.start()
        child = self._child = await Child.start(
            words(self.target),
            cwd=self.options.text("cwd") or None,
            on_output=lambda data: self._received(child, data),
            more=handed.environment(),
        )
        self.runtime_pid = child.pid
        loop = asyncio.get_running_loop()
        # `closed` comes with its last words read; a grandchild that holds its output open must not delay the news
        child.closed.add_done_callback(lambda _: self._ended(child))
        child.exited.add_done_callback(lambda _: loop.call_later(_LAST_WORDS, self._ended, child))
        try:
            async with asyncio.timeout(self._start_timeout):
                await self._ping()
        except TimeoutError:
            text = f"the runtime (pid {child.pid}) did not answer its first ping within {self._start_timeout:g} s"
            raise TimeoutError(text) from None
        except TurnError:
            # it closed its stdin or ended: how it ended, and its last words, follow at once
            await asyncio.wait({child.closed}, timeout=_LAST_WORDS)
            raise TurnError(f"the runtime {self.exit_text() or 'closed its stdin before its first pong'}") from None

    async def probe(self) -> None:
        if self._turns and not self._pings_in_turns:
            # such a runtime reads nothing until its turn has ended; the watch sees whether its process is there
            if self._child is None or self._child.exited.done():
                raise TurnError(f"the runtime {self.exit_text() or 'was not started'}")
            return
        await self._ping()

    async def run(self, turn: Turn) -> AsyncGenerator[Output, None]:
        name = f"t{next(self._numbers)}"
        talk = self._turns[name] = _Talk()
        pieces: list[str] = []
        size = 0
        handed = self._handed
        try:
            await handed.give(turn)
            self._send(turn_line(name, turn))
            while True:
                reply = await talk.get()
                output = output_of(reply)
                if output is None:
                    continue
                if isinstance(output, Text):
                    size += len(output.text)
                    if size > RESULT_LIMIT:
                        raise TurnError(f"the answer is longer than {RESULT_LIMIT} characters")
                    pieces.append(output.text)
                elif isinstance(output, Result) and not output.text:
                    output = Result("".join(pieces))
                if isinstance(output, Result):
                    await handed.succeeded(turn)
                yield output
                if reply.type in ENDS:
                    return
        finally:
            try:
                await self._leave(name, talk)
            finally:
                del self._turns[name]
                handed.over(turn)

    def abandon(self) -> None:
        """Whoever waits for this runtime is woken by its end."""
        if self._child is not None:
            self._child.kill()
            self._fail_all(TurnError("the runtime was killed because it did not answer"))

    async def recover(self, reason: str) -> AsyncGenerator[Step, None]:
        old, self.runtime_pid = self._child, None
        if old is not None:
            await old.end(_KILL_GRACE)
        try:
            await self.start()
        except Exception as error:
            yield Step("fresh process", ok=False, detail=str(error))
        else:
            yield Step("fresh process", ok=True, detail=f"pid {self.runtime_pid}, after: {reason}")

    def exit_text(self) -> str:
        return self._child.ending() if self._child is not None else ""

    async def close(self) -> None:
        self.runtime_pid = None
        if self._child is not None:
            await self._child.end()
        self._handed.close()

    async def _leave(self, name: str, talk: _Talk) -> None:
        """A turn that has not ended is canceled, and its end waited for: the next must not run into it."""
        child = self._child
        if talk.ended.is_set() or child is None or child.exited.done():
            return
        try:
            self._send({"type": "cancel", "id": name})
        except TurnError:
            return
        try:
            async with asyncio.timeout(self._cancel_timeout):
                await talk.ended.wait()
        except TimeoutError:
            # its end is seen at once, and a fresh one is started
            _log.warning("the runtime did not end a canceled turn within %g s: killed", self._cancel_timeout)
            child.kill()

    # -- the runtime's process

    async def _ping(self) -> None:
        number = next(self._numbers)
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pings[number] = answer
        try:
            self._send({"type": "ping", "id": number})
            await answer
        finally:
            self._pings.pop(number, None)

    def _send(self, line: Mapping[str, object]) -> None:
        child = self._child
        if child is None or child.closed.done():
            raise TurnError(f"the runtime {self.exit_text() or 'was not started'}")
        try:
            child.write(encode_line(line))
        except BrokenPipeError as error:
            raise TurnError("the runtime closed its stdin") from error

    def _received(self, child: Child, data: bytes) -> None:
        if child is not self._child:
            return
        for line in self._lines.feed(data):
            if line is None:
                for turn in self._turns.values():
                    turn.fail(TurnError(f"the runtime wrote a line longer than {LINE_LIMIT} bytes"))
            elif line.strip():
                self._line(line)

    def _line(self, line: bytes) -> None:
        try:
            reply = msgspec.json.decode(line, type=Reply)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            self._passed_over(f"is no reply ({error})", line)
            return
        if reply.type == "pong":
            waiting = self._pings.get(cast("int", reply.id))
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
        elif reply.type == "note":
            self.note(reply.text)
        elif (turn := self._turns.get(str(reply.id))) is not None:
            turn.put(reply, len(line))
        elif len(self._turns) == 1 and reply.id == "":
            # one turn at a time: a runtime that leaves the id out means that one
            next(iter(self._turns.values())).put(reply, len(line))
        else:
            self._passed_over("belongs to no turn that is on", line)

    def _passed_over(self, why: str, line: bytes) -> None:
        """Said now and then: a flood of such lines must not become a flood of log lines."""
        self._garbage += 1
        if self._garbage & (self._garbage - 1) == 0:
            _log.warning("line %d from the runtime that %s: %r", self._garbage, why, line[:200])

    def _ended(self, child: Child) -> None:
        if child is self._child:
            self._fail_all(TurnError(f"the runtime {self.exit_text()}"))

    def _fail_all(self, error: TurnError) -> None:
        for waiting in self._pings.values():
            if not waiting.done():
                waiting.set_exception(error)
        for turn in self._turns.values():
            turn.put(error)
