"""Idempotency keys: a send repeated with the same key within its life is the same task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from truebeat.server.store.sql import queries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

_SQL: Final = queries("keys")


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key; `fingerprint` tells one message from another."""

    sender: str
    workspace_id: UUID
    key: str
    task_id: UUID
    fingerprint: bytes
    at: datetime


async def keep(conn: Any, keys: Sequence[Key], expired: datetime) -> dict[tuple[str, UUID, str], Key]:
    """Whose each key is now. Keys of one call must differ; those kept before `expired` are free again."""
    rows = await conn.fetch(
        _SQL["keep"],
        [key.sender for key in keys],
        [key.workspace_id for key in keys],
        [key.key for key in keys],
        [key.task_id for key in keys],
        [key.fingerprint for key in keys],
        [key.at for key in keys],
        expired,
    )
    return {
        (row["sender"], row["workspace_id"], row["key"]): Key(
            row["sender"], row["workspace_id"], row["key"], row["task_id"], row["fingerprint"], expired
        )
        for row in rows
    }


async def find(conn: Any, key: Key, expired: datetime) -> UUID | None:
    """The task that this key means already, if it was kept for the same message."""
    row = await conn.fetchrow(_SQL["find"], key.sender, key.workspace_id, key.key, expired)
    return row["task_id"] if row is not None and row["fingerprint"] == key.fingerprint else None


async def drop(conn: Any, key: Key) -> None:
    await conn.execute(_SQL["drop"], key.sender, key.workspace_id, key.key)


async def prune(conn: Any, before: datetime) -> None:
    await conn.execute(_SQL["prune"], before)
