"""The pool. Whatever way the database is lost, a caller sees one error: `Unavailable`."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import UUID

import asyncpg
import msgspec

from truebeat.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

#: seconds for a connection, and for one statement
TIMEOUT: Final = 5.0

_LOST: Final = (
    OSError,  # refused, reset, no socket; TimeoutError is one too
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,  # too many connections, disk full
    asyncpg.TransactionRollbackError,  # deadlock: the same call may succeed
)
#: how asyncpg refuses a statement on a connection on which an error came unasked (its state 2)
_DISMISSED: Final = "another operation (2) is in progress"
_NUL: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


@contextmanager
def lost_is_unavailable() -> Iterator[None]:
    """Turns every sign of a lost, starting, stopping or stuck database into `Unavailable`."""
    try:
        yield
    except _LOST as error:
        raise _unavailable(error) from error
    except asyncpg.InterfaceError as error:
        # asyncpg has no class of its own for "this connection is closed"
        if "clos" not in str(error):
            raise
        raise _unavailable(error) from error
    except asyncpg.InternalClientError as error:
        # the database's last word came while the connection was idle, and its end has not come yet
        if _DISMISSED not in str(error):
            raise
        raise _unavailable(error) from error


@contextmanager
def _connecting() -> Iterator[None]:
    """As `lost_is_unavailable`; and a URL that can't ever work is `Invalid`."""
    try:
        with lost_is_unavailable():
            yield
    except (
        asyncpg.InvalidCatalogNameError,
        asyncpg.InvalidAuthorizationSpecificationError,  # and a wrong password
        asyncpg.ClientConfigurationError,
    ) as error:
        raise Invalid(f"the database URL: {error}") from error


def _unavailable(error: BaseException) -> Unavailable:
    why = type(error).__name__
    return Unavailable(f"the database does not answer; the same call may succeed soon ({why})", retry_after=1)


def encode_json(value: object) -> str:
    """JSON text that jsonb accepts: NUL, which it refuses, becomes U+FFFD."""
    text = msgspec.json.encode(value).decode()
    return _NUL.sub(r"\1\\ufffd", text) if "\\u0000" in text else text


async def _prepare(connection: Any) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, schema="pg_catalog", format="text", encoder=encode_json, decoder=msgspec.json.decode
        )
    # asyncpg's own UUID class is not one that msgspec encodes
    await connection.set_type_codec(
        "uuid",
        schema="pg_catalog",
        format="binary",
        encoder=lambda value: value.bytes,
        decoder=lambda value: UUID(bytes=value),
    )


async def connect(url: str, *, statement_timeout: float | None = TIMEOUT) -> Any:
    """One connection outside the pool (migrations, tests), prepared as the pool's are."""
    with _connecting():
        connection = await asyncpg.connect(url, timeout=TIMEOUT, command_timeout=statement_timeout)
        await _prepare(connection)
        return connection


async def _as_it_is(_connection: Any) -> None:
    """Nothing here changes a session, so that a returned connection needs no round trip to be like new; a transaction
    that was left open the pool has rolled back before.
    """


class Database:
    """A pool of connections that outlives restarts of the database."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @classmethod
    async def connect(cls, url: str, *, min_size: int = 1, max_size: int = 10) -> Self:
        """Opens `min_size` connections. Raises Unavailable if no database answers, Invalid if the URL is wrong."""
        with _connecting():
            pool = await asyncpg.create_pool(
                url,
                init_size=min_size,
                min_size=0,  # a floor would log a traceback for each try to restore it while the database is down
                max_size=max_size,
                timeout=TIMEOUT,
                command_timeout=TIMEOUT,
                init=_prepare,
                reset=_as_it_is,
                server_settings={"application_name": "truebeat", "timezone": "UTC", "jit": "off"},
            )
        return cls(pool)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        """A connection, each statement its own transaction."""
        with lost_is_unavailable():
            connection = await self._pool.acquire(timeout=TIMEOUT)
            try:
                yield connection
            except asyncio.CancelledError:
                # Its statement may be on the way still, and to wait for the end of that would hold up whoever cancels.
                connection.terminate()
                raise
            finally:
                await self._pool.release(connection, timeout=TIMEOUT)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A connection in one transaction: committed when the block ends, rolled back when it raises."""
        async with self.acquire() as connection, connection.transaction():
            yield connection

    async def ping(self) -> None:
        """Returns if the database answers; raises `Unavailable` otherwise."""
        async with self.acquire() as connection:
            await connection.fetchval("SELECT 1")

    async def close(self) -> None:
        """Waits a moment for borrowed connections, then closes all."""
        with lost_is_unavailable():
            try:
                async with asyncio.timeout(TIMEOUT):
                    await self._pool.close()
            except TimeoutError:
                self._pool.terminate()
