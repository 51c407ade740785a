"""Tokens, by the SHA-256 of their secret; the secret itself is never here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from truebeat.domain.access import Role
from truebeat.errors import Conflict, NotFound
from truebeat.server.store.sql import queries, storable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

_SQL: Final = queries("tokens")


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One row. `hash` is 32 bytes; `workspace_id` is set exactly for the role `workspace`."""

    id: UUID
    name: str
    role: Role
    workspace_id: UUID | None
    hash: bytes
    created_at: datetime
    #: the first of the tokens that followed each other by rotation, maybe itself
    lineage: UUID
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    replaced_by: UUID | None = None


async def insert(conn: Any, row: TokenRow) -> None:
    """Raises NotFound if its workspace does not exist, Conflict if the id or the hash is taken."""
    try:
        await conn.execute(_SQL["insert"], *_facts(row), row.replaced_by)
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFound(f"there is no workspace {row.workspace_id}") from error
    except asyncpg.UniqueViolationError as error:
        raise Conflict("there is already such a token; make another") from error


async def by_hash(conn: Any, digest: bytes) -> TokenRow | None:
    """The token with that hash, valid or not: the caller looks at `expires_at` and `revoked_at`."""
    return token_row(await conn.fetchrow(_SQL["by_hash"], digest))


async def get(conn: Any, token_id: UUID) -> TokenRow | None:
    return token_row(await conn.fetchrow(_SQL["get"], token_id))


async def listing(conn: Any) -> list[TokenRow]:
    """All, oldest first."""
    return [TokenRow(**(dict(found) | {"role": Role(found["role"])})) for found in await conn.fetch(_SQL["listing"])]


async def revoke(conn: Any, token_id: UUID, now: datetime) -> bool:
    """True if it was not revoked before."""
    return await conn.fetchval(_SQL["revoke"], token_id, now) is not None


async def revoke_workspace(conn: Any, workspace_id: UUID, now: datetime) -> list[UUID]:
    """Revokes all of a workspace's tokens; the ids of those that were not revoked before."""
    return [found["id"] for found in await conn.fetch(_SQL["revoke_workspace"], workspace_id, now)]


async def touch(conn: Any, uses: Sequence[tuple[UUID, datetime]]) -> None:
    """Notes (id, time of use) pairs in one statement; an earlier time never overwrites a later one."""
    if uses:
        await conn.execute(_SQL["touch"], [token_id for token_id, _ in uses], [at for _, at in uses])


async def replace(conn: Any, old_id: UUID, new: TokenRow, old_expires_at: datetime) -> bool:
    """Writes `new` and lets the old one live until `old_expires_at` at most; False, and nothing is written,
    if the old one is unknown, revoked or already replaced: of two rotations at once one wins.
    """
    return await conn.fetchval(_SQL["replace"], old_expires_at, *_facts(new), old_id) is not None


async def any_ever_for_workspace(conn: Any, workspace_id: UUID) -> bool:
    """Whether it ever had a token, revoked ones included."""
    return bool(await conn.fetchval(_SQL["any_ever_for_workspace"], workspace_id))


def _facts(row: TokenRow) -> tuple[object, ...]:
    return (
        row.id,
        storable(row.name),
        row.role.value,
        row.workspace_id,
        row.hash,
        row.created_at,
        row.expires_at,
        row.revoked_at,
        row.last_used_at,
        row.lineage,
    )


def token_row(found: Any) -> TokenRow | None:
    return None if found is None else TokenRow(**(dict(found) | {"role": Role(found["role"])}))
