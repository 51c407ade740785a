"""`truebeat show`: everything about one workspace, and who says what about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from truebeat.cli import evidence, looks
from truebeat.cli.connection import connect
from truebeat.cli.output import console, marked, print_json
from truebeat.clock import SystemClock

if TYPE_CHECKING:
    from datetime import datetime

    from rich.table import Table

    from truebeat.protocol.resources import WorkspaceView
    from truebeat.protocol.testimony import WitnessView


def show(workspace: str, /, *, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Show one workspace with its open conditions and its witnesses side by side.

    Parameters
    ----------
    workspace
        Its name or its id.
    json
        The workspace as JSON.
    """
    with connect() as client:
        view = client.workspaces.get(client.workspaces.find(workspace).id)
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
    if view.note:
        out.print(f"  [cyan]note[/]: {marked(view.note, 2000)}")
    if view.witnesses:
        out.print()
        out.print(_witnesses(view.witnesses))
        out.print()
    for label, value in _facts(view, now) + ([] if view.evidence is None else evidence.lines(view.evidence)):
        out.print(f"  [dim]{label:<12}[/] {value}")
    if view.incident_id is not None:
        out.print(f"\nAn incident is open. Its story: truebeat incidents {str(view.incident_id)[:8]}")


def _witnesses(witnesses: list[WitnessView]) -> Table:
    from rich.table import Table

    rows = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    rows.add_column("  WITNESS", no_wrap=True)
    rows.add_column("SAYS", no_wrap=True)
    rows.add_column("AGE", justify="right", no_wrap=True)
    rows.add_column("DETAIL", overflow="fold")
    for witness in witnesses:
        rows.add_row(
            f"{looks.verdict_markup(witness.healthy)} {witness.witness.value}",
            marked(witness.says, 60),
            "-" if witness.age is None else looks.span(witness.age),
            marked(witness.detail, 300),
        )
    return rows


def _facts(view: WorkspaceView, now: datetime) -> list[tuple[str, str]]:
    unknown = "unknown"
    rate = unknown if view.error_rate is None else f"{view.error_rate:.2f}"
    since_beat = 0.0 if view.last_beat_at is None else max(0.0, (now - view.last_beat_at).total_seconds())
    up = unknown if view.uptime_seconds is None else looks.span(view.uptime_seconds + since_beat)
    tasks = unknown if view.active_tasks is None else str(view.active_tasks)
    working = f": {marked(view.current_task)}" if view.current_task else ""
    return [
        ("id", str(view.id)),
        ("role", marked(view.role) or "-"),
        ("parent", str(view.parent_id or "-")),
        ("created", f"{view.created_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("link", "up" if view.linked else "none"),
        ("last beat", "never" if view.last_beat_at is None else f"{looks.age(view.last_beat_at, now)} ago"),
        ("error rate", rate + (f", last: {marked(view.sample_error, 2000)}" if view.sample_error else "")),
        ("tasks", tasks + working),
        (
            "generation",
            f"{view.generation}"
            + (f", restarted {looks.times(view.restarts)}" if view.restarts else "")
            + (", restart pending" if view.restart_pending else ""),
        ),
        ("worker", f"process {view.worker_pid}, up {up}" if view.worker_pid else "-"),
    ]
