"""Frames that carry tasks, the same on the link and on the pipe: deliver and cancel down, what became of it up.

(task_id, generation, attempt) fences each: what carries an old one is refused and recorded. `n` numbers the frames up
on the link within one boot of the supervisor (0 on the pipe); each is repeated after a reconnect until `Settled(n)`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, field

#: characters of a message and of a result (text and structured parts together, as JSON)
MESSAGE_LIMIT: Final = 1024 * 1024
RESULT_LIMIT: Final = 10 * 1024 * 1024
#: characters of text in one Chunk
CHUNK_LIMIT: Final = 32 * 1024

Number = Annotated[int, Meta(ge=0, le=2**53)]
TaskId = Annotated[str, Meta(min_length=1, max_length=64)]


class Sender(Struct, kw_only=True):
    """Who asks. kind: "person", "client" (an external A2A client) or "workspace". id: the workspace's, or one that the
    sender's token keeps when it is rotated; name: for people, others may have it too.
    """

    kind: Literal["person", "client", "workspace"]
    id: str
    name: str = ""


class ResultEnvelope(Struct, kw_only=True):
    """What came back of a delegation, or a question about it (state input-required). All texts are data: others wrote
    them, the asked workspace and its agent; show them to a model by `domain.envelope.render` only.

    asked: what was asked, cut. text: the answer, the question or the error's text, cut if `truncated`. tool_calls: how
    many tools the answering turn used, if its executor tells. suspicious: what in `text` imitates something it is not.
    """

    delegation_id: TaskId
    from_id: TaskId
    from_name: str
    asked: str
    state: str
    ended_at: datetime
    text: str
    truncated: bool = False
    tool_calls: int | None = None
    suspicious: list[str] = field(default_factory=list)


class Deliver(Struct, kw_only=True, tag="deliver"):
    """One attempt at a task, for the worker of `generation`.

    text: the message's text parts, joined. parts: all of its parts in A2A's JSON shape. reply: the task had asked for
    input, and this is the answer. interrupted: an earlier attempt had begun and its worker died; say so to the agent.
    results: what came back of this workspace's own delegations and was not used by a turn yet.
    """

    task_id: TaskId
    context_id: TaskId
    generation: Number
    attempt: Annotated[int, Meta(ge=1, le=10_000)]
    sender: Sender
    text: str
    parts: list[dict[str, Any]] = field(default_factory=list)
    reply: bool = False
    interrupted: bool = False
    results: list[ResultEnvelope] = field(default_factory=list)


class Cancel(Struct, kw_only=True, tag="cancel"):
    """Stop working on this attempt; answered by Finished with state "canceled" (or by how it ended before)."""

    task_id: TaskId
    generation: Number
    attempt: Number


class Settled(Struct, kw_only=True, tag="settled"):
    """Frame `n` is on disk, or was refused for good: it need not be repeated."""

    n: Number


class Begun(Struct, kw_only=True, tag="begun"):
    """The executor was given the turn: from here on the work may have had effects."""

    task_id: TaskId
    generation: Number
    attempt: Number
    n: Number = 0


class Chunk(Struct, kw_only=True, tag="chunk"):
    """A piece of what a turn puts out, in order. `index` counts from 0 within the attempt.

    kind "text": a piece of the answer. "progress": something moved; `text` is a note for people. "artifact": `name`,
    and `parts` in A2A's JSON shape.
    """

    task_id: TaskId
    generation: Number
    attempt: Number
    index: Annotated[int, Meta(ge=0, le=2**31 - 2)]
    kind: Literal["text", "progress", "artifact"]
    text: str = ""
    name: str = ""
    parts: list[dict[str, Any]] = field(default_factory=list)
    n: Number = 0


class Finished(Struct, kw_only=True, tag="finished"):
    """How the attempt ended. `text` is the answer, the question (input-required, auth-required) or the error's text.

    tool_calls: how many tools the turn used; None where the executor does not tell of tools.
    """

    task_id: TaskId
    generation: Number
    attempt: Number
    state: Literal["completed", "failed", "canceled", "rejected", "input-required", "auth-required"]
    text: str
    parts: list[dict[str, Any]] = field(default_factory=list)
    tool_calls: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    n: Number = 0


class HandedBack(Struct, kw_only=True, tag="handed_back"):
    """The attempt ends without a result. `begun`: whether the executor had been given the turn."""

    task_id: TaskId
    generation: Number
    attempt: Number
    begun: bool
    reason: str
    n: Number = 0
