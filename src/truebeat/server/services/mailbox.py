"""The mailbox of each workspace, as senders and readers see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection
    from datetime import datetime
    from uuid import UUID

    from truebeat.domain.access import Principal
    from truebeat.domain.delivery import State
    from truebeat.protocol.tasks import Availability, NewTask, TaskPage, TaskView, Update


class Mailbox:
    """Sends, reads, waits and cancels. What a workspace does with its tasks comes in through `services/dispatch.py`."""

    async def send(
        self,
        workspace_id: UUID,
        new: NewTask,
        principal: Principal,
        *,
        idempotency_key: str = "",
        client: bool = False,
    ) -> TaskView:
        """Accept a task, or a reply to one (new.task_id): it is on disk when this returns. The view's `availability`
        says whether it can be taken now. client: the sender is an external A2A client.

        Errors: NotFound, Gone (removed), Forbidden, Conflict (the workspace failed and takes no work, the key was used
        for another message, the task takes no reply), TooLarge (message, or the mailbox is full), Invalid,
        Unavailable (on_unavailable is "reject": the facts are those of Availability; or the database is down).
        """
        raise NotImplementedError

    async def get(self, task_id: UUID, principal: Principal) -> TaskView:
        """With artifacts and history. Errors: NotFound (also: not for this principal), Unavailable."""
        raise NotImplementedError

    async def page(
        self,
        principal: Principal,
        *,
        workspace_id: UUID | None = None,
        context_id: str | None = None,
        states: Collection[State] = (),
        after: str = "",
        limit: int = 50,
        updated_after: datetime | None = None,
    ) -> TaskPage:
        """What this principal may see, the newest change first. Errors: Invalid (after), Unavailable."""
        raise NotImplementedError

    async def cancel(self, task_id: UUID, principal: Principal) -> TaskView:
        """A queued one ends at once; a held one when its worker answers (cancel_requested is set until then); one whose
        worker can't be reached at once, and `reason` says what is not known.

        Errors: NotFound, Forbidden, Conflict (it has ended already), Unavailable.
        """
        raise NotImplementedError

    def availability(self, workspace_id: UUID, *, details: bool = True) -> Availability:
        """What is known of the workspace this moment; never waits. `position` is None. Errors: NotFound, Gone."""
        raise NotImplementedError

    async def wait(self, task_id: UUID, principal: Principal, *, seconds: float | None = None) -> TaskView:
        """Returns when the task is final or paused, when its workspace is or becomes unable to take work (the view's
        availability.able is False and says why), or after `seconds`. Errors: as get.
        """
        raise NotImplementedError

    def updates(self, task_id: UUID, principal: Principal, after: int = 0) -> AsyncIterator[Update]:
        """The kept updates after that seq, then those that come, until one is `final`. While the task is not final
        "unavailable" and "available" tell of its workspace. Errors, when iterated: as get.
        """
        raise NotImplementedError
