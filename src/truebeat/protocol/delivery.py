"""Frames that carry tasks, the same on the link and on the pipe: deliver and cancel down, what became of it up.

(task_id, generation, attempt) fences each: what carries an old one is refused and recorded. `n` numbers the frames up
on the link within one boot of the supervisor (0 on the pipe); each is repeated after a reconnect until `Settled(n)`.
"""

from __future__ import annotations

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
    """Who asks. kind: "person", "client" (an external A2A client) or "workspace"; `id` names the principal."""

    kind: Literal["person", "client", "workspace"]
    id: str
    name: str = ""


class Deliver(Struct, kw_only=True, tag="deliver"):
    """One attempt at a task, for the worker of `generation`.

    text: the message's text parts, joined. parts: all of its parts in A2A's JSON shape. reply: the task had asked for
    input, and this is the answer. interrupted: an earlier attempt had begun and its worker died; say so to the agent.
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
    index: Number
    kind: Literal["text", "progress", "artifact"]
    text: str = ""
    name: str = ""
    parts: list[dict[str, Any]] = field(default_factory=list)
    n: Number = 0


class Finished(Struct, kw_only=True, tag="finished"):
    """How the attempt ended. `text` is the answer, the question (input-required, auth-required) or the error's text."""

    task_id: TaskId
    generation: Number
    attempt: Number
    state: Literal["completed", "failed", "canceled", "rejected", "input-required", "auth-required"]
    text: str
    parts: list[dict[str, Any]] = field(default_factory=list)
    n: Number = 0


class HandedBack(Struct, kw_only=True, tag="handed_back"):
    """The attempt ends without a result. `begun`: whether the executor had been given the turn."""

    task_id: TaskId
    generation: Number
    attempt: Number
    begun: bool
    reason: str
    n: Number = 0
