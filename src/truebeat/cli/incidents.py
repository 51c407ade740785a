"""`truebeat incidents`: what went wrong, from the first symptom to the verified recovery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from truebeat import errors
from truebeat.cli import evidence, looks
from truebeat.cli.connection import connect
from truebeat.cli.output import console, marked, plain, print_json
from truebeat.clock import SystemClock
from truebeat.domain.health import Status

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console
    from rich.table import Table

    from truebeat.client.http import Client
    from truebeat.protocol.incidents import IncidentDetail, IncidentPage, IncidentView, StepView


def incidents(
    what: str | None = None,
    /,
    *,
    open_: Annotated[bool, Parameter(name="--open", negative="")] = False,
    limit: int = 20,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """List incidents, newest first, or tell one: its timeline, evidence, stack and what was done.

    Parameters
    ----------
    what
        A workspace's name or id for its incidents; an incident's id, or the first six or more characters of it, for
        that one.
    open_
        Only those that are not over.
    limit
        So many of the newest, 1000 at most.
    json
        The page of incidents, or the one, as JSON.
    """
    if not 1 <= limit <= 1000:
        raise errors.Invalid("--limit must be between 1 and 1000")
    with connect() as client:
        found = _find(client, what, open_=open_, limit=limit)
    from truebeat.protocol.incidents import IncidentDetail

    now = SystemClock().now()
    if json:
        print_json(found)
    elif isinstance(found, IncidentDetail):
        _tell(console(), found)
    elif found.incidents:
        console().print(_table(found.incidents, now))
        if found.next is not None:
            console().print(f"[dim]The newest {limit}; --limit shows more.[/]")
    else:
        console().print("No incident." if not open_ else "No incident is open.")


def _find(client: Client, what: str | None, *, open_: bool, limit: int) -> IncidentPage | IncidentDetail:
    wanted = True if open_ else None
    if what is None:
        return client.incidents.page(open_=wanted, limit=limit)
    # A name first: a workspace may be called "decade".
    try:
        workspace = client.workspaces.find(what)
    except errors.NotFound:
        one = client.incidents.find(what)
        if one is None:
            raise errors.NotFound(f"{what!r} is neither a workspace nor an incident; see: truebeat incidents") from None
        return one
    return client.incidents.page(workspace_id=workspace.id, open_=wanted, limit=limit)


def _table(views: list[IncidentView], now: datetime) -> Table:
    from rich.table import Table

    rows = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("ID", "WORKSPACE", "SYMPTOM"):
        rows.add_column(name, no_wrap=True)
    rows.add_column("OPENED", justify="right", no_wrap=True)
    rows.add_column("LASTED", justify="right", no_wrap=True)
    rows.add_column("WHAT", overflow="fold", ratio=1)
    rows.add_column("ENDED", overflow="fold")
    for view in views:
        rows.add_row(
            str(view.id)[:8],
            marked(view.name, 32),
            view.symptom,
            f"{looks.age(view.opened_at, now)} ago",
            looks.span(view.seconds),
            marked(view.detail, 120),
            _end(view),
        )
    return rows


def _end(view: IncidentView) -> str:
    return marked(view.recovery) if view.closed_at is not None else "[bold yellow]still open[/]"


def _tell(out: Console, one: IncidentDetail) -> None:
    out.print(f"[bold]{marked(one.name)}[/]: [bold]{one.symptom}[/] says {one.witness}: {marked(one.detail, 2000)}")
    over = (
        f"after {looks.span(one.seconds)}: {marked(one.recovery)}"
        if one.closed_at is not None
        else f"[bold yellow]still open[/], for {looks.span(one.seconds)}"
    )
    for label, value in (
        ("incident", str(one.id)),
        ("opened", f"{one.opened_at:%Y-%m-%d %H:%M:%S.%f}"[:-3] + f" UTC, in generation {one.generation}"),
        ("over", over),
        ("worst", looks.status_markup(one.worst) if one.worst is not Status.ONLINE else "nothing changed here"),
    ):
        out.print(f"  [dim]{label:<9}[/] {value}")
    out.print("\n[bold]TIMELINE[/]")
    for step in one.timeline:
        _step(out, step)
    if one.left_out:
        out.print(f"  [dim]and {one.left_out} more that were not kept; the events tell them[/]")
    if one.evidence is not None:
        out.print("\n[bold]EVIDENCE[/] when it opened")
        for label, value in evidence.lines(one.evidence):
            out.print(f"  [dim]{label:<12}[/] {value}")
    for title, text in (("STACK", one.stack), ("STANDARD ERROR, its end", one.stderr_tail)):
        if text:
            out.print(f"\n[bold]{title}[/]")
            for line in text.splitlines():
                out.print("  " + _line(line))


def _line(line: str) -> str:
    """As `marked`, with its indentation kept."""
    indent = len(line) - len(line.lstrip(" "))
    return " " * min(indent, 40) + marked(line, 1000)


def _step(out: Console, step: StepView) -> None:
    what = step.kind.replace("_", " ") if step.status is None or step.kind != "status" else ""
    said = marked(what) if what else looks.status_markup(step.status) if step.status else ""
    width = len(plain(what)) if what else len(looks.status_text(step.status)) if step.status else 0
    line = f"  [dim]{step.after:>+9.2f} s[/]  {said}{' ' * max(16 - width, 0)} [dim]{marked(step.by):<10}[/]"
    text = marked(step.text, 500)
    if step.generation is not None:
        text = f"generation {step.generation}" + (f": {text}" if text else "")
    out.print(f"{line} {text}".rstrip())
    for label, value in (("did", step.action), *step.facts.items()):
        if value:
            out.print(f"{' ' * 41}[dim]{marked(label, 60)}:[/] {marked(value, 500)}")
