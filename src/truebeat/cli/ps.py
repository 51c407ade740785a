"""`truebeat ps`: every workspace on one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from truebeat.cli import looks
from truebeat.cli.connection import connect
from truebeat.cli.output import console, marked, print_json
from truebeat.clock import SystemClock
from truebeat.domain.health import Status

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.table import Table

    from truebeat.protocol.resources import WorkspaceView


def ps(
    *,
    status: Status | None = None,
    all_: Annotated[bool, Parameter(name=("--all", "-a"), negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """List the workspaces with their judged status and the reason.

    Parameters
    ----------
    status
        Only those with this status.
    all_
        Removed ones too.
    json
        The page of workspaces as JSON.
    """
    with connect() as client:
        page = client.workspaces.snapshot(status=status)
        if all_ and status is None:
            page.workspaces += client.workspaces.snapshot(status=Status.REMOVED).workspaces
    if json:
        print_json(page)
    elif page.workspaces:
        console().print(table(page.workspaces, SystemClock().now()))
    else:
        console().print("No workspaces. Start one: [bold]truebeat run NAME --agent command -- PROGRAM…[/]")


def table(views: Sequence[WorkspaceView], now: datetime) -> Table:
    """The rows `ps` and `watch` show."""
    from rich.table import Table

    rows = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    rows.add_column("NAME", no_wrap=True, overflow="ellipsis", max_width=32)
    rows.add_column("STATUS", no_wrap=True)
    rows.add_column("REASON", overflow="fold")
    rows.add_column("SINCE", justify="right", no_wrap=True)
    rows.add_column("GEN", justify="right", no_wrap=True)
    rows.add_column("BEAT", justify="right", no_wrap=True)
    rows.add_column("PHASE", no_wrap=True, overflow="ellipsis", max_width=16)
    rows.add_column("TASK", no_wrap=True, overflow="ellipsis", max_width=30)
    for view in views:
        rows.add_row(
            marked(view.name),
            looks.status_markup(view.status),
            _why(view),
            looks.age(looks.since(view), now),
            str(view.generation),
            looks.age(view.last_beat_at, now),
            marked(view.phase or "", 40),
            marked(view.current_task or "", 80),
        )
    return rows


def _why(view: WorkspaceView) -> str:
    """The reason; and what is known besides, where that is no fault of the workspace."""
    reason = marked(looks.reason(view), 160)
    note = f"[cyan]{marked(view.note, 100)}[/]" if view.note else ""
    return f"{reason} ({note})" if reason and note else reason or note
