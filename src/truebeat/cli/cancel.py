"""`truebeat cancel`: stop a task."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from truebeat import errors
from truebeat.cli.connection import connect
from truebeat.cli.output import console, marked, print_json


def cancel(task: str, /, *, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Cancel a task: a waiting one at once, one that is worked on when its worker has stopped.

    Parameters
    ----------
    task
        Its id, as `truebeat send --no-wait` and `truebeat tasks` print it.
    json
        The task as JSON.
    """
    from truebeat.client.workspaces import as_id

    task_id = as_id(task)
    if task_id is None:
        raise errors.Invalid(f"{task!r} is no task's id; see: truebeat tasks WORKSPACE")
    with connect() as client:
        view = client.tasks.cancel(task_id)
    if json:
        print_json(view)
    elif view.final:
        console().print(f"{view.state.value}: {marked(view.reason)}")
    else:
        console().print(f"its worker was told; follow it: truebeat tasks {task_id}")
