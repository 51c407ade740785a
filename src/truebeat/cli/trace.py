"""`truebeat trace`: the tree of who asked whom, with times, states and waits."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from truebeat import errors
from truebeat.cli.connection import connect
from truebeat.cli.output import console, marked, print_json
from truebeat.domain.delivery import State

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        return
    out = console()
    for lead, node in _lines(root, "", ""):
        here = " [bold]←[/]" if node.task_id == task_id and node is not root and sys.stdout.isatty() else ""
        out.print(f"{lead}{_described(node)}{here}")


def _lines(node: TraceNode, lead: str, below: str) -> Iterator[tuple[str, TraceNode]]:
    yield lead, node
    for place, child in enumerate(node.children):
        last = place == len(node.children) - 1
        yield from _lines(child, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  "))


def _described(node: TraceNode) -> str:
    what = "[dim]woken with results[/]" if node.wake else marked(node.summary, 80)
    times = [f"waited {_span(node.queued_seconds)}"]
    if node.worked_seconds is not None:
        times.append(f"{'took' if node.state.final else 'at it for'} {_span(node.worked_seconds)}")
    if node.attempt > 1:
        times.append(f"attempt {node.attempt}")
    if node.consumed:
        times.append("result used")
    why = f": {marked(node.reason, 120)}" if node.reason and node.state is not State.COMPLETED else ""
    asker = "" if node.depth or node.wake else f" [dim]for {marked(node.sender.name or node.sender.id, 40)}[/]"
    state = f"[{_STYLES[node.state]}]{node.state.value}[/]"
    return f"[bold]{marked(node.workspace_name, 40)}[/]{asker}  {state}{why}  [dim]{', '.join(times)}[/]  {what}"


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
