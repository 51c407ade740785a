"""Starting over inside a process that goes on: when a new generation may be believed."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from truebeat.workspace import wedge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from truebeat.workspace.embed_commands import Renew
    from truebeat.workspace.embed_turns import Turns

_log = logging.getLogger("truebeat.embed")

#: seconds that what ran before may take to end after `on_restart`, before the process is said to be wedged
OLD_BOUND: Final = 10.0
#: why it is wedged then; also where an earlier `on_restart` does not end
STAYS: Final = "what ran before the restart does not end"


class Restarts:
    """One start at a time, in this order: what ran is interrupted and gets `grace` seconds, `on_restart` returns, the
    rest has ended. Only then `start` counts up, so that a canary that sets out from there on speaks for the new
    generation. What does not end, or fails, is a wedge of the process until it ends, or a later restart works.
    """

    def __init__(self, turns: Turns, on_restart: Callable[[], Awaitable[object]] | None, grace: float) -> None:
        self._turns = turns
        self._on_restart = on_restart
        self._grace = grace
        self._present: asyncio.Task[None] | None = None
        self._failure = ""
        #: the last start that was done
        self.start = 0
        #: set when there is a new one; whoever waits for it clears it
        self.done = asyncio.Event()

    def order(self, order: Renew) -> asyncio.Task[None]:
        """Begin it. One that is on is canceled: the newer order takes its place."""
        before = self._present
        if before is not None:
            before.cancel()
        self._turns.renew()
        self._present = asyncio.ensure_future(self._start_over(order, before))
        return self._present

    async def _start_over(self, order: Renew, before: asyncio.Task[None] | None) -> None:
        _log.warning("starting over: %s", order.reason)
        if before is not None and (await asyncio.wait([before], timeout=OLD_BOUND))[1]:
            wedge.mark_wedged(STAYS)
            await asyncio.wait([before])
        await self._turns.gone(self._grace)
        failure = await self._again()
        if not await self._turns.gone(OLD_BOUND):
            wedge.mark_wedged(STAYS)
            await self._turns.gone(None)
        for ours in (STAYS, self._failure):
            if ours and wedge.wedge_reason() == ours:
                wedge.clear_wedge()
        self._failure = failure
        if failure:
            wedge.mark_wedged(failure)
        self.start = order.start
        self.done.set()

    async def _again(self) -> str:
        """Call `on_restart`; why it failed, or ""."""
        if self._on_restart is None:
            return ""
        try:
            await self._on_restart()
        except asyncio.CancelledError as error:
            present = asyncio.current_task()
            if present is not None and present.cancelling():
                raise
            return _failed(error)
        except Exception as error:
            return _failed(error)
        return ""


def _failed(error: BaseException) -> str:
    return f"the restart failed: {str(error) or type(error).__name__}"[: wedge.REASON_LIMIT].strip()
