"""What one transaction of the ledger does to tasks, before it is written: rows, updates, events, results."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from truebeat.domain import delivery
from truebeat.domain.delivery import Outcome, State
from truebeat.protocol.delivery import RESULT_LIMIT, Deliver, Sender
from truebeat.protocol.tasks import Kind, Update
from truebeat.server.store.database import encode_json
from truebeat.server.store.events import NewEvent
from truebeat.server.store.sql import storable
from truebeat.server.store.tasks import UpdateRow

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from truebeat.server.store.tasks import HeldRow, NewRow

#: updates of one task that are kept
UPDATES_LIMIT: Final = 20_000


class Batch:
    """Fill `rows` with those that are locked before anything is applied to them."""

    def __init__(self, now: datetime, name_of: Callable[[UUID], str]) -> None:
        self.now = now
        self._name_of = name_of
        self.rows: dict[UUID, HeldRow] = {}
        self.updates: list[UpdateRow] = []
        self.events: list[NewEvent] = []
        self.results: list[tuple[asyncio.Future[Any], Any]] = []
        #: by how much the number of waiting tasks of each workspace changes, by priority
        self.queued: dict[UUID, Counter[int]] = defaultdict(Counter)
        #: claimed by this transaction: (workspace, what it is to get)
        self.delivered: list[tuple[UUID, Deliver]] = []
        #: of new tasks: they are written with them
        self._first: list[UpdateRow] = []
        #: tasks of workspaces that ended (True) or ask, with how many tools were used; and those that were replied to
        self.ready: dict[UUID, tuple[bool, int | None]] = {}
        self.replied: set[UUID] = set()
        #: (workspace, task, attempt) whose lease ended, and whether the turn did what it was to do
        self.freed: list[tuple[UUID, UUID, int, bool]] = []
        #: sources whose results or wakes changed
        self.touched: set[UUID] = set()
        #: tasks that have no results any more
        self.settled: set[UUID] = set()
        self._changed: set[UUID] = set()
        #: the last update of each task, while a chunk may still be joined to it
        self._open: dict[UUID, Update] = {}

    def submitted(self, row: NewRow) -> None:
        self.queued[row.workspace_id][row.priority] += 1
        self._first.append(UpdateRow(row.id, Update(seq=1, at=row.at, kind="status", state=State.SUBMITTED)))
        self._event("TASK_SUBMITTED", row.workspace_id, row.id, row.context_id, row.sender, "sent", attempt=0)

    def give(self, rows: Sequence[NewRow], claimed: Mapping[UUID, int]) -> None:
        """New tasks that go at once to the worker of that generation, in the order of a claim."""
        for row in sorted(rows, key=lambda row: -row.priority):
            if (generation := claimed.get(row.id)) is not None:
                self.queued[row.workspace_id][row.priority] -= 1
                self.delivered.append((row.workspace_id, _first_delivery(row, generation)))

    def apply(
        self,
        task_id: UUID,
        event: delivery.Event,
        text: str = "",
        parts: list[dict[str, Any]] | None = None,
        message: dict[str, Any] | None = None,
        chunk: tuple[str, str, int] | None = None,
        tool_calls: int | None = None,
    ) -> Outcome | None:
        """None: there is no such task."""
        row = self.rows.get(task_id)
        if row is None:
            return None
        before = row.task
        outcome = delivery.apply(before, event)
        if outcome.refused:
            self._refused(row, event, outcome.refused)
            return outcome
        row.task = outcome.task
        if outcome.task is not before:
            self._changed.add(task_id)
        self.queued[row.workspace_id][row.priority] += _waits(outcome.task) - _waits(before)
        match event:
            case delivery.Finished():
                row.answer, row.answer_parts = text, parts or []
            case delivery.Replied():
                row.reply_text, row.reply_parts, row.last = text, parts or [], True
                self._update(row, "reply", text, parts=parts, message=message)
        if outcome.task.state is not before.state or outcome.requeued:
            told = text if isinstance(event, delivery.Finished) else outcome.task.reason
            answer = parts if isinstance(event, delivery.Finished) else None
            self._update(row, "status", told or outcome.task.reason, parts=answer)
            requeued = outcome.requeued and not isinstance(event, delivery.Replied)
            what = "TASK_REQUEUED" if requeued else f"TASK_{outcome.task.state.name}"
            cause = _CAUSES[type(event)]
            self._event(
                what, row.workspace_id, row.id, row.context_id, row.sender, cause,
                attempt=outcome.task.attempt, reason=outcome.task.reason,
            )  # fmt: skip
        self._results(row, before, event, tool_calls)
        if chunk is not None:
            self._chunk(row, *chunk, text, parts or [])
        return outcome

    def foreign(self, task_id: UUID, event: delivery.Event, by: UUID) -> None:
        """A result of a workspace that was not asked counts for nothing, and is shown."""
        if isinstance(event, delivery.Finished):
            reason = "the workspace that sent this result is not the one that the task was given to"
            payload = {"name": self._name_of(by), "task_id": str(task_id), "reason": reason, "attempt": event.attempt}
            self.told_of("TASK_RESULT_REFUSED", by, payload, "finished")

    def changed(self) -> list[HeldRow]:
        return [self.rows[task_id] for task_id in self._changed]

    def told(self) -> dict[UUID, list[Update]]:
        """The new updates by task, in order."""
        by_task: dict[UUID, list[Update]] = {}
        for row in (*self._first, *self.updates):
            by_task.setdefault(row.task_id, []).append(row.update)
        return by_task

    def told_of(self, what: str, workspace_id: UUID, payload: dict[str, Any], cause: str) -> None:
        """An event that is of no single task."""
        self.events.append(NewEvent(self.now, what, workspace_id, payload, cause))

    # --- its parts ----------------------------------------------------------------------------------------------------

    def _results(self, row: HeldRow, before: delivery.Task, event: delivery.Event, tool_calls: int | None) -> None:
        """What delegations have to know: that there is a result, and that one was used."""
        after = row.task
        if row.sender.kind == "workspace" and after.state is not before.state:
            if after.state.final or after.state.paused:
                self.ready[row.id] = (after.state.final, tool_calls)
            elif isinstance(event, delivery.Replied):
                self.replied.add(row.id)
        if before.held and not after.held:
            done = isinstance(event, delivery.Finished) and (after.state is State.COMPLETED or after.state.paused)
            self.freed.append((row.workspace_id, row.id, before.attempt, done))

    def _chunk(self, row: HeldRow, kind: str, name: str, index: int, text: str, parts: list[dict[str, Any]]) -> None:
        """Chunks that came before (a link repeats what was not acknowledged) are passed over. Beyond the bounds text
        and progress are dropped, which the result has again or nobody needs; artifacts have twice as much room.
        """
        size = len(text) + len(name) + (len(msgspec.json.encode(parts)) if parts else 0)
        if index < row.chunks:
            return
        room = 2 if kind == "artifact" else 1
        if row.streamed + size > 2 * room * RESULT_LIMIT or row.updates >= room * UPDATES_LIMIT:
            return
        row.chunks = index + 1
        row.streamed += size
        self._changed.add(row.id)
        last = self._open.get(row.id)
        if kind == "text" and last is not None and last.kind == "text":
            last.text += text
        elif kind == "progress" and last is not None and last.kind == "progress":
            last.text = text
        else:
            self._open[row.id] = self._update(row, cast("Kind", kind), text, name=name, parts=parts)

    def _update(
        self,
        row: HeldRow,
        kind: Kind,
        text: str,
        *,
        name: str = "",
        parts: list[dict[str, Any]] | None = None,
        message: dict[str, Any] | None = None,
    ) -> Update:
        row.updates += 1
        state = row.task.state
        update = Update(
            seq=row.updates,
            at=self.now,
            kind=kind,
            state=state,
            text=text,
            name=name,
            parts=parts or [],
            final=kind == "status" and (state.final or state.paused),
        )
        self.updates.append(UpdateRow(row.id, update, message))
        self._open.pop(row.id, None)
        self._changed.add(row.id)
        return update

    def _refused(self, row: HeldRow, event: delivery.Event, why: str) -> None:
        """A result that comes too late is recorded, unless it only repeats what is on disk."""
        if not isinstance(event, delivery.Finished):
            return
        if event.attempt == row.task.attempt and event.state is row.task.state:
            return
        self._event(
            "TASK_RESULT_REFUSED", row.workspace_id, row.id, row.context_id, row.sender, "finished",
            attempt=event.attempt, reason=why,
        )  # fmt: skip

    def _event(
        self,
        what: str,
        workspace_id: UUID,
        task_id: UUID,
        context_id: str,
        sender: Sender,
        cause: str,
        *,
        attempt: int,
        reason: str = "",
    ) -> None:
        payload = {
            "name": self._name_of(workspace_id),
            "task_id": str(task_id),
            "context_id": context_id,
            "sender": {"kind": sender.kind, "id": sender.id, "name": sender.name},
            "attempt": attempt,
            "reason": reason,
        }
        self.events.append(NewEvent(self.now, what, workspace_id, payload, cause))


def _first_delivery(row: NewRow, generation: int) -> Deliver:
    """What a claim would tell of a task that is inserted as claimed: with what PostgreSQL keeps of its texts."""
    return Deliver(
        task_id=str(row.id),
        context_id=storable(row.context_id),
        generation=generation,
        attempt=1,
        sender=Sender(kind=row.sender.kind, id=storable(row.sender.id), name=storable(row.sender.name)),
        text=storable(row.text),
        parts=msgspec.json.decode(encode_json(row.parts)),
    )


def _waits(task: delivery.Task) -> int:
    return int(task.state is State.SUBMITTED and not task.held)


_CAUSES: Final[dict[type[delivery.Event], str]] = {
    delivery.Claimed: "claimed",
    delivery.Begun: "begun",
    delivery.Progressed: "progressed",
    delivery.Finished: "finished",
    delivery.HandedBack: "handed_back",
    delivery.LeaseExpired: "lease_expired",
    delivery.CancelRequested: "cancel_requested",
    delivery.Replied: "replied",
    delivery.Rejected: "rejected",
}
