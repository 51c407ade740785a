"""Load -> judge -> save -> emit: the shell around `domain.health.judge`.

Every change of a record goes through one writer. It takes all observations that wait, judges them in order, and writes
the records (by compare-and-set), incidents and events in one transaction: a burst costs one commit, an event is on disk
iff its change is, and subscribers hear of it only after the commit. After a transaction whose outcome is not known the
records and incidents on disk are read again before anything else is judged.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid5

import structlog

from truebeat.domain.health import (
    RULES,
    Announcement,
    DeliveriesStuck,
    LeaseExpired,
    RemovalOrdered,
    RestartOrdered,
    Symptom,
    Verdict,
    judge,
)
from truebeat.errors import Conflict, Gone, NotFound, TruebeatError, Unavailable
from truebeat.server.services import incident_book
from truebeat.server.services.incident_book import IncidentBook
from truebeat.server.store import events as event_store
from truebeat.server.store import tokens as token_store
from truebeat.server.store import workspaces as workspace_store
from truebeat.server.store.events import NewEvent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from truebeat.clock import Clock
    from truebeat.domain.health import Observation, Record
    from truebeat.protocol.events import Event
    from truebeat.server.leases import Lease, Leases
    from truebeat.server.services.events import EventLog
    from truebeat.server.store.database import Database

log = structlog.get_logger(__name__)

#: who orders, where the server does so by itself
PLATFORM = "platform"
#: observations written in one transaction at most
BATCH = 2000
#: compare-and-set attempts of one observation before its caller is told to try again
ATTEMPTS = 5
#: seconds until those whose transaction may or may not have been committed are looked at again
RETRY = 0.5


@dataclass(eq=False, slots=True)
class _Item:
    lease: Lease
    observation: Observation
    now: datetime
    done: asyncio.Future[Verdict]
    #: written in the same transaction, only if the observation changed the record
    event: Callable[[Record], NewEvent] | None = None
    within: Callable[[Any], Awaitable[None]] | None = None
    attempts: int = 0
    verdict: Verdict | None = field(default=None)


class Health:
    """The one way to change a workspace's health."""

    def __init__(self, database: Database, leases: Leases, events: EventLog, clock: Clock) -> None:
        self._database = database
        self._leases = leases
        self._events = events
        self._clock = clock
        self._queue: asyncio.Queue[_Item] = asyncio.Queue()
        #: whose last transaction failed in a way that does not tell whether it was committed
        self._uncertain: set[Lease] = set()
        #: called after a removal or a restart order is on disk, with the lease
        self.on_removed: list[Callable[[Lease], None]] = []
        self.on_restart: list[Callable[[Lease], None]] = []
        #: called once for each announcement that is on disk, in the order they were judged; must not block or raise
        self.on_announced: list[Callable[[Lease, Announcement], None]] = []

    async def observe(self, workspace_id: str, observation: Observation, now: datetime) -> Verdict:
        """Apply one observation. Errors: NotFound, Gone (removed), Unavailable (nothing was changed)."""
        lease = self._living(workspace_id)
        if isinstance(observation, DeliveriesStuck):
            self.note_delivery(lease, succeeded=False, text=observation.detail)
        if not lease.pending and not judge(lease.record, observation, now).changed:
            return Verdict(lease.record)
        return await self._enqueue(lease, observation, now)

    def note_delivery(self, lease: Lease, *, succeeded: bool, text: str = "") -> None:
        """What the senders' witness last saw, for people. A success that changes nothing need not be observed."""
        if lease.told is not None:
            lease.told.sender = (self._clock.monotonic(), succeeded, text)

    async def order_restart(self, workspace_id: str, by: str, reason: str = "") -> UUID:
        """An operator's order, or the platform's own. It is durable, and while one is pending there is no second:
        Conflict.
        """
        lease = self._living(workspace_id)
        if lease.record.restart_pending and not lease.record.open(Symptom.OVERDUE):
            raise Conflict("a restart is already pending; wait for the new generation")
        if not lease.linked:
            raise Conflict("the workspace holds no link, so it can't be restarted from here; start it where it runs")
        now = self._clock.now()

        def event(record: Record) -> NewEvent:
            return NewEvent(
                at=now,
                type="RESTART_ORDERED",
                workspace_id=UUID(lease.id),
                payload={
                    "name": lease.name,
                    "restart_id": str(restart_id(lease.id, record.awaiting_above)),
                    "by": by,
                    "detail": reason,
                    "generation": record.generation,
                },
                cause=by,
            )

        verdict = await self._enqueue(lease, RestartOrdered(by, reason), now, event=event)
        if not verdict.changed:
            raise Conflict("a restart is already pending; wait for the new generation")
        self._ordered(lease, by, f"ordered by {by}" + (f": {reason}" if reason else ""))
        return restart_id(lease.id, verdict.record.awaiting_above)

    async def remove(self, workspace_id: str, by: str) -> None:
        """Final. Its tokens are revoked in the same transaction; a late beat gets 410 and resurrects nothing."""
        lease = self._living(workspace_id)
        now = self._clock.now()

        async def revoke(connection: Any) -> None:
            await token_store.revoke_workspace(connection, UUID(lease.id), now)

        log.info("removing workspace", workspace=lease.id, by=by)
        verdict = await self._enqueue(lease, RemovalOrdered(), now, within=revoke)
        if not verdict.changed:
            raise Gone("the workspace was already removed")
        self._gone(lease)

    def _ordered(self, lease: Lease, by: str, reason: str) -> None:
        if lease.told is not None:
            lease.told.restart_by, lease.told.restart_reason = by, reason
            lease.told.waited = -min(self._clock.monotonic() - lease.stamped, self._leases.lease / 2)
        for listener in self.on_restart:
            listener(lease)

    def _gone(self, lease: Lease) -> None:
        self._leases.discard(lease)
        for listener in self.on_removed:
            listener(lease)

    async def tell(self, event: NewEvent) -> None:
        """An event that belongs to no workspace's health. Errors: Unavailable."""
        async with self._database.transaction() as connection:
            written = await event_store.append(connection, [event])
        self._events.publish(written)

    def _living(self, workspace_id: str) -> Lease:
        lease = self._leases.get(workspace_id)
        if lease is not None:
            return lease
        if self._leases.was_removed(workspace_id):
            raise Gone("the workspace was removed; stop this agent or create a new workspace for it")
        raise NotFound("no such workspace; create it, or check its id")

    async def _enqueue(self, lease: Lease, observation: Observation, now: datetime, **extra: Any) -> Verdict:
        done: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        lease.pending += 1
        self._queue.put_nowait(_Item(lease, observation, now, done, **extra))
        try:
            return await done
        finally:
            lease.pending -= 1

    # --- the writer, a duty of the server -------------------------------------------------------------------------

    async def write_forever(self) -> None:
        """Takes everything that waits, writes it in one transaction, answers those who wait."""
        while True:
            batch = await self._next()
            try:
                if self._uncertain:
                    await self._reload(self._uncertain)
                await self._write(batch)
            except TruebeatError as error:
                self._fail(batch, error)
            except Exception:
                log.exception("a batch of observations could not be written")
                self._fail(batch, Unavailable("the change could not be written; try again", retry_after=1))
            except asyncio.CancelledError:
                self._fail(batch, Unavailable("the server is stopping; try again", retry_after=1))
                raise

    async def _next(self) -> list[_Item]:
        """What waits; nothing, when only the uncertain are to be looked at again."""
        batch: list[_Item] = []
        try:
            async with asyncio.timeout(RETRY if self._uncertain else None):
                batch.append(await self._queue.get())
        except TimeoutError:
            return batch
        while len(batch) < BATCH and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        return batch

    async def _write(self, batch: list[_Item]) -> None:
        records: dict[Lease, Record] = {}
        new_events: list[NewEvent] = []
        book = IncidentBook(self._clock)
        for item in batch:
            before = records.get(item.lease, item.lease.record)
            if isinstance(item.observation, LeaseExpired) and not self._leases.is_over(
                item.lease, self._clock.monotonic()
            ):
                item.verdict = Verdict(before)  # while this waited to be written it beat, or could not be heard
                continue
            item.verdict = judge(before, item.observation, item.now)
            if not item.verdict.changed:
                continue
            records[item.lease] = item.verdict.record
            if item.event is not None:
                new_events.append(item.event(item.verdict.record))
            if item.verdict.announcement is not None:
                new_events.append(announce(item.lease, item.verdict.announcement, item.now))
            new_events.extend(book.note(item.lease, item.observation, item.verdict, item.now))
        if records:
            written = await self._save(batch, records, book, new_events)
            if written is None:
                return
            book.settle()
            for lease, record in records.items():
                lease.settle(record, lease.version + 1)
            self._events.publish(written)
            for item in batch:
                if item.verdict is not None and item.verdict.announcement is not None:
                    self._tell_listeners(item.lease, item.verdict.announcement)
        for item in batch:
            if not item.done.done():
                item.done.set_result(cast("Verdict", item.verdict))

    def _tell_listeners(self, lease: Lease, announcement: Announcement) -> None:
        for listener in self.on_announced:
            try:
                listener(lease, announcement)
            except Exception:
                log.exception("a listener failed; the change it was told of is on disk", workspace=lease.id)

    async def _save(
        self, batch: list[_Item], records: dict[Lease, Record], book: IncidentBook, new_events: list[NewEvent]
    ) -> list[Event] | None:
        """One transaction. None: somebody else changed a row; the batch was put back to be judged afresh."""
        changes = [(UUID(lease.id), lease.version, record) for lease, record in records.items()]
        lost: list[Lease] = []
        try:
            async with self._database.transaction() as connection:
                saved = await workspace_store.save_records(connection, changes)
                lost = [lease for lease in records if UUID(lease.id) not in saved]
                if lost:
                    raise _LostRaceError
                for item in batch:
                    if item.within is not None and item.verdict is not None and item.verdict.changed:
                        await item.within(connection)
                await book.write(connection)
                return await event_store.append(connection, new_events)
        except _LostRaceError:
            await self._reload(set(lost))
        except BaseException:
            self._uncertain.update(records)
            raise
        for item in batch:
            item.attempts += 1
            if item.attempts < ATTEMPTS:
                self._queue.put_nowait(item)
            elif not item.done.done():
                item.done.set_exception(Unavailable("the workspace keeps changing; try again", retry_after=1))
        return None

    async def _reload(self, leases: set[Lease]) -> None:
        """Go on with what is on disk: another server's change, or one of ours whose answer was lost. Whoever has to
        hear of a change hears of it now; its events reach readers with the next that is published.
        """
        found = list(leases)
        ids = [UUID(lease.id) for lease in found]
        async with self._database.acquire() as connection:
            rows = [await workspace_store.get(connection, workspace_id) for workspace_id in ids]
            incidents = await incident_book.open_of(connection, ids)
        for lease, row in zip(found, rows, strict=True):
            if row is None or row.version == lease.version:
                continue
            before = lease.record
            lease.settle(row.record, row.version)
            lease.incident = incidents.get(row.id)
            if row.record.conditions != before.conditions:
                self._tell_listeners(
                    lease, Announcement(before.status, row.record.status, row.record.conditions, cause="reloaded")
                )
            if row.record.restart_pending and row.record.awaiting_above != before.awaiting_above:
                self._ordered(lease, "", "ordered")
            if row.record.open(Symptom.REMOVED):
                self._gone(lease)
        self._uncertain.difference_update(found)

    @staticmethod
    def _fail(batch: list[_Item], error: TruebeatError) -> None:
        for item in batch:
            if not item.done.done():
                item.done.set_exception(error)


