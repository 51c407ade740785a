"""`truebeat delegate`: let one workspace give another work, as its agent would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from truebeat.cli.connection import connect
from truebeat.cli.exits import Exit
from truebeat.cli.output import complain, console, marked, plain_text, print_json
from truebeat.domain.delivery import State

if TYPE_CHECKING:
    from truebeat.protocol.delegations import DelegationView


def delegate(
    source: str,
    target: str,
    text: str,
    /,
    *,
    wait: float = 0.0,
    deadline: float | None = None,
    key: str = "",
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Let SOURCE delegate TEXT to TARGET. The result comes to SOURCE with its next turn; you may wait for it here too.

    Parameters
    ----------
    source
        The workspace that asks: its name or id.
    target
        The one that is asked: its name or id.
    text
        What is to be done.
    wait
        Seconds to wait for the end; the answer is printed. Less when the target can't work now.
    deadline
        Seconds after which it is canceled, with everything below it.
    key
        The same key means the same delegation for a day.
    json
        The delegation as JSON.
    """
    from truebeat.protocol.delegations import NewDelegation

    with connect() as client:
        new = NewDelegation(target=target, text=text, deadline_seconds=deadline)
        # Not by wait_seconds: that would keep the result for this caller, and it is the source's.
        view = client.delegations.create(client.workspaces.find(source).id, new, key=key)
        if wait > 0:
            view = client.delegations.get(view.delegation_id, wait=wait)
    if json:
        print_json(view)
    elif wait <= 0:
        console().print(str(view.delegation_id))
        _tell_kept(view)
    elif view.state.final or view.state.paused:
        return _ended(view)
    else:
        _tell_kept(view)
        complain(f"{view.state.value}; follow it: truebeat trace {view.delegation_id}")
        return Exit.UNAVAILABLE
    return Exit.OK


def _ended(view: DelegationView) -> int:
    said = "" if view.result is None else view.result.text
    if view.state is State.COMPLETED:
        console().print(plain_text(said), markup=False)
        return Exit.OK
    complain(f"{view.state.value}: {said or 'no reason was given'}")
    return Exit.FAILURE


def _tell_kept(view: DelegationView) -> None:
    if view.availability is not None and not view.availability.able:
        complain(f"kept: {marked(view.availability.reason)}")
