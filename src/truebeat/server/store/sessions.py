"""Logins of the canvas, by the SHA-256 of their secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from truebeat.server.store.sql import queries
from truebeat.server.store.tokens import TokenRow, token_row

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

_SQL: Final = queries("sessions")


async def insert(conn: Any, digest: bytes, token_id: UUID, now: datetime, expires_at: datetime) -> bool:
    """False, and nothing is written, if there was one with that hash."""
    return await conn.fetchval(_SQL["insert"], digest, token_id, now, expires_at) is not None


async def token_of(conn: Any, digest: bytes) -> TokenRow | None:
    """The token that the session was opened with; its `expires_at` is the earlier of both ends."""
    return token_row(await conn.fetchrow(_SQL["token_of"], digest))


async def remove(conn: Any, digest: bytes) -> None:
    await conn.execute(_SQL["remove"], digest)


async def prune(conn: Any, before: datetime) -> None:
    """Those that ended before."""
    await conn.execute(_SQL["prune"], before)
