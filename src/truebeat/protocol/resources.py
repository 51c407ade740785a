"""What HTTP requests and answers carry. Unknown fields are ignored, wrong types refused, everything has a bound.

Times are RFC 3339 UTC; durations are seconds; ids are UUIDs.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from truebeat.domain.health import Status, Symptom, Witness
from truebeat.protocol.testimony import EvidenceView, WitnessView

#: bytes of any request body; a larger one is answered 413 before it is read
BODY_LIMIT = 256 * 1024
#: characters of `sample_error` that are kept; a longer one is cut, not refused
SAMPLE_ERROR_LIMIT = 2000

#: what nobody sees or what turns the text around it: a name with it could rewrite the sentence that it stands in
_UNSEEN: Final = r"\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
#: how a pattern's refusal is said to people
VISIBLE: Final = "text without control, invisible and direction-changing characters"
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=f"^[^{_UNSEEN}]+$(?!\n)")]
RoleName = Annotated[str, Meta(max_length=2000, pattern=f"^[^{_UNSEEN}]*$(?!\n)")]
ShortText = Annotated[str, Meta(max_length=2000)]
#: a future symptom's name needs no migration, but it is a name, not a text
RuntimeState = Annotated[str, Meta(max_length=100)]
Rate = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Heartbeat(Struct, kw_only=True):
    """POST /registry/heartbeat. `runtime_state` absent, null or "" claims health; "wedged" admits a wedge and
    `sample_error` is then the reason people read.
    """

    workspace_id: str
    error_rate: Rate = 0.0
    sample_error: str | None = ""
    active_tasks: Count = 0
    current_task: str | None = ""
    uptime_seconds: Annotated[float, Meta(ge=0, le=1e12)] = 0
    runtime_state: RuntimeState | UnsetType | None = UNSET


class HeartbeatReply(Struct, kw_only=True):
    """`status` is the judged status; beat again within `next_beat_seconds`."""

    status: Status
    next_beat_seconds: float
    lease_seconds: float


class Registration(Struct, kw_only=True):
    """POST /registry/register. `url` and `agent_card` are kept as information; `url` is never dialled."""

    id: UUID
    name: Name | None = None
    url: ShortText | None = None
    agent_card: dict[str, Any] | None = None


class RegistrationReply(Struct, kw_only=True, omit_defaults=True):
    """`auth_token` comes only with the first registration, or with an operator's or enrolment token."""

    status: str
    auth_token: str | UnsetType = UNSET


class NewWorkspace(Struct, kw_only=True):
    """POST /workspaces. The answer carries the workspace's first token, once."""

    name: Name
    role: RoleName = ""
    parent_id: UUID | None = None
    id: UUID | None = None


class ConditionView(Struct, kw_only=True):
    """One open condition. `detail` is "" for those who may not see error texts."""

    symptom: Symptom
    witness: Witness
    status: Status
    detail: str
    since: datetime


class WorkspaceView(Struct, kw_only=True):
    """GET /workspaces/{id}. Fields of the last beat are null until one came since the server started."""

    id: UUID
    name: str
    role: str
    parent_id: UUID | None
    status: Status
    conditions: list[ConditionView]
    generation: int
    created_at: datetime
    registered: bool
    linked: bool
    last_beat_at: datetime | None = None
    runtime_state: str | None = None
    error_rate: float | None = None
    sample_error: str | None = None
    active_tasks: int | None = None
    current_task: str | None = None
    uptime_seconds: float | None = None
    phase: str | None = None
    #: how many times the current supervisor restarted the worker
    restarts: int | None = None
    worker_pid: int | None = None
    #: what its supervisor knows and what is no fault of it
    note: str | None = None
    #: a restart was ordered, and no newer generation has beaten yet
    restart_pending: bool = False
    #: the incident that is open
    incident_id: UUID | None = None
    #: only in the answer to GET /workspaces/{id}
    witnesses: list[WitnessView] = msgspec.field(default_factory=list)
    evidence: EvidenceView | None = None


class WorkspacePage(Struct, kw_only=True):
    """GET /workspaces: by name; `seq` is the event the list is current to; `next` is the `after` of the next page.

    at: by the server's clock, None from one that does not say it. unsure: why no status may be believed now (so many
    are silent together that the server suspects itself, or its database does not answer); "" normally.
    """

    workspaces: list[WorkspaceView]
    seq: int
    next: str | None = None
    at: datetime | None = None
    unsure: str = ""


class CreatedWorkspace(Struct, kw_only=True):
    """The workspace and its first token, shown once."""

    workspace: WorkspaceView
    token: str


class RestartReply(Struct, kw_only=True):
    """The restart was ordered; `restart_id` names it in the events."""

    restart_id: UUID
    status: Status


class Login(Struct, kw_only=True):
    """POST /session: a token, or the code of a login link."""

    token: Annotated[str, Meta(max_length=200)] = ""
    code: Annotated[str, Meta(max_length=200)] = ""


class SessionView(Struct, kw_only=True):
    """GET /session: who this is."""

    name: str
    role: str
    workspace_id: str | None


class NewToken(Struct, kw_only=True):
    """POST /tokens. `workspace_id` is needed for the role "workspace" and refused for the others."""

    name: Name
    role: str
    workspace_id: UUID | None = None
    expires_in_seconds: Annotated[int, Meta(ge=1, le=10 * 365 * 86400)] | None = None


class TokenView(Struct, kw_only=True):
    """A token without its secret."""

    id: UUID
    name: str
    role: str
    workspace_id: UUID | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class IssuedToken(Struct, kw_only=True):
    """The secret, shown this once."""

    token: str
    view: TokenView


class Problem(Struct, kw_only=True, omit_defaults=True):
    """RFC 9457 problem details plus a stable `code`."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    facts: dict[str, Any] = msgspec.field(default_factory=dict)
