"""What can be asked of the ledger: each item with the future that is done once it is on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import msgspec

from truebeat.domain import delivery

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from truebeat.server.services.ledger_batch import Batch
    from truebeat.server.store import delegations as delegation_store
    from truebeat.server.store.keys import Key
    from truebeat.server.store.tasks import Lease, NewRow

_ONWARDS: Final = (delivery.Begun, delivery.Progressed, delivery.Finished)


@dataclass(frozen=True, slots=True)
class Submitted:
    """task_id: the new task, or the one that the key already means. position: in its queue, 1 is next."""

    task_id: UUID
    position: int = 0
    repeated: bool = False


@dataclass(eq=False, slots=True)
class Submit:
    """A new task."""

    row: NewRow
    key: Key | None
    done: asyncio.Future[Submitted]
    delegation: delegation_store.NewRow | None = None
    weight: int = 0


@dataclass(eq=False, slots=True)
class Happened:
    """One event of one task, and what came with it.

    text, parts: of a result, a question, a reply or a chunk. message: the whole message of a reply. chunk: its kind,
    name and index, for Progressed. lasting: it is tried until it is written.
    """

    task_id: UUID
    event: delivery.Event
    done: asyncio.Future[delivery.Outcome | None]
    text: str = ""
    parts: list[dict[str, Any]] = field(default_factory=list)
    message: dict[str, Any] | None = None
    chunk: tuple[str, str, int] | None = None
    lasting: bool = False
    #: the workspace that says so; to any other's task it has nothing to say
    by: UUID | None = None
    tool_calls: int | None = None
    #: of a reply: kept with it; one that came under it already is not taken again
    key: Key | None = None
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from who holds what: events, and held tasks to deliver again."""

    events: list[tuple[UUID, delivery.Event]]
    again: list[UUID]


@dataclass(eq=False, slots=True)
class Inspect:
    """Look at all leases of one workspace and decide, after everything that was said before is written."""

    workspace_id: UUID
    decide: Callable[[list[Lease]], Decision]
    done: asyncio.Future[list[UUID]]
    weight: int = 0


@dataclass(eq=False, slots=True)
class Within:
    """Something else to do in the transaction, after what was said before it; the future has what it returns."""

    do: Callable[[Any, Batch], Awaitable[Any]]
    done: asyncio.Future[Any]
    weight: int = 0


Item = Submit | Happened | Inspect | Within


def weight_of(text: str, parts: list[dict[str, Any]] | None, message: dict[str, Any] | None) -> int:
    structured = [found for found in (parts, message) if found]
    return len(text) + (len(msgspec.json.encode(structured)) if structured else 0)


def is_plain(item: Item) -> TypeGuard[Submit]:
    """A new task and nothing else."""
    return isinstance(item, Submit) and not item.key and not item.delegation


def goes_on(item: Item) -> bool:
    """After it no task waits that did not before."""
    return isinstance(item, Happened) and isinstance(item.event, _ONWARDS)


def new_first(batch: list[Item]) -> tuple[list[Item], list[Item]]:
    """(what to write now, what right after it). New tasks go before what workers said meanwhile, which makes none of
    them wait: by themselves they are one round trip as a rule, and are worked on while the rest is written.
    """
    new: list[Item] = [item for item in batch if is_plain(item)]
    rest = [item for item in batch if not is_plain(item)]
    return (new, rest) if new and all(map(goes_on, rest)) else (batch, [])


def is_lasting(item: Item) -> bool:
    return isinstance(item, Inspect) or (isinstance(item, Happened) and item.lasting)
