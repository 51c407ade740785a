"""Handlers of delegations, peers and traces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct, field

from truebeat.protocol.delegations import WAIT_LIMIT

if TYPE_CHECKING:
    from truebeat.protocol.delegations import (
        DelegationView,
        OpenDelegations,
        Peer,
        TraceNode,
    )
    from truebeat.server.api.call import Call
    from truebeat.server.main import Services


class DelegationsQuery(Struct, kw_only=True):
    """`as`: what the workspace delegated ("source"), or what was delegated to it ("target")."""

    side: Literal["source", "target"] = field(default="source", name="as")
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class DelegationQuery(Struct, kw_only=True):
    """`wait`: seconds to wait for the end, less if the target can't work now."""

    wait: Annotated[float, Meta(ge=0, le=WAIT_LIMIT)] = 0


class ConsumedQuery(Struct, kw_only=True):
    """`by_task`: the task whose turn has the result; left out, the one that it was needed for, if that is on."""

    by_task: UUID | None = None


async def create(services: Services, call: Call) -> DelegationView:
    key = call.headers.get("idempotency-key", "")
    return await services.delegations.create(call.ids["workspace_id"], call.body, call.by, idempotency_key=key)


async def page(services: Services, call: Call) -> list[DelegationView]:
    query: DelegationsQuery = call.query
    return await services.delegations.page(
        call.ids["workspace_id"], call.by, query.limit, received=query.side == "target"
    )


async def open_ones(services: Services, call: Call) -> OpenDelegations:
    seq = services.events.seq  # before the look: what changes meanwhile is told again
    return await services.delegations.open_ones(call.by, seq)


async def show(services: Services, call: Call) -> DelegationView:
    query: DelegationQuery = call.query
    if query.wait:
        return await services.delegations.wait(call.ids["delegation_id"], call.by, query.wait)
    return await services.delegations.get(call.ids["delegation_id"], call.by)


async def cancel(services: Services, call: Call) -> DelegationView:
    return await services.delegations.cancel(call.ids["delegation_id"], call.by)


async def confirm(services: Services, call: Call) -> DelegationView:
    query: ConsumedQuery = call.query
    return await services.delegations.confirm(call.ids["delegation_id"], call.by, query.by_task)


async def peers(services: Services, call: Call) -> list[Peer]:
    return await services.delegations.peers(call.ids["workspace_id"], call.by)


async def trace(services: Services, call: Call) -> TraceNode:
    return await services.delegations.trace(call.ids["task_id"], call.by)
