"""What people are told: by workspaces, and by the platform when a delegation ended. Read is read, whoever read it."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import msgspec

from truebeat.domain.access import Permission
from truebeat.errors import Forbidden, Gone, Invalid, NotFound
from truebeat.protocol.delegations import NotificationPage, NotificationsUnread, NotificationView
from truebeat.server.store import delegations as delegation_store
from truebeat.server.store import events as event_store
from truebeat.server.store import notifications as store
from truebeat.server.store.events import NewEvent
from truebeat.server.store.sql import storable

if TYPE_CHECKING:
    from truebeat.clock import Clock
    from truebeat.domain.access import Principal
    from truebeat.protocol.delegations import NewNotification
    from truebeat.protocol.events import Event
    from truebeat.server.leases import Leases
    from truebeat.server.services.events import EventLog
    from truebeat.server.store.database import Database


class Notifications:
    def __init__(self, database: Database, leases: Leases, events: EventLog, clock: Clock) -> None:
        self._database = database
        self._leases = leases
        self._events = events
        self._clock = clock

    async def notify(self, workspace_id: UUID, new: NewNotification, principal: Principal) -> NotificationView:
        """A workspace speaks for itself, an operator for any. Errors: Forbidden, NotFound, Gone, Unavailable."""
        if not principal.is_workspace(str(workspace_id)) and not principal.may(Permission.OPERATE):
            raise Forbidden("a workspace notifies in its own name only")
        lease = self._leases.get(str(workspace_id))
        if lease is None:
            async with self._database.acquire() as connection:
                known = await delegation_store.exists(connection, workspace_id)
            raise Gone("the workspace was removed") if known else NotFound("no such workspace; check its id")
        note = store.Note(
            id=uuid4(),
            workspace_id=workspace_id,
            delegation_id=None,
            at=self._clock.now(),
            type=storable(new.type),
            message=storable(new.message),
            link=storable(new.link),
        )
        payload = {
            "name": lease.name,
            "notification_id": str(note.id),
            "delegation_id": None,
            "type": note.type,
            "message": note.message,
            "link": note.link,
        }
        async with self._database.transaction() as connection:
            await store.insert(connection, [note])
            written = await event_store.append(
                connection, [NewEvent(note.at, "NOTIFICATION", workspace_id, payload, "notify")]
            )
        self._events.publish(written)
        return NotificationView(
            id=note.id,
            workspace_id=workspace_id,
            workspace_name=lease.name,
            at=note.at,
            type=note.type,
            message=note.message,
            link=note.link,
        )

    async def page(self, principal: Principal, *, unread: bool, after: str, limit: int) -> NotificationPage:
        """Newest first. Errors: Forbidden (only people have notifications), Invalid."""
        self._people(principal)
        before = _parse(after) if after else None
        async with self._database.acquire() as connection:
            rows, count = await store.page(connection, unread=unread, before=before, limit=limit)
        return NotificationPage(
            notifications=[_view(row) for row in rows],
            unread=count,
            next=_cursor(rows[-1]) if len(rows) == limit else None,
        )

    async def read(self, notification_id: UUID, principal: Principal) -> NotificationView:
        """Errors: Forbidden, NotFound."""
        self._people(principal)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            row = await store.read(connection, notification_id, now)
            if row is None:
                raise NotFound("no such notification; check its id")
            written = [] if row["read_at"] != now else await self._tell(connection, now, notification_id, older=False)
        self._events.publish(written)
        return _view(row)

    async def read_through(self, notification_id: UUID, principal: Principal) -> NotificationsUnread:
        """It and all older ones: what came since is still unread. Errors: Forbidden, NotFound."""
        self._people(principal)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            fresh = await store.read_through(connection, notification_id, now)
            if fresh is None:
                raise NotFound("no such notification; check its id")
            unread = await store.count_unread(connection)
            written = await self._tell(connection, now, notification_id, older=True) if fresh else []
        self._events.publish(written)
        return NotificationsUnread(unread=unread)

    @staticmethod
    async def _tell(connection: Any, now: datetime, notification_id: UUID, *, older: bool) -> list[Event]:
        """So that every page that shows them agrees."""
        payload = {"notification_id": str(notification_id), "older": older}
        return await event_store.append(connection, [NewEvent(now, "NOTIFICATION_READ", None, payload, "read")])

    @staticmethod
    def _people(principal: Principal) -> None:
        if not principal.may(Permission.SEE_DETAILS):
            raise Forbidden("notifications are for operators and members")


def _view(row: store.Record) -> NotificationView:
    return NotificationView(
        id=row["id"],
        workspace_id=row["workspace_id"],
        workspace_name=row["workspace_name"],
        at=row["at"],
        type=row["type"],
        message=row["message"],
        link=row["link"],
        delegation_id=row["delegation_id"],
        read_at=row["read_at"],
    )


def _cursor(row: store.Record) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((row["at"], row["id"]))).decode().rstrip("=")


def _parse(text: str) -> tuple[datetime, UUID]:
    try:
        found: Any = msgspec.json.decode(
            base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=tuple[datetime, UUID]
        )
    except (ValueError, binascii.Error, msgspec.DecodeError, UnicodeError):
        raise Invalid("after: use the `next` of the page before") from None
    if found[0].tzinfo is None:
        raise Invalid("after: use the `next` of the page before")
    return found[0], found[1]
