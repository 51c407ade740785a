"""The one live client: handed out for a conversation, lost by a fault, opened again, repaired by the ladder.

After a fault `pid` goes on naming the dead CLI, and `lost` says why: a workspace that can't work must not look as if
it could. A client that is gone for no fault (its CLI exited on purpose, its opening was stopped) is opened again as
soon as anybody looks.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from truebeat.domain.symptoms import classify
from truebeat.workspace.executors.base import ConfigurationError
from truebeat.workspace.executors.claude_connect import Connection
from truebeat.workspace.executors.claude_recovery import said, unknown_session
from truebeat.workspace.executors.claude_sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from truebeat.workspace.executors.claude_options import Settings


class Client:
    """`slow` is called with what people should know about a slow start, and with "" once it has started."""

    def __init__(self, settings: Settings, slow: Callable[[str], None]) -> None:
        self._settings = settings
        self._limits = settings.limits
        self._slow = slow
        self._sdk: Any = None
        self._sessions = Sessions(settings.state_dir)
        #: sessions that broke the stream; one that does so again when it is resumed is given up
        self._poisoned: set[str] = set()
        self._opening: asyncio.Task[None] | None = None
        self._closed = False
        self.connection: Connection | None = None
        #: one is being opened, which has a deadline of its own
        self.connecting = False
        #: the CLI may exit on purpose after it reported a failed turn; that is no fault
        self.may_exit = False
        #: why there is no client; "" while there is one, or none is needed
        self.lost = ""
        #: the conversation that the lost client carried
        self._lost_context: str | None = None
        #: the CLI's process id, also after it was lost
        self.pid: int | None = None

    async def start(self, sdk: Any) -> None:
        self._sdk = sdk
        await self._sessions.load()
        await self._open("")

    # -- for a turn

    async def take(self, context: str) -> tuple[Connection, bool]:
        """A client that carries that conversation; true if an earlier part of it was lost."""
        if self._opening is not None:
            await asyncio.wait({self._opening})
        connection = self.connection
        if connection is not None and not connection.over and (connection.alive() or not self.may_exit):
            fresh = connection.context is None and not self._sessions.get(context)
            if fresh or connection.context == context:
                connection.context = context
                return connection, False
        session = self._sessions.get(context)
        anew = False
        with self._busy():
            self.pid, self.connection, self._lost_context = None, None, context
            if connection is not None:
                await (connection.discard() if connection.over else connection.close())
            try:
                connection = await self._open(session)
            except ConfigurationError:
                raise
            except Exception as error:
                if not session or not unknown_session(str(error)):
                    raise
                await self._sessions.forget(context)
                connection, anew = await self._open(""), True
        connection.context = context
        return connection, anew

    async def remember(self, connection: Connection, session: str) -> None:
        """The session that continues this conversation."""
        if session and connection.context is not None:
            connection.session = session
            await self._sessions.put(connection.context, session)

    async def forget(self, connection: Connection) -> None:
        """The next turn of this conversation begins it anew."""
        if connection.context is not None:
            await self._sessions.forget(connection.context)

    async def lose(self, connection: Connection, reason: str) -> None:
        """Drop a client that may be broken, for good."""
        if self.connection is connection:
            self.connection = None
        self.lost, self._lost_context, self.pid = reason, connection.context, connection.pid
        row = classify(reason)
        try:
            await connection.discard()
        finally:
            if row is not None and row.id == "broken-line" and connection.session:
                if connection.session in self._poisoned:
                    await self.forget(connection)
                self._poisoned.add(connection.session)

    def answered_with_an_error(self) -> None:
        self.may_exit, self.pid = True, None

    def answered_well(self, connection: Connection) -> None:
        self.may_exit, self.pid = False, connection.pid

    # -- evidence

    @property
    def ended(self) -> Exception | None:
        """How the stream of the present client ended, if that is a fault."""
        connection = self.connection
        return connection.ending() if connection is not None and connection.over and not self.may_exit else None

    @property
    def absent(self) -> bool:
        """There is no client and no fault."""
        if self.lost or self.connecting:
            return False
        return self.connection is None or (self.connection.over and self.may_exit)

    def open_again(self) -> None:
        """In the background; a failure is told by `lost`."""
        if self._closed or (self._opening is not None and not self._opening.done()):
            return
        gone, self.connection, self.connecting = self.connection, None, True

        async def work() -> None:
            context = gone.context if gone is not None else None
            try:
                if gone is not None:
                    await gone.discard()
                connection = await self._open(self._sessions.get(context) if context is not None else "")
                connection.context = context
            except Exception:
                self._lost_context = context
            finally:
                self.connecting = False

        self._opening = asyncio.get_running_loop().create_task(work())

    async def ask(self, connection: Connection) -> Any:
        """The canary of a client: its answer, within the limit of a probe."""
        try:
            async with asyncio.timeout(self._limits.probe):
                return await connection.client.get_mcp_status()
        except TimeoutError as error:
            raise TimeoutError(f"Control request timeout: mcp_status (within {self._limits.probe:g} s)") from error

    # -- the ladder

    async def give_up(self, reason: str) -> str:
        """No client any more, whatever there was; the session that a fresh one has to resume."""
        await self._stop_opening()
        if self.connection is not None:
            await self.lose(self.connection, reason)
        return self._sessions.get(self._lost_context) if self._lost_context is not None else ""

    async def reopen(self, session: str) -> None:
        """A fresh client that answers, with the full options; "" for a session of its own."""
        connection = await self._open(session)
        connection.context = self._lost_context
        try:
            await self.ask(connection)
        except BaseException:
            await self.lose(connection, "a fresh client did not answer its probe")
            raise
        if not session:
            await self.forget(connection)

    async def canary(self) -> None:
        """A client with minimal options that answers, closed again."""
        connection = Connection(self._sdk, self._settings, full=False)
        await connection.open(self._limits, self._slow)
        try:
            await self.ask(connection)
        finally:
            await connection.discard()

    async def close(self) -> None:
        self._closed = True
        await self._stop_opening()
        self.pid, self.lost = None, ""
        connection, self.connection = self.connection, None
        if connection is not None:
            await connection.close()

    async def _open(self, session: str) -> Connection:
        connection = Connection(self._sdk, self._settings, resume=session)
        with self._busy():
            try:
                await connection.open(self._limits, self._slow)
            except Exception as error:
                self.lost = said(error)
                raise
        self.connection, self.pid = connection, connection.pid
        self.lost, self.may_exit = "", False
        self._slow("")
        return connection

    async def _stop_opening(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
            self._opening, self.connecting = None, False

    @contextmanager
    def _busy(self) -> Iterator[None]:
        before, self.connecting = self.connecting, True
        try:
            yield
        finally:
            self.connecting = before
