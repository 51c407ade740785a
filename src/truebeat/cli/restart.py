"""`truebeat restart`: a new generation for a workspace."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from truebeat import errors
from truebeat.cli import looks
from truebeat.cli.connection import connect
from truebeat.cli.output import console, marked, print_json
from truebeat.clock import SystemClock
from truebeat.domain.health import Status


def restart(
    workspace: str,
    /,
    *,
    wait: Annotated[float, Parameter()] = 0.0,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Order a restart of the workspace's worker.

    Parameters
    ----------
    workspace
        Its name or its id.
    wait
        Seconds to wait for the new generation to be online; 0 does not wait.
    json
        The order, or with --wait the workspace, as JSON.
    """
    with connect() as client:
        view = client.workspaces.find(workspace)
        with client.events.stream(client.events.page(limit=1).seq if wait else 0) as stream:
            order = client.workspaces.restart(view.id)
            if not wait:
                if json:
                    print_json(order)
                else:
                    console().print(
                        f"restart of [bold]{marked(view.name)}[/] ordered; now {looks.status_markup(order.status)}. "
                        f"Follow it: truebeat watch"
                    )
                return
            clock = SystemClock()
            deadline = clock.monotonic() + wait
            while (now := client.workspaces.get(view.id)).status is not Status.ONLINE or (
                now.generation <= view.generation and view.linked
            ):
                if (left := deadline - clock.monotonic()) <= 0:
                    raise errors.Unavailable(
                        f"{view.name} is {now.status.value} {wait:.0f} s after the order: {looks.reason(now)}"
                    )
                stream.next(min(left, 1.0))
    if json:
        print_json(now)
    else:
        console().print(
            f"[bold]{marked(now.name)}[/] is {looks.status_markup(now.status)}, generation {now.generation}"
        )
