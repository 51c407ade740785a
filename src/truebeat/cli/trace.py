"""`truebeat trace`: the tree of who asked whom, with times, states and waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from truebeat import errors
from truebeat.cli import looks
from truebeat.cli.connection import connect
from truebeat.cli.output import console, marked, print_json
from truebeat.domain.delivery import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from rich.console import Console

    from truebeat.protocol.delegations import TraceNode

_STYLES: Final = {
    State.SUBMITTED: "cyan",
    State.WORKING: "bold cyan",
    State.INPUT_REQUIRED: "bold yellow",
    State.AUTH_REQUIRED: "bold yellow",
    State.COMPLETED: "green",
    State.FAILED: "bold red",
    State.CANCELED: "dim",
    State.REJECTED: "red",
}


def trace(task: str, /, *, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Show the whole tree that a task is part of: who asked whom, when, and what became of it.

    Parameters
    ----------
    task
        The id of any task or delegation of the tree.
    json
        The tree as JSON.
    """
    from truebeat.client.workspaces import as_id

    task_id = as_id(task)
    if task_id is None:
        raise errors.Invalid(f"{task!r} is no task's id; see: truebeat tasks WORKSPACE")
    with connect() as client:
        root = client.delegations.trace(task_id)
    if json:
        print_json(root)
    else:
        print_tree(console(), root, here=task_id)


def print_tree(out: Console, root: TraceNode, *, here: UUID | None = None) -> None:
    """One line a task; in a terminal it is wrapped beside its branch. `here` is pointed at, if it isn't the root."""
    for first, more, node in _lines(root, "", ""):
        mark = f" [bold]{looks.glyph('←', '<-')}[/]" if node.task_id == here and node is not root else ""
        _print(out, first, more, _described(node) + mark)


def _print(out: Console, first: str, more: str, markup: str) -> None:
    from rich.text import Text

    text = Text.from_markup(markup)
    lines = text.wrap(out, max(20, out.width - len(more))) if out.is_terminal else [text]
    for place, line in enumerate(lines):
        line.rstrip()
        out.print(Text(more if place else first) + line, soft_wrap=True)


def _lines(node: TraceNode, first: str, below: str) -> Iterator[tuple[str, str, TraceNode]]:
    """What stands before a task's first line, and before its others."""
    rail = looks.glyph("│  ", "|  ")
    yield first, below + (rail if node.children else "   "), node
    for place, child in enumerate(node.children):
        last = place == len(node.children) - 1
        branch = looks.glyph("└─ ", "`- ") if last else looks.glyph("├─ ", "|- ")
        yield from _lines(child, below + branch, below + ("   " if last else rail))


def _asker(node: TraceNode) -> str:
    name = node.sender.name or node.sender.id
    return "the operator" if name == "TRUEBEAT_ADMIN_TOKEN" else name


def _described(node: TraceNode) -> str:
    what = "[dim]woken with results[/]" if node.wake else marked(node.summary, 80)
    times = [f"waited {looks.span(node.queued_seconds)}"]
    if node.worked_seconds is not None:
        times.append(f"{'took' if node.state.final else 'at it for'} {looks.span(node.worked_seconds)}")
    if node.attempt > 1:
        times.append(f"attempt {node.attempt}")
    if node.consumed:
        times.append("result used")
    why = f": {marked(node.reason, 120)}" if node.reason and node.state is not State.COMPLETED else ""
    asker = "" if node.depth or node.wake else f" [dim]for {marked(_asker(node), 40)}[/]"
    state = f"[{_STYLES[node.state]}]{node.state.value}[/]"
    return f"[bold]{marked(node.workspace_name, 40)}[/]{asker}  {state}{why}  [dim]{', '.join(times)}[/]  {what}"
