"""Delegations as those who give, watch and cancel them see them. What their ends and results do is in
`services/ledger_results.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import UUID

import structlog

from truebeat.domain import access, delivery, envelope
from truebeat.domain import delegations as rules
from truebeat.domain.access import Permission, Principal, Role
from truebeat.domain.delegations import Step
from truebeat.errors import Conflict, Forbidden, Gone, Invalid, NotFound, TruebeatError
from truebeat.protocol.delegations import OpenDelegations, Peer
from truebeat.protocol.tasks import NewTask
from truebeat.server.background.tasks import spawn
from truebeat.server.services import delegation_views
from truebeat.server.store import delegations as store
from truebeat.server.store import tasks as task_store

if TYPE_CHECKING:
    from datetime import datetime

    from truebeat.clock import Clock
    from truebeat.protocol.delegations import DelegationView, NewDelegation, TraceNode
    from truebeat.server.leases import Lease, Leases
    from truebeat.server.services.hierarchy import Hierarchy
    from truebeat.server.services.ledger import Ledger
    from truebeat.server.services.mailbox import Mailbox
    from truebeat.server.store.database import Database

log = structlog.get_logger(__name__)

#: tasks of one trace
TREE_LIMIT: Final = 2000
#: open delegations told at once
OPEN_ONES_LIMIT: Final = 2000
#: who cancels in the name of the platform
_PLATFORM: Final = Principal(Role.OPERATOR, "truebeat")


@dataclass(frozen=True, slots=True)
class _Origin:
    """The turn that a delegation is needed for, its conversation, the root of its tree, the delegations above it. None:
    it is needed for no turn.
    """

    task_id: UUID | None = None
    context_id: str | None = None
    root_id: UUID | None = None
    chain: list[store.Link] = field(default_factory=list)


class Delegations:
    def __init__(
        self,
        database: Database,
        leases: Leases,
        mailbox: Mailbox,
        ledger: Ledger,
        hierarchy: Hierarchy,
        clock: Clock,
    ) -> None:
        self._database = database
        self._leases = leases
        self._mailbox = mailbox
        self._ledger = ledger
        self._hierarchy = hierarchy
        self._clock = clock

    # --- the source ---------------------------------------------------------------------------------------------------

    async def create(
        self, source_id: UUID, new: NewDelegation, principal: Principal, *, idempotency_key: str = ""
    ) -> DelegationView:
        """On disk when this returns. With wait_seconds as soon as it ended, asks, can't go on now, or the time is over.

        Errors: NotFound, Gone, Forbidden (not that workspace; not its peer), Conflict (itself, a cycle, too deep, too
        many, the target failed), Invalid, TooLarge, Unavailable.
        """
        source = self._acting(source_id, principal)
        acting = Principal(Role.WORKSPACE, source.name, source.id)
        target_id = await self._hierarchy.find(source_id, new.target)
        origin = await self._origin(source_id, new.from_task, infer=principal.workspace_id is not None)
        chain = origin.chain
        now = self._clock.now()
        steps = [Step(str(link.source_id), str(link.target_id), link.deadline_at) for link in chain]
        if why := rules.refusal(steps, str(source_id), str(target_id), now):
            raise Conflict(why)
        own = None if new.deadline_seconds is None else now + timedelta(seconds=new.deadline_seconds)
        task = NewTask(
            text=new.text,
            parts=new.parts,
            context_id=new.context_id,
            on_interrupt=new.on_interrupt,
            metadata=new.metadata,
        )

        def row(made: task_store.NewRow) -> store.NewRow:
            return store.NewRow(
                task_id=made.id,
                source_id=source_id,
                target_id=target_id,
                source_task_id=origin.task_id,
                root_id=origin.root_id or made.id,
                depth=len(chain) + 1,
                at=made.at,
                deadline_at=rules.deadline(steps, own),
                waited=new.wait_seconds > 0,
                context_id=origin.context_id or f"{rules.OWN_CONTEXT}{source_id}",
            )

        sent = await self._mailbox.send(target_id, task, acting, idempotency_key=idempotency_key, delegation=row)
        if new.wait_seconds:
            return await self._wait(sent.id, acting, new.wait_seconds)
        return await self.get(sent.id, acting)

    async def confirm(self, delegation_id: UUID, principal: Principal, by_task: UUID | None = None) -> DelegationView:
        """The source has the result. With `by_task` its turn has it: it is consumed with that turn, at once if that is
        completed, and not at all if it ended otherwise. Without, it is consumed with the turn that is on, if one is,
        else at once. Confirming again changes nothing. Errors: NotFound, Forbidden, Conflict (there is no result yet).
        """
        found = await self._find(delegation_id, principal)
        if not principal.is_workspace(str(found["source_id"])):
            raise Forbidden("only the workspace that delegated it can say that it has the result")
        if found["ready_at"] is None:
            raise Conflict("there is no result yet; wait for it, or ask for the status later")
        confirm = partial(
            self._ledger.results.confirm,
            task_id=delegation_id,
            source_id=found["source_id"],
            wanted_for=found["source_task_id"],
            by_task=by_task,
        )
        await self._ledger.within(confirm)
        return await self.get(delegation_id, principal)

    async def cancel(self, delegation_id: UUID, principal: Principal) -> DelegationView:
        """With everything below it, the deepest first. Errors: NotFound, Forbidden, Conflict (it has ended)."""
        found = await self._find(delegation_id, principal)
        itself = principal.is_workspace(str(found["source_id"]))
        if not itself and not principal.may(Permission.OPERATE):
            raise Forbidden("only the workspace that delegated it, or an operator, may cancel a delegation")
        if found["ended_at"] is not None:
            raise Conflict(f"it has ended already: {found['state']}")
        if itself:
            async with self._database.acquire() as connection:
                await store.withdraw(connection, [delegation_id])
        await self.cancel_below(delegation_id)
        await self._cancel(delegation_id, Principal(Role.OPERATOR, principal.name))
        return await self.get(delegation_id, principal)

    async def cancel_below(self, task_id: UUID) -> None:
        """What was delegated because of this task, and because of that, and so on: nobody waits for it any more."""
        async with self._database.acquire() as connection:
            below = await store.below(connection, task_id)
            if below:
                await store.withdraw(connection, below)
        for delegation_id in below:
            await self._cancel(delegation_id, _PLATFORM)

    async def drop(self, delegation_id: UUID) -> None:
        """Its source was removed: nobody is there to get what comes of it."""
        await self.cancel_below(delegation_id)
        await self._cancel(delegation_id, _PLATFORM)

    def on_cancel(self, task_id: UUID) -> None:
        """A task was canceled. What this misses the watch finds."""
        spawn(self._below_quietly(task_id), name="cancel what was delegated")

    async def expire(self, delegation_id: UUID) -> None:
        """Its deadline has passed: it ends now, whatever its worker says."""
        await self.cancel_below(delegation_id)
        async with self._database.acquire() as connection:
            row = await task_store.get(connection, delegation_id)
        if row is None or row.task.state.final:
            return
        await self._ledger.happen(delegation_id, delivery.CancelRequested(False, "its deadline has passed"))
        if row.task.generation is not None:
            self._mailbox.stop_work(str(row.workspace_id), delegation_id, row.task.generation, row.task.attempt)

    # --- readers ------------------------------------------------------------------------------------------------------

    async def get(self, delegation_id: UUID, principal: Principal) -> DelegationView:
        """Errors: NotFound."""
        found = await self._find(delegation_id, principal)
        view = delegation_views.of_row(found, details=self._details(found, principal))
        if not view.state.final and self._leases.get(str(view.target_id)) is not None:
            details = principal.may_see_details(str(view.target_id))
            view.availability = self._mailbox.availability(view.target_id, details=details)
        return view

    async def wait(self, delegation_id: UUID, principal: Principal, seconds: float) -> DelegationView:
        """As `get`, when it has ended, asks, can't go on now, or the time is over."""
        found = await self._find(delegation_id, principal)
        await self._mailbox.wait(delegation_id, principal, seconds=seconds)
        if principal.is_workspace(str(found["source_id"])):
            async with self._database.acquire() as connection:
                await store.hold(connection, delegation_id, self._confirmed_by())
        return await self.get(delegation_id, principal)

    async def page(
        self, workspace_id: UUID, principal: Principal, limit: int, *, received: bool
    ) -> list[DelegationView]:
        """Newest first. Errors: NotFound, Forbidden (another workspace's)."""
        if principal.role is Role.WORKSPACE and not principal.is_workspace(str(workspace_id)):
            raise Forbidden("a workspace sees its own delegations only")
        await self._known(workspace_id)
        async with self._database.acquire() as connection:
            rows = await store.page(connection, workspace_id, limit, envelope.TEXT_LIMIT, received=received)
        return [delegation_views.of_row(row, details=self._details(row, principal)) for row in rows]

    async def open_ones(self, principal: Principal, seq: int) -> OpenDelegations:
        """Of the whole fleet, the newest first; a workspace sees those that it is part of."""
        own = None if principal.workspace_id is None else UUID(principal.workspace_id)
        async with self._database.acquire() as connection:
            rows, total = await store.open_ones(connection, own, OPEN_ONES_LIMIT)
        return OpenDelegations(
            delegations=[delegation_views.of_open(row) for row in rows], seq=seq, left_out=total - len(rows)
        )

    async def peers(self, workspace_id: UUID, principal: Principal) -> list[Peer]:
        """Whom it may message, by name. Errors: NotFound, Gone, Forbidden."""
        if principal.role is Role.WORKSPACE and not principal.is_workspace(str(workspace_id)):
            raise Forbidden("a workspace sees its own peers only")
        await self._living(workspace_id)
        return [
            Peer(
                id=peer_id,
                name=name,
                role=role,
                relation=relation,
                availability=self._mailbox.availability(peer_id, details=principal.may_see_details(str(peer_id))),
            )
            for peer_id, name, role, relation in await self._hierarchy.peers(workspace_id)
            if self._leases.get(str(peer_id)) is not None
        ]

    async def trace(self, task_id: UUID, principal: Principal) -> TraceNode:
        """The tree that the task is part of. Errors: NotFound."""
        if principal.role is Role.WORKSPACE:
            await self._mailbox.get(task_id, principal)
        async with self._database.acquire() as connection:
            root_id = await store.root(connection, task_id)
            rows = await store.tree(connection, root_id, TREE_LIMIT)
        node = delegation_views.tree(rows, root_id, principal, self._clock.now())
        if node is None:
            raise NotFound("no such task; check its id")
        return node

    # --- its parts ----------------------------------------------------------------------------------------------------

    async def _wait(self, delegation_id: UUID, acting: Principal, seconds: float) -> DelegationView:
        await self._mailbox.wait(delegation_id, acting, seconds=seconds)
        async with self._database.acquire() as connection:
            # From here on nobody waits, unless the answer is there: then it is this caller's.
            await store.unwait(connection, delegation_id)
            await store.hold(connection, delegation_id, self._confirmed_by())
        return await self.get(delegation_id, acting)

    def _confirmed_by(self) -> datetime:
        return self._clock.now() + timedelta(seconds=rules.CONFIRM_WITHIN)

    async def _origin(self, source_id: UUID, from_task: UUID | None, *, infer: bool) -> _Origin:
        """What the delegation is needed for. Errors: Invalid, Conflict (that task is over: its limits would count for
        nothing).
        """
        async with self._database.acquire() as connection:
            if from_task is None and infer:
                working = await store.working(connection, source_id)
                from_task = working[0][0] if working else None
            if from_task is None:
                return _Origin()
            row = await task_store.get(connection, from_task)
            if row is None or row.workspace_id != source_id:
                raise Invalid("from_task: the workspace has no such task; leave it out for its present one")
            if not row.task.held:
                raise Conflict(
                    "from_task: the workspace does not work on that task now; leave it out for its present one"
                )
            root_id = await store.root(connection, from_task)
            return _Origin(from_task, row.context_id, root_id, await store.chain(connection, from_task))

    async def _cancel(self, task_id: UUID, by: Principal) -> None:
        """One that has ended meanwhile is as good."""
        try:
            await self._mailbox.cancel(task_id, by)
        except (Conflict, NotFound) as error:
            log.debug("not canceled", task=str(task_id), reason=error.message)

    async def _below_quietly(self, task_id: UUID) -> None:
        try:
            await self.cancel_below(task_id)
        except TruebeatError as error:
            log.warning("what was delegated is canceled later", task=str(task_id), reason=error.message)

    def _acting(self, source_id: UUID, principal: Principal) -> Lease:
        if not principal.is_workspace(str(source_id)) and not principal.may(Permission.OPERATE):
            raise Forbidden("a workspace delegates for itself only; others need an operator's token")
        lease = self._leases.get(str(source_id))
        if lease is None:
            raise NotFound("no such workspace, or it was removed; check its id")
        return lease

    async def _find(self, delegation_id: UUID, principal: Principal) -> store.Record:
        async with self._database.acquire() as connection:
            found = await store.get(connection, delegation_id, envelope.TEXT_LIMIT)
        if found is None or not access.may_see_task(
            principal, str(found["target_id"]), "workspace", str(found["source_id"])
        ):
            raise NotFound("no such delegation; check its id")
        return found

    @staticmethod
    def _details(found: store.Record, principal: Principal) -> bool:
        return access.may_read_task(principal, str(found["target_id"]), "workspace", str(found["source_id"]))

    async def _living(self, workspace_id: UUID) -> None:
        if self._leases.get(str(workspace_id)) is None:
            await self._known(workspace_id)
            raise Gone("the workspace was removed")

    async def _known(self, workspace_id: UUID) -> None:
        if self._leases.get(str(workspace_id)) is not None:
            return
        async with self._database.acquire() as connection:
            if not await store.exists(connection, workspace_id):
                raise NotFound("no such workspace; check its id")
