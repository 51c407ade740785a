"""What can be said of a workspace to whoever asks about its tasks; and of one task, its place in the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from truebeat.domain.delivery import State
from truebeat.domain.health import Status
from truebeat.errors import Gone, NotFound, TruebeatError
from truebeat.protocol.tasks import Availability
from truebeat.server.services import availability
from truebeat.server.store import tasks as task_store

if TYPE_CHECKING:
    from truebeat.clock import Clock
    from truebeat.domain.access import Principal
    from truebeat.protocol.tasks import TaskView
    from truebeat.server.leases import Lease, Leases
    from truebeat.server.services.ledger import Ledger
    from truebeat.server.store.database import Database


class Facts:
    """One a server. Only `place` and `add` ask the database."""

    def __init__(self, database: Database, leases: Leases, ledger: Ledger, clock: Clock) -> None:
        self._database = database
        self._leases = leases
        self._ledger = ledger
        self._clock = clock

    def now(self, workspace_id: UUID, *, details: bool) -> Availability:
        """What is known this moment; `position` is None. Errors: NotFound, Gone."""
        lease = self._leases.get(str(workspace_id))
        if lease is None:
            if self._leases.was_removed(str(workspace_id)):
                raise Gone("the workspace was removed")
            raise NotFound("no such workspace; check its id")
        return self._of(lease, details=details)

    def shown(self, lease: Lease, principal: Principal) -> Availability:
        """As this principal may see them."""
        return self._of(lease, details=principal.may_see_details(lease.id))

    def flipped(self, workspace_id: UUID, able: bool, *, details: bool) -> Availability | None:
        """The facts, if they are others than what was told last."""
        lease = self._leases.get(str(workspace_id))
        if lease is None or able is not availability.in_vain(lease):
            return None
        return self._of(lease, details=details)

    async def add(self, view: TaskView, principal: Principal, position: int | None = None) -> TaskView:
        """While it is not final: whether its workspace can take it, and how many go before it, if that is not known."""
        if view.final:
            return view
        lease = self._leases.get(str(view.workspace_id))
        if lease is None:
            view.availability = Availability(
                able=False, status=Status.REMOVED, linked=False, queued=0, reason="the workspace was removed"
            )
            return view
        view.availability = self.shown(lease, principal)
        if view.state is State.SUBMITTED and not view.availability.able:
            view.availability.position = await self.place(view.id) if position is None else position
        return view

    async def place(self, task_id: UUID) -> int | None:
        """1 for the one that goes next. None: it does not wait, or nobody can say."""
        try:
            async with self._database.acquire() as connection:
                return await task_store.position(connection, task_id)
        except TruebeatError:
            return None

    def _of(self, lease: Lease, *, details: bool) -> Availability:
        queued = self._ledger.queued.get(UUID(lease.id), 0)
        return availability.of_lease(lease, queued, self._clock.now(), details=details)
