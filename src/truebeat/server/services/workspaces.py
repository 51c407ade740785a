"""Workspaces as people see and order them. Their health changes in `services/health.py` only."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

import msgspec

from truebeat.domain.access import Permission, Role
from truebeat.domain.health import RULES, Announcement, Status, created
from truebeat.errors import Gone, Invalid, NotFound
from truebeat.protocol.resources import (
    ConditionView,
    CreatedWorkspace,
    RestartReply,
    WorkspacePage,
    WorkspaceView,
)
from truebeat.server.leases import Lease
from truebeat.server.services import testimony
from truebeat.server.services.health import announce
from truebeat.server.services.tokens import new_token
from truebeat.server.store import events as event_store
from truebeat.server.store import tokens as token_store
from truebeat.server.store import workspaces as workspace_store
from truebeat.server.store.workspaces import WorkspaceRow

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from truebeat.clock import Clock
    from truebeat.domain.access import Principal
    from truebeat.protocol.events import Event
    from truebeat.protocol.resources import NewWorkspace, Registration
    from truebeat.server.leases import Leases
    from truebeat.server.services.events import EventLog
    from truebeat.server.services.health import Health
    from truebeat.server.store.database import Database

#: what a workspace's first token is called
FIRST_TOKEN: Final = "first token"  # noqa: S105 - a name, not a secret


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A workspace inserted in a transaction that is still open: `welcome` it once that is committed."""

    row: WorkspaceRow
    secret: str
    events: list[Event]


class Workspaces:
    def __init__(self, database: Database, leases: Leases, events: EventLog, health: Health, clock: Clock) -> None:
        self._database = database
        self._leases = leases
        self._events = events
        self._health = health
        self._clock = clock
        #: says why no status may be believed now, or ""
        self.unsure: Callable[[], str] = str

    async def create(self, new: NewWorkspace) -> CreatedWorkspace:
        """With its first token: so nobody can claim it without one. Errors: Conflict, Invalid."""
        async with self._database.transaction() as connection:
            if new.parent_id is not None:
                parent = await workspace_store.get(connection, new.parent_id)
                if parent is None or parent.record.status is Status.REMOVED:
                    raise Invalid("parent_id: no such workspace, or it was removed")
            newcomer = await self.insert(
                connection, new.id or uuid4(), new.name, role=new.role, parent_id=new.parent_id
            )
        self.welcome(newcomer)
        return CreatedWorkspace(workspace=_view(newcomer.row, None, details=True), token=newcomer.secret)

    async def insert(
        self,
        connection: Any,
        workspace_id: UUID,
        name: str,
        *,
        role: str = "",
        parent_id: UUID | None = None,
        registration: Registration | None = None,
    ) -> Newcomer:
        """The row, its first token and its WORKSPACE_PROVISIONING event, in the caller's transaction: commit now."""
        now = self._clock.now()
        row = WorkspaceRow(
            id=workspace_id,
            name=name,
            role=role,
            parent_id=parent_id,
            url=None if registration is None else registration.url,
            agent_card=None if registration is None else registration.agent_card,
            created_at=now,
            registered_at=None if registration is None else now,
            record=created(now),
            version=0,
        )
        await workspace_store.insert(connection, row)
        secret, token = new_token(FIRST_TOKEN, Role.WORKSPACE, workspace_id, now)
        await token_store.insert(connection, token)
        return Newcomer(row, secret, await event_store.append(connection, [_created_event(row, now)]))

    def welcome(self, newcomer: Newcomer) -> None:
        """Its first beat is expected from now on, and subscribers hear of it."""
        self._leases.add(newcomer.row, self._clock.monotonic())
        self._events.publish(newcomer.events)

    async def show(self, workspace_id: UUID, principal: Principal) -> WorkspaceView:
        """Errors: NotFound. A removed one is still shown."""
        async with self._database.acquire() as connection:
            row = await workspace_store.get(connection, workspace_id)
        if row is None:
            raise NotFound("no such workspace; check its id")
        view = self._shown(row, principal)
        lease = self._leases.get(str(row.id))
        if lease is not None:
            details = self._details(row, principal)
            view.witnesses = testimony.witnesses(lease, row.record, self._clock, details=details)
            view.evidence = testimony.evidence(lease, self._clock, details=details)
        return view

    async def page(self, after: str | None, limit: int, status: Status | None, principal: Principal) -> WorkspacePage:
        """By name. The page is current to `seq` or later: watching from there misses nothing."""
        cursor = None if after is None else _parse_cursor(after)
        seq = self._events.seq
        async with self._database.acquire() as connection:
            rows = await workspace_store.page(
                connection, after=cursor, limit=limit, status=status, include_removed=status is Status.REMOVED
            )
        return WorkspacePage(
            workspaces=[self._shown(row, principal) for row in rows],
            seq=seq,
            next=_cursor(rows[-1]) if len(rows) == limit else None,
            at=self._clock.now(),
            unsure=self.unsure(),
        )

    async def remove(self, workspace_id: UUID, by: str) -> None:
        """For good. Errors: NotFound, Gone (it was already)."""
        await self._known(workspace_id)
        await self._health.remove(str(workspace_id), by)

    async def restart(self, workspace_id: UUID, by: str) -> RestartReply:
        """Order a new generation. Errors: NotFound, Gone, Conflict (no link, or one is pending)."""
        lease = await self._known(workspace_id)
        restart_id = await self._health.order_restart(lease.id, by)
        return RestartReply(restart_id=restart_id, status=lease.status)

    async def _known(self, workspace_id: UUID) -> Lease:
        lease = self._leases.get(str(workspace_id))
        if lease is not None:
            return lease
        # Leases hold the living: whether it ever lived only the database knows.
        async with self._database.acquire() as connection:
            if await workspace_store.get(connection, workspace_id) is None:
                raise NotFound("no such workspace; check its id")
        raise Gone("the workspace was removed")

    def _shown(self, row: WorkspaceRow, principal: Principal) -> WorkspaceView:
        return _view(row, self._leases.get(str(row.id)), details=self._details(row, principal))

    @staticmethod
    def _details(row: WorkspaceRow, principal: Principal) -> bool:
        return principal.may_see_details(str(row.id)) or principal.may(Permission.SEE_DETAILS)


