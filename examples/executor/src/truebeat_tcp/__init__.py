"""`truebeat run NAME --agent tcp HOST:PORT`: the turns are done by a service that speaks lines over TCP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from truebeat import ConfigurationError, Executor, InPhase, Result, Step, Text, Turn, TurnError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from truebeat import Output


class TcpExecutor(Executor):
    """One connection for the turns, and a fresh one for each probe, so that a turn that hangs can't hide a service that
    works, nor the other way round.
    """

    probe_timeout = 2.0
    capacity = 1

    async def start(self) -> None:
        target = self.target if isinstance(self.target, str) else " ".join(self.target)
        self._host, colon, port = target.rpartition(":")
        if not colon or not port.isdecimal():
            # a restart can't help: quarantined at once, with this text
            raise ConfigurationError(f"{target!r} is not HOST:PORT")
        self._port = int(port)
        self._connect_timeout = self.options.seconds("connect_timeout", 10.0)
        self._reader, self._writer = await self._connect()

    async def run(self, turn: Turn) -> AsyncGenerator[Output, None]:
        pieces = []
        yield InPhase("waiting_model")
        try:
            async for line in self._ask(self._reader, self._writer, turn.text):
                pieces.append(line)
                yield Text(line + " ")  # each one is evidence that the work moves
        except BaseException:
            # canceled or broken in the middle: what still comes belongs to this turn, not to the next
            await self._reconnect()
            raise
        yield Result(" ".join(pieces))

    async def probe(self) -> None:
        """By the way that work goes: a port that accepts proves nothing."""
        reader, writer = await self._connect()
        try:
            async for _ in self._ask(reader, writer, "ping"):
                pass
        finally:
            writer.close()

    async def recover(self, reason: str) -> AsyncGenerator[Step, None]:
        """Only a new connection can be tried from here; the worker probes before it believes it."""
        try:
            await self._reconnect()
        except OSError as error:
            yield Step("fresh connection", ok=False, detail=str(error))
        else:
            yield Step("fresh connection", ok=True)

    async def close(self) -> None:
        self._writer.close()

    async def _reconnect(self) -> None:
        self._writer.close()
        self._reader, self._writer = await self._connect()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(self._connect_timeout):
            return await asyncio.open_connection(self._host, self._port)

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: str
    ) -> AsyncGenerator[str, None]:
        writer.write(" ".join(text.split()).encode() + b"\n")
        await writer.drain()
        while (line := (await reader.readline()).decode().removesuffix("\n")) != ".":
            if not line:
                raise TurnError("the service closed the connection in the middle of an answer")
            yield line
