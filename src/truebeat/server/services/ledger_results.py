"""What delegations add to the ledger's transactions: an end and the source's wake are one, and so are a turn's end and
the consumption of the results that it was given.

A result is ready when its task ended or asks, given when an attempt of its source has it, consumed when that attempt
did what it was to do. Invariant, as of each commit: what is ready, not given, not consumed and not kept for a caller
that waits has one wake in its source's mailbox, in the conversation that it belongs to, unless one is under way (its
end looks again) or it was given in vain too often.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from truebeat.domain import delegations as rules
from truebeat.domain import delivery, envelope
from truebeat.domain.delivery import OnInterrupt, State
from truebeat.errors import Conflict
from truebeat.protocol.delivery import ResultEnvelope, Sender
from truebeat.server.store import delegations as store
from truebeat.server.store import notifications as notification_store
from truebeat.server.store import tasks as task_store
from truebeat.server.store.tasks import NewRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from truebeat.errors import TruebeatError
    from truebeat.protocol.delivery import Deliver
    from truebeat.server.services.ledger import Ledger
    from truebeat.server.services.ledger_batch import Batch
    from truebeat.server.services.ledger_items import Submit

#: who sends wakes
PLATFORM: Final = Sender(kind="client", id="truebeat", name="truebeat")
#: why a wake ends that nobody needs any more
BROUGHT: Final = "the results that it was to bring came with another turn"


class New:
    """The delegations among new tasks, with how many each source has open."""

    def __init__(self, open_ones: dict[UUID, int], ledger: Ledger) -> None:
        self._open = Counter(open_ones)
        self._ledger = ledger
        self._rows: list[store.NewRow] = []

    def refused(self, row: store.NewRow) -> TruebeatError | None:
        """None: it is counted."""
        if self._open[row.source_id] >= rules.OPEN_LIMIT:
            return Conflict(
                f"{rules.OPEN_LIMIT} delegations of this workspace are open, which is the limit; wait for some of them "
                "to end, or cancel what is not needed any more",
                open=self._open[row.source_id],
                limit=rules.OPEN_LIMIT,
            )
        self._open[row.source_id] += 1
        self._rows.append(row)
        return None

    async def insert(self, conn: Any, batch: Batch) -> None:
        if not self._rows:
            return
        self._ledger.failpoint("before delegations are inserted")
        await store.insert(conn, self._rows)
        self._ledger.failpoint("delegations inserted")
        for row in self._rows:
            payload = _told(self._ledger, row.task_id, row.source_id, row.target_id, row.root_id, row.depth)
            batch.told_of("DELEGATION_CREATED", row.source_id, payload, "delegated")


class Results:
    """One a ledger. `_sources` and `_given` only save questions: they hold every workspace that may have something to
    get, and every task that may have been given something, and may hold more.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._sources: set[UUID] = set()
        self._given: set[UUID] = set()

    async def start(self, conn: Any) -> None:
        self._sources, self._given = await store.waiting(conn)

    def may_have(self, workspace_id: UUID) -> bool:
        """Whether something may wait to be given to it."""
        return workspace_id in self._sources

    async def counted(self, conn: Any, submits: Sequence[Submit]) -> New:
        sources = {item.delegation.source_id for item in submits if item.delegation is not None}
        return New(await store.count_open(conn, sources) if sources else {}, self._ledger)

    # --- ends, consumption, wakes -------------------------------------------------------------------------------------

    async def settle(self, conn: Any, batch: Batch) -> set[UUID]:
        """After the tasks are saved; the workspaces that were woken."""
        if batch.ready:
            await self._ready(conn, batch)
        if batch.replied:
            await store.replied(conn, batch.replied)
        await self._freed(conn, batch)
        return await self._wake(conn, batch) if batch.touched else set()

    async def _ready(self, conn: Any, batch: Batch) -> None:
        held_until = batch.now + timedelta(seconds=rules.CONFIRM_WITHIN)
        ready = [
            (task_id, *how, batch.rows[task_id].task.state is State.CANCELED) for task_id, how in batch.ready.items()
        ]
        self._ledger.failpoint("before results are ready")
        notes = []
        for ended in await store.ready(conn, ready, batch.now, held_until):
            self._sources.add(ended.source_id)
            batch.touched.add(ended.source_id)
            state = batch.rows[ended.task_id].task.state
            payload = _told(
                self._ledger, ended.task_id, ended.source_id, ended.target_id, ended.root_id, ended.depth
            ) | {"state": state.value, "reason": batch.rows[ended.task_id].task.reason}
            batch.told_of(f"DELEGATION_{state.name}", ended.source_id, payload, "ended" if state.final else "asks")
            if state.final:
                notes.append(self._note(batch, ended, payload))
        if notes:
            await notification_store.insert(conn, notes)
        self._ledger.failpoint("results ready")

    def _note(self, batch: Batch, ended: store.Ended, payload: dict[str, Any]) -> notification_store.Note:
        note = notification_store.Note(
            id=uuid4(),
            workspace_id=ended.source_id,
            delegation_id=ended.task_id,
            at=batch.now,
            type="delegation",
            message=f"{payload['target_name']} has ended what {payload['source_name']} had asked: {payload['state']}",
            link=f"/tasks/{ended.task_id}",
        )
        told = {
            "notification_id": str(note.id),
            "name": payload["source_name"],
            "delegation_id": str(ended.task_id),
            "type": note.type,
            "message": note.message,
            "link": note.link,
        }
        batch.told_of("NOTIFICATION", ended.source_id, told, "ended")
        return note

    async def _freed(self, conn: Any, batch: Batch) -> None:
        """Turns that ended: what they had is consumed, or waits again."""
        for consumed in (True, False):
            attempts = [
                (task_id, attempt)
                for _, task_id, attempt, done in batch.freed
                if done is consumed and task_id in self._given
            ]
            if not attempts:
                continue
            self._ledger.failpoint("before results are settled")
            for task_id, source_id in await store.settle_given(conn, attempts, batch.now, consumed=consumed):
                batch.touched.add(source_id)
                if consumed:
                    payload = {"name": self._ledger.name_of(source_id), "delegation_id": str(task_id)}
                    batch.told_of("DELEGATION_CONSUMED", source_id, payload, "finished")
            self._ledger.failpoint("results settled")
            batch.settled |= {task_id for task_id, _ in attempts}
        batch.touched |= {workspace_id for workspace_id, *_ in batch.freed if workspace_id in self._sources}

    async def _wake(self, conn: Any, batch: Batch) -> set[UUID]:
        await self._end_idle(conn, batch, batch.touched)
        found = await store.unwoken(conn, batch.touched, batch.now, rules.GIVES_LIMIT)
        if not found:
            return set()
        self._ledger.failpoint("before wakes are put")
        rows = [_wake_row(wake, batch.now) for wake in found]
        await task_store.insert(conn, rows)
        for row in rows:
            batch.submitted(row)
        await store.insert_wakes(conn, [(row.id, wake) for row, wake in zip(rows, found, strict=True)])
        self._ledger.failpoint("wakes put")
        return {wake.source_id for wake in found}

    async def _end_idle(self, conn: Any, batch: Batch, sources: Iterable[UUID]) -> None:
        ids = await store.idle_wakes(conn, set(sources), batch.now)
        if not ids:
            return
        held = await task_store.hold(conn, ids)
        batch.rows |= held
        for task_id in held:
            batch.apply(task_id, delivery.CancelRequested(False, BROUGHT))
        await task_store.save(conn, list(held.values()), batch.now)
        self._ledger.failpoint("idle wakes ended")

    async def confirm(
        self,
        conn: Any,
        batch: Batch,
        task_id: UUID,
        source_id: UUID,
        wanted_for: UUID | None,
        by_task: UUID | None = None,
    ) -> bool:
        """Its source has the result. While a turn of it is on that is consumed with the turn (of `by_task`, if it is
        known), else at once. False: there was nothing to confirm, or whoever had it did not complete its turn;
        then it waits for the next.
        """
        working = await store.working(conn, source_id)
        turn = next((one for one in working if one[0] == (by_task or wanted_for)), None)
        if turn is None and by_task is not None and not await store.done_well(conn, by_task, source_id):
            await store.hold(conn, task_id, None)
            batch.touched.add(source_id)
            return False
        if turn is None and by_task is None and working:
            turn = working[0]
        if turn is not None:
            self._given.add(turn[0])
        if await store.confirm(conn, task_id, batch.now, turn) is None:
            return False
        batch.touched.add(source_id)
        what = "DELEGATION_CONSUMED" if turn is None else "DELEGATION_GIVEN"
        payload = {"name": self._ledger.name_of(source_id), "delegation_id": str(task_id)}
        batch.told_of(what, source_id, payload, "confirmed")
        return True

    async def look(self, conn: Any, batch: Batch) -> None:
        """Results that became nobody's by the passing of time."""
        batch.touched |= {wake.source_id for wake in await store.unwoken(conn, None, batch.now, rules.GIVES_LIMIT)}
        self._sources |= batch.touched

    # --- what a turn is given -----------------------------------------------------------------------------------------

    async def give(self, conn: Any, batch: Batch, delivered: list[tuple[UUID, Deliver]]) -> None:
        """What waits in a conversation goes with a delivery of that conversation, and with no other: who asks in
        another one, and its session, have nothing to do with it.
        """
        takers = [(workspace_id, deliver) for workspace_id, deliver in delivered if workspace_id in self._sources]
        if not takers:
            return
        self._ledger.failpoint("before results are given")
        # before the commit: if that gets lost on its way, what was given must still be found
        ids = [_id(deliver) for _, deliver in takers]
        self._given.update(ids)
        batch.settled -= set(ids)
        wanted = [(workspace_id, _id(deliver), deliver.attempt, deliver.context_id) for workspace_id, deliver in takers]
        given = await store.give(conn, wanted, batch.now, rules.GIVE_LIMIT)
        if not given:
            return
        await self.repeat(conn, [deliver for _, deliver in takers])
        for link in given:
            payload = _told(self._ledger, link.task_id, link.source_id, link.target_id, link.root_id, link.depth)
            batch.told_of("DELEGATION_GIVEN", link.source_id, payload, "claimed")
        await self._end_idle(conn, batch, {workspace_id for workspace_id, _ in takers})
        self._ledger.failpoint("results given")

    def committed(self, batch: Batch) -> None:
        """Attempts that ended have nothing any more."""
        self._given -= batch.settled

    async def repeat(self, conn: Any, delivers: list[Deliver]) -> None:
        """Deliveries with what their attempts were given."""
        by_task = {_id(deliver): deliver for deliver in delivers if _id(deliver) in self._given}
        if not by_task:
            return
        for one in await store.given(conn, list(by_task), envelope.TEXT_LIMIT + 1):
            by_task[one.taker].results.append(wrapped(one))