class _LostRaceError(Exception):
    """A compare-and-set found another version; the transaction is rolled back."""


def announce(lease: Lease, announcement: Announcement, now: datetime) -> NewEvent:
    """The event of a changed record."""
    return NewEvent(
        at=now,
        type=announcement.event_type,
        workspace_id=UUID(lease.id),
        payload={
            "name": lease.name,
            "status": announcement.status.value,
            "previous": announcement.previous.value,
            "sample_error": announcement.conditions[0].detail if announcement.conditions else "",
            "conditions": [
                {
                    "symptom": condition.symptom.value,
                    "witness": condition.witness.value,
                    "status": RULES[condition.symptom].status.value,
                    "detail": condition.detail,
                    "since": condition.since.isoformat(),
                }
                for condition in announcement.conditions
            ],
        },
        cause=announcement.cause,
    )


def ordered_by_platform(lease: Lease) -> bool:
    """Whether the pending restart is the server's own idea. One from before this server started is known by its
    incident: the server orders only where one is open.
    """
    if lease.told is not None and lease.told.restart_by:
        return lease.told.restart_by == PLATFORM
    return lease.incident is not None and lease.incident.incident.ordered_by == PLATFORM


def restart_id(workspace_id: str, generation: int) -> UUID:
    """The id of the order to replace that generation: the same however often it is sent, so it is obeyed once."""
    return uuid5(UUID(workspace_id), f"restart above generation {generation}")
