"""Delegations over HTTP: work that one workspace gives another, and what comes back.

A delegation is a task in the target's mailbox whose sender is a workspace; its id is that task's id. What comes back is
data that another agent wrote: it travels as a `ResultEnvelope`, and reaches a model only by `domain.envelope.render`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from msgspec import Meta, Struct, field

from truebeat.domain.delivery import State
from truebeat.protocol.delivery import ResultEnvelope, Sender, TaskId
from truebeat.protocol.tasks import Availability

__all__ = (
    "DEADLINE_LIMIT",
    "PREVIEW_LIMIT",
    "WAIT_LIMIT",
    "DelegationStatus",
    "DelegationView",
    "NewDelegation",
    "NewNotification",
    "NotificationPage",
    "NotificationView",
    "NotificationsRead",
    "NotificationsUnread",
    "OpenDelegation",
    "OpenDelegations",
    "Peer",
    "ResultEnvelope",
    "TraceNode",
)

#: characters of `summary` and `response_preview`
PREVIEW_LIMIT: Final = 500
#: seconds that a caller may wait, and after which a deadline is too far away
WAIT_LIMIT: Final = 3600
DEADLINE_LIMIT: Final = 30 * 86400

DelegationStatus = Literal["pending", "in_progress", "completed", "failed"]


class NewDelegation(Struct, kw_only=True):
    """POST /workspaces/{source}/delegations; an Idempotency-Key header makes a repeated one the same for 24 hours.

    target: the name or id of a peer. wait_seconds: the answer comes when it has ended, at once with the facts when the
    target can't work now, or when the time is over; it lives on in both cases. deadline_seconds: it is canceled if it
    has not ended by then; a deadline of the work that it is part of bounds it too. from_task: the source's task that
    needs it; without one the source's present task is taken. context_id: go on with an earlier conversation of the two.
    on_interrupt: as for tasks.
    """

    target: Annotated[str, Meta(min_length=1, max_length=200)]
    text: str = ""
    parts: list[dict[str, Any]] = field(default_factory=list)
    wait_seconds: Annotated[float, Meta(ge=0, le=WAIT_LIMIT)] = 0
    deadline_seconds: Annotated[float, Meta(gt=0, le=DEADLINE_LIMIT)] | None = None
    from_task: UUID | None = None
    context_id: TaskId | None = None
    on_interrupt: Literal["retry", "fail"] = "retry"
    metadata: dict[str, Any] = field(default_factory=dict)


class DelegationView(Struct, kw_only=True):
    """A delegation. Texts are empty for those who may not read them.

    status: of four, for clients that know no more. state: the task's own. summary: what was asked, cut.
    response_preview: what came back, cut. result: all of it with where it is from, once there is one (or a question:
    state input-required; reply to it by POST /workspaces/{target}/tasks with task_id). error: why it failed.
    consumed: a turn of the source that had the result is done, or the source confirmed it.
    """

    delegation_id: UUID
    source_id: UUID
    source_name: str
    target_id: UUID
    target_name: str
    status: DelegationStatus
    state: State
    summary: str
    response_preview: str
    error: str
    depth: int
    created_at: datetime
    updated_at: datetime
    context_id: str
    root_id: UUID
    from_task: UUID | None = None
    ended_at: datetime | None = None
    deadline_at: datetime | None = None
    consumed: bool = False
    result: ResultEnvelope | None = None
    availability: Availability | None = None


class OpenDelegation(Struct, kw_only=True):
    """One that has not ended, for those who watch the fleet: who waits for whom, and no text."""

    delegation_id: UUID
    source_id: UUID
    target_id: UUID
    state: State
    created_at: datetime


class OpenDelegations(Struct, kw_only=True):
    """GET /delegations: those of the whole fleet that have not ended, the newest first.

    They are current to the event `seq` or later: watching from there misses nothing. left_out: how many more there are.
    """

    delegations: list[OpenDelegation]
    seq: int
    left_out: int = 0


class Peer(Struct, kw_only=True):
    """GET /workspaces/{id}/peers: one that this workspace may message. relation: parent, child, sibling, ancestor,
    descendant or peer.
    """

    id: UUID
    name: str
    role: str
    relation: str
    availability: Availability


class NewNotification(Struct, kw_only=True):
    """POST /workspaces/{id}/notify: something for the person who watches. link: what to open, a path or an URL."""

    message: Annotated[str, Meta(min_length=1, max_length=10_000)]
    type: Annotated[str, Meta(max_length=100)] = "info"
    link: Annotated[str, Meta(max_length=2000)] = ""


class NotificationView(Struct, kw_only=True):
    """`delegation_id` is set where the platform tells of an ended delegation; else the workspace itself speaks."""

    id: UUID
    workspace_id: UUID
    workspace_name: str
    at: datetime
    type: str
    message: str
    link: str
    delegation_id: UUID | None = None
    read_at: datetime | None = None


class NotificationPage(Struct, kw_only=True):
    """GET /notifications: newest first; `unread` counts all that are not read."""

    notifications: list[NotificationView]
    unread: int
    next: str | None = None


class NotificationsRead(Struct, kw_only=True):
    """POST /notifications/read: the newest that was seen; it and all older ones were read."""

    through: UUID


class NotificationsUnread(Struct, kw_only=True):
    """How many are not read in all."""

    unread: int


class TraceNode(Struct, kw_only=True):
    """GET /tasks/{id}/trace: one task of the tree of who asked whom.

    The root is the first task of the chain, whichever of its tasks was asked for. queued_seconds: from when it was sent
    until a worker first began it (or until now, or until it ended unbegun). worked_seconds: from then until its end.
    wake: the platform woke the workspace with results.
    """

    task_id: UUID
    workspace_id: UUID
    workspace_name: str
    sender: Sender
    state: State
    summary: str
    reason: str
    attempt: int
    depth: int
    created_at: datetime
    begun_at: datetime | None = None
    ended_at: datetime | None = None
    deadline_at: datetime | None = None
    queued_seconds: float = 0.0
    worked_seconds: float | None = None
    wake: bool = False
    consumed: bool = False
    children: list[TraceNode] = field(default_factory=list)
