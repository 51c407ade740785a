"""Handlers of what people are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from truebeat.protocol.delegations import NotificationPage, NotificationsUnread, NotificationView
    from truebeat.server.api.call import Call
    from truebeat.server.main import Services


class NotificationsQuery(Struct, kw_only=True):
    """`after` is the `next` of the page before."""

    unread: bool = False
    after: Annotated[str, Meta(max_length=2000)] = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


async def notify(services: Services, call: Call) -> NotificationView:
    return await services.notifications.notify(call.ids["workspace_id"], call.body, call.by)


async def page(services: Services, call: Call) -> NotificationPage:
    query: NotificationsQuery = call.query
    return await services.notifications.page(call.by, unread=query.unread, after=query.after, limit=query.limit)


async def read(services: Services, call: Call) -> NotificationView:
    return await services.notifications.read(call.ids["notification_id"], call.by)


async def read_through(services: Services, call: Call) -> NotificationsUnread:
    return await services.notifications.read_through(call.body.through, call.by)
