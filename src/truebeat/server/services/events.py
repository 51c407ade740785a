"""The event log's readers: pages over HTTP, and streams that lose nothing and pin nothing.

The last `KEPT` events are kept encoded in memory, once for all streams. A stream is a cursor: one that falls behind the
buffer reads the database until it has caught up. Writers commit in the order of `seq` but may `publish` in another;
whenever an event does not follow the last one directly, the database is asked what lies between.
"""

from __future__ import annotations

import asyncio
import contextlib
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
import structlog

from truebeat.domain.access import Permission, Role
from truebeat.errors import Forbidden, Gone, TruebeatError
from truebeat.protocol.events import Event, EventPage
from truebeat.server.background.tasks import spawn
from truebeat.server.store import events as event_store
from truebeat.server.store.events import NewEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

    from truebeat.domain.access import Principal
    from truebeat.server.store.database import Database
    from truebeat.server.store.events import Fleet

log = structlog.get_logger(__name__)

#: events kept in memory
KEPT: Final = 10_000
#: events read from the database at once
PAGE: Final = 1000
#: seconds between attempts to read what lies between, while the database does not answer
RETRY: Final = 0.5

_encoder: Final = msgspec.json.Encoder()


@dataclass(slots=True)
class _Kept:
    event: Event
    full: bytes
    #: the same without error texts, made when first asked for
    bare: bytes | None = None


class Pulsing:
    """When a stream that is caught up says so: at once, and then every `every` seconds."""

    def __init__(self, every: float, frame: Callable[[int], bytes]) -> None:
        """`frame` makes it, of the last event that was told."""
        self._every = every
        self._frame = frame
        #: of the loop's time
        self.next_at = 0.0

    def due(self) -> bool:
        return asyncio.get_running_loop().time() >= self.next_at

    def frame(self, seq: int) -> bytes:
        self.next_at = asyncio.get_running_loop().time() + self._every
        return self._frame(seq)


