"""`truebeat tasks`: those of the fleet, the mailbox of a workspace, or one task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from truebeat import errors
from truebeat.cli import looks
from truebeat.cli.connection import connect
from truebeat.cli.output import console, marked, plain_text, print_json
from truebeat.clock import SystemClock
from truebeat.domain.delivery import State

if TYPE_CHECKING:
    from uuid import UUID

    from rich.console import Console

    from truebeat.client.http import Client
    from truebeat.protocol.tasks import TaskPage, TaskView

_STYLES = {
    State.SUBMITTED: "cyan",
    State.WORKING: "bold cyan",
    State.INPUT_REQUIRED: "bold yellow",
    State.AUTH_REQUIRED: "bold yellow",
    State.COMPLETED: "green",
    State.FAILED: "bold red",
    State.CANCELED: "dim",
    State.REJECTED: "red",
}


def tasks(
    what: str = "",
    /,
    *,
    state: str = "",
    context: str | None = None,
    limit: int = 20,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """List tasks, the newest change first, or show one.

    Parameters
    ----------
    what
        A workspace's name or id, or a task's id; without it the tasks of all workspaces are listed.
    state
        Only tasks in these states, with commas: submitted, working, input-required, completed, failed ...
    context
        Only those of this conversation.
    limit
        So many at most, 200 at most.
    json
        The page of tasks, or the one, as JSON.
    """
    if not 1 <= limit <= 200:
        raise errors.Invalid("--limit must be between 1 and 200")
    from truebeat.protocol.tasks import TaskPage

    with connect() as client:
        found = _find(client, what, state, context, limit)
        names = {} if what or json else {one.id: one.name for one in client.workspaces.snapshot().workspaces}
    if json:
        print_json(found)
    elif isinstance(found, TaskPage):
        _list(console(), found, names)
    else:
        _show(console(), found)


def _find(client: Client, what: str, state: str, context: str | None, limit: int) -> TaskPage | TaskView:
    from truebeat.client.workspaces import as_id

    if not what:
        return _page(client, None, state, context, limit)
    task_id = as_id(what)
    if task_id is not None:
        try:
            return client.tasks.get(task_id)
        except errors.NotFound:
            pass  # a workspace's, then
    workspace = client.workspaces.find(what)
    return _page(client, workspace.id, state, context, limit)


def _page(client: Client, workspace_id: UUID | None, state: str, context: str | None, limit: int) -> TaskPage:
    """A page that is shorter than it may be, because its tasks are large, is not the last."""
    page = client.tasks.page(workspace_id, states=state, context_id=context, limit=limit)
    while page.next is not None and len(page.tasks) < limit:
        left = limit - len(page.tasks)
        more = client.tasks.page(workspace_id, states=state, context_id=context, after=page.next, limit=left)
        page.tasks += more.tasks
        page.next = more.next
    return page


def _list(out: Console, page: TaskPage, names: dict[UUID, str]) -> None:
    """`names` of workspaces: of which each task is, where it may be of any."""
    if not page.tasks:
        out.print("No task.")
        return
    now = SystemClock().now()
    for task in page.tasks:
        sender = marked(task.sender.name or task.sender.id, 40)
        tries = f", attempt {task.attempt}" if task.attempt > 1 else ""
        whose = f" to {marked(names.get(task.workspace_id, 'one that was removed'), 40)}" if names else ""
        out.print(f"{task.id}  {_state(task)}  {looks.age(task.updated_at, now)} ago, from {sender}{whose}{tries}")
        if task.text:
            out.print(f"  [dim]{marked(task.text, 100)}[/]")
    if page.next is not None:
        total = f"{page.total:,}{'+' if page.capped else ''}"
        out.print(f"[dim]{len(page.tasks)} of {total}; --limit shows more.[/]")


def _show(out: Console, task: TaskView) -> None:
    now = SystemClock().now()
    out.print(f"[bold]{task.id}[/]  {_state(task)}  changed {looks.age(task.updated_at, now)} ago")
    lines = [
        ("workspace", str(task.workspace_id)),
        ("context", task.context_id),
        ("from", f"{task.sender.kind} {task.sender.name or task.sender.id}"),
        ("attempts", str(task.attempt)),
        ("reason", task.reason),
        ("cancel", "asked for; its worker has not answered yet" if task.cancel_requested and not task.final else ""),
        ("workspace says", "" if task.availability is None else task.availability.reason),
    ]
    if task.availability is not None and task.availability.position is not None:
        lines.append(("place", f"{task.availability.position} of its queue"))
    for name, value in lines:
        if value:
            out.print(f"  [dim]{name:>14}[/]  {marked(value, 1000)}")
    for title, text in (("message", task.text), *((said.role, said.text) for said in task.history)):
        _block(out, title, text)
    for artifact in task.artifacts:
        _block(out, f"artifact {artifact.name}", artifact.text)
    if task.answer and (not task.history or task.history[-1].text != task.answer):
        _block(out, "answer", task.answer)


def _block(out: Console, title: str, text: str) -> None:
    if text:
        out.print(f"\n[bold]{marked(title, 100)}[/]")
        out.print(plain_text(text), markup=False)


def _state(task: TaskView) -> str:
    return f"[{_STYLES[task.state]}]{task.state.value}[/]"
