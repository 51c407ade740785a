"""The mailbox of each workspace, as senders and readers see it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

import msgspec

from truebeat.domain import access, delivery
from truebeat.domain.delegations import OWN_CONTEXT
from truebeat.domain.delivery import OnInterrupt, State
from truebeat.domain.health import rejects_work
from truebeat.errors import Conflict, Forbidden, Gone, Invalid, NotFound, TooLarge, TruebeatError, Unavailable
from truebeat.protocol.delivery import Sender
from truebeat.protocol.tasks import TaskPage
from truebeat.server.services import task_views
from truebeat.server.services.facts import Facts
from truebeat.server.services.ledger import KEY_LIFE
from truebeat.server.services.message_bounds import check_size, fingerprint
from truebeat.server.services.update_stream import UpdateStreams
from truebeat.server.services.waits import Waits
from truebeat.server.store import keys as key_store
from truebeat.server.store import task_pages
from truebeat.server.store import tasks as task_store
from truebeat.server.store import workspaces as workspace_store
from truebeat.server.store.keys import Key
from truebeat.server.store.task_pages import Filter
from truebeat.server.store.tasks import NewRow, TaskRow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection

    from truebeat.clock import Clock
    from truebeat.domain.access import Principal
    from truebeat.protocol.tasks import Availability, NewTask, TaskView, Update
    from truebeat.server.leases import Lease, Leases
    from truebeat.server.services.ledger import Ledger
    from truebeat.server.services.notices import Notices
    from truebeat.server.store.database import Database
    from truebeat.server.store.delegations import NewRow as DelegationRow

#: tasks that wait in one mailbox at most
MAILBOX_LIMIT: Final = 10_000
#: bytes of texts and parts in one page of tasks; one that has more comes alone
PAGE_BYTES: Final = 8 * 1024 * 1024
#: artifacts, questions and replies shown with one task
STORY_LIMIT: Final = 1000


class Mailbox:
    """Sends, reads, waits and cancels. What a workspace does with its tasks comes in through `services/dispatch.py`."""

    def __init__(self, database: Database, leases: Leases, ledger: Ledger, notices: Notices, clock: Clock) -> None:
        self._database = database
        self._leases = leases
        self._ledger = ledger
        self._notices = notices
        self._clock = clock
        self._waits = Waits(database, leases, notices)
        self._facts = Facts(database, leases, ledger, clock)
        self._streams = UpdateStreams(database, notices, self._facts, clock)
        #: whether the worker that holds tasks of a workspace can be told something now
        self.reachable: Callable[[str], bool] = lambda _: False
        #: tell the worker of (workspace, task, generation, attempt) to stop
        self.stop_work: Callable[[str, UUID, int, int], None] = lambda *_: None
        #: raises Forbidden when one workspace may not message the other
        self.check_related: Callable[[UUID, UUID], Awaitable[None]] = _all_may
        #: a task was canceled: so must be what was delegated because of it
        self.on_cancel: Callable[[UUID], None] = lambda _: None

    # --- senders ------------------------------------------------------------------------------------------------------

    async def send(
        self,
        workspace_id: UUID,
        new: NewTask,
        principal: Principal,
        *,
        idempotency_key: str = "",
        client: bool = False,
        as_id: UUID | None = None,
        delegation: Callable[[NewRow], DelegationRow] | None = None,
        itself: bool = False,
    ) -> TaskView:
        """Accept a task, or a reply to one (new.task_id): it is on disk when this returns. The view's `availability`
        says whether it can be taken now. client: the sender is an external A2A client. as_id: the new task's, if the
        caller listens to it already. delegation: the task is one, and this is written with it. itself: a workspace may
        send to itself, which nobody waits for.

        Errors: NotFound, Gone (removed), Forbidden, Conflict (the workspace failed and takes no work, the key was used
        for another message, the task takes no reply), TooLarge (message, or the mailbox is full), Invalid,
        Unavailable (on_unavailable is "reject": the facts are those of Availability; or the database is down).
        """
        own = itself and principal.workspace_id == str(workspace_id)
        if not own and not access.may_send(principal, str(workspace_id)):
            raise Forbidden("this token may not send to that workspace")
        lease = await self._living(workspace_id)
        if principal.workspace_id is not None and not own:
            await self.check_related(UUID(principal.workspace_id), workspace_id)
        check_size(new, idempotency_key)
        if new.task_id is None and new.context_id is not None:
            await self._check_context(workspace_id, new.context_id, principal)
        if new.task_id is not None:
            self._admit(lease, new, principal)
            return await self._reply(new.task_id, lease, new, principal, idempotency_key)
        row = self._row(as_id or uuid4(), workspace_id, new, principal, client=client)
        key = None
        if idempotency_key:
            sender = f"{row.sender.kind}:{row.sender.id}"
            key = Key(sender, workspace_id, idempotency_key, row.id, fingerprint(new), row.at)
        try:
            self._admit(lease, new, principal)
        except TruebeatError:
            # What was accepted under this key is still accepted, whatever became of the workspace since.
            if key is None or (earlier := await self._earlier(key)) is None:
                raise
            return await self.get(earlier, principal)
        submitted = await self._ledger.submit(row, key, None if delegation is None else delegation(row))
        if submitted.repeated:
            return await self.get(submitted.task_id, principal)
        return await self._facts.add(task_views.of_new(row), principal, position=submitted.position)

    async def ask(
        self,
        workspace_id: UUID,
        new: NewTask,
        principal: Principal,
        *,
        idempotency_key: str = "",
        client: bool = False,
        seconds: float | None = None,
    ) -> TaskView:
        """As `send`, then as `wait`. What is completed in one go is told without a look at the database."""
        task_id = uuid4()
        with self._notices.listen(task_id, workspace_id) as listener:
            view = await self.send(
                workspace_id, new, principal, idempotency_key=idempotency_key, client=client, as_id=task_id
            )
            if not task_views.may_follow(view):
                return view
            if view.id != task_id:
                with suppress(Unavailable):
                    view = await self.wait(view.id, principal, seconds=seconds)
                return view
            told: list[Update] | None = None
            with suppress(TimeoutError, Unavailable):
                async with asyncio.timeout(seconds):
                    told = await self._waits.until_told(task_id, workspace_id, listener, view.state)
        if told and task_views.complete(view, told):
            return view
        with suppress(Unavailable):  # it is accepted: an error would have its sender send it again
            view = await self.get(task_id, principal)
        return view

    def _admit(self, lease: Lease, new: NewTask, principal: Principal) -> None:
        """Errors: Conflict, Unavailable, TooLarge: why this message is not taken now."""
        facts = self._facts.shown(lease, principal)
        if rejects_work(lease.record):
            raise Conflict(f"not accepted: {facts.reason}", availability=msgspec.to_builtins(facts))
        if new.on_unavailable == "reject" and not facts.able:
            raise Unavailable(
                f"not accepted: {facts.reason}",
                retry_after=facts.retry_after or 5,
                availability=msgspec.to_builtins(facts),
            )
        if new.task_id is None and facts.queued >= MAILBOX_LIMIT:
            raise TooLarge(
                f"the mailbox of {lease.name} is full ({MAILBOX_LIMIT} messages wait); send again later",
                limit=MAILBOX_LIMIT,
                retry_after=30,
            )

    async def _earlier(self, key: Key) -> UUID | None:
        async with self._database.acquire() as connection:
            return await key_store.find(connection, key, key.at - KEY_LIFE)

    async def cancel(self, task_id: UUID, principal: Principal) -> TaskView:
        """A queued one ends at once; a held one when its worker answers (cancel_requested is set until then); one whose
        worker can't be reached at once, and `reason` says what is not known.

        Errors: NotFound, Forbidden, Conflict (it has ended already), Unavailable.
        """
        row = await self._find(task_id, principal)
        if not access.may_cancel(principal, row.sender.kind, row.sender.id):
            raise Forbidden("only its sender or an operator may cancel a task")
        workspace_id = str(row.workspace_id)
        reachable = self.reachable(workspace_id)
        reason = f"canceled by {principal.name}"
        if row.task.held and not reachable:
            reason += "; its worker could not be reached, so it may still be working on it"
        outcome = await self._ledger.happen(task_id, delivery.CancelRequested(reachable, reason))
        if outcome is None:
            raise NotFound("no such task; check its id")
        if outcome.refused:
            raise Conflict(outcome.refused)
        if outcome.cancel and outcome.task.generation is not None:
            # as the ledger has it now: it may have been claimed since it was read
            self.stop_work(workspace_id, task_id, outcome.task.generation, outcome.task.attempt)
        self.on_cancel(task_id)
        return await self.get(task_id, principal)

    # --- readers ------------------------------------------------------------------------------------------------------

    async def get(self, task_id: UUID, principal: Principal) -> TaskView:
        """With artifacts and history. Errors: NotFound (also: not for this principal), Unavailable."""
        row = await self._find(task_id, principal)
        view = task_views.of_row(row)
        if row.updates > 1:
            async with self._database.acquire() as connection:
                task_views.add_story(view, await task_store.story(connection, task_id, STORY_LIMIT))
        return task_views.shown(await self._facts.add(view, principal), principal)

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
        whole: bool = False,
    ) -> TaskPage:
        """What this principal may see, the newest change first; a workspace sees its own mailbox, and what it sent to
        another. whole: with artifacts and history. Errors: Invalid (after), Unavailable.
        """
        own = None if principal.workspace_id is None else UUID(principal.workspace_id)
        wanted = Filter(
            states=tuple(states) or tuple(State),
            updated_after=updated_after or datetime(1, 1, 1, tzinfo=UTC),
            workspace_id=workspace_id or own,
            context_id=context_id,
            sent_by=own if workspace_id is not None and workspace_id != own else None,
        )
        before = task_views.parse_cursor(after)
        async with self._database.acquire() as connection:
            rows, more = await task_pages.page(connection, wanted, before, limit, PAGE_BYTES)
            total, capped = await task_pages.count(connection, wanted)
        views = [task_views.shown(task_views.of_row(row), principal) for row in rows]
        following = task_views.cursor(rows[-1]) if more else None
        page = TaskPage(tasks=views, total=total, next=following, capped=capped)
        return await self._completed(page, principal) if whole else page

    async def _completed(self, page: TaskPage, principal: Principal) -> TaskPage:
        """With artifacts and history: as much of it as a page may have."""
        size = 0
        found: list[TaskView] = []
        for place, listed in enumerate(page.tasks):
            with suppress(NotFound):  # dropped meanwhile
                view = await self.get(listed.id, principal)
                size += len(msgspec.json.encode(view))
                if found and size > PAGE_BYTES:
                    following = task_views.cursor(page.tasks[place - 1])
                    return msgspec.structs.replace(page, tasks=found, next=following)
                found.append(view)
        return msgspec.structs.replace(page, tasks=found)

    def availability(self, workspace_id: UUID, *, details: bool = True) -> Availability:
        """What is known of the workspace this moment; never waits. `position` is None. Errors: NotFound, Gone."""
        return self._facts.now(workspace_id, details=details)

    async def wait(self, task_id: UUID, principal: Principal, *, seconds: float | None = None) -> TaskView:
        """Returns when the task is final or paused, when its workspace is or becomes unable to take work (the view's
        availability.able is False and says why), or after `seconds`. Errors: as get.
        """
        row = await self._find(task_id, principal)
        with self._notices.listen(task_id, row.workspace_id) as listener, suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                state = await self._waits.state_of(task_id)
                await self._waits.until_told(task_id, row.workspace_id, listener, state)
        return await self.get(task_id, principal)

    async def updates(self, task_id: UUID, principal: Principal, after: int = 0) -> AsyncIterator[Update]:
        """The kept updates after that seq, then those that come, until one is `final`. While the task is not final
        "unavailable" and "available" tell of its workspace. Errors, when iterated: as get.
        """
        row = await self._find(task_id, principal)
        details = access.may_read_task(principal, str(row.workspace_id), row.sender.kind, row.sender.id)
        async with aclosing(self._streams.of(row, after, details=details)) as stream:
            async for update in stream:
                yield update

    # --- its parts ----------------------------------------------------------------------------------------------------

    async def _reply(self, task_id: UUID, lease: Lease, new: NewTask, principal: Principal, name: str) -> TaskView:
        row = await self._find(task_id, principal)
        key = None
        if name:
            sender = f"{row.sender.kind}:{row.sender.id}"
            key = Key(sender, row.workspace_id, name, task_id, fingerprint(new), self._clock.now())
            if await self._earlier(key) is not None:
                return await self.get(task_id, principal)  # it may be asking something else by now
        if str(row.workspace_id) != lease.id:
            raise NotFound("that workspace has no such task; check both ids")
        if not access.may_cancel(principal, row.sender.kind, row.sender.id):
            raise Forbidden("only its sender or an operator may reply to a task's question")
        if new.context_id is not None and new.context_id != row.context_id:
            raise Invalid("context_id: the task belongs to another context; leave it out, or take the task's")
        outcome = await self._ledger.happen(
            task_id, delivery.Replied(), text=new.text, parts=new.parts, message=new.message, key=key
        )
        self._ledger.claim(row.workspace_id)
        if outcome is None:
            raise NotFound("no such task; check its id")
        if outcome.refused:
            raise Conflict(outcome.refused)
        return await self.get(task_id, principal)

    async def _check_context(self, workspace_id: UUID, context_id: str, principal: Principal) -> None:
        """No workspace enters a conversation that another sender began: its session would tell what was said there.

        Errors: Forbidden.
        """
        if context_id.startswith(OWN_CONTEXT):
            raise Forbidden(f"context_id: those that begin with {OWN_CONTEXT} are the platform's; leave it out")
        if principal.workspace_id is None or principal.workspace_id == str(workspace_id):
            return
        async with self._database.acquire() as connection:
            began = await task_store.began(connection, workspace_id, context_id)
        if began not in {None, ("workspace", principal.workspace_id)}:
            raise Forbidden("context_id: that conversation was begun by another sender; leave it out to begin your own")

    def _row(self, task_id: UUID, workspace_id: UUID, new: NewTask, principal: Principal, *, client: bool) -> NewRow:
        if principal.workspace_id is not None:
            name = self._name(principal.workspace_id)
            sender = Sender(kind="workspace", id=principal.workspace_id, name=name)
        else:
            sender = Sender(kind="client" if client else "person", id=principal.sender_id, name=principal.name)
        return NewRow(
            id=task_id,
            workspace_id=workspace_id,
            context_id=new.context_id or str(uuid4()),
            sender=sender,
            text=new.text,
            parts=new.parts,
            message=new.message,
            metadata=new.metadata,
            priority=new.priority,
            on_interrupt=OnInterrupt(new.on_interrupt),
            at=self._clock.now(),
            alone=new.context_id is None,
        )

    def _name(self, workspace_id: str) -> str:
        lease = self._leases.get(workspace_id)
        return workspace_id if lease is None else lease.name

    async def _living(self, workspace_id: UUID) -> Lease:
        lease = self._leases.get(str(workspace_id))
        if lease is not None:
            return lease
        async with self._database.acquire() as connection:
            known = await workspace_store.get(connection, workspace_id)
        if known is None:
            raise NotFound("no such workspace; check its id")
        raise Gone("not accepted: the workspace was removed")

    async def _find(self, task_id: UUID, principal: Principal) -> TaskRow:
        async with self._database.acquire() as connection:
            row = await task_store.get(connection, task_id)
        if row is None or not access.may_see_task(principal, str(row.workspace_id), row.sender.kind, row.sender.id):
            raise NotFound("no such task; check its id")
        return row


async def _all_may(_source: UUID, _target: UUID) -> None:
    """Before there is a hierarchy to ask."""