class EventLog:
    """One a server. `seq` is the last event that readers can have."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.seq = 0
        #: `_seqs` are the seqs of `_ring`; together they are trimmed to the last KEPT
        self._ring: list[_Kept] = []
        self._seqs: list[int] = []
        #: every event after this one is in the ring
        self._ring_after = 0
        self._arrived = asyncio.Event()
        self._filling: asyncio.Task[None] | None = None
        self._target = 0
        self._closed = False

    async def begin_watch(self, now: datetime) -> None:
        """Before `start`: if a server watched before, the log says since when none did (WATCH_BEGAN)."""
        async with self._database.transaction() as connection:
            if (sign := await event_store.last_sign(connection)) is not None:
                payload = {"unwatched_since": min(sign, now).isoformat()}
                began = NewEvent(at=now, type="WATCH_BEGAN", workspace_id=None, payload=payload, cause="start")
                await event_store.append(connection, [began])

    async def start(self) -> None:
        """Begin after the last event on disk."""
        async with self._database.acquire() as connection:
            _, self.seq = await event_store.bounds(connection)
        self._ring_after = self._target = self.seq

    def close(self) -> None:
        """End every stream."""
        self._closed = True
        self._wake()
        if self._filling is not None:
            self._filling.cancel()

    # --- writers -----------------------------------------------------------------------------------------------------

    def publish(self, events: list[Event]) -> None:
        """Events that are committed. Never waits."""
        for event in events:
            self._target = max(self._target, event.seq)
            if event.seq == self.seq + 1:
                self._append(event)
        if self._target > self.seq and self._filling is None:
            self._filling = spawn(self._fill(), name="fill the event log")
        self._wake()

    async def _fill(self) -> None:
        try:
            while self.seq < self._target and not self._closed:
                try:
                    async with self._database.acquire() as connection:
                        events = await event_store.since(connection, self.seq, PAGE)
                except TruebeatError as error:
                    log.warning("events wait for the database", reason=error.message)
                    await asyncio.sleep(RETRY)
                    continue
                for event in events:
                    if event.seq > self.seq:
                        self._append(event)
                if not events:
                    # Told of an event that is not on disk any more: pruned at once.
                    self.seq = self._ring_after = self._target
                self._wake()
        finally:
            self._filling = None

    def _append(self, event: Event) -> None:
        self._ring.append(_Kept(event, _encoder.encode(event)))
        self._seqs.append(event.seq)
        self.seq = event.seq
        if len(self._ring) >= 2 * KEPT:
            self._ring_after = self._seqs[KEPT - 1]
            del self._ring[:KEPT], self._seqs[:KEPT]

    def _wake(self) -> None:
        self._arrived.set()
        self._arrived.clear()

    # --- readers -----------------------------------------------------------------------------------------------------

    async def read(
        self, since: int, limit: int, principal: Principal, workspace_id: UUID | Fleet | None = None
    ) -> EventPage:
        """Events after `since`, oldest first, as this principal may see them; of one workspace, or of all.

        Errors: Gone.
        """
        whose = _whose(principal, workspace_id)
        async with self._database.acquire() as connection:
            await self._still_there(connection, since)
            last = (await event_store.bounds(connection))[1]
            events = await event_store.since(connection, since, limit, whose)
        return EventPage(events=[shown(event, principal) for event in events], seq=max(last, since))

    async def read_back(
        self, before: int, limit: int, principal: Principal, workspace_id: UUID | Fleet | None = None
    ) -> EventPage:
        """The last events before `before`, oldest first; as far back as the log goes, so never Gone."""
        whose = _whose(principal, workspace_id)
        async with self._database.acquire() as connection:
            last = (await event_store.bounds(connection))[1]
            events = await event_store.before(connection, before, limit, whose)
        return EventPage(events=[shown(event, principal) for event in events], seq=last)

    async def subscribe(
        self, since: int | None, principal: Principal, pulse: Pulsing | None = None
    ) -> AsyncIterator[bytes]:
        """A stream of JSON texts, from the event after `since`, or from now; with `pulse` it never falls silent.

        Errors, also later: Gone, Unavailable.
        """
        cursor = self.seq if since is None else since
        if cursor < self._ring_after or cursor > self.seq:
            async with self._database.acquire() as connection:
                await self._still_there(connection, cursor)
        return self._stream(cursor, principal, pulse)

    async def _stream(self, cursor: int, principal: Principal, pulse: Pulsing | None) -> AsyncIterator[bytes]:
        only = principal.workspace_id if principal.role is Role.WORKSPACE else None
        details = principal.may(Permission.SEE_DETAILS) or only is not None
        while not self._closed:
            if cursor < self._ring_after:
                behind = self._ring_after
                events = await self._catch_up(cursor)
                cursor = cursor if events else behind
                for event in events:
                    cursor = event.seq
                    if only is None or str(event.workspace_id) == only:
                        yield _encoder.encode(shown(event, principal))
                continue
            # A copy of what is there now: the ring may be trimmed while the reader is slow.
            index = bisect_right(self._seqs, cursor)
            batch = self._ring[index : index + PAGE]
            if not batch and (pulse is None or not pulse.due()):
                await self._arrival(None if pulse is None else pulse.next_at)
            elif not batch and pulse is not None:
                yield pulse.frame(cursor)
            for kept in batch:
                cursor = kept.event.seq
                if only is None or str(kept.event.workspace_id) == only:
                    yield kept.full if details else _bare(kept)

    async def _arrival(self, until: float | None) -> None:
        """The next events, or that moment of the loop's time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._arrived.wait()

    async def _catch_up(self, cursor: int) -> list[Event]:
        async with self._database.acquire() as connection:
            await self._still_there(connection, cursor)
            return await event_store.since(connection, cursor, PAGE)

    @staticmethod
    async def _still_there(connection: Any, since: int) -> None:
        first, last = await event_store.bounds(connection)
        if since < first - 1:
            raise Gone("the events after that were pruned; take a new snapshot (GET /workspaces)", first=first)
        if since > last:
            raise Gone("this log has no such event yet; take a new snapshot (GET /workspaces)", last=last)


def shown(event: Event, principal: Principal) -> Event:
    """The event as this principal may see it: error texts only for those who may."""
    if event.workspace_id is not None and principal.may_see_details(str(event.workspace_id)):
        return event
    if principal.may(Permission.SEE_DETAILS):
        return event
    return _without_details(event)


def _without_details(event: Event) -> Event:
    payload = dict(event.payload)
    for told in ("sample_error", "detail", "action"):
        if told in payload:
            payload[told] = ""
    if event.type.startswith(("TASK_", "DELEGATION_")) and "reason" in payload:
        payload["reason"] = ""
    if event.type == "NOTIFICATION":
        payload |= {"message": "", "link": ""}
    if isinstance(conditions := payload.get("conditions"), list):
        payload["conditions"] = [{**condition, "detail": ""} for condition in conditions]
    return msgspec.structs.replace(event, payload=payload)


def _bare(kept: _Kept) -> bytes:
    if kept.bare is None:
        kept.bare = _encoder.encode(_without_details(kept.event))
    return kept.bare


def _whose(principal: Principal, wanted: UUID | Fleet | None) -> UUID | Fleet | None:
    """None: everybody's. Errors: Forbidden."""
    if principal.role is not Role.WORKSPACE:
        return wanted
    own = UUID(principal.workspace_id)
    if wanted not in {None, own}:
        raise Forbidden("a workspace reads its own events only")
    return own
