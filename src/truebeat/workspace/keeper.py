"""Loops that are started again when they crash, and not for ever."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING, Final

from truebeat.workspace.turns import error_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: crashes of one loop before it is given up; a loop that ran FORGIVEN seconds starts anew
CRASH_LIMIT: Final = 10
FORGIVEN: Final = 60.0

_log = logging.getLogger(__name__)


async def keep(
    name: str, loop: Callable[[], Awaitable[None]], give_up: Callable[[], None], *, limit: int = CRASH_LIMIT
) -> None:
    """Run a loop until it returns. One that crashes over and over is told to stderr, and `give_up` is called."""
    now = asyncio.get_running_loop().time
    crashes = 0
    while True:
        started = now()
        try:
            await loop()
        except Exception as error:
            crashes = 1 if now() - started > FORGIVEN else crashes + 1
            _log.exception("the worker's %s loop crashed (%d)", name, crashes)
            if crashes >= limit:
                print(f"the worker's {name} loop keeps crashing: {error_text(error)}", file=sys.stderr, flush=True)
                give_up()
                return
            await asyncio.sleep(min(0.05 * 2**crashes, 5.0))
        else:
            return
