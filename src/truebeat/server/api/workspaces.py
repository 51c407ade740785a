"""Handlers of /workspaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from truebeat.domain.health import Status

if TYPE_CHECKING:
    from truebeat.protocol.resources import CreatedWorkspace, RestartReply, WorkspacePage, WorkspaceView
    from truebeat.server.api.call import Call
    from truebeat.server.main import Services


class PageQuery(Struct, kw_only=True):
    """`after` is the `next` of the page before."""

    after: Annotated[str, Meta(max_length=2000)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    status: Status | None = None


async def page(services: Services, call: Call) -> WorkspacePage:
    query: PageQuery = call.query
    return await services.workspaces.page(query.after, query.limit, query.status, call.by)


async def create(services: Services, call: Call) -> CreatedWorkspace:
    return await services.workspaces.create(call.body)


async def show(services: Services, call: Call) -> WorkspaceView:
    return await services.workspaces.show(call.ids["workspace_id"], call.by)


async def remove(services: Services, call: Call) -> None:
    await services.workspaces.remove(call.ids["workspace_id"], call.by.name)


async def restart(services: Services, call: Call) -> RestartReply:
    return await services.workspaces.restart(call.ids["workspace_id"], call.by.name)
