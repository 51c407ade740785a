"""`truebeat remove`: the end of a workspace."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from truebeat import errors
from truebeat.cli.connection import connect
from truebeat.cli.output import console, marked, plain, print_json


def remove(
    workspace: str,
    /,
    *,
    yes: Annotated[bool, Parameter(name=("--yes", "-y"), negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Remove a workspace for good: its tokens end, its supervisor stops.

    Parameters
    ----------
    workspace
        Its name or its id.
    yes
        Do not ask. Needed where nobody can be asked.
    json
        What was removed as JSON; implies --yes.
    """
    with connect() as client:
        view = client.workspaces.find(workspace)
        if not (yes or json):
            if not sys.stdin.isatty():
                raise errors.Invalid("removing is final; say --yes")
            answer = input(f"Remove {plain(view.name)} ({view.id}) for good? [y/N] ")
            if answer.strip().lower() not in {"y", "yes"}:
                raise errors.Conflict("nothing was removed")
        client.workspaces.remove(view.id)
    if json:
        print_json({"id": view.id, "name": view.name, "status": "removed"})
    else:
        console().print(f"[bold]{marked(view.name)}[/] is removed")
