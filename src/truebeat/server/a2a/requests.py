"""What an A2A message asks of the mailbox."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Final, Literal, cast
from uuid import UUID

import msgspec
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import ContentTypeNotSupportedError, InvalidParamsError, TaskNotFoundError
from google.protobuf.json_format import MessageToDict

from truebeat.domain.delivery import State
from truebeat.protocol.tasks import NewTask
from truebeat.server.a2a import availability
from truebeat.server.a2a.cards import accepts
from truebeat.server.a2a.direct import MESSAGE_URI

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

_BESIDE: Final = ("messageId", "metadata", "extensions", "referenceTaskIds")

STATES: dict[pb.TaskState, State] = {
    pb.TASK_STATE_SUBMITTED: State.SUBMITTED,
    pb.TASK_STATE_WORKING: State.WORKING,
    pb.TASK_STATE_COMPLETED: State.COMPLETED,
    pb.TASK_STATE_FAILED: State.FAILED,
    pb.TASK_STATE_CANCELED: State.CANCELED,
    pb.TASK_STATE_INPUT_REQUIRED: State.INPUT_REQUIRED,
    pb.TASK_STATE_REJECTED: State.REJECTED,
    pb.TASK_STATE_AUTH_REQUIRED: State.AUTH_REQUIRED,
}


def new_task(params: pb.SendMessageRequest) -> NewTask:
    """Errors: InvalidParams, TaskNotFound (its taskId is none of ours)."""
    message = params.message
    missing = [name for name in ("message_id", "role", "parts") if not getattr(message, name)]
    if missing:
        violations = [{"field": f"message.{name}", "message": "Field is required."} for name in missing]
        raise InvalidParamsError(f"message: needs {', '.join(missing)}", data={"errors": violations})
    for place, part in enumerate(message.parts):
        if part.WhichOneof("content") is None:
            raise InvalidParamsError(f"message.parts[{place}]: one of text, raw, url, data is needed")
    whole = MessageToDict(message)
    chosen = _Choices(MessageToDict(params.metadata), whole.get("metadata", {}))
    return NewTask(
        text="\n".join(part.text for part in message.parts if part.WhichOneof("content") == "text"),
        parts=_parts(whole),
        message=whole,
        context_id=_context(message.context_id),
        task_id=task_id(message.task_id) if message.task_id else None,
        on_unavailable=cast("Literal['queue', 'reject']", chosen.one("onUnavailable", "queue", ("queue", "reject"))),
        on_interrupt=cast("Literal['retry', 'fail']", chosen.one("onInterrupt", "retry", ("retry", "fail"))),
        priority=chosen.priority(),
        metadata=MessageToDict(params.metadata),
    )


def check_media_types(message: pb.Message, modes: Collection[str]) -> None:
    """Errors: ContentTypeNotSupported."""
    for place, part in enumerate(message.parts):
        if not accepts(modes, part.media_type):
            raise ContentTypeNotSupportedError(
                f"message.parts[{place}]: this agent takes {', '.join(modes)}, not {part.media_type[:100]}"
            )


def task_id(text: str) -> UUID:
    """Errors: TaskNotFound: what is no id of ours names no task of ours."""
    try:
        return msgspec.convert(text, UUID)
    except msgspec.ValidationError:
        raise TaskNotFoundError("no such task") from None


def page_size(params: pb.ListTasksRequest) -> int:
    if not params.HasField("page_size"):
        return 50
    if not 1 <= params.page_size <= 100:
        raise InvalidParamsError("pageSize: between 1 and 100")
    return params.page_size


def history_length(params: Any) -> int | None:
    """None: all of it. Errors: InvalidParams."""
    if not params.HasField("history_length"):
        return None
    if params.history_length < 0:
        raise InvalidParamsError("historyLength: not below 0")
    return int(params.history_length)


def updated_after(params: pb.ListTasksRequest) -> datetime | None:
    if not params.HasField("status_timestamp_after"):
        return None
    at: datetime = params.status_timestamp_after.ToDatetime(tzinfo=UTC)
    return at


def states(params: pb.ListTasksRequest) -> tuple[State, ...]:
    if params.status == pb.TASK_STATE_UNSPECIFIED:
        return ()
    if params.status not in STATES:
        raise InvalidParamsError("status: no such state")
    return (STATES[params.status],)


def _parts(whole: dict[str, Any]) -> list[dict[str, Any]]:
    """The message's parts; what it says beside them goes with the first, so that the agent can read it."""
    first, *others = whole["parts"]
    beside = {name: whole[name] for name in _BESIDE if name in whole}
    return [{**first, "metadata": {**first.get("metadata", {}), MESSAGE_URI: beside}}, *others]


def _context(text: str) -> str | None:
    if len(text) > 64:
        raise InvalidParamsError("message.contextId: at most 64 characters")
    return text or None


class _Choices:
    """The sender's choices: under the extension's URI or bare, in the request's metadata or the message's."""

    def __init__(self, *places: dict[str, Any]) -> None:
        spelled = [place.get(availability.URI) for place in places]
        self._places = [place for place in (*spelled, *places) if isinstance(place, dict)]

    def _given(self, name: str, default: Any) -> Any:
        return next((place[name] for place in self._places if name in place), default)

    def one(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        given = self._given(name, default)
        if given not in allowed:
            raise InvalidParamsError(f"metadata.{name}: one of {', '.join(allowed)}")
        return str(given)

    def priority(self) -> int:
        given = self._given("priority", 0)
        if not isinstance(given, int | float) or given != int(given) or not -100 <= given <= 100:
            raise InvalidParamsError("metadata.priority: a whole number between -100 and 100")
        return int(given)


def reply_to(new: NewTask, context_id: str, *, refuse: Callable[[str], Exception]) -> NewTask:
    """A reply stays in its task's context. `refuse` makes the error for one that names another."""
    if new.context_id is not None and new.context_id != context_id:
        raise refuse("message.contextId: not the context of the task that message.taskId names")
    return msgspec.structs.replace(new, context_id=context_id)
