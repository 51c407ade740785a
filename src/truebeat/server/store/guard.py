"""One server a database: a second one would judge the same workspaces by beats it does not get.

The guard is a session's advisory lock, so a killed server releases it as soon as the database notices.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from truebeat.errors import Conflict, Unavailable
from truebeat.server.store.database import connect, lost_is_unavailable
from truebeat.server.store.sql import queries

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

_SQL: Final = queries("guard")
LOCK_KEY: Final = 7_483_203
#: seconds a new server waits for the session of a killed one to end
PATIENCE: Final = 5.0
#: seconds between looks whether the guard's connection still lives
INTERVAL: Final = 1.0


class SingleServer:
    """Hold it while serving. `on_lost` is called when another server took over while the database was away."""

    def __init__(self, url: str, on_lost: Callable[[Conflict], None]) -> None:
        self._url = url
        self._on_lost = on_lost
        self._connection: Any = None

    async def acquire(self, patience: float = PATIENCE) -> None:
        """Raises Conflict if another server keeps it for `patience` seconds, Unavailable without a database."""
        connection = await connect(self._url)
        try:
            async with asyncio.timeout(patience):
                while not await connection.fetchval(_SQL["try_lock"], LOCK_KEY):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        except TimeoutError:
            await connection.close()
            raise Conflict(
                "another truebeat server uses this database; stop it first, or give this one a database of its own"
            ) from None
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection

    async def run(self) -> None:
        """Keep it: a duty of the server."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                with lost_is_unavailable():
                    await self._connection.fetchval(_SQL["still_there"])
            except Unavailable:
                await self._again()

    async def _again(self) -> None:
        self._connection.terminate()
        try:
            await self.acquire()
        except Unavailable as error:
            log.warning("the guard waits for the database", reason=error.message)
        except Conflict as error:
            self._on_lost(error)

    def release(self) -> None:
        """Let the next server in at once."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
