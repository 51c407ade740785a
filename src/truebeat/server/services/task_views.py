"""Tasks as readers may see them."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from truebeat.domain import access
from truebeat.domain.delivery import State
from truebeat.errors import Invalid
from truebeat.protocol.tasks import Artifact, Exchange, TaskView

if TYPE_CHECKING:
    from truebeat.domain.access import Principal
    from truebeat.protocol.tasks import Update
    from truebeat.server.store.tasks import NewRow, TaskRow, UpdateRow


def of_new(row: NewRow) -> TaskView:
    """Just accepted."""
    return TaskView(
        id=row.id,
        workspace_id=row.workspace_id,
        context_id=row.context_id,
        state=State.SUBMITTED,
        sender=row.sender,
        text=row.text,
        parts=row.parts,
        message=row.message,
        metadata=row.metadata,
        priority=row.priority,
        on_interrupt=row.on_interrupt.value,
        attempt=0,
        begun=False,
        cancel_requested=False,
        answer="",
        answer_parts=[],
        reason="",
        updates=1,
        created_at=row.at,
        updated_at=row.at,
    )


def of_row(row: TaskRow) -> TaskView:
    task = row.task
    return TaskView(
        id=row.id,
        workspace_id=row.workspace_id,
        context_id=row.context_id,
        state=task.state,
        sender=row.sender,
        text=row.text,
        parts=row.parts,
        message=row.message,
        metadata=row.metadata,
        priority=row.priority,
        on_interrupt=task.on_interrupt.value,
        attempt=task.attempt,
        begun=task.state is State.WORKING,
        cancel_requested=task.cancel_requested,
        answer=row.answer,
        answer_parts=row.answer_parts,
        reason=task.reason,
        updates=row.updates,
        created_at=row.created_at,
        updated_at=row.updated_at,
        ended_at=row.ended_at,
    )


def may_follow(view: TaskView) -> bool:
    """There is something to wait for that the platform expects to come."""
    return not view.final and not view.paused and (view.availability is None or view.availability.able)


def complete(view: TaskView, updates: list[Update]) -> bool:
    """Make of a new task what it is after all its updates, if those are its way to completion in the first attempt
    without anything else; whether they are.
    """
    way = [update for update in updates if update.seq > 1]
    if not way or way[-1].state is not State.COMPLETED or any(update.kind != "status" for update in way):
        return False
    *before, last = way
    if any(update.state is not State.WORKING for update in before):
        return False
    view.state, view.attempt, view.availability = last.state, 1, None
    view.answer, view.answer_parts = last.text, last.parts
    view.updates, view.updated_at, view.ended_at = last.seq, last.at, last.at
    return True


def add_story(view: TaskView, story: list[UpdateRow]) -> None:
    """Artifacts, and what was asked and replied after the first message. Pieces of an artifact of one name are one."""
    artifacts: dict[str, Artifact] = {}
    for row in story:
        update = row.update
        if update.kind == "artifact":
            found = artifacts.setdefault(update.name, Artifact(name=update.name, parts=[]))
            found.parts.extend(update.parts)
            found.text += update.text
        elif update.kind == "reply":
            view.history.append(
                Exchange(role="user", at=update.at, text=update.text, parts=update.parts, message=row.message)
            )
        elif update.kind == "status":
            view.history.append(Exchange(role="agent", at=update.at, text=update.text, parts=update.parts))
    view.artifacts = list(artifacts.values())


def shown(view: TaskView, principal: Principal) -> TaskView:
    """Without texts for those who may not read them."""
    if access.may_read_task(principal, str(view.workspace_id), view.sender.kind, view.sender.id):
        return view
    view.text = view.answer = view.reason = ""
    view.parts, view.answer_parts, view.artifacts, view.history = [], [], [], []
    view.message, view.metadata = None, {}
    if view.availability is not None:
        view.availability.detail = view.availability.reason = ""
    return view


def without_texts(update: Update) -> Update:
    return msgspec.structs.replace(update, text="", name="", parts=[])


def cursor(row: TaskRow | TaskView) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((row.updated_at, row.id))).decode().rstrip("=")


def parse_cursor(text: str) -> tuple[datetime, UUID]:
    """The cursor before the first page is an empty text."""
    if not text:
        return datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1)
    try:
        at, task_id = msgspec.json.decode(
            base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=tuple[datetime, UUID]
        )
    except (ValueError, binascii.Error, msgspec.DecodeError, UnicodeError):
        raise Invalid("after: use the `next` of the page before") from None
    try:
        return moment(at, "after"), task_id
    except Invalid:
        raise Invalid("after: use the `next` of the page before") from None


def moment(at: datetime, name: str) -> datetime:
    """In UTC. Errors: Invalid (no time zone, or out of range in UTC)."""
    if at.tzinfo is None:
        raise Invalid(f"{name}: needs a time zone, as in 2026-01-31T12:00:00Z")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise Invalid(f"{name}: no such moment in UTC") from None
