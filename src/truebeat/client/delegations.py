"""Delegations: give a peer work, look, wait, confirm, cancel; peers, notifications, and the tree of who asked whom."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from truebeat.protocol import paths
from truebeat.protocol.delegations import (
    DelegationView,
    NewNotification,
    NotificationPage,
    NotificationsRead,
    NotificationsUnread,
    NotificationView,
    Peer,
    TraceNode,
)

if TYPE_CHECKING:
    from uuid import UUID

    from truebeat.client.http import Client
    from truebeat.protocol.delegations import NewDelegation


class Delegations:
    def __init__(self, client: Client) -> None:
        self._client = client

    def create(self, source_id: UUID, new: NewDelegation, *, key: str = "") -> DelegationView:
        """On disk when this returns; with wait_seconds when it has ended, can't go on now, or the time is over.

        `key`: the same key means the same delegation for a day; by default a new one. Whoever uses the `result` of the
        answer confirms that by `consumed`, within 30 seconds: else it comes again with the source's next turn.
        """
        path = paths.DELEGATIONS.format(workspace_id=source_id)
        headers = {"Idempotency-Key": key or str(uuid4())}
        return self._client.call(DelegationView, "POST", path, new, headers=headers, longer=new.wait_seconds)

    def page(self, workspace_id: UUID, *, limit: int = 50, received: bool = False) -> list[DelegationView]:
        """What it delegated, newest first; or what was delegated to it."""
        query: dict[str, str | int] = {"limit": limit, "as": "target" if received else "source"}
        path = paths.DELEGATIONS.format(workspace_id=workspace_id)
        return self._client.call(list[DelegationView], "GET", path, query=query)

    def get(self, delegation_id: UUID, *, wait: float = 0.0) -> DelegationView:
        """wait: seconds to wait for its end, less if its target can't work now."""
        query: dict[str, str | int] = {"wait": str(wait)} if wait else {}
        path = paths.DELEGATION.format(delegation_id=delegation_id)
        return self._client.call(DelegationView, "GET", path, query=query, longer=wait)

    def consumed(self, delegation_id: UUID, *, by_task: UUID | None = None) -> DelegationView:
        """The result was used, by the turn of `by_task` if given: it does not come again, unless that turn does not
        complete.
        """
        query: dict[str, str | int] = {} if by_task is None else {"by_task": str(by_task)}
        path = paths.DELEGATION_CONSUMED.format(delegation_id=delegation_id)
        return self._client.call(DelegationView, "POST", path, query=query)

    def cancel(self, delegation_id: UUID) -> DelegationView:
        """With everything that was delegated on because of it."""
        return self._client.call(DelegationView, "POST", paths.DELEGATION_CANCEL.format(delegation_id=delegation_id))

    def peers(self, workspace_id: UUID) -> list[Peer]:
        """Whom it may message, and whether they can take work now."""
        return self._client.call(list[Peer], "GET", paths.PEERS.format(workspace_id=workspace_id))

    def notify(self, workspace_id: UUID, new: NewNotification) -> NotificationView:
        """Something for the person who watches."""
        return self._client.call(NotificationView, "POST", paths.NOTIFY.format(workspace_id=workspace_id), new)

    def notifications(self, *, unread: bool = False, after: str = "", limit: int = 50) -> NotificationPage:
        """Newest first; `after` is the `next` of the page before."""
        query: dict[str, str | int] = {"limit": limit, "unread": str(unread).lower()}
        if after:
            query["after"] = after
        return self._client.call(NotificationPage, "GET", paths.NOTIFICATIONS, query=query)

    def read(self, notification_id: UUID) -> NotificationView:
        return self._client.call(
            NotificationView, "POST", paths.NOTIFICATION_READ.format(notification_id=notification_id)
        )

    def read_through(self, notification_id: UUID) -> NotificationsUnread:
        """It and all older ones."""
        body = NotificationsRead(through=notification_id)
        return self._client.call(NotificationsUnread, "POST", paths.NOTIFICATIONS_READ, body)

    def trace(self, task_id: UUID) -> TraceNode:
        """The whole tree that this task is part of, from its root."""
        return self._client.call(TraceNode, "GET", paths.TASK_TRACE.format(task_id=task_id))
