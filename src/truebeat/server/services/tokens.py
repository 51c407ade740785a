"""Tokens: 256 bits, kept as SHA-256, shown once, revocable; and the cache that spares heartbeats the database.

Invariant: a revocation through this server empties the cache before it is answered. Without the database, an unknown
token is refused (`Unavailable`), while one that was good a moment ago stays good for `STALE_GOOD` seconds, so that a
database restart doesn't take the fleet offline.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NoReturn
from uuid import UUID, uuid4

import structlog

from truebeat.domain.access import Principal, Role
from truebeat.domain.health import Status
from truebeat.errors import Conflict, Gone, Invalid, NotFound, Unauthenticated, Unavailable
from truebeat.protocol.resources import IssuedToken, TokenView
from truebeat.server.store import sessions as session_store
from truebeat.server.store import tokens as token_store
from truebeat.server.store import workspaces as workspace_store
from truebeat.server.store.tokens import TokenRow

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from truebeat.clock import Clock
    from truebeat.server.store.database import Database

log = structlog.get_logger(__name__)

#: seconds a checked token is not checked again
FRESH: Final = 60.0
#: seconds a checked token stays good while the database does not answer
STALE_GOOD: Final = 15 * 60.0
#: seconds after which the token of an open link or stream is looked at again, if nothing ended it here
RECHECK: Final = 15.0
#: how long a rotated token lives on, unless its successor is used first
OVERLAP: Final = timedelta(minutes=10)
#: the name of the token that TRUEBEAT_ADMIN_TOKEN sets; no other token may have it
ADMIN_NAME: Final = "TRUEBEAT_ADMIN_TOKEN"

#: exactly one space and no padding: a valid token has few spellings, so the cache has few keys
_BEARER: Final = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] ([!-~]{1,200})")
#: what a session cookie is turned into (api/call.py)
_SESSION: Final = re.compile(rb"Session ([!-~]{1,200})")


@dataclass(frozen=True, slots=True)
class _Known:
    principal: Principal
    token_id: UUID
    #: monotonic seconds; never beyond the token's own expiry
    fresh_until: float
    good_until: float


class Tokens:
    """Who a bearer is, and the tokens' life."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        #: called when somebody was turned away only because the database did not answer
        self.on_unavailable: Callable[[], None] = lambda: None
        #: keyed by the raw Authorization header
        self._known: dict[bytes, _Known] = {}
        #: raised by every revocation: a check that was under way meanwhile is not cached
        self._epoch = 0
        self._used: dict[UUID, datetime] = {}
        #: wakes whoever holds a connection open by this header
        self._watchers: dict[asyncio.Future[None], bytes] = {}
        #: successor -> the rotated token that ends when the successor is first used
        self._rotated: dict[UUID, UUID] = {}

    async def start(self, admin_secret: str | None) -> None:
        """Know the rotations that are under way, and the operator's own token."""
        async with self._database.acquire() as connection:
            for row in await token_store.listing(connection):
                if row.replaced_by is not None and row.revoked_at is None:
                    self._rotated[row.replaced_by] = row.id
        if admin_secret is not None:
            await self.ensure_admin(admin_secret)

    # --- who is it ---------------------------------------------------------------------------------------------------

    def known(self, header: bytes) -> Principal | None:
        """The principal, if this header was checked a moment ago. Never waits."""
        entry = self._known.get(header)
        if entry is None or self._clock.monotonic() >= entry.fresh_until:
            return None
        return entry.principal

    async def authenticate(self, header: bytes | None) -> Principal:
        """Who this Authorization header speaks for. Errors: Unauthenticated, Gone (its workspace was removed),
        Unavailable.
        """
        if not header:
            raise Unauthenticated("a token is needed: Authorization: Bearer <token>")
        if (principal := self.known(header)) is not None:
            return principal
        session = _SESSION.fullmatch(header)
        match = session or _BEARER.fullmatch(header)
        if match is None:
            raise Unauthenticated("the Authorization header must be: Bearer <token>")
        epoch = self._epoch
        try:
            row = await self._check(digest(match.group(1)), by_session=session is not None)
        except Unavailable:
            entry = self._known.get(header)
            if entry is not None and self._clock.monotonic() < entry.good_until:
                return entry.principal
            self.on_unavailable()
            raise
        except (Unauthenticated, Gone):
            self._known.pop(header, None)
            raise
        principal = _principal(row)
        if epoch == self._epoch:
            self._remember(header, row, principal)
        return principal

    async def until_ended(self, header: bytes | None) -> NoReturn:
        """Waits, and raises when the token is no longer good: at once if it ended through this server, else within
        `RECHECK` seconds. Errors: Unauthenticated, Gone. An outage of the database ends nothing.
        """
        while True:
            ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._watchers[ended] = header or b""  # before the look: what ends meanwhile is looked at again
            try:
                await self.authenticate(header)
            except Unavailable as error:
                log.debug("a token could not be looked at again", reason=error.message)
            else:
                await asyncio.wait({ended}, timeout=RECHECK)
                continue
            finally:
                del self._watchers[ended]
            await asyncio.sleep(RECHECK)

    def _wake(self) -> None:
        for ended, header in self._watchers.items():
            if header not in self._known and not ended.done():
                ended.set_result(None)

    async def _check(self, secret_hash: bytes, *, by_session: bool) -> TokenRow:
        now = self._clock.now()
        async with self._database.acquire() as connection:
            if by_session:
                row = await session_store.token_of(connection, secret_hash)
            else:
                row = await token_store.by_hash(connection, secret_hash)
            if row is None and by_session:
                raise Unauthenticated("this session has ended; log in again")
            if row is None:
                raise Unauthenticated("this token is not known; get a new one, or re-read the token file")
            if row.workspace_id is not None:
                workspace = await workspace_store.get(connection, row.workspace_id)
                if workspace is not None and workspace.record.status is Status.REMOVED:
                    raise Gone("the workspace was removed; stop this agent")
            if row.revoked_at is not None:
                raise Unauthenticated("this token was revoked; get a new one, or re-read the token file")
            if row.expires_at is not None and row.expires_at <= now:
                raise Unauthenticated("this token has expired; get a new one, or re-read the token file")
            old = self._rotated.get(row.id)
            if old is not None:
                # The successor has arrived where it is used: the old one ends.
                await token_store.revoke(connection, old, now)
                self._forget(old)
                self._rotated.pop(row.id, None)
        self._used[row.id] = now
        return row

    def _remember(self, header: bytes, row: TokenRow, principal: Principal) -> None:
        now = self._clock.monotonic()
        left = STALE_GOOD
        if row.expires_at is not None:
            left = min(left, (row.expires_at - self._clock.now()).total_seconds())
        self._known[header] = _Known(principal, row.id, now + min(FRESH, left), now + left)

    def _forget(self, *token_ids: UUID) -> None:
        self._epoch += 1
        for header in [header for header, entry in self._known.items() if entry.token_id in token_ids]:
            del self._known[header]
        self._wake()

    def forget_header(self, header: bytes) -> None:
        """A session was closed: whoever holds a connection open by it is told."""
        self._epoch += 1
        self._known.pop(header, None)
        self._wake()

    def forget_workspace(self, workspace_id: str) -> None:
        """The workspace was removed, and its tokens with it."""
        self._epoch += 1
        stale = [header for header, entry in self._known.items() if entry.principal.workspace_id == workspace_id]
        for header in stale:
            del self._known[header]
        self._wake()

    async def flush_used(self) -> None:
        """Write when tokens were last used; what can't be written now is dropped."""
        used, self._used = self._used, {}
        now = self._clock.monotonic()
        self._known = {header: entry for header, entry in self._known.items() if now < entry.good_until}
        if used:
            async with self._database.acquire() as connection:
                await token_store.touch(connection, list(used.items()))

    # --- their life --------------------------------------------------------------------------------------------------

    async def ensure_admin(self, secret: str) -> None:
        """The first operator token, as set; an earlier one of this kind ends. One that was revoked stays revoked."""
        now = self._clock.now()
        token_hash = digest(secret.encode())
        async with self._database.transaction() as connection:
            lineage: UUID | None = None
            for old in await token_store.listing(connection):
                if old.name == ADMIN_NAME and old.hash != token_hash:
                    lineage = old.lineage
                    if old.revoked_at is None:
                        await token_store.revoke(connection, old.id, now)
                        self._forget(old.id)
            present = await token_store.by_hash(connection, token_hash)
            if present is None:
                row = new_row(ADMIN_NAME, Role.OPERATOR, None, token_hash, now, lineage)
                await token_store.insert(connection, row)
            elif present.revoked_at is not None:
                log.warning("TRUEBEAT_ADMIN_TOKEN was revoked and stays so; set another to use one", token=present.id)

    async def issue(
        self, name: str, role: Role, workspace_id: UUID | None = None, expires_in: float | None = None
    ) -> IssuedToken:
        """A new token; its secret is in the answer and nowhere else. Errors: Invalid, NotFound, Gone."""
        if name == ADMIN_NAME:
            raise Invalid(f"name: {ADMIN_NAME} is kept for the token of that setting")
        if (role is Role.WORKSPACE) != (workspace_id is not None):
            raise Invalid('workspace_id: needed for the role "workspace", refused for every other')
        now = self._clock.now()
        async with self._database.transaction() as connection:
            if workspace_id is not None:
                await _hold_living(connection, workspace_id)
            secret, row = new_token(name, role, workspace_id, now)
            if expires_in is not None:
                row = replace(row, expires_at=now + timedelta(seconds=expires_in))
            await token_store.insert(connection, row)
        return IssuedToken(token=secret, view=view(row))

    async def rotate(self, token_id: UUID) -> IssuedToken:
        """A successor of the same name, role and life span; the old one lives until the new one was used, or
        10 minutes. Errors: NotFound, Gone, Conflict.
        """
        now = self._clock.now()
        async with self._database.transaction() as connection:
            old = await token_store.get(connection, token_id)
            if old is None:
                raise NotFound("no such token")
            if old.workspace_id is not None:
                await _hold_living(connection, old.workspace_id)
            if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
                raise Conflict("this token is no longer valid; issue a new one")
            if old.replaced_by is not None:
                raise Conflict("this token was already rotated; rotate its successor")
            if old.name == ADMIN_NAME:
                raise Conflict(f"this token is set by {ADMIN_NAME}; change it there")
            secret, new = new_token(old.name, old.role, old.workspace_id, now, old.lineage)
            if old.expires_at is not None:
                new = replace(new, expires_at=now + (old.expires_at - old.created_at))
            ends = now + OVERLAP if old.expires_at is None else min(old.expires_at, now + OVERLAP)
            if not await token_store.replace(connection, old.id, new, ends):
                raise Conflict("this token was rotated or revoked meanwhile; look at it again")
        self._rotated[new.id] = old.id
        self._forget(old.id)
        return IssuedToken(token=secret, view=view(new))

    async def revoke(self, token_id: UUID) -> None:
        """At once and for good; again is no error. Errors: NotFound."""
        async with self._database.transaction() as connection:
            if await token_store.get(connection, token_id) is None:
                raise NotFound("no such token")
            await token_store.revoke(connection, token_id, self._clock.now())
        self._forget(token_id)

    async def listing(self, after: UUID | None = None, limit: int | None = None) -> list[TokenView]:
        """Oldest first, those behind the token `after`. Errors: NotFound (there is no such token)."""
        async with self._database.acquire() as connection:
            rows = await token_store.listing(connection)
        begin = 0
        if after is not None:
            begin = next((place for place, row in enumerate(rows, 1) if row.id == after), -1)
            if begin < 0:
                raise NotFound("after: no such token")
        return [view(row) for row in rows[begin : None if limit is None else begin + limit]]


