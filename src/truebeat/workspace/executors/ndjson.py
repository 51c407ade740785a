"""The lines of an NDJSON runtime: one JSON object a line, both ways. docs/executors.md explains them to authors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct, field

from truebeat.domain import envelope
from truebeat.workspace.executors.base import (
    AnsweredError,
    Artifact,
    InPhase,
    InputRequired,
    Output,
    Progress,
    Result,
    Text,
    ToolFinished,
    ToolStarted,
    Turn,
    TurnError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

#: bytes of one line from the runtime
LINE_LIMIT: Final = 16 * 1024 * 1024
#: types of reply that end a turn
ENDS: Final = frozenset({"result", "error", "input_required", "canceled"})


class Reply(Struct):
    """A line from the runtime; which fields count follows from `type`. `bound` is in seconds."""

    type: str
    id: int | str = ""
    text: str = ""
    note: str = ""
    error: str = ""
    name: str = ""
    bound: float | None = None
    parts: list[dict[str, Any]] = field(default_factory=list)
    auth: bool = False


def turn_line(name: str, turn: Turn) -> Mapping[str, object]:
    """A turn as it goes to the runtime; the simple fields first, for runtimes that need no more."""
    return {
        "type": "turn",
        "id": name,
        "text": turn.text,
        "context_id": turn.context_id,
        "task_id": turn.task_id,
        "parts": turn.parts,
        "sender": {"kind": turn.sender_kind, "name": turn.sender_name, "id": turn.sender_id},
        "attempt": turn.attempt,
        "reply": turn.reply,
        "interrupted": turn.interrupted,
        "results": turn.results,
        "results_text": envelope.render(turn.results),
    }


def encode_line(line: Mapping[str, object]) -> bytes:
    """One line, for readers that end lines at other characters than LF too: JSON never needs those as they are."""
    data = msgspec.json.encode(line)
    for char in "\x85\u2028\u2029":
        data = data.replace(char.encode(), f"\\u{ord(char):04x}".encode())
    return data + b"\n"


def output_of(reply: Reply) -> Output | None:
    """What a line of a turn means; None for a type this version does not know. Raises the turn's failure."""
    match reply.type:
        case "text":
            return Text(reply.text)
        case "progress":
            return Progress(reply.note)
        case "tool_started":
            return ToolStarted(reply.name, reply.bound)
        case "tool_finished":
            return ToolFinished(reply.name)
        case "phase":
            return InPhase(reply.name, reply.bound)
        case "artifact":
            return Artifact(reply.name, tuple(reply.parts))
        case "input_required":
            return InputRequired(reply.text, reply.auth)
        case "result":
            return Result(reply.text)
        case "error":
            raise AnsweredError(reply.error or "the runtime gave an error without a text")
        case "canceled":
            raise TurnError("the runtime canceled the turn, though nobody asked for it")
        case _:
            return None
