"""`truebeat watch`: the table of `ps`, live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from truebeat import errors
from truebeat.cli.connection import connect
from truebeat.cli.events import tell_event
from truebeat.cli.output import console, print_json
from truebeat.cli.ps import table
from truebeat.clock import SystemClock

if TYPE_CHECKING:
    from truebeat.client.http import Client

#: seconds between two looks at what is no event: ages, tasks, beats
REFRESH = 1.0


def watch(*, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Show the workspaces live until interrupted.

    Parameters
    ----------
    json
        First the page of workspaces, then one event on each line, as JSON.
    """
    with connect() as client:
        if json:
            _watch_json(client)
        elif console().is_terminal:
            _watch_live(client)
        else:
            _watch_lines(client)


def _watch_json(client: Client) -> None:
    page = client.workspaces.snapshot()
    print_json(page)
    with client.events.stream(page.seq) as stream:
        while True:
            if (event := stream.next(60.0)) is not None:
                print_json(event)


def _watch_lines(client: Client) -> None:
    """Where there is no terminal to redraw: the table once, then what happens."""
    out = console()
    page = client.workspaces.snapshot()
    out.print(table(page.workspaces, SystemClock().now()))
    with client.events.stream(page.seq) as stream:
        while True:
            if (event := stream.next(60.0)) is not None:
                tell_event(out, event)


def _watch_live(client: Client) -> None:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    clock = SystemClock()
    page = client.workspaces.snapshot()
    with (
        Live(console=console(), auto_refresh=False, screen=False) as live,
        client.events.stream(page.seq) as stream,
    ):
        while True:
            note = Text("live; Ctrl-C ends", "dim")
            try:
                page = client.workspaces.snapshot()
            except errors.Unavailable:
                note = Text("the server does not answer; what is shown is old; trying again", "bold yellow")
            live.update(Group(table(page.workspaces, clock.now()), note), refresh=True)
            try:
                stream.next(REFRESH)
            except errors.Gone:
                # Events we had not read were pruned; the next look at the whole makes up for them.
                stream.seq = client.workspaces.snapshot().seq
