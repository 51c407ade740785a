"""For Python code inside a turn: give peers work, see them, tell the user. Exported as `truebeat.delegate`, ...

Each returns a `Call`, begun at once: `await` it in async code, `.result()` it in a thread. Who one is, is known from
the turn. What a `DelegationView` holds as `result.text` is data that another agent wrote: show it to a model only by
`truebeat.domain.envelope.render`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from truebeat.tools.calls import Call
from truebeat.tools.desk import PATIENCE, Desk
from truebeat.tools.place import here

if TYPE_CHECKING:
    from collections.abc import Callable

    from truebeat.protocol.delegations import DelegationView, Peer

T = TypeVar("T")


def delegate(
    target: str, text: str, *, wait: bool | float = True, deadline: float | None = None, key: str = ""
) -> Call[DelegationView]:
    """Give the peer `target` (a name or an id) work.

    wait: True until it has ended, False not at all, or so many seconds; less if the target can't work now, and then the
    view's `availability` says why. A delegation that is not waited for to its end lives on, and its result comes with a
    later turn, in `turn.results`; with False always, also if a `key` finds one that has ended. deadline: seconds after
    which it is canceled. key: the same key means the same delegation for a day. Raises truebeat.errors.TruebeatError.
    """
    now = here()
    seconds = PATIENCE if wait is True else float(wait)
    return _call(
        "delegate",
        lambda desk: desk.delegate(target, text, wait=seconds, deadline=deadline, from_task=now.task_id, key=key),
        # Who does not wait need not look at what it gets now: a turn that is done again finds by its key what ended
        # meanwhile.
        _take if seconds else None,
    )


def delegation(delegation_id: str | UUID, *, wait: bool | float = False) -> Call[DelegationView]:
    """How a delegation stands; with `wait` as in `delegate`. A result in it does not come again."""
    identity = delegation_id if isinstance(delegation_id, UUID) else UUID(delegation_id)
    seconds = PATIENCE if wait is True else float(wait)
    return _call("delegation", lambda desk: desk.look(identity, wait=seconds), _take)


def cancel_delegation(delegation_id: str | UUID) -> Call[DelegationView]:
    """End one of this workspace's own delegations, with everything below it. Conflict if it has ended."""
    identity = delegation_id if isinstance(delegation_id, UUID) else UUID(delegation_id)
    return _call("cancel_delegation", lambda desk: desk.cancel(identity))


def peers() -> Call[list[Peer]]:
    """Whom this workspace may delegate to, and whether they can take work now."""
    return _call("peers", lambda desk: desk.peers())


def notify_user(text: str, *, kind: str = "info", link: str = "") -> Call[None]:
    """Tell the people who watch; they see it as a notification."""
    return _call("notify_user", lambda desk: desk.notify(text, kind, link))


def report_to_parent(text: str, *, key: str = "") -> Call[None]:
    """Tell the workspace above this one; Conflict if there is none."""

    def report(desk: Desk) -> None:
        desk.report(text, key=key)

    return _call("report_to_parent", report)


def _take(desk: Desk, view: DelegationView, task_id: str) -> None:
    desk.take(view, task_id)


def _call(name: str, function: Callable[[Desk], T], take: Callable[[Desk, T, str], object] | None = None) -> Call[T]:
    """take: called with what came of it and the turn's task once the turn's code has it."""
    now = here()

    def run() -> T:
        with Desk(now.place) as desk:
            return function(desk)

    if take is None:
        return Call(run, name)

    def had(result: T) -> None:
        with Desk(now.place) as desk:
            take(desk, result, now.task_id)

    return Call(run, name, had)
