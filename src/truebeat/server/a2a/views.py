"""A task of the mailbox, and what happens to it, as A2A objects.

The answer is an artifact called "answer": A2A delivers results as artifacts, and messages are for questions, errors and
remarks. Pieces of an answer are appended to it while they come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import ParseDict, ParseError

from truebeat.domain.delivery import State
from truebeat.server.a2a import availability, wire
from truebeat.server.a2a.direct import ANSWER, MESSAGE_URI
from truebeat.server.a2a.requests import STATES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from truebeat.protocol.tasks import TaskView, Update

_A2A_STATES: Final = {state: value for value, state in STATES.items()}

Event = pb.Task | pb.TaskStatusUpdateEvent | pb.TaskArtifactUpdateEvent


def task(view: TaskView, *, history: int | None = None, artifacts: bool = True) -> pb.Task:
    """`history`: at most so many of its last messages; None for all."""
    shown = pb.Task(id=str(view.id), context_id=view.context_id, status=_status(view.state, view.updated_at))
    remark = "" if view.state is State.COMPLETED else view.answer or view.reason
    if remark:
        shown.status.message.CopyFrom(_said(view, f"{view.id}-{view.updates}", remark, view.answer_parts))
    if artifacts:
        shown.artifacts.extend(_artifacts(view))
    if history != 0:
        said = [_asked(view), *_exchanged(view)]
        shown.history.extend(said if history is None else said[-history:])
    facts = availability.metadata(view.availability)
    if (told := {**view.metadata, **facts}) and not _fill(shown.metadata, told):
        _fill(shown.metadata, facts)
    return shown


def message(view: TaskView, *, legacy: bool) -> pb.Message | None:
    """The whole result as a message instead of a task, if it is one.

    An agent makes it one by an artifact called MESSAGE_URI. To a 0.3 client it is, if there is nothing but an answer.
    """
    if view.state is not State.COMPLETED:
        return None
    if len(view.artifacts) == 1 and view.artifacts[0].name == MESSAGE_URI:
        return _said(view, f"{view.id}-{view.updates}", view.artifacts[0].text, view.artifacts[0].parts)
    if legacy and not view.artifacts:
        return _said(view, f"{view.id}-{view.updates}", view.answer, view.answer_parts)
    return None


def _artifacts(view: TaskView) -> Iterator[pb.Artifact]:
    for artifact in view.artifacts:
        made = _parts_of(artifact.text, artifact.parts)
        yield pb.Artifact(artifact_id=artifact_id(artifact.name), name=artifact.name, parts=made)
    if view.state is State.COMPLETED and (answer := _parts_of(view.answer, view.answer_parts)):
        yield pb.Artifact(artifact_id=ANSWER, name=ANSWER, parts=answer)


def _asked(view: TaskView) -> pb.Message:
    return _message(view, pb.ROLE_USER, f"{view.id}-0", view.message, view.text, view.parts)


def _exchanged(view: TaskView) -> Iterator[pb.Message]:
    for place, exchange in enumerate(view.history, 1):
        role = pb.ROLE_USER if exchange.role == "user" else pb.ROLE_AGENT
        yield _message(view, role, f"{view.id}-h{place}", exchange.message, exchange.text, exchange.parts)


def _message(
    view: TaskView,
    role: pb.Role,
    message_id: str,
    whole: dict[str, Any] | None,
    text: str,
    given: Sequence[Mapping[str, Any]],
) -> pb.Message:
    said = pb.Message()
    if whole is not None:
        _fill(said, whole)
    if not said.parts:
        said.parts.extend(_parts_of(text, given))
    said.message_id = said.message_id or message_id
    said.role = role
    said.task_id = str(view.id)
    said.context_id = view.context_id
    return said


def _said(view: TaskView, message_id: str, text: str, given: Sequence[Mapping[str, Any]]) -> pb.Message:
    return _message(view, pb.ROLE_AGENT, message_id, None, text, given)


def _status(state: State, at: datetime) -> pb.TaskStatus:
    status = pb.TaskStatus(state=_A2A_STATES[state])
    status.timestamp.FromDatetime(at)
    return status


def parts(given: Sequence[Mapping[str, Any]]) -> list[pb.Part]:
    """Parts as an executor gave them. What is no part is shown as data, and what is nested too deeply for that as text:
    nothing that an agent made is dropped.
    """
    return [_part(dict(part)) for part in given]


def _part(given: dict[str, Any]) -> pb.Part:
    part = pb.Part()
    if _fill(part, given) and part.WhichOneof("content") is not None:
        return part
    part = pb.Part()
    if not _fill(part.data, given):
        part.text = msgspec.json.encode(given).decode()
    return part


def _parts_of(text: str, given: Sequence[Mapping[str, Any]]) -> list[pb.Part]:
    built = parts(given)
    if text and not any("text" in part for part in given):
        built.insert(0, pb.Part(text=text))
    return built


def _fill(target: Any, given: dict[str, Any]) -> bool:
    """False: it does not fit, and the target is empty."""
    if wire.is_deeper(given, wire.DEPTH - 2):
        return False
    try:
        ParseDict(given, target, ignore_unknown_fields=True)
    except ParseError:
        target.Clear()
        return False
    return True


def artifact_id(name: str) -> str:
    """By its name: what comes under a name again is a further piece of the same artifact."""
    return f"{name} of the turn" if name == ANSWER else name or "artifact"


class Stream:
    """Turns the updates of one task into stream events, in order. `view` is what the client was told first."""

    def __init__(self, view: TaskView) -> None:
        self._view = view
        self._seen = {artifact.name for artifact in view.artifacts}
        #: the pieces of the answer that this stream gave
        self._given: list[str] = []

    def passed(self, update: Update) -> None:
        """An update that the client need not be told: it is in the task that it was given."""
        if update.kind == "status" and update.state is not State.WORKING:
            # Another attempt or turn: its answer replaces what came before.
            self._given.clear()

    def events(self, update: Update) -> Iterator[Event]:
        match update.kind:
            case "text":
                if update.text:
                    yield self._answer([pb.Part(text=update.text)], append=bool(self._given), last=False)
                    self._given.append(update.text)
            case "artifact":
                made = pb.Artifact(
                    artifact_id=artifact_id(update.name),
                    name=update.name,
                    parts=_parts_of(update.text, update.parts),
                )
                yield self._artifact(made, append=update.name in self._seen, last=True)
                self._seen.add(update.name)
            case "progress":
                if update.text:
                    yield self._status(update, update.text)
            case "status":
                yield from self._entered(update)
            case "unavailable" | "available":
                yield self._flipped(update)
            case "reply":
                pass

    def _entered(self, update: Update) -> Iterator[Event]:
        if update.state is State.COMPLETED:
            built = _parts_of(update.text, update.parts)
            if built and (update.parts or "".join(self._given) != update.text):
                yield self._answer(built, append=False, last=True)
            yield self._status(update, "")
        else:
            yield self._status(update, update.text)
        self.passed(update)

    def _flipped(self, update: Update) -> Event:
        event = self._status(update, "" if update.availability is None else update.availability.reason)
        if update.availability is not None:
            _fill(event.metadata, {availability.URI: availability.facts(update.availability)})
        return event

    def _status(self, update: Update, text: str) -> pb.TaskStatusUpdateEvent:
        event = pb.TaskStatusUpdateEvent(
            task_id=str(self._view.id), context_id=self._view.context_id, status=_status(update.state, update.at)
        )
        if text:
            event.status.message.CopyFrom(_said(self._view, f"{self._view.id}-{update.seq}", text, update.parts))
        return event

    def _answer(self, built: list[pb.Part], *, append: bool, last: bool) -> Event:
        return self._artifact(pb.Artifact(artifact_id=ANSWER, name=ANSWER, parts=built), append=append, last=last)

    def _artifact(self, made: pb.Artifact, *, append: bool, last: bool) -> Event:
        return pb.TaskArtifactUpdateEvent(
            task_id=str(self._view.id), context_id=self._view.context_id, artifact=made, append=append, last_chunk=last
        )
