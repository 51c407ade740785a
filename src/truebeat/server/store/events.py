"""The event log: append-only, read by `seq`, pruned by age.

Invariant: events become visible in the order of `seq`, over all servers. A reader that has seen `seq` has missed
nothing below it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from truebeat.protocol.events import Event
from truebeat.server.store.database import encode_json
from truebeat.server.store.sql import queries, storable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

_SQL: Final = queries("events")
#: key of the advisory lock under which events are numbered
LOCK_KEY: Final = 7_483_202


class Fleet(enum.Enum):
    """In place of a workspace's id: the events of no workspace."""

    FLEET = enum.auto()


FLEET: Final = Fleet.FLEET


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event before it has its number."""

    at: datetime
    type: str
    workspace_id: UUID | None
    payload: dict[str, Any]
    cause: str


async def append(conn: Any, events: Sequence[NewEvent]) -> list[Event]:
    """Numbers and writes them, in this order. `conn` must be in a transaction, which then holds the log until it ends:
    append last, commit at once.
    """
    if not events:
        return []
    if not conn.is_in_transaction():
        raise RuntimeError("events.append needs a transaction: its lock keeps seq in the order of commits")
    told = columns(events)
    return numbered(await conn.fetch(_SQL["append"], *told, LOCK_KEY), told)


async def lock(conn: Any) -> None:
    """Whatever committed, or will have without another word of its server, is to be seen after this. `conn` must be in
    a transaction.
    """
    await conn.fetchval(_SQL["lock"], LOCK_KEY)


def columns(events: Sequence[NewEvent]) -> tuple[list[Any], ...]:
    """As statements take them."""
    return (
        [event.at for event in events],
        [event.type for event in events],
        [event.workspace_id for event in events],
        [encode_json(event.payload) for event in events],
        [storable(event.cause) for event in events],
    )


def numbered(rows: Sequence[Any], told: tuple[list[Any], ...]) -> list[Event]:
    """What `columns` made, as it is on disk now: the numbers were drawn in its order."""
    numbers = sorted(row["seq"] for row in rows)
    return [
        Event(seq=seq, at=at, type=kind, workspace_id=workspace_id, payload=msgspec.json.decode(payload), cause=cause)
        for seq, at, kind, workspace_id, payload, cause in zip(numbers, *told, strict=True)
    ]


async def since(conn: Any, seq: int, limit: int, workspace_id: UUID | Fleet | None = None) -> list[Event]:
    """Up to `limit` events after `seq`, oldest first; of one workspace if given."""
    if workspace_id is None:
        rows = await conn.fetch(_SQL["since"], seq, limit)
    elif workspace_id is FLEET:
        rows = await conn.fetch(_SQL["since_of_fleet"], seq, limit)
    else:
        rows = await conn.fetch(_SQL["since_of_workspace"], seq, limit, workspace_id)
    return [event(row) for row in rows]


async def before(conn: Any, seq: int, limit: int, workspace_id: UUID | Fleet | None = None) -> list[Event]:
    """The last `limit` events before `seq`, oldest first; of one workspace if given."""
    if workspace_id is None:
        rows = await conn.fetch(_SQL["before"], seq, limit)
    elif workspace_id is FLEET:
        rows = await conn.fetch(_SQL["before_of_fleet"], seq, limit)
    else:
        rows = await conn.fetch(_SQL["before_of_workspace"], seq, limit, workspace_id)
    return [event(row) for row in reversed(rows)]


async def bounds(conn: Any) -> tuple[int, int]:
    """(first, last): every event from `first` on is kept, `last` is the newest; (0, 0) before the first event ever.

    A reader that has seen `seq` missed pruned events exactly if `seq + 1 < first`.
    """
    row = await conn.fetchrow(_SQL["bounds"])
    return row["first"], row["last"]


async def last_sign(conn: Any) -> datetime | None:
    """When something was last written that only a server that watches writes: an event or a beat; None: never."""
    sign: datetime | None = await conn.fetchval(_SQL["last_sign"])
    return sign


async def prune(conn: Any, before: datetime) -> int:
    """Deletes the oldest events up to the first one that is not older than `before`; how many."""
    return int(await conn.fetchval(_SQL["prune"], before))


def event(row: Any) -> Event:
    return Event(**row)
