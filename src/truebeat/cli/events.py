"""`truebeat events`: what happened, and what happens."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from truebeat.cli import looks
from truebeat.cli.connection import connect
from truebeat.cli.output import console, marked, plain, print_json
from truebeat.domain.health import Status

if TYPE_CHECKING:
    from rich.console import Console

    from truebeat.protocol.events import Event


def events(
    *,
    since: Annotated[int, Parameter()] = 0,
    follow: Annotated[bool, Parameter(name=("--follow", "-f"), negative="")] = False,
    workspace: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Print the event log, oldest first.

    Parameters
    ----------
    since
        Only events after this number.
    follow
        Go on with events as they happen, until interrupted.
    workspace
        Only those of this workspace, by name or id.
    json
        One event as JSON on each line.
    """
    out = console()

    def tell(event: Event) -> None:
        if json:
            print_json(event)
        else:
            tell_event(out, event)

    with connect() as client:
        only = client.workspaces.find(workspace).id if workspace else None
        seen = since
        while True:
            page = client.events.page(seen)
            for event in page.events:
                if only is None or event.workspace_id == only:
                    tell(event)
                seen = event.seq
            if not page.events or seen >= page.seq:
                seen = max(seen, page.seq)
                break
        if not follow:
            return
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with client.events.stream(seen) as stream:
            while True:
                coming = stream.next(60.0)
                if coming is not None and (only is None or coming.workspace_id == only):
                    tell(coming)


def tell_event(out: Console, event: Event) -> None:
    """One event on one line."""
    payload = event.payload
    who = str(payload.get("name") or event.workspace_id or "")
    name = marked(who, 60) + " " * (12 - len(plain(who, 60)))
    try:
        status = looks.status_markup(Status(str(payload.get("status"))))
    except ValueError:
        status = marked(event.type.lower().replace("_", " "))
    out.print(
        f"[dim]{event.seq:>6}  {event.at:%H:%M:%S.%f}"[:-3] + f"[/]  [bold]{name}[/]  {status}"
        f"  {marked(event_reason(event), 300)}  [dim]({marked(event.cause)})[/]"
    )


def event_reason(event: Event) -> str:
    """The detail of the first condition the event tells of, how it ended, or who did it and why."""
    conditions = event.payload.get("conditions")
    if isinstance(conditions, list) and conditions and isinstance(conditions[0], dict):
        return str(conditions[0].get("detail") or conditions[0].get("symptom") or "")
    payload = event.payload
    incident = str(payload.get("incident_id", ""))[:8]
    if event.type == "INCIDENT_OPENED":
        return f"{incident}: {payload.get('symptom', '')}; its story: truebeat incidents {incident}"
    if recovery := payload.get("recovery"):
        return f"{incident}: {recovery}, after {looks.span(float(payload.get('seconds') or 0))}"
    by = f"by {payload['by']}" if payload.get("by") else ""
    what = ": ".join(str(part) for part in (by, payload.get("kind"), payload.get("detail")) if part)
    return "; ".join(str(part) for part in (what, payload.get("action")) if part)
