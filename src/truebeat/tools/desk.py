"""What an agent can do, as plain functions: over HTTP, with its workspace's token. They block; see calls.py.

Waiting goes in slices, so that a thread whose caller has left ends soon. Whoever was given a result takes it
(`take`) after it has it in its hands, never before: what a dead caller got comes again with the next turn.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING, Final, NamedTuple, Self
from uuid import UUID, uuid4

from truebeat import errors
from truebeat.client.http import Client
from truebeat.clock import SystemClock
from truebeat.domain import envelope
from truebeat.protocol.delegations import NewDelegation, NewNotification
from truebeat.protocol.tasks import NewTask

if TYPE_CHECKING:
    from truebeat.protocol.delegations import DelegationView, Peer
    from truebeat.protocol.tasks import TaskView
    from truebeat.tools.place import Place

#: seconds of one question to the server while something is waited for
SLICE: Final = 20.0
#: seconds between two questions that were answered at once
AGAIN: Final = 0.5
#: seconds that a caller who says no more than "wait" waits
PATIENCE: Final = 3600.0


#: begins a key that stands for one which no header can carry
_HASHED: Final = "sha256-"


class Report(NamedTuple):
    """A report is a task in the parent's mailbox."""

    parent_id: UUID
    task: TaskView


class Desk:
    """For one workspace; may be used from several threads."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._client = Client(place.url, place.tokens)
        self._clock = SystemClock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    # -- delegations

    def delegate(
        self,
        target: str,
        text: str,
        *,
        wait: float = 0.0,
        deadline: float | None = None,
        from_task: str = "",
        key: str = "",
        left: Event | None = None,
    ) -> DelegationView:
        """wait: seconds for it to end; less if its target can't work now. deadline: seconds until it is canceled.

        from_task: the task on whose behalf; key: the same key means the same delegation for a day. left: set by a
        caller that waits no longer.
        """
        new = NewDelegation(
            target=target,
            text=text,
            wait_seconds=min(wait, SLICE),
            deadline_seconds=deadline,
            from_task=UUID(from_task) if from_task else None,
        )
        end = self._clock.monotonic() + wait
        # one key for both tries: a connection that broke after the server had it makes no second delegation
        key = header_of(key or str(uuid4()))
        try:
            view = self._client.delegations.create(self.place.id, new, key=key)
        except errors.Unavailable:
            view = self._client.delegations.create(self.place.id, new, key=key)
        return self._wait(view, end - self._clock.monotonic(), left)

    def reply(self, delegation_id: UUID, text: str, *, wait: float = 0.0, left: Event | None = None) -> DelegationView:
        """The answer to a delegation that asked for input."""
        view = self._client.delegations.get(delegation_id)
        self._client.tasks.send(view.target_id, NewTask(text=text, task_id=delegation_id))
        view = self._client.delegations.get(delegation_id)
        return self._wait(view, wait, left)

    def look(self, delegation_id: UUID, *, wait: float = 0.0, left: Event | None = None) -> DelegationView:
        """How it stands; with `wait` after it has ended, or when its target can't work now."""
        return self._wait(self._client.delegations.get(delegation_id), wait, left)

    def cancel(self, delegation_id: UUID) -> DelegationView:
        """One of this workspace's own, with everything below it; Conflict if it has ended."""
        view = self._client.delegations.get(delegation_id)
        if view.source_id != self.place.id:
            raise errors.Forbidden("it is not this workspace's own delegation; only who gave it cancels it")
        return self._client.delegations.cancel(delegation_id)

    def recent(self, limit: int = 20) -> list[DelegationView]:
        """Newest first."""
        return self._client.delegations.page(self.place.id, limit=limit)

    def take(self, view: DelegationView, task_id: str = "") -> None:
        """The result is in the hands of the turn of that task, if any. If this does not reach the server it comes
        again, which is no loss.
        """
        if view.result is not None and not view.consumed and view.ended_at is not None:
            with suppress(errors.TruebeatError):
                self._client.delegations.consumed(view.delegation_id, by_task=UUID(task_id) if task_id else None)

    def _wait(self, view: DelegationView, wait: float, left: Event | None) -> DelegationView:
        now = self._clock.monotonic
        deadline, left = now() + wait, left or Event()
        while not settled(view) and (rest := deadline - now()) > 0 and not left.is_set():
            asked, slice_ = now(), min(rest, SLICE)
            # a server that restarts does not lose what it has on its disk
            with suppress(errors.Unavailable):
                view = self._client.delegations.get(view.delegation_id, wait=slice_)
            if not settled(view) and now() - asked < min(slice_, AGAIN):
                # it did not wait: it must not be asked in a circle
                left.wait(min(rest, AGAIN))
        return view

    # -- others

    def peers(self) -> list[Peer]:
        """Whom this workspace may message, and whether they can take work now."""
        return self._client.delegations.peers(self.place.id)

    def notify(self, message: str, kind: str = "info", link: str = "") -> None:
        """To the people who watch."""
        self._client.delegations.notify(self.place.id, NewNotification(message=message, type=kind or "info", link=link))

    def parent(self) -> UUID | None:
        """Who this workspace reports to; None: to the user."""
        return self._client.workspaces.get(self.place.id).parent_id

    def report(self, text: str, *, key: str = "") -> Report:
        """To the parent, in a task of its own that nothing comes back from; Conflict if there is no parent.

        The parent's worker shows it to its agent as data, in the same block as a result and with what the server knows
        of its sender: a report gives no orders, and its writer has no part in the block.
        """
        parent_id = self.parent()
        if parent_id is None:
            raise errors.Conflict("this workspace has no parent; tell the user instead", why="no_parent")
        part = {"text": text, "metadata": {envelope.REPORT_PART: True}}
        new = NewTask(text=text, parts=[part], metadata={"report": True})
        return Report(parent_id, self._client.tasks.send(parent_id, new, key=header_of(key or str(uuid4()))))


def header_of(key: str) -> str:
    """A key as a header can carry it: any text is one, and two texts are two."""
    if key.isascii() and key.isprintable() and key == key.strip() and not key.startswith(_HASHED):
        return key
    return _HASHED + hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def settled(view: DelegationView) -> bool:
    """There is nothing to wait for: it has ended, asks a question, or its target can't work now."""
    able = view.availability is None or view.availability.able
    return view.ended_at is not None or view.state.paused or not able
