"""`truebeat delegate`: let one workspace give another work, as its agent would."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from truebeat import errors
from truebeat.cli import looks
from truebeat.cli.connection import connect
from truebeat.cli.exits import Exit
from truebeat.cli.output import complain, console, plain_text, print_json
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

    Without --wait the delegation's id is printed. With it the exit code is 0 for an answer, 1 if it failed or was
    canceled, 6 if it has not ended, 7 if TARGET asks something; in each case it goes on.

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
    from truebeat.protocol.delegations import DEADLINE_LIMIT, WAIT_LIMIT, NewDelegation

    # before anything is delegated
    if not 0 <= wait <= WAIT_LIMIT:
        raise errors.Invalid(f"--wait is in seconds, from 0 to {WAIT_LIMIT}")
    if deadline is not None and not 0 < deadline <= DEADLINE_LIMIT:
        raise errors.Invalid(f"--deadline is in seconds, above 0 and at most {DEADLINE_LIMIT}")
    with connect() as client:
        new = NewDelegation(target=target, text=text, deadline_seconds=deadline)
        # Not by wait_seconds: that would keep the result for this caller, and it is the source's.
        view = client.delegations.create(client.workspaces.find(source).id, new, key=key)
        if wait > 0:
            try:
                view = client.delegations.get(view.delegation_id, wait=wait)
            except KeyboardInterrupt:
                complain(f"not waited for any longer; it goes on: truebeat trace {view.delegation_id}")
                raise
    code, problem = _outcome(view) if wait > 0 else (Exit.OK, _kept(view))
    if json:
        print_json(view)
        return code
    if wait <= 0:
        sys.stdout.write(f"{view.delegation_id}\n")
    elif code is Exit.OK:
        console().print("" if view.result is None else plain_text(view.result.text), markup=False)
    if problem:
        complain(problem)
    return code


def _outcome(view: DelegationView) -> tuple[Exit, str]:
    """Of one that was waited for: the exit code, and what is to be said of it, "" for an answer."""
    said = "" if view.result is None else view.result.text
    if view.state is State.COMPLETED:
        return Exit.OK, ""
    if view.state.paused:
        return Exit.ASKED, f"{view.target_name} asks {view.source_name}, who is woken with the question: {said}"
    if view.state.final:
        return Exit.FAILURE, f"{view.state.value}: {said or 'no reason was given'}"
    why = _kept(view) or f"{view.target_name} has not ended it ({view.state.value})"
    return Exit.UNAVAILABLE, f"{why}; follow it: truebeat trace {view.delegation_id}"


def _kept(view: DelegationView) -> str:
    """Why it can't be worked on now, in a few words; "" if it can."""
    facts = view.availability
    return "" if facts is None or facts.able else f"{looks.status_text(facts.status)}: {facts.reason}"
