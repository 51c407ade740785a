"""`truebeat show`: everything about one workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from truebeat.cli import looks
from truebeat.cli.connection import connect
from truebeat.cli.output import console, marked, print_json
from truebeat.clock import SystemClock

if TYPE_CHECKING:
    from datetime import datetime

    from truebeat.protocol.resources import WorkspaceView


def show(workspace: str, /, *, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Show one workspace with its open conditions.

    Parameters
    ----------
    workspace
        Its name or its id.
    json
        The workspace as JSON.
    """
    with connect() as client:
        view = client.workspaces.find(workspace)
    if json:
        print_json(view)
        return
    now = SystemClock().now()
    out = console()
    out.print(f"[bold]{marked(view.name)}[/]  {looks.status_markup(view.status)}")
    for condition in view.conditions:
        out.print(
            f"  {looks.status_markup(condition.status)}: [bold]{condition.symptom.value}[/] "
            f"says {condition.witness.value}, for {looks.age(condition.since, now)}"
            + (f": {marked(condition.detail, 2000)}" if condition.detail else "")
        )
    for label, value in _facts(view, now):
        out.print(f"  [dim]{label:<12}[/] {value}")


def _facts(view: WorkspaceView, now: datetime) -> list[tuple[str, str]]:
    unknown = "unknown"
    rate = unknown if view.error_rate is None else f"{view.error_rate:.2f}"
    up = unknown if view.uptime_seconds is None else looks.span(view.uptime_seconds)
    says = {None: unknown, "": "healthy"}.get(view.runtime_state, marked(view.runtime_state or ""))
    return [
        ("id", str(view.id)),
        ("role", marked(view.role) or "-"),
        ("parent", str(view.parent_id or "-")),
        ("created", f"{view.created_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("link", "up" if view.linked else "none"),
        ("last beat", "never" if view.last_beat_at is None else f"{looks.age(view.last_beat_at, now)} ago"),
        ("it says", says),
        ("error rate", rate),
        ("last error", marked(view.sample_error or "", 2000) or "-"),
        ("tasks", f"{view.active_tasks if view.active_tasks is not None else unknown}"),
        ("working on", marked(view.current_task or "") or "-"),
        ("phase", marked(view.phase or "") or "-"),
        ("generation", f"{view.generation}" + (f", restarted {view.restarts} times" if view.restarts else "")),
        ("worker pid", str(view.worker_pid or "-")),
        ("worker up", up),
    ]
