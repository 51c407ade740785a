"""One SDK client with its CLI: opened by a deadline, drained all the time, its process watched, closed for good.

A client that may be broken is never used again: its CLI is killed and a fresh one opened. The SDK alone would wait 60 s
for a CLI that never answers, and then 10 s more to end it: here the CLI is killed at the deadline, which makes the
SDK's own waits end at once.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from truebeat.domain.symptoms import Meaning, classify
from truebeat.workspace import processes
from truebeat.workspace.executors import claude_cli
from truebeat.workspace.executors.base import ConfigurationError, TurnError

if TYPE_CHECKING:
    from collections.abc import Callable

    from truebeat.workspace.executors.claude_options import Limits, Settings

#: seconds between two looks at the CLI's process
_LOOK: Final = 0.1
#: and while it is not found yet: one that exits at once would never be seen
_SEEK: Final = 0.02
#: seconds from the CLI's death, or its SIGKILL, until the SDK must have noticed
_NOTICE: Final = 1.0
#: seconds within which the SDK must have started the CLI
_SPAWN: Final = 5.0
#: seconds the CLI may take to save its session when it is closed in good order
_SAVE: Final = 1.5
#: seconds for the SDK to take down a client whose CLI is killed
_TEARDOWN: Final = 5.0


class Connection:
    """`messages` gets every message, then None when the stream has ended; `over` and `failure` say how.

    Draining it all the time matters: the SDK stops reading the control channel when 100 messages are waiting.
    """

    def __init__(self, sdk: Any, settings: Settings, *, resume: str = "", full: bool = True) -> None:
        self._sdk = sdk
        self._stderr: deque[str] = deque(maxlen=20)
        self._mark = claude_cli.new_mark()
        self._cli: list[processes.Process] = []
        self._tasks: set[asyncio.Task[None]] = set()
        options = settings.for_sdk(sdk, mark=self._mark, stderr=self._heard, resume=resume, full=full)
        self.client: Any = sdk.ClaudeSDKClient(options)
        self.messages: asyncio.Queue[Any] = asyncio.Queue()
        self.over = False
        self.failure: Exception | None = None
        #: the conversation that it carries; None before its first turn
        self.context: str | None = None
        #: the id of that conversation's session, as far as it is known
        self.session = resume

    @property
    def pid(self) -> int | None:
        """The CLI's process id, also after its death."""
        return self._cli[0].pid if self._cli else None

    async def open(self, limits: Limits, slow: Callable[[str], None]) -> None:
        """Return once the CLI has answered `initialize`. Whatever else happens, no CLI is left behind.

        slow: called once at the soft limit. TimeoutError at the hard one, with the SDK's own text for it.
        ConfigurationError if what the CLI said means that; TurnError otherwise.
        """
        if count := claude_cli.kill_leftovers():
            print(f"{count} leftover CLIs were killed", file=sys.stderr)
        before = claude_cli.children()
        connecting: asyncio.Task[None] = asyncio.get_running_loop().create_task(self.client.connect())
        why = ""
        try:
            why = await self._until_connected(connecting, before, limits, slow)
        finally:
            self._find(before)
            if not connecting.done() or connecting.cancelled() or connecting.exception() is not None:
                await self._abandon(connecting, 0.0 if why == "vanished" else _NOTICE)
        failure = connecting.exception() if not connecting.cancelled() else None
        if why or failure is not None:
            raise self._start_error(why, failure, limits)
        for coroutine in (self._drain(), self._watch()):
            self._keep(coroutine)

    async def _until_connected(
        self,
        connecting: asyncio.Task[None],
        before: set[processes.Process],
        limits: Limits,
        slow: Callable[[str], None],
    ) -> str:
        """Why it was given up, or "" if the SDK came to an end by itself."""
        now = asyncio.get_running_loop().time
        started = last = now()
        told = False
        while not (await asyncio.wait({connecting}, timeout=_LOOK if self._cli else _SEEK))[0]:
            if now() - started >= limits.connect:
                return "expired"
            if not told and now() - started >= limits.connect_soft:
                told = True
                slow(f"slow start: the Claude CLI has not answered for {limits.connect_soft:g} s")
            if not self._cli:
                self._find(before)
            if any(processes.alive(one) for one in self._cli):
                last = now()
            # one that exits with status 0 leaves the SDK waiting for its full 60 s; one that was never seen may have
            # come and gone between two looks, or not be started yet
            elif now() - last > (_NOTICE if self._cli else _SPAWN):
                return "vanished"
        return ""

    def _start_error(self, why: str, failure: BaseException | None, limits: Limits) -> Exception:
        words = self.last_words()
        if why == "expired":
            text = f"Control request timeout: initialize (no answer within {limits.connect:g} s)"
        elif why == "vanished":
            text = "the Claude CLI exited before it answered initialize"
        elif isinstance(failure, self._sdk.CLINotFoundError):
            return ConfigurationError(f"configuration: the Claude CLI is not there: {failure}")
        else:
            text = self._told(failure)
        said = f"{text}: {words}" if words else text
        row = classify(said)
        if row is not None and row.meaning in {Meaning.CONFIGURATION, Meaning.CREDENTIALS}:
            return ConfigurationError(f"{row.meaning}: {said}. {row.action}")
        return TimeoutError(text) if why == "expired" else TurnError(said)

    # -- while it is open

    async def send(self, text: str) -> None:
        """A user's message. What came since the last turn ended is no answer to it."""
        while not self.messages.empty():
            self.messages.get_nowait()
        if self.over:
            raise self.ending()
        await self.client.query(text)

    async def next(self) -> Any:
        """The next message; raises how the stream ended."""
        message = None if self.over and self.messages.empty() else await self.messages.get()
        if message is None:
            raise self.ending()
        return message

    def ending(self) -> Exception:
        """Why there are no more messages."""
        failure = self.failure
        if failure is None:
            return TurnError("the Claude CLI ended the turn without a result")
        if isinstance(failure, TurnError):
            return failure
        words = self.last_words() if isinstance(failure, self._sdk.ProcessError) else ""
        text = self._told(failure)
        return TurnError(f"{text}: {words}" if words else text)

    def _told(self, failure: BaseException | None) -> str:
        """The SDK's error for people: it calls every exit a failed command and refers to a stderr it does not show."""
        sdk = self._sdk
        status = getattr(failure, "exit_code", None)
        if not isinstance(failure, sdk.ProcessError) or isinstance(failure, sdk.ResultError) or status is None:
            return str(failure)
        if status >= 0:
            return f"the Claude CLI exited with status {status}"
        try:
            return f"the Claude CLI was killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"the Claude CLI was killed by signal {-status}"

    def alive(self) -> bool:
        return any(processes.alive(one) for one in self._cli)

    def last_words(self) -> str:
        """The end of what the CLI said on stderr."""
        return "; ".join(self._stderr)

    async def _drain(self) -> None:
        while True:
            try:
                async for message in self.client.receive_messages():
                    self.messages.put_nowait(message)
            except Exception as error:
                # not exported by the SDK: a message of a kind that it does not know; the stream itself goes on
                if type(error).__name__ != "MessageParseError":
                    self._end(error)
                    return
                print(f"a message of the CLI was not understood: {error}", file=sys.stderr)
            else:
                self._end(None)
                return

    async def _watch(self) -> None:
        while not self.over and self._cli:
            await asyncio.sleep(_LOOK)
            if not self.alive():
                await asyncio.sleep(_NOTICE)
                self._end(TurnError("the Claude CLI is gone, and a process that it started holds its output open"))

    def _end(self, failure: Exception | None) -> None:
        if not self.over:
            self.over, self.failure = True, failure
            self.messages.put_nowait(None)

    # -- the end

    async def close(self) -> None:
        """In good order: the CLI may save its session."""
        kill = asyncio.get_running_loop().call_later(_SAVE, self.kill)
        try:
            await self._take_down()
        finally:
            kill.cancel()
            self.kill()
            claude_cli.forget(self._mark)

    async def discard(self) -> None:
        """Kill first, so that the SDK's own teardown takes milliseconds."""
        self.kill()
        try:
            await self._take_down()
        finally:
            claude_cli.forget(self._mark)

    def kill(self) -> None:
        claude_cli.kill(self._mark, self._cli)

    async def _take_down(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        process = getattr(getattr(self.client, "_transport", None), "_process", None)
        with suppress(Exception):
            async with asyncio.timeout(_TEARDOWN):
                await self.client.disconnect()
        if process is not None:
            await _read_out(process)

    async def _abandon(self, connecting: asyncio.Task[None], patience: float) -> None:
        self.kill()
        try:
            if not (await asyncio.wait({connecting}, timeout=patience))[0]:
                connecting.cancel()
                await asyncio.wait({connecting}, timeout=_NOTICE)
        finally:
            connecting.cancel()
            # it may have been started while it was being killed
            self.kill()
            claude_cli.forget(self._mark)

    def _find(self, before: set[processes.Process]) -> None:
        if not self._cli:
            self._cli = sorted(claude_cli.children() - before)

    def _keep(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)

    def _heard(self, line: str) -> None:
        self._stderr.append(line)
        print(line, file=sys.stderr)


async def _read_out(process: Any) -> None:
    """To the end of its output: the SDK leaves the pipe open if its reader died with output still to be read."""
    with suppress(Exception):
        async with asyncio.timeout(_NOTICE):
            while await process.stdout.receive():
                continue
