"""Handlers of /incidents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from truebeat.protocol.incidents import IncidentDetail, IncidentPage
    from truebeat.server.api.call import Call
    from truebeat.server.main import Services


class IncidentsQuery(Struct, kw_only=True):
    """`after` is the `next` of the page before; `open`: only open ones, or only closed ones."""

    workspace_id: UUID | None = None
    open: bool | None = None
    after: Annotated[str, Meta(max_length=2000)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


async def page(services: Services, call: Call) -> IncidentPage:
    query: IncidentsQuery = call.query
    return await services.incidents.page(
        query.after, query.limit, call.by, open_=query.open, workspace_id=query.workspace_id
    )


async def show(services: Services, call: Call) -> IncidentDetail:
    return await services.incidents.show(call.ids["incident_id"], call.by)
