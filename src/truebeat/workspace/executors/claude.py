"""Claude Code through claude-agent-sdk (extra "claude").

Options: model, cwd, cli_path, system_prompt, permission_mode, allowed_tools and setting_sources (comma-separated; none
by default), connect_deadline (30 s), stream_idle_timeout (60 s), api_timeout (120 s), max_retries (6).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from truebeat.workspace import processes
from truebeat.workspace.executors import threads
from truebeat.workspace.executors.base import (
    AnsweredError,
    ConfigurationError,
    Executor,
    Options,
    Output,
    Progress,
    Result,
    Text,
    Turn,
    TurnError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

#: bytes of one line from the CLI; the SDK's own default of 1 MiB kills its reader on a large tool result
_BUFFER: Final = 16 * 1024 * 1024
#: seconds from the CLI's death, or its SIGKILL, until the SDK must have noticed
_NOTICE: Final = 1.0
#: seconds within which the SDK must have started the CLI
_SPAWN: Final = 3.0
#: seconds the CLI may take to save its session when the worker stops
_SAVE: Final = 1.5


class ClaudeExecutor(Executor):
    """One SDK client at a time. A client that may be broken is never used again: its CLI is killed, a fresh one opened.

    The SDK alone would wait 60 s for a CLI that never answers, then 10 s more to end it: here the CLI is killed at the
    deadline, which makes the SDK's own waits end at once.
    """

    probe_timeout = 5.0

    def __init__(self, target: str | Sequence[str], options: Options) -> None:
        super().__init__(target, options)
        self._deadline = options.seconds("connect_deadline", 30.0)
        self._sdk: Any = None
        self._client: Any = None
        self._cli: list[processes.Process] = []
        #: the CLI may exit on purpose after it reported a failed turn; that is no wedge
        self._may_exit = False
        self._stderr: deque[str] = deque(maxlen=20)
        self._environment = self._limits()

    async def start(self) -> None:
        try:
            # in a thread: a slow import must not look like a blocked event loop
            self._sdk = await threads.call(lambda: import_module("claude_agent_sdk"), name="import")
        except ImportError as error:
            raise ConfigurationError(
                f"the claude executor needs claude-agent-sdk ({error}): install truebeat[claude]"
            ) from error
        cwd, cli = self.options.text("cwd"), self.options.text("cli_path")
        if cwd and not Path(cwd).is_dir():
            raise ConfigurationError(f"the working directory {cwd!r} does not exist; create it or change option cwd")
        if cli and not os.access(cli, os.X_OK):
            raise ConfigurationError(f"cli_path={cli!r} is not a program that can be run; correct it or leave it out")
        await self._connect()

    async def run(self, turn: Turn) -> AsyncGenerator[Output, None]:
        if self._client is None or (self._may_exit and not self._alive()):
            await self._discard()
            await self._connect()
        try:
            await self._client.query(turn.text)
            async for output in self._answer():
                yield output
        except AnsweredError:
            self._may_exit = True
            self.runtime_pid = None
            raise
        except Exception as error:
            words = self._last_words(error)
            await self._discard()
            if words:
                raise TurnError(f"{error}: {words}") from error
            raise
        except BaseException:  # cancelled, or the consumer left: the client's stream is in an unknown place
            await self._discard()
            raise

    async def probe(self) -> None:
        """`get_mcp_status` is answered by the CLI's control channel in milliseconds, even while the upstream hangs."""
        if self._client is None:
            return
        if self._may_exit and not self._alive():
            await self._discard()
            return
        await self._client.get_mcp_status()

    async def close(self) -> None:
        self.runtime_pid = None
        if self._client is None:
            return
        kill = asyncio.get_running_loop().call_later(_SAVE, self._kill)
        try:
            await self._client.disconnect()
        finally:
            kill.cancel()
            self._kill()

    # -- the turn

    async def _answer(self) -> AsyncGenerator[Output, None]:
        sdk = self._sdk
        pieces: list[str] = []
        streamed = False
        async for message in self._client.receive_response():
            if isinstance(message, sdk.ResultMessage):
                if message.is_error:
                    raise AnsweredError(_failure(message))
                self._may_exit = False
                self.runtime_pid = self._cli[0].pid if self._cli else None
                yield Result(message.result or "".join(pieces))
                return
            if getattr(message, "parent_tool_use_id", None) is not None:
                yield Progress("subagent")
            elif isinstance(message, sdk.types.StreamEvent):
                delta = message.event.get("delta") or {}
                if delta.get("type") == "text_delta" and delta.get("text"):
                    streamed = True
                    pieces.append(delta["text"])
                    yield Text(delta["text"])
                else:
                    yield Progress(str(message.event.get("type", "stream")))
            elif isinstance(message, sdk.AssistantMessage):
                for block in message.content:
                    if isinstance(block, sdk.TextBlock) and not streamed and message.error is None:
                        pieces.append(block.text)
                        yield Text(block.text)
                    elif isinstance(block, sdk.ToolUseBlock):
                        yield Progress(f"tool {block.name}")
                streamed = False
            else:
                yield Progress(str(getattr(message, "subtype", type(message).__name__)))
        raise TurnError("the Claude CLI ended the turn without a result")

    # -- the client

    async def _connect(self) -> None:
        """A fresh client, or an error by the deadline; then no CLI is left behind."""
        before = _children()
        client = self._sdk.ClaudeSDKClient(self._sdk_options())
        try:
            await self._within_deadline(client, before)
        except BaseException:
            self._cli = sorted(_children() - before)
            self._kill()
            raise
        self._client = client
        self._may_exit = False
        self._cli = sorted(_children() - before)
        self.runtime_pid = self._cli[0].pid if self._cli else None

    async def _within_deadline(self, client: Any, before: set[processes.Process]) -> None:
        loop = asyncio.get_running_loop()
        expired = vanished = False
        failure: Exception | None = None

        def expire() -> None:
            nonlocal expired
            expired = True
            self._cli = sorted(_children() - before)
            self._kill()
            limit.reschedule(loop.time() + _NOTICE)

        async def watch() -> None:
            """A CLI that exits with status 0 before it answers leaves the SDK waiting for its full 60 s."""
            nonlocal vanished
            seen, last = False, loop.time()
            while not vanished:
                await asyncio.sleep(0.1)
                if _children() - before:
                    seen, last = True, loop.time()
                # one that was never seen may have come and gone between two looks, or not be started yet
                vanished = loop.time() - last > (_NOTICE if seen else _SPAWN)
            limit.reschedule(loop.time())

        async with asyncio.TaskGroup() as group:
            timer = loop.call_later(self._deadline, expire)
            try:
                async with asyncio.timeout(None) as limit:
                    watcher = group.create_task(watch())
                    await client.connect()
            except Exception as error:
                failure = error
            finally:
                timer.cancel()
                watcher.cancel()
        if expired:
            text = f"Control request timeout: initialize (no answer within {self._deadline:g} s)"
            raise TimeoutError(text) from failure
        if failure is None:
            return
        if isinstance(failure, self._sdk.CLINotFoundError):
            raise ConfigurationError(f"the Claude CLI is not there: {failure}") from failure
        text = "the Claude CLI exited before it answered initialize" if vanished else str(failure)
        words = "; ".join(self._stderr)
        raise TurnError(f"{text}: {words}" if words else text) from failure

    async def _discard(self) -> None:
        """Drop the client: kill first, so that the SDK's own teardown takes milliseconds."""
        client, self._client, self.runtime_pid, self._may_exit = self._client, None, None, False
        self._kill()
        if client is not None:
            with suppress(Exception):
                async with asyncio.timeout(5):
                    await client.disconnect()

    def _kill(self) -> None:
        """SIGKILL to the CLI and all that it started."""
        for cli in self._cli:
            # a pid that belongs to another process by now is not ours to kill
            for process in processes.tree(cli.pid) if processes.alive(cli) else ():
                processes.send(process, signal.SIGKILL)

    def _alive(self) -> bool:
        return any(processes.alive(cli) for cli in self._cli)

    def _last_words(self, error: Exception) -> str:
        return "; ".join(self._stderr) if isinstance(error, self._sdk.ProcessError) else ""

    def _heard(self, line: str) -> None:
        self._stderr.append(line)
        print(line, file=sys.stderr)

    def _sdk_options(self) -> Any:
        option = self.options.text
        self._stderr.clear()
        return self._sdk.ClaudeAgentOptions(
            cli_path=option("cli_path") or None,
            model=option("model") or None,
            cwd=option("cwd") or None,
            system_prompt=option("system_prompt") or None,
            permission_mode=option("permission_mode") or None,
            allowed_tools=_list(option("allowed_tools")),
            setting_sources=_list(option("setting_sources")),
            include_partial_messages=True,
            max_buffer_size=_BUFFER,
            stderr=self._heard,
            env=self._environment,
        )

    def _limits(self) -> dict[str, str]:
        """How long the CLI waits for its upstream. What the operator has set in the environment stays."""
        wanted = {
            "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS": round(self.options.seconds("stream_idle_timeout", 60.0) * 1000),
            "API_TIMEOUT_MS": round(self.options.seconds("api_timeout", 120.0) * 1000),
            "CLAUDE_CODE_MAX_RETRIES": self.options.integer("max_retries", 6),
        }
        return {name: str(value) for name, value in wanted.items() if name not in os.environ}


def _children() -> set[processes.Process]:
    """Living direct children of this process, for telling which of them the SDK has just started."""
    here = os.getpid()
    # the state changes all the time and must not tell two readings of one process apart
    return {
        one._replace(state="") for one in processes.snapshot() if one.parent == here and one.state not in {"Z", "X"}
    }


def _failure(message: Any) -> str:
    said = message.result or "; ".join(message.errors or ()) or message.subtype
    status = message.api_error_status
    return f"the turn failed: {said}" + (f" (HTTP {status})" if status else "")


def _list(text: str) -> list[str]:
    return [part for part in (piece.strip() for piece in text.split(",")) if part]
