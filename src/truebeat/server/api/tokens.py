"""Handlers of /tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from msgspec import Meta, Struct

from truebeat.domain.access import Role
from truebeat.errors import Invalid

if TYPE_CHECKING:
    from truebeat.protocol.resources import IssuedToken, NewToken, TokenView
    from truebeat.server.api.call import Call
    from truebeat.server.main import Services


class TokensQuery(Struct, kw_only=True):
    """`after` is the id of the last token of the page before; a page shorter than `limit` is the last."""

    after: UUID | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 1000


async def listing(services: Services, call: Call) -> list[TokenView]:
    query: TokensQuery = call.query
    return await services.tokens.listing(query.after, query.limit)


async def issue(services: Services, call: Call) -> IssuedToken:
    new: NewToken = call.body
    try:
        role = Role(new.role)
    except ValueError:
        raise Invalid(f"role: one of {', '.join(Role)}") from None
    return await services.tokens.issue(new.name, role, new.workspace_id, new.expires_in_seconds)


async def revoke(services: Services, call: Call) -> None:
    await services.tokens.revoke(call.ids["token_id"])


async def rotate(services: Services, call: Call) -> IssuedToken:
    return await services.tokens.rotate(call.ids["token_id"])
