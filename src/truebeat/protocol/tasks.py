"""Tasks over HTTP: what a sender sends, what readers get, and the honest answer when a workspace can't take work now.

States are A2A's. Times are RFC 3339 UTC, durations seconds, ids UUIDs; a context is any text of up to 64 characters.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from msgspec import Meta, Struct, field

from truebeat.domain.delivery import State
from truebeat.domain.health import Status, Symptom
from truebeat.protocol.delivery import MESSAGE_LIMIT, Sender, TaskId

#: bytes of a request body that carries a task: the message, in whatever escaping, and its envelope
TASK_BODY_LIMIT: Final = 2 * MESSAGE_LIMIT + 64 * 1024
#: characters of an Idempotency-Key
KEY_LIMIT: Final = 200

Kind = Literal["status", "text", "progress", "artifact", "reply", "unavailable", "available"]


class NewTask(Struct, kw_only=True):
    """POST /workspaces/{id}/tasks.

    text: the message's text parts, joined. parts: all of its parts in A2A's JSON shape. message: the whole A2A message,
    kept as it came. context_id: the conversation; without one a new one begins. task_id: the task that asked for input,
    if this is the reply. on_unavailable: what becomes of it while the workspace can't take work. on_interrupt: what
    becomes of it if its worker dies after it began. priority: higher first, across contexts only.
    """

    text: str = ""
    parts: list[dict[str, Any]] = field(default_factory=list)
    message: dict[str, Any] | None = None
    context_id: TaskId | None = None
    task_id: UUID | None = None
    on_unavailable: Literal["queue", "reject"] = "queue"
    on_interrupt: Literal["retry", "fail"] = "retry"
    priority: Annotated[int, Meta(ge=-100, le=100)] = 0
    metadata: dict[str, Any] = field(default_factory=dict)


class Availability(Struct, kw_only=True):
    """Whether the workspace can take work now, and if not, why: everything the platform knows, nothing it guesses.

    status, and of the condition people read first: symptom, detail ("" for those who may not see error texts), since.
    restart: "none", "pending" (ordered, or a new generation is starting) or "given_up" (an operator must act).
    linked: whether its supervisor holds the link that carries work. queued: tasks in its mailbox that no worker holds.
    position: of the task asked about, 1 is next; None when it is not queued or none was asked about.
    retry_after: seconds after which asking again makes sense; None when it can take work, or never will.
    reason: all of it in one sentence for people.
    """

    able: bool
    status: Status
    linked: bool
    queued: int
    restart: Literal["none", "pending", "given_up"] = "none"
    symptom: Symptom | None = None
    detail: str = ""
    since: datetime | None = None
    position: int | None = None
    retry_after: float | None = None
    reason: str = ""


class Artifact(Struct, kw_only=True):
    """What a turn put out under a name; parts in A2A's JSON shape."""

    name: str
    parts: list[dict[str, Any]]
    text: str = ""


class Exchange(Struct, kw_only=True):
    """One later message of a task that asked for input: its question (role agent) or the reply (role user)."""

    role: Literal["user", "agent"]
    at: datetime
    text: str
    parts: list[dict[str, Any]] = field(default_factory=list)
    message: dict[str, Any] | None = None


class TaskView(Struct, kw_only=True):
    """A task. `text`, `parts`, `message`, `answer...`, `artifacts`, `history` and `reason` are empty for viewers.

    begun: whether a worker began the present attempt. answer: the result, the question, or the error's text.
    reason: the platform's own words about why it is in this state. updates: the last update's seq.
    availability: set while the task is not final. artifacts and history: only of a single task, not in lists.
    """

    id: UUID
    workspace_id: UUID
    context_id: str
    state: State
    sender: Sender
    text: str
    parts: list[dict[str, Any]]
    message: dict[str, Any] | None
    metadata: dict[str, Any]
    priority: int
    on_interrupt: Literal["retry", "fail"]
    attempt: int
    begun: bool
    cancel_requested: bool
    answer: str
    answer_parts: list[dict[str, Any]]
    reason: str
    updates: int
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None
    availability: Availability | None = None
    artifacts: list[Artifact] = field(default_factory=list)
    history: list[Exchange] = field(default_factory=list)

    @property
    def final(self) -> bool:
        """It never changes any more."""
        return self.state.final

    @property
    def paused(self) -> bool:
        """It waits for a reply of its sender."""
        return self.state.paused


class TaskPage(Struct, kw_only=True):
    """GET /workspaces/{id}/tasks: newest change first; `next` is the `after` of the next page. A page of large tasks
    has fewer than `limit`; only without `next` nothing follows. total: how many match; capped: more than that do, they
    were not counted ("10,000+").
    """

    tasks: list[TaskView]
    total: int
    next: str | None = None
    capped: bool = False


class Update(Struct, kw_only=True):
    """One entry of a task's own log. `seq` counts from 1 without gaps within the task.

    kind "status": it went into `state`; `text` is the answer, the question, the error or the platform's words, `parts`
    the answer's parts. "text", "progress", "artifact": what a turn puts out. "reply": what the sender answered.
    "unavailable" and "available": the workspace can't take work, or can again; `availability` has the facts. Those two
    are not kept: they are told live, with the seq of the last kept update.
    final: nothing follows (a final state, or one that waits for a reply).
    """

    seq: int
    at: datetime
    kind: Kind
    state: State
    text: str = ""
    name: str = ""
    parts: list[dict[str, Any]] = field(default_factory=list)
    final: bool = False
    availability: Availability | None = None
