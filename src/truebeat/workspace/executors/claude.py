"""Claude Code through claude-agent-sdk (extra "claude"). Its options are in docs/executors.md.

claude_options.py   the options, and the SDK's options made of them
claude_cli.py       the CLI's processes: found, killed, none left behind
claude_connect.py   one client: deadlines, drained stream, exit watcher
claude_stream.py    messages to outputs and phases
claude_sessions.py  which session continues which conversation
claude_recovery.py  the ladder
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
from truebeat.workspace.executors.claude_connect import Connection
from truebeat.workspace.executors.claude_options import Settings
from truebeat.workspace.executors.claude_sessions import Sessions
from truebeat.workspace.executors.claude_stream import Reader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

#: seconds for a result that comes after the interrupt of a turn that was already complete
_LATE: Final = 2.0
_INTERRUPTED: Final = (
    "[An earlier attempt at this message was interrupted before it ended. Part of the work may be done already: "
    "look before you do anything twice.]\n\n"
)
_BEGUN_ANEW: Final = "[The earlier part of this conversation could not be restored.]\n\n"


class ClaudeExecutor(Executor):
    """One live client at a time; a turn of another conversation opens a fresh one that resumes its session.

    When a client was lost by a fault, `runtime_pid` goes on naming its dead CLI and the probe fails, until a repair
    or the next turn has opened a fresh one: a workspace that can't work must not look as if it could.
    """

    probe_timeout = 5.0

    def __init__(self, target: str | Sequence[str], options: Options) -> None:
        super().__init__(target, options)
        self._settings = Settings(options, self.probe_timeout)
        self._limits = self._settings.limits
        #: three connects of the ladder, each with its probe and its teardown
        self.recovery_timeout = 3 * (self._limits.connect + self._limits.probe) + 5.0
        self._sessions = Sessions(self._settings.state_dir)
        self._sdk: Any = None
        self._connection: Connection | None = None
        self._connecting = False
        #: the CLI may exit on purpose after it reported a failed turn; that is no fault
        self._may_exit = False
        #: why there is no client; "" while there is one, or none is needed
        self._lost = ""
        #: the conversation that the lost client carried
        self._lost_context: str | None = None
        self._reader: Reader | None = None
        self._moved_at = 0.0
        #: probes that were begun since one was answered
        self._unanswered = 0
        self._noted = ""
        #: sessions that broke the stream; one that does so again when it is resumed is given up
        self._poisoned: set[str] = set()

    async def start(self) -> None:
        try:
            # in a thread: a slow import must not look like a blocked event loop
            self._sdk = await threads.call(lambda: import_module("claude_agent_sdk"), name="import")
        except ImportError as error:
            raise ConfigurationError(
                f"the claude executor needs claude-agent-sdk ({error}): install truebeat[claude]"
            ) from error
        self._settings.check()
        await self._sessions.load()
        try:
            await self._open("")
        except ConfigurationError:
            raise
        except Exception:
            if not self._settings.extras:
                raise
            async with aclosing(claude_recovery.blame(self, self._settings.extras)) as steps:
                if not any([step.ok async for step in steps]):
                    raise

    # -- a turn

    async def run(self, turn: Turn) -> AsyncGenerator[Output, None]:
        try:
            connection, anew = await self._client_for(turn.context_id)
        except ConfigurationError as error:
            self._tell(str(error))
            raise AnsweredError(str(error)) from error
        except Exception as error:
            raise InterruptedTurnError(claude_recovery.said(error)) from error
        reader = self._reader = Reader(self._sdk)
        try:
            self._move()
            await connection.send(
                (_INTERRUPTED if turn.interrupted else "") + (_BEGUN_ANEW if anew else "") + turn.text
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
                await self._remember(connection, turn.context_id, reader.session)
                last = await self._result(connection, reader)
        except AnsweredError:
            raise
        except Exception as error:
            await self._lose(connection, claude_recovery.said(error))
            raise InterruptedTurnError(claude_recovery.said(error)) from error
        except BaseException:  # cancelled, or the consumer left
            await self._stop_turn(connection)
            raise
        finally:
            self._reader = None
        # not within the try: who has the result may leave, and nothing is left to interrupt
        yield Result(last)

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
            self._may_exit = False
            self.runtime_pid = connection.pid
            self._tell("")
            return message.result or reader.text
        self._may_exit = True
        self.runtime_pid = None
        said = message.result or "; ".join(message.errors or ()) or message.subtype
        said += f" (HTTP {message.api_error_status})" if message.api_error_status else ""
        if claude_recovery.unknown_session(said) and connection.context is not None:
            await self._sessions.forget(connection.context)
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
        await self._lose(connection, "the turn was done and the result was never sent")
        if not text.strip():
            raise TurnError("the result was never sent, and there is no text to answer with")
        return text

    async def _stop_turn(self, connection: Connection) -> None:
        """After a cancellation: an interrupt ends the turn within interrupt_timeout, or SIGKILL ends the client."""
        if self._unanswered or connection.over:
            await self._lose(connection, "the turn was stopped while the CLI did not answer")
            return
        reason = "the CLI did not acknowledge the interrupt"
        try:
            async with asyncio.timeout(self._limits.interrupt):
                await connection.client.interrupt()
                reason = "the interrupt was acknowledged and ignored"
                while not isinstance(await connection.next(), self._sdk.ResultMessage):
                    continue
        except Exception:
            await self._lose(connection, reason)
        except BaseException:
            connection.kill()
            raise

    # -- the client

    async def _client_for(self, context: str) -> tuple[Connection, bool]:
        """A client that carries that conversation; true if an earlier part of it was lost."""
        connection = self._connection
        if connection is not None and not connection.over and (connection.alive() or not self._may_exit):
            fresh = connection.context is None and not self._sessions.get(context)
            if fresh or connection.context == context:
                connection.context = context
                return connection, False
        session = self._sessions.get(context)
        self.runtime_pid = None
        if connection is not None:
            self._connection = None
            await (connection.discard() if connection.over else connection.close())
        anew = False
        try:
            connection = await self._open(session)
        except ConfigurationError:
            raise
        except Exception as error:
            if not session or not claude_recovery.unknown_session(str(error)):
                raise
            await self._sessions.forget(context)
            connection, anew = await self._open(""), True
        connection.context = context
        return connection, anew

    async def _open(self, session: str) -> Connection:
        connection = Connection(self._sdk, self._settings, resume=session)
        self._connecting = True
        try:
            await connection.open(self._limits, self._tell)
        except Exception as error:
            self._lost = claude_recovery.said(error)
            raise
        finally:
            self._connecting = False
        self._connection = connection
        self._lost, self._may_exit, self._unanswered = "", False, 0
        self.runtime_pid = connection.pid
        if self._noted.startswith("slow start"):
            self._tell("")
        return connection

    async def _lose(self, connection: Connection, reason: str) -> None:
        """Drop a client that may be broken. `runtime_pid` stays: what it names is dead, and that is the evidence."""
        if self._connection is connection:
            self._connection = None
        self._lost, self._lost_context, self._unanswered = reason, connection.context, 0
        self.runtime_pid = connection.pid
        row = classify(reason)
        try:
            await connection.discard()
        finally:
            if row is not None and row.id == "broken-line" and connection.session:
                await self._suspect(connection)

    async def _suspect(self, connection: Connection) -> None:
        """A session whose replay breaks the stream again is not resumed a third time."""
        if connection.session in self._poisoned and connection.context is not None:
            await self._sessions.forget(connection.context)
        self._poisoned.add(connection.session)

    async def _remember(self, connection: Connection, context: str, session: str) -> None:
        if session and session != connection.session:
            connection.session = session
        if session:
            await self._sessions.put(context, session)

    # -- evidence

    async def probe(self) -> None:
        """`get_mcp_status` is answered by the CLI's control channel in milliseconds, even while the upstream hangs."""
        connection = self._connection
        if self._connecting:
            return  # it has a deadline of its own
        if connection is None:
            if self._lost:
                raise TurnError(self._lost)
            return
        if connection.over:
            if self._may_exit:
                return
            raise connection.ending()
        self._unanswered += 1
        status = await connection.client.get_mcp_status()
        self._unanswered = 0
        self._explain_silence(status)

    def suspicion(self) -> str:
        connection = self._connection
        if connection is not None and connection.over and not self._may_exit:
            return "the CLI's stream has ended"
        return "" if self._connecting or connection is not None else self._lost

    def abandon(self) -> None:
        if self._connection is not None:
            self._unanswered += 1
            self._connection.kill()

    def exit_text(self) -> str:
        if self._lost:
            return f"is gone: {self._lost}"
        connection = self._connection
        return f"is gone: {connection.ending()}" if connection is not None and connection.over else ""

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

    def _tell(self, text: str) -> None:
        if text != self._noted:
            self._noted = text
            self.note(text)

    # -- the ladder

    async def recover(self, reason: str) -> AsyncGenerator[Step, None]:
        connection = self._connection
        if connection is not None:
            await self._lose(connection, reason)
        context = self._lost_context
        session = self._sessions.get(context) if context is not None else ""
        async with aclosing(claude_recovery.climb(self, session, self._settings.extras)) as steps:
            async for step in steps:
                if step.ok and self._connection is not None:
                    self._connection.context = context
                yield step

    async def reopen(self, session: str) -> None:
        """A fresh client that answers, with the full options; "" for a session of its own."""
        connection = await self._open(session)
        try:
            await self._ask(connection)
        except BaseException:
            await self._lose(connection, "a fresh client did not answer its probe")
            raise
        if not session and self._lost_context is not None:
            await self._sessions.forget(self._lost_context)

    async def canary(self) -> None:
        """A client with minimal options that answers, closed again."""
        connection = Connection(self._sdk, self._settings, full=False)
        await connection.open(self._limits, self._tell)
        try:
            await self._ask(connection)
        finally:
            await connection.discard()

    async def _ask(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(self._limits.probe):
                await connection.client.get_mcp_status()
        except TimeoutError as error:
            raise TimeoutError(f"Control request timeout: mcp_status (within {self._limits.probe:g} s)") from error

    async def close(self) -> None:
        self.runtime_pid, self._lost = None, ""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
