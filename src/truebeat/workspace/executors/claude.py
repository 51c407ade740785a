"""Claude Code through claude-agent-sdk (extra "claude"). Its options are in docs/executors.md.

claude_options.py   the options, and the SDK's options made of them
claude_cli.py       the CLI's processes: found, killed, none left behind
claude_connect.py   one client: deadlines, drained stream, exit watcher
claude_stream.py    messages to outputs and phases
claude_sessions.py  which session continues which conversation
claude_recovery.py  the ladder
claude_tools.py     the agents' tools, natively; what of a turn the model is shown
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from truebeat.domain.symptoms import classify
from truebeat.workspace.executors import claude_recovery, threads
from truebeat.workspace.executors.base import (
    AnsweredError,
    ConfigurationError,
    Executor,
    InterruptedTurnError,
    Options,
    Output,
    Result,
    Step,
    Turn,
    TurnError,
)
from truebeat.workspace.executors.claude_client import Client
from truebeat.workspace.executors.claude_options import Settings
from truebeat.workspace.executors.claude_stream import Reader
from truebeat.workspace.executors.claude_tools import NativeTools, prompt

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from truebeat.workspace.executors.claude_connect import Connection

#: seconds for a result that comes after the interrupt of a turn that was already complete
_LATE: Final = 2.0
_INTERRUPTED: Final = (
    "[An earlier attempt at this message was interrupted before it ended. Part of the work may be done already: "
    "look before you do anything twice.]\n\n"
)
_BEGUN_ANEW: Final = "[The earlier part of this conversation could not be restored.]\n\n"


class ClaudeExecutor(Executor):
    """One live client at a time; a turn of another conversation opens a fresh one that resumes its session."""

    probe_timeout = 5.0

    tells_tools = True

    wedge_texts = True

    def __init__(self, target: str | Sequence[str], options: Options) -> None:
        super().__init__(target, options)
        self._settings = Settings(options, self.probe_timeout)
        self._limits = self._settings.limits
        #: three connects of the ladder, each with its probe and its teardown
        self.recovery_timeout = 3 * (self._limits.connect + self._limits.probe) + 5.0
        self._client = Client(self._settings, self._tell_slow)
        self._sdk: Any = None
        self._tools: NativeTools | None = None
        self._reader: Reader | None = None
        self._moved_at = 0.0
        #: probes in a row that failed or were given up
        self._unanswered = 0
        self._noted = ""

    @property
    def runtime_pid(self) -> int | None:  # type: ignore[override]
        """The CLI's; of one that was lost by a fault too, until another one is open."""
        return self._client.pid

    async def start(self) -> None:
        try:
            # in a thread: a slow import must not look like a blocked event loop
            self._sdk = await threads.call(lambda: import_module("claude_agent_sdk"), name="import")
        except ImportError as error:
            raise ConfigurationError(
                f"the claude executor needs claude-agent-sdk ({error}): install truebeat[claude]"
            ) from error
        self._settings.check()
        if self.place is not None and self._settings.wants_tools:
            self._tools = self._settings.tools = NativeTools(self._sdk, self.place)
        try:
            await self._client.start(self._sdk)
        except ConfigurationError:
            raise
        except Exception:
            if not self._settings.extras:
                raise
            async with aclosing(claude_recovery.blame(self._client, self._settings.extras)) as steps:
                if not any([step.ok async for step in steps]):
                    raise

    # -- a turn

    async def run(self, turn: Turn) -> AsyncGenerator[Output, None]:
        try:
            connection, anew = await self._client.take(turn.context_id)
        except ConfigurationError as error:
            self._tell(str(error))
            raise AnsweredError(str(error)) from error
        except Exception as error:
            raise InterruptedTurnError(claude_recovery.said(error)) from error
        reader = self._reader = Reader(self._sdk)
        self._works_on(turn.task_id)
        try:
            self._unanswered = 0
            self._move()
            await connection.send(
                (_INTERRUPTED if turn.interrupted else "") + (_BEGUN_ANEW if anew else "") + prompt(turn)
            )
            for output in reader.enter("waiting_model"):
                yield output
            last = None
            while last is None:
                message = await self._next(connection, reader)
                if message is None:
                    last = await self._without_result(connection, reader)
                    break
                for output in reader.read(message):
                    self._move()
                    yield output
                await self._client.remember(connection, reader.session)
                last = await self._result(connection, reader)
        except AnsweredError:
            raise
        except Exception as error:
            await self._client.lose(connection, claude_recovery.said(error))
            raise InterruptedTurnError(claude_recovery.said(error)) from error
        except BaseException:  # cancelled, or the consumer left
            await self._stop_turn(connection)
            raise
        finally:
            self._reader = None
            self._works_on("")
        # not within the try: who has the result may leave, and nothing is left to interrupt
        yield Result(last)

    def _works_on(self, task: str) -> None:
        if self._tools is not None:
            self._tools.task = task

    async def _next(self, connection: Connection, reader: Reader) -> Any:
        """The next message; None if the turn is complete and its result does not come."""
        if not reader.final:
            return await connection.next()
        try:
            async with asyncio.timeout(self._limits.result):
                return await connection.next()
        except TimeoutError:
            return None

    async def _result(self, connection: Connection, reader: Reader) -> str | None:
        """The answer; None while there is no result yet."""
        message = reader.result
        if message is None:
            return None
        if not message.is_error:
            self._client.answered_well(connection)
            self._tell("")
            return message.result or reader.text
        self._client.answered_with_an_error()
        said = message.result or "; ".join(message.errors or ()) or message.subtype
        said += f" (HTTP {message.api_error_status})" if message.api_error_status else ""
        if claude_recovery.unknown_session(said):
            await self._client.forget(connection)
        meaning = claude_recovery.naming(said)
        if meaning is None:
            raise AnsweredError(f"the turn failed: {said}")
        row = classify(said)
        self._tell(f"{meaning}: {said}. {row.action if row else ''}".strip())
        raise AnsweredError(f"the turn failed ({meaning}): {said}")

    async def _without_result(self, connection: Connection, reader: Reader) -> str:
        """The answer of a turn that was complete and whose result was never sent."""
        text, late = reader.text, None
        try:
            async with asyncio.timeout(self._limits.interrupt):
                await connection.client.interrupt()
            async with asyncio.timeout(_LATE):
                while not isinstance(late, self._sdk.ResultMessage):
                    late = await connection.next()
        except Exception:
            # no late result; what was streamed is the answer
            late = None
        if late is not None and not late.is_error:
            return late.result or text
        await self._client.lose(connection, "the turn was done and the result was never sent")
        if not text.strip():
            raise TurnError("the result was never sent, and there is no text to answer with")
        return text

    async def _stop_turn(self, connection: Connection) -> None:
        """After a cancellation: an interrupt ends the turn within interrupt_timeout, or SIGKILL ends the client."""
        if self._unanswered or connection.over:
            await self._client.lose(connection, "the turn was stopped while the CLI did not answer")
            return
        reason = "the CLI did not acknowledge the interrupt"
        try:
            async with asyncio.timeout(self._limits.interrupt):
                await connection.client.interrupt()
                reason = "the interrupt was acknowledged and ignored"
                while not isinstance(await connection.next(), self._sdk.ResultMessage):
                    continue
        except Exception:
            await self._client.lose(connection, reason)
        except BaseException:
            connection.kill()
            raise

    # -- evidence

    async def probe(self) -> None:
        """`get_mcp_status` is answered by the CLI's control channel in milliseconds, even while the upstream hangs."""
        client = self._client
        if client.connecting:
            return  # it has a deadline of its own
        if client.absent:
            client.open_again()
            return
        connection, ended = client.connection, client.ended
        if connection is None:
            raise TurnError(client.lost)
        if ended is not None:
            raise ended
        try:
            status = await connection.client.get_mcp_status()
        except BaseException as error:
            if isinstance(error, Exception) and client.may_exit and not connection.alive():
                return  # it has just exited on purpose; the next probe opens another one
            self._unanswered += 1
            raise
        self._unanswered = 0
        self._explain_silence(status)

    def suspicion(self) -> str:
        if self._client.ended is not None:
            return "the CLI's stream has ended"
        return "" if self._client.connecting or self._client.connection is not None else self._client.lost

    def abandon(self) -> None:
        if self._client.connection is not None:
            self._unanswered += 1
            self._client.connection.kill()

    def exit_text(self) -> str:
        why = self._client.lost or str(self._client.ended or "")
        return f"is gone: {why}" if why else ""

    def _explain_silence(self, status: Any) -> None:
        """The CLI answers: if its turn does not move, something that it waits for does not."""
        reader = self._reader
        silent = asyncio.get_running_loop().time() - self._moved_at
        if reader is None or reader.phase != "waiting_model" or silent < self._limits.stalled:
            return
        servers = status.get("mcpServers") or [] if isinstance(status, dict) else []
        pending = [str(one.get("name")) for one in servers if isinstance(one, dict) and one.get("status") == "pending"]
        if pending:
            self._tell(f"mcp_pending: the turn waits for the MCP server {', '.join(pending)}")
        else:
            self._tell("upstream_stalled: the CLI answers its probe, and the model's API does not move")

    def _move(self) -> None:
        self._moved_at = asyncio.get_running_loop().time()
        if self._noted.startswith(("upstream_stalled", "mcp_pending")):
            self._tell("")

    def _tell_slow(self, text: str) -> None:
        if text or self._noted.startswith("slow start"):
            self._tell(text)

    def _tell(self, text: str) -> None:
        if text != self._noted:
            self._noted = text
            self.note(text)

    # -- the end, and the ladder

    async def recover(self, reason: str) -> AsyncGenerator[Step, None]:
        session = await self._client.give_up(reason)
        async with aclosing(claude_recovery.climb(self._client, session, self._settings.extras)) as steps:
            async for step in steps:
                yield step

    async def close(self) -> None:
        await self._client.close()
        if self._tools is not None:
            self._tools.close()
