"""The one writer of tasks: sends, claims, and what workers say, many in one transaction.

Whatever waits when a transaction begins is written by it: a burst costs one commit. Each change goes through
`domain.delivery.apply` on a row that is locked, so an event that is late, repeated or fenced changes nothing. Nobody is
told of anything, and nothing is delivered, before the commit.

What comes from workers is kept and tried again until the database has it; a sender whose task could not be written is
told so at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog

from truebeat.domain.delivery import Outcome
from truebeat.errors import Conflict, Invalid, TruebeatError, Unavailable
from truebeat.server.services.ledger_batch import Batch
from truebeat.server.services.ledger_items import (
    Decision,
    Happened,
    Inspect,
    Item,
    Submit,
    Submitted,
    Within,
    goes_on,
    is_lasting,
    is_plain,
    new_first,
    weight_of,
)
from truebeat.server.services.ledger_queues import Queues, claimed_at_once
from truebeat.server.services.ledger_results import Results
from truebeat.server.store import events as event_store
from truebeat.server.store import keys as key_store
from truebeat.server.store import tasks as task_store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from uuid import UUID

    from truebeat.clock import Clock
    from truebeat.domain import delivery
    from truebeat.protocol.delivery import Deliver
    from truebeat.protocol.events import Event
    from truebeat.server.services.events import EventLog
    from truebeat.server.services.notices import Notices
    from truebeat.server.store import delegations as delegation_store
    from truebeat.server.store.database import Database
    from truebeat.server.store.keys import Key
    from truebeat.server.store.tasks import HeldRow, Lease, NewRow

log = structlog.get_logger(__name__)

#: items and characters written in one transaction at most
BATCH: Final = 500
BATCH_WEIGHT: Final = 16 * 1024 * 1024
#: seconds that a batch of nothing but pieces of text waits for more of them
GATHER: Final = 0.02
#: seconds between attempts while the database does not answer
RETRY: Final = 0.2
#: an idempotency key means the same task for so long
KEY_LIFE: Final = timedelta(hours=24)


class Ledger:
    """One a server. Invariant: `queued` is the number of tasks that wait in each mailbox, as of the last commit."""

    def __init__(self, database: Database, events: EventLog, notices: Notices, clock: Clock) -> None:
        self._database = database
        self._events = events
        self._notices = notices
        self._clock = clock
        self._items: deque[Item] = deque()
        #: of a batch of which the new tasks are being written; what it ends may let others be claimed
        self._rest: list[Item] = []
        self._claims: set[UUID] = set()
        self._woken = asyncio.Event()
        self._queues = Queues()
        self.queued = self._queues.totals
        #: a batch may or may not be on disk: what waits must be counted again before anything is claimed
        self._uncertain = False
        #: how many items a batch may have now: fewer after one that the database did not take
        self._most = BATCH
        #: (generation, how many more) that a workspace can be given now, or None
        self.room_of: Callable[[UUID], tuple[int, int] | None] = lambda _: None
        #: claimed and on disk: (workspace, what it is to get)
        self.deliver: Callable[[list[tuple[UUID, Deliver]]], None] = lambda _: None
        #: a batch may or may not be on disk: who holds what must be looked at again
        self.doubted: Callable[[], None] = lambda: None
        #: the name of a workspace, for events
        self.name_of: Callable[[UUID], str] = str
        #: called with the name of each step of a transaction, before and after it; tests end the server there
        self.failpoint: Callable[[str], None] = lambda _: None
        #: what came back of delegations
        self.results = Results(self)

    async def start(self) -> None:
        async with self._database.transaction() as connection:
            await self._count(connection)
            await task_store.mend_heads(connection)
            await self.results.start(connection)

    async def _count(self, connection: Any) -> None:
        """With every commit that may still be under way, of this server or of one that was killed: whoever tells of
        events holds their lock until it is visible.
        """
        await event_store.lock(connection)
        waiting = await task_store.queued(connection)
        self._queues.clear()
        for (workspace_id, priority), count in waiting.items():
            self._queues.count(workspace_id, priority, count)

    # --- what there is to write ---------------------------------------------------------------------------------------

    async def submit(
        self, row: NewRow, key: Key | None = None, delegation: delegation_store.NewRow | None = None
    ) -> Submitted:
        """It is on disk when this returns, with the delegation that it is. Errors: Conflict (the key means another
        message, or too many delegations are open), Unavailable.
        """
        done: asyncio.Future[Submitted] = asyncio.get_running_loop().create_future()
        self._claims.add(row.workspace_id)
        self._put(Submit(row, key, done, delegation, weight_of(row.text, row.parts, row.message)))
        return await done

    def happen(self, task_id: UUID, event: delivery.Event, **more: Any) -> asyncio.Future[delivery.Outcome | None]:
        """One event, in the order of calls. The future has what came of it; None: there is no such task."""
        done: asyncio.Future[delivery.Outcome | None] = asyncio.get_running_loop().create_future()
        item = Happened(task_id, event, done, **more)
        item.weight = weight_of(item.text, item.parts, item.message)
        self._put(item)
        return done

    def inspect(self, workspace_id: UUID, decide: Callable[[list[Lease]], Decision]) -> asyncio.Future[list[UUID]]:
        """Decide about the leases of a workspace; the future has what is to be delivered again."""
        done: asyncio.Future[list[UUID]] = asyncio.get_running_loop().create_future()
        self._put(Inspect(workspace_id, decide, done))
        return done

    async def deliveries(self, ids: list[UUID], generation: int) -> list[Deliver]:
        """Of these what a worker of that generation was given, has not begun and is not to stop, as it was delivered.
        Errors: Unavailable.
        """

        async def read(connection: Any, _: Batch) -> list[Deliver]:
            found = await task_store.deliveries(connection, ids, generation)
            await self.results.repeat(connection, found)
            return found

        found: list[Deliver] = await self.within(read)
        return found

    async def within(self, do: Callable[[Any, Batch], Awaitable[Any]]) -> Any:
        """Do it in a transaction of the ledger, in the order of calls. Errors: its own, Unavailable."""
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._put(Within(do, done))
        return await done

    def claim(self, workspace_id: UUID) -> None:
        """Give it what `room_of` allows, if its mailbox has any."""
        self._claims.add(workspace_id)
        self._woken.set()

    def _put(self, item: Item) -> None:
        self._items.append(item)
        self._woken.set()

    # --- the writer ---------------------------------------------------------------------------------------------------

    async def write_forever(self) -> None:
        """One a server. Senders whose tasks can't be written are told; the writer goes on."""
        try:
            while True:
                await self._woken.wait()
                if self._items and all(isinstance(item, Happened) and item.chunk for item in self._items):
                    await asyncio.sleep(GATHER)
                self._woken.clear()
                while self._items or self._claims or self._rest:
                    await self._write(self._take())
        except asyncio.CancelledError:
            self._fail([*self._rest, *self._items], Unavailable("the server is stopping; try again", retry_after=1))
            raise

    def _take(self) -> list[Item]:
        """The next batch. An inspection sees all that was said before it, so it can only be the first."""
        if self._rest:
            first, self._rest = self._rest, []
            return first
        batch: list[Item] = []
        weight = 0
        while self._items and len(batch) < self._most and weight < BATCH_WEIGHT:
            if batch and isinstance(self._items[0], Inspect):
                break
            batch.append(self._items.popleft())
            weight += batch[-1].weight
        first, self._rest = new_first(batch)
        return first

    async def _write(self, items: list[Item]) -> None:
        claims, self._claims = self._claims, set(self._claims) if self._rest else set()
        if not items and not self._uncertain and not any(self.queued.get(workspace_id) for workspace_id in claims):
            return  # beats offer to claim whether or not anything waits
        try:
            if self._uncertain:
                async with self._database.transaction() as connection:
                    await self._count(connection)
                self._uncertain = False
                claims |= self.queued.keys()  # what was stranded may be claimed now
                self.doubted()
            await self._transact(items, claims)
            self._most = min(self._most * 2, BATCH)
        except TruebeatError as error:
            self._uncertain = True
            self._most = max(1, len(items) // 2)
            self._claims |= claims
            self._items.extendleft(reversed([item for item in items if is_lasting(item)]))
            self._fail([item for item in items if not is_lasting(item)], error)
            log.warning("tasks wait for the database", reason=error.message, items=len(self._items))
            await asyncio.sleep(RETRY)
        except asyncio.CancelledError:
            self._fail(items, Unavailable("the server is stopping; try again", retry_after=1))
            raise
        except Exception as error:
            if len(items) > 1:
                # One of them is not writable: alone, so that it takes no other along.
                self._claims |= claims
                for item in items:
                    await self._write([item])
                return
            log.exception("a change of a task could not be written", item=type(items[0]).__name__ if items else "")
            why: TruebeatError = Unavailable("the change could not be written; try again", retry_after=1)
            if items and is_lasting(items[0]):
                why = Invalid("the change can't be written, now or later")
            self._fail(items, why, cause=error)

    async def _transact(self, items: list[Item], claims: set[UUID]) -> None:
        now = self._clock.now()
        batch = Batch(now, self.name_of)
        again: list[UUID] = []
        if (new := self._only_new(items, claims)) is not None:
            await self._write_new(batch, *new)
            return
        self.failpoint("before the transaction")
        async with self._database.transaction() as connection:
            happened = [item for item in items if isinstance(item, Happened)]
            decided: list[tuple[UUID, delivery.Event]] = []
            if items and isinstance(inspection := items[0], Inspect):
                decision = inspection.decide(await task_store.held(connection, inspection.workspace_id))
                decided, again = decision.events, decision.again
            # What may wait again by this very transaction is older than what is new.
            at_once = all(isinstance(item, Submit) or goes_on(item) for item in items)
            await self._insert(connection, batch, [item for item in items if isinstance(item, Submit)], at_once=at_once)
            ids = {task_id for task_id, _ in decided} | {item.task_id for item in happened}
            if ids:
                batch.rows = await task_store.hold(connection, ids)
            for task_id, event in decided:
                batch.apply(task_id, event)
            for item in happened:
                row = batch.rows.get(item.task_id)
                foreign = row is not None and item.by not in {None, row.workspace_id}
                told = (item.text, item.parts, item.message, item.chunk)
                if foreign and item.by is not None:
                    batch.foreign(item.task_id, item.event, item.by)
                before = row and item.key and await self._under_key(connection, row, item.key, batch.now)
                if before is not None:
                    batch.results.append((item.done, before))
                    continue
                outcome = None if foreign else batch.apply(item.task_id, item.event, *told, item.tool_calls)
                if item.key is not None and outcome is not None and outcome.refused:
                    await key_store.drop(connection, item.key)
                batch.results.append((item.done, outcome))
            if changed := batch.changed():
                await task_store.save(connection, changed, now)
                self.failpoint("tasks saved")
            for other in (item for item in items if isinstance(item, Within)):
                batch.results.append((other.done, await other.do(connection, batch)))
            claims |= await self.results.settle(connection, batch)
            await self._claim(connection, batch, claims)
            await self.results.give(connection, batch, batch.delivered)
            written = await task_store.tell(connection, batch.updates, batch.events)
            self.failpoint("before the commit")
        self.failpoint("after the commit")
        if items and isinstance(items[0], Inspect):
            batch.results.append((items[0].done, again))
        self._settle(batch, written)

    def _only_new(self, items: list[Item], claims: set[UUID]) -> tuple[list[Submit], dict[UUID, int]] | None:
        """(plain new tasks and nothing else, those that go to their workers at once), if what is left has to wait."""
        submits = [item for item in items if is_plain(item)]
        if not submits or len(submits) < len(items):
            return None
        rows = [item.row for item in submits]
        claimed = claimed_at_once(rows, self.queued, self.room_of)
        given = {row.workspace_id for row in rows if row.id in claimed}
        # Of a workspace that is given any, either none is left or it has no room for more.
        waiting = claims & (self.queued.keys() | {row.workspace_id for row in rows}) - given
        if any(self.results.may_have(one) for one in given) or any(self.room_of(one) for one in waiting):
            return None
        return submits, claimed

    async def _write_new(self, batch: Batch, submits: list[Submit], claimed: dict[UUID, int]) -> None:
        """One statement, which is the whole transaction."""
        for item in submits:
            self._accept(batch, item)
        rows = [item.row for item in submits]
        batch.give(rows, claimed)
        async with self._database.acquire() as connection:
            written = await task_store.insert(connection, rows, batch.events, claimed)
        self._settle(batch, written)

    def _accept(self, batch: Batch, item: Submit) -> None:
        batch.submitted(item.row)
        whose = item.row.workspace_id
        position = self._queues.ahead(whose, batch.queued[whose], item.row.priority)
        batch.results.append((item.done, Submitted(item.row.id, position)))

    async def _insert(self, connection: Any, batch: Batch, submits: list[Submit], *, at_once: bool) -> None:
        wanted: dict[tuple[str, UUID, str], Key] = {}
        for item in submits:
            if item.key is not None:
                wanted.setdefault((item.key.sender, item.key.workspace_id, item.key.key), item.key)
        kept = await key_store.keep(connection, list(wanted.values()), batch.now - KEY_LIFE) if wanted else {}
        rows = []
        delegations = await self.results.counted(connection, submits)
        for item in submits:
            owner = item.key and kept[item.key.sender, item.key.workspace_id, item.key.key]
            new = item.key is None or owner is None or owner.task_id == item.row.id
            if new and item.delegation is not None and (too_many := delegations.refused(item.delegation)):
                batch.results.append((item.done, too_many))
                if item.key is not None:
                    await key_store.drop(connection, item.key)
            elif item.key is None or owner is None or owner.task_id == item.row.id:
                rows.append(item.row)
                self._accept(batch, item)
            elif owner.fingerprint == item.key.fingerprint:
                batch.results.append((item.done, Submitted(owner.task_id, repeated=True)))
            else:
                error = Conflict("this idempotency key was used for another message; use a new one")
                batch.results.append((item.done, error))
        if rows:
            claimed = claimed_at_once(rows, self.queued, self.room_of) if at_once else {}
            batch.give(rows, claimed)
            await task_store.insert(connection, rows, (), claimed)
            await delegations.insert(connection, batch)

    @staticmethod
    async def _under_key(connection: Any, row: HeldRow, key: Key, now: datetime) -> Outcome | Conflict | None:
        """What came of the message that the key was used for; None if it is free: then it is kept."""
        if await key_store.find(connection, key, now - KEY_LIFE) is not None:
            return Outcome(row.task)
        kept = await key_store.keep(connection, [key], now - KEY_LIFE)
        if kept[key.sender, key.workspace_id, key.key].fingerprint == key.fingerprint:
            return None
        return Conflict("this idempotency key was used for another message; use a new one")

    async def _claim(self, connection: Any, batch: Batch, claims: set[UUID]) -> None:
        given = Counter(workspace_id for workspace_id, _ in batch.delivered)
        wanted = [
            (workspace_id, room[0], room[1] - given[workspace_id])
            for workspace_id in claims
            if self._queues.ahead(workspace_id, batch.queued[workspace_id]) > 0
            and (room := self.room_of(workspace_id)) is not None
            and room[1] > given[workspace_id]
        ]
        claimed = await task_store.claim(connection, wanted, batch.now) if wanted else []
        for workspace_id, priority, _ in claimed:
            batch.queued[workspace_id][priority] -= 1
        batch.delivered += [(workspace_id, deliver) for workspace_id, _, deliver in claimed]

    def _settle(self, batch: Batch, written: list[Event]) -> None:
        """It is on disk."""
        self.results.committed(batch)
        for workspace_id, changes in batch.queued.items():
            for priority, change in changes.items():
                if change:
                    self._queues.count(workspace_id, priority, change)
        for done, result in batch.results:
            if not done.done():
                if isinstance(result, Exception):
                    done.set_exception(result)
                else:
                    done.set_result(result)
        for task_id, updates in batch.told().items():
            self._notices.updated(task_id, updates)
        self._events.publish(written)
        self.deliver(batch.delivered)

    @staticmethod
    def _fail(items: list[Item], error: TruebeatError, cause: BaseException | None = None) -> None:
        error.__cause__ = cause or error.__cause__
        for item in items:
            if not item.done.done():
                item.done.set_exception(error)
