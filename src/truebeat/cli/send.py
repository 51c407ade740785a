"""`truebeat send`: a message to a workspace, and its answer as it comes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from truebeat import errors
from truebeat.cli import looks
from truebeat.cli.connection import connect
from truebeat.cli.exits import Exit
from truebeat.cli.output import complain, plain, plain_text, print_json
from truebeat.domain.delivery import State
from truebeat.protocol.tasks import NewTask

if TYPE_CHECKING:
    from uuid import UUID

    from truebeat.client.http import Client
    from truebeat.protocol.tasks import Availability, TaskView, Update

_EXITS: Final = {
    State.COMPLETED: Exit.OK,
    State.FAILED: Exit.FAILURE,
    State.CANCELED: Exit.FAILURE,
    State.REJECTED: Exit.FAILURE,
    State.INPUT_REQUIRED: Exit.ASKED,
    State.AUTH_REQUIRED: Exit.ASKED,
}


def send(
    workspace: str,
    text: str | None = None,
    /,
    *,
    wait: bool = True,
    patient: Annotated[bool, Parameter(negative="")] = False,
    context: str | None = None,
    task: str | None = None,
    reject: Annotated[bool, Parameter(negative="")] = False,
    once: Annotated[bool, Parameter(negative="")] = False,
    priority: int = 0,
    key: str = "",
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Send a message and print the answer while it is being made.

    If the workspace can't take it now you are told at once why, and since when; the message is kept. The exit code is
    0 for an answer, 1 if the task failed or was canceled, 6 if the workspace can't take it now, 7 if the agent asks
    something: reply with --task.

    Parameters
    ----------
    workspace
        Its name or its id.
    text
        The message; without it, or as "-", it is read from standard input.
    wait
        With --no-wait the task's id is printed and nothing is waited for.
    patient
        Wait also while the workspace can't work.
    context
        The conversation to go on with; by default a new one begins.
    task
        The id of the task whose question this answers.
    reject
        If it can't be taken now, do not keep it.
    once
        If the worker dies in the middle, do not try a second time.
    priority
        From -100 to 100; higher first.
    key
        The same key means the same message for a day, however often it is sent.
    json
        The task as JSON, when it has ended or at once with --no-wait.
    """
    new = NewTask(
        text=_message(text),
        context_id=context,
        task_id=None if task is None else _task_id(task),
        on_unavailable="reject" if reject else "queue",
        on_interrupt="fail" if once else "retry",
        priority=priority,
    )
    with connect() as client:
        view = client.tasks.send(client.workspaces.find(workspace).id, new, key=key)
        if not wait or view.final:
            return _at_once(view, json=json)
        try:
            outcome = _Follower(client, quiet=json, patient=patient).follow(view)
        except KeyboardInterrupt:
            complain(f"not waited for any longer; it goes on: truebeat tasks {view.id}, truebeat cancel {view.id}")
            raise
        if json:
            print_json(client.tasks.get(view.id))
        return outcome


def _at_once(view: TaskView, *, json: bool) -> int:
    if json:
        print_json(view)
    else:
        sys.stdout.write(f"{view.id}\n")
        if view.availability is not None and not view.availability.able:
            complain(_kept(view.availability, view.id))
    return Exit.OK


class _Follower:
    """Prints what becomes of a task. The answer goes to standard output, everything else to standard error."""

    def __init__(self, client: Client, *, quiet: bool, patient: bool) -> None:
        self._client = client
        self._quiet = quiet
        self._patient = patient
        #: what the present attempt has put out
        self._streamed = ""
        #: how far the log was read before this message: a reply goes on with an old task
        self._before = 0

    def follow(self, view: TaskView) -> int:
        self._before = view.updates if view.history else 0
        for update in self._client.tasks.updates(view.id, self._before):
            code = self._tell(update, view.id)
            if code is not None:
                return code
        return _EXITS.get(self._client.tasks.get(view.id).state, Exit.UNAVAILABLE)

    def _tell(self, update: Update, task_id: UUID) -> int | None:
        match update.kind:
            case "text":
                self._streamed += update.text
                self._write(update.text)
            case "progress":
                self._note(update.text)
            case "artifact":
                self._note(f"it made {update.name}")
            case "unavailable" if update.availability is not None:
                self._end_line()
                if not self._patient:
                    begun = update.state is State.WORKING
                    complain(_kept(update.availability, task_id, begun=begun))
                    return Exit.UNAVAILABLE
                self._note(_kept(update.availability, task_id))
            case "available":
                self._note("it takes work again")
            case "status" if update.final:
                return self._ended(update, task_id)
            case "status" if update.state is State.SUBMITTED and update.text:
                self._end_line()
                self._streamed = ""
                self._note(f"{update.text}; it will be tried again")
            case _:
                pass
        return None

    def _ended(self, update: Update, task_id: UUID) -> int:
        code = _EXITS.get(update.state, Exit.FAILURE)
        if update.state is State.COMPLETED or update.state.paused:
            if update.text.strip() != self._streamed.strip():
                self._end_line()
                self._write(update.text)
            self._end_line(update.text)
            if update.state.paused:
                complain(f"it asks; answer with: truebeat send WORKSPACE TEXT --task {task_id}")
        else:
            self._end_line()
            complain(f"{update.state.value}: {update.text or 'no reason was given'}")
        return code

    def _write(self, text: str) -> None:
        if not self._quiet:
            sys.stdout.write(plain_text(text))
            sys.stdout.flush()

    def _end_line(self, text: str | None = None) -> None:
        said = self._streamed if text is None else text
        if said and not said.endswith("\n") and not self._quiet:
            sys.stdout.write("\n")
            sys.stdout.flush()

    def _note(self, text: str) -> None:
        if text and not self._quiet:
            sys.stderr.write(f"  {plain(text)}\n")


def _kept(facts: Availability, task_id: UUID, *, begun: bool = False) -> str:
    """The honest answer in a few words."""
    said = [f"{looks.status_text(facts.status)}: {facts.reason}"]
    if begun:
        said.append("it had begun your task; what becomes of it is told when that is known")
    if facts.position is not None:
        said.append(f"yours is number {facts.position} of its queue")
    elif facts.queued:
        said.append("1 message waits" if facts.queued == 1 else f"{facts.queued} messages wait")
    said.append(f"follow it: truebeat tasks {task_id}")
    return "; ".join(said)


def _message(text: str | None) -> str:
    if text is not None and text != "-":
        return text
    if text is None and sys.stdin.isatty():
        raise errors.Invalid('no message; give it after the workspace, or "-" to type it')
    return sys.stdin.read()


def _task_id(text: str) -> UUID:
    from truebeat.client.workspaces import as_id

    task_id = as_id(text)
    if task_id is None:
        raise errors.Invalid(f"--task: {text!r} is no task's id")
    return task_id
