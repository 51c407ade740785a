"""The end of the server, for those who wait: they get what is known instead of a cut connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from truebeat.server.background.tasks import spawn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

T = TypeVar("T")


class Closing:
    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()

    async def first(self, waiting: Awaitable[T], otherwise: T) -> T:
        """What it waits for; `otherwise` if the server ends first."""
        task = spawn(caught(waiting), name="a2a wait")
        closed = spawn(self._event.wait(), name="a2a closing")
        try:
            await asyncio.wait({task, closed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closed.cancel()
            await _settle(task)
        return otherwise if task.cancelled() else raised(task.result())

    async def each(self, items: AsyncIterator[T]) -> AsyncIterator[T]:
        """Its items, until the server ends."""
        closed = spawn(self._event.wait(), name="a2a closing")
        try:
            while True:
                task = spawn(caught(_next(items)), name="a2a stream")
                try:
                    await asyncio.wait({task, closed}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    await _settle(task)
                if task.cancelled():
                    return
                found = raised(task.result())
                if not found:
                    return
                yield found[0]
        finally:
            closed.cancel()
            await _close(items)


async def caught(waiting: Awaitable[T]) -> T | Exception:
    """Its result or what it raised, for a task that another one awaits: a plain task's error is logged as lost."""
    try:
        return await waiting
    except Exception as error:
        return error


def raised(outcome: T | Exception) -> T:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def _next(items: AsyncIterator[T]) -> tuple[T, ...]:
    """The next item, or nothing at the end."""
    async for item in items:
        return (item,)
    return ()


async def _settle(task: asyncio.Task[Any]) -> None:
    """It ends: an iterator can't be closed while it runs."""
    task.cancel()
    await asyncio.wait({task})


async def _close(items: AsyncIterator[T]) -> None:
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()
