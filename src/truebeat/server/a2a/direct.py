"""The most frequent call without the SDK: a SendMessage of plain text by JSON-RPC 1.0, and its completed answer.

It is a shorter way to the same answer: whatever is not exactly of this shape goes through the SDK, and so does every
answer but a plain text. The SDK's way costs several times the rest of the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from truebeat.domain.delivery import State
from truebeat.protocol.delivery import TaskId
from truebeat.protocol.tasks import NewTask

if TYPE_CHECKING:
    from datetime import datetime

    from truebeat.protocol.tasks import TaskView

#: under which the metadata of the first part, as an agent gets it, has the message's own fields
MESSAGE_URI: Final = "https://truebeat.dev/a2a/message"
#: the artifact that a plain answer is
ANSWER: Final = "answer"


class _Part(Struct, forbid_unknown_fields=True):
    text: str


class _Message(Struct, forbid_unknown_fields=True, rename="camel"):
    message_id: Annotated[str, Meta(min_length=1)]
    role: Literal["ROLE_USER"]
    parts: Annotated[list[_Part], Meta(min_length=1)]
    context_id: Literal[""] | TaskId = ""


class _Configuration(Struct, forbid_unknown_fields=True, rename="camel"):
    accepted_output_modes: list[str] = []
    return_immediately: bool = False


class _Params(Struct, forbid_unknown_fields=True):
    message: _Message
    configuration: _Configuration = msgspec.field(default_factory=_Configuration)


class Call(Struct, forbid_unknown_fields=True):
    """A request as it came."""

    jsonrpc: Literal["2.0"]
    id: str | int
    method: Literal["SendMessage"]
    params: _Params

    @property
    def waits(self) -> bool:
        return not self.params.configuration.return_immediately


_decoder: Final = msgspec.json.Decoder(Call)


def read(content: bytes) -> Call | None:
    """None: the SDK's way it must go."""
    if b"\\u0000" in content:
        return None
    try:
        return _decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def new_task(call: Call) -> NewTask:
    """As a2a/requests.py makes it of the same call."""
    said = call.params.message
    whole: dict[str, Any] = {"messageId": said.message_id, "role": said.role}
    if said.context_id:
        whole["contextId"] = said.context_id
    whole["parts"] = [{"text": part.text} for part in said.parts]
    first, *others = whole["parts"]
    return NewTask(
        text="\n".join(part.text for part in said.parts),
        parts=[{**first, "metadata": {MESSAGE_URI: {"messageId": said.message_id}}}, *others],
        message=whole,
        context_id=said.context_id or None,
    )


def answer(view: TaskView, call: Call) -> bytes | None:
    """As a2a/views.py tells it; None: it is no plain one."""
    if view.state is not State.COMPLETED or view.answer_parts or view.artifacts or view.history or view.metadata:
        return None
    if view.message is None:
        return None
    task_id = str(view.id)
    task: dict[str, Any] = {
        "id": task_id,
        "contextId": view.context_id,
        "status": {"state": "TASK_STATE_COMPLETED", "timestamp": _timestamp(view.updated_at)},
        "history": [{**view.message, "taskId": task_id, "contextId": view.context_id}],
    }
    if view.answer:
        task["artifacts"] = [{"artifactId": ANSWER, "name": ANSWER, "parts": [{"text": view.answer}]}]
    return msgspec.json.encode({"jsonrpc": "2.0", "id": call.id, "result": {"task": task}})


def _timestamp(at: datetime) -> str:
    """As protobuf writes them: 0, 3 or 6 digits of a second."""
    whole, _, fraction = at.isoformat(timespec="microseconds").removesuffix("+00:00").partition(".")
    if fraction == "000000":
        return f"{whole}Z"
    return f"{whole}.{fraction.removesuffix('000')}Z"