async def _hold_living(connection: Any, workspace_id: UUID) -> None:
    """The workspace lives, and is not removed until the transaction ends: a removal ends the tokens it sees."""
    workspace = await workspace_store.hold(connection, workspace_id)
    if workspace is None:
        raise NotFound("no such workspace; create it first")
    if workspace.record.status is Status.REMOVED:
        raise Gone("the workspace was removed; it gets no token")


def digest(secret: bytes) -> bytes:
    """What is kept of a token. 256 random bits need no salt."""
    return hashlib.sha256(secret).digest()


def new_token(
    name: str, role: Role, workspace_id: UUID | None, now: datetime, lineage: UUID | None = None
) -> tuple[str, TokenRow]:
    """(secret, row to insert). lineage: of the token that it follows, if it follows one."""
    secret = "tb_" + secrets.token_urlsafe(32)
    return secret, new_row(name, role, workspace_id, digest(secret.encode()), now, lineage)


def new_row(
    name: str, role: Role, workspace_id: UUID | None, token_hash: bytes, now: datetime, lineage: UUID | None = None
) -> TokenRow:
    token_id = uuid4()
    return TokenRow(
        id=token_id,
        name=name,
        role=role,
        workspace_id=workspace_id,
        hash=token_hash,
        created_at=now,
        lineage=lineage or token_id,
        expires_at=None,
        revoked_at=None,
        last_used_at=None,
        replaced_by=None,
    )


def view(row: TokenRow) -> TokenView:
    return TokenView(
        id=row.id,
        name=row.name,
        role=row.role.value,
        workspace_id=row.workspace_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )


def _principal(row: TokenRow) -> Principal:
    return Principal(row.role, row.name, None if row.workspace_id is None else str(row.workspace_id), str(row.lineage))