def wrapped(one: store.Given) -> ResultEnvelope:
    """A result as data with where it is from, within its bounds."""
    said = one.answer or one.reason
    text, cut = envelope.cut(said, envelope.TEXT_LIMIT)
    return ResultEnvelope(
        delegation_id=str(one.task_id),
        from_id=str(one.target_id),
        from_name=envelope.cut(one.target_name, envelope.NAME_LIMIT)[0],
        asked=envelope.cut(one.asked, envelope.ASKED_LIMIT)[0],
        state=one.state.value,
        ended_at=one.ready_at,
        text=text,
        truncated=cut or one.cut,
        tool_calls=one.tool_calls,
        suspicious=envelope.suspicions(text),
    )


def _wake_row(wake: store.Wake, at: datetime) -> NewRow:
    parent = None if wake.parent_id is None else str(wake.parent_id)
    return NewRow(
        id=uuid4(),
        workspace_id=wake.source_id,
        context_id=wake.context_id,
        sender=PLATFORM,
        text=rules.wake_text(str(wake.task_id), wake.state, parent),
        parts=[],
        message=None,
        metadata={"wake": True},
        priority=0,
        on_interrupt=OnInterrupt.RETRY,
        at=at,
    )


def _id(deliver: Deliver) -> UUID:
    from uuid import UUID

    return UUID(deliver.task_id)


def _told(ledger: Ledger, task_id: UUID, source_id: UUID, target_id: UUID, root_id: UUID, depth: int) -> dict[str, Any]:
    """What events say of a delegation."""
    return {
        "name": ledger.name_of(source_id),
        "delegation_id": str(task_id),
        "source_id": str(source_id),
        "source_name": ledger.name_of(source_id),
        "target_id": str(target_id),
        "target_name": ledger.name_of(target_id),
        "root_id": str(root_id),
        "depth": depth,
    }
