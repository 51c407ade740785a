"""Logins of the canvas: a token or a login code is turned into a session, whose secret lives in an HttpOnly cookie."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from truebeat.errors import Unauthenticated
from truebeat.protocol.login import code_bytes, code_is_good
from truebeat.server.services.tokens import digest
from truebeat.server.store import sessions as session_store
from truebeat.server.store import tokens as token_store

if TYPE_CHECKING:
    from truebeat.clock import Clock
    from truebeat.server.services.tokens import Tokens
    from truebeat.server.store.database import Database

#: how long a login lasts
SESSION_LIFE: Final = timedelta(hours=12)


class Sessions:
    """Opened with a secret, closed by logging out, by time, or with the token behind them."""

    def __init__(self, database: Database, tokens: Tokens, clock: Clock, admin_token: str | None) -> None:
        self._database = database
        self._tokens = tokens
        self._clock = clock
        self._admin_token = admin_token

    async def open(self, *, token: str = "", code: str = "") -> str:
        """The session's secret. Errors: Unauthenticated (neither is good, or the code was used), Gone, Unavailable."""
        now = self._clock.now()
        secret = "tbs_" + secrets.token_urlsafe(32)
        if code:
            if self._admin_token is None or not code_is_good(self._admin_token, code, now.timestamp()):
                raise Unauthenticated("this login link is not good any more; `truebeat canvas` prints a new one")
            token = self._admin_token
        await self._tokens.authenticate(b"Bearer " + token.encode("utf-8", "replace"))
        async with self._database.transaction() as connection:
            row = await token_store.by_hash(connection, digest(token.encode()))
            if row is None:
                raise Unauthenticated("this token is not known")
            await session_store.prune(connection, now - SESSION_LIFE)
            # a code is kept as a session that has ended, which nobody can use and nobody can use again
            used = digest(b"code:" + code_bytes(code))
            if code and not await session_store.insert(connection, used, row.id, now, now):
                raise Unauthenticated("this login link was used already; `truebeat canvas` prints a new one")
            await session_store.insert(connection, digest(secret.encode()), row.id, now, now + SESSION_LIFE)
        return secret

    async def close(self, header: bytes) -> None:
        """Log out; again is no error."""
        kind, _, secret = header.partition(b" ")
        if kind != b"Session":
            return
        async with self._database.acquire() as connection:
            await session_store.remove(connection, digest(secret))
        self._tokens.forget_header(header)
