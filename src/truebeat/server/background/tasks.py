"""How background work is started and kept alive: nothing dies silently."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from truebeat.clock import Clock

log = structlog.get_logger(__name__)

#: asyncio keeps only weak references to tasks
_running: set[asyncio.Task[Any]] = set()

#: seconds before a duty that crashed is started again
RESTART_DELAY = 1.0
#: seconds before a duty that goes on is told again to stop
STOP_AGAIN = 0.5


def spawn(coroutine: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
    """Run it beside the caller; an exception is logged, never lost."""
    task = asyncio.create_task(coroutine, name=name)  # noqa: TID251 - the one place that may
    _running.add(task)
    task.add_done_callback(_finished)
    return task


def _finished(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("background task failed", task=task.get_name(), exc_info=error)


class Duties:
    """Loops that must never stop. One that raises is logged and started again; `failing` tells /readyz."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: list[asyncio.Task[Any]] = []
        #: duty -> (monotonic time, text) of its last crash
        self.crashes: dict[str, tuple[float, str]] = {}

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """`run` loops for ever; returning is treated as a crash."""
        self._tasks.append(spawn(self._keep(name, run), name=name))

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await run()
                reason = "it returned"
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                log.exception("duty crashed; it starts again", duty=name)
            self.crashes[name] = (self._clock.monotonic(), reason)
            await asyncio.sleep(RESTART_DELAY)

    def failing(self, within: float = 30.0) -> dict[str, str]:
        """Duties that crashed within the last `within` seconds, with the reason."""
        now = self._clock.monotonic()
        return {name: reason for name, (at, reason) in self.crashes.items() if now - at < within}

    async def stop(self) -> None:
        """Returns when all have ended. They are told more than once: a driver may turn a cancellation into an error of
        its own, and the loop would go on.
        """
        while pending := [task for task in self._tasks if not task.done()]:
            for task in pending:
                task.cancel()
            await asyncio.wait(pending, timeout=STOP_AGAIN)
        self._tasks.clear()