def _view(row: WorkspaceRow, lease: Lease | None, *, details: bool) -> WorkspaceView:
    view = WorkspaceView(
        id=row.id,
        name=row.name,
        role=row.role,
        parent_id=row.parent_id,
        status=row.record.status,
        conditions=[
            ConditionView(
                symptom=condition.symptom,
                witness=condition.witness,
                status=RULES[condition.symptom].status,
                detail=condition.detail if details else "",
                since=condition.since,
            )
            for condition in row.record.conditions
        ],
        generation=row.record.generation,
        created_at=row.created_at,
        registered=row.registered_at is not None,
        linked=False if lease is None else lease.linked,
        restart_pending=row.record.restart_pending,
    )
    if lease is not None:
        view.last_beat_at = lease.last_beat_at
        view.runtime_state = testimony.shown_state(lease.runtime_state, details=details)
        view.error_rate = lease.error_rate
        view.sample_error = lease.sample_error if details or not lease.sample_error else ""
        view.active_tasks = lease.active_tasks
        view.current_task = lease.current_task if details or not lease.current_task else ""
        view.uptime_seconds = lease.uptime_seconds
        view.phase = lease.phase
        view.restarts = lease.restarts
        view.worker_pid = lease.worker_pid
        view.incident_id = None if lease.incident is None else lease.incident.id
        if lease.told is not None:
            view.note = lease.told.note if details else ""
    return view


def _created_event(row: WorkspaceRow, now: datetime) -> event_store.NewEvent:
    announcement = Announcement(row.record.status, row.record.status, row.record.conditions, cause="created")
    return announce(Lease(str(row.id), row.name, row.record, row.version, 0.0, 0.0), announcement, now)


def _cursor(row: WorkspaceRow) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((row.name, row.id))).decode().rstrip("=")


def _parse_cursor(text: str) -> tuple[str, UUID]:
    try:
        name, workspace_id = msgspec.json.decode(
            base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=tuple[str, UUID]
        )
    except (ValueError, binascii.Error, msgspec.DecodeError, UnicodeError):
        raise Invalid("after: use the `next` of the page before") from None
    if "\x00" in name:
        raise Invalid("after: use the `next` of the page before")
    return name, workspace_id
