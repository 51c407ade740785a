"""Tokens: issue, list, revoke, rotate. A secret is in the answer that made it and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from truebeat import errors
from truebeat.client.workspaces import as_id
from truebeat.protocol import paths
from truebeat.protocol.resources import IssuedToken, NewToken, TokenView

if TYPE_CHECKING:
    from uuid import UUID

    from truebeat.client.http import Client


class Tokens:
    def __init__(self, client: Client) -> None:
        self._client = client

    def issue(self, new: NewToken) -> IssuedToken:
        return self._client.call(IssuedToken, "POST", paths.TOKENS, new)

    def listing(self) -> list[TokenView]:
        return self._client.call(list[TokenView], "GET", paths.TOKENS)

    def find(self, name_or_id: str) -> TokenView:
        """The one meant, by id or by exact name; of several with one name the only valid one."""
        token_id = as_id(name_or_id)
        found = [view for view in self.listing() if view.id == token_id or view.name == name_or_id]
        if len(found) > 1:
            found = [view for view in found if view.revoked_at is None] or found
        if not found:
            raise errors.NotFound(f"no token is named {name_or_id!r}; see: truebeat token list")
        if len(found) > 1:
            ids = ", ".join(str(view.id) for view in found)
            raise errors.Conflict(f"{len(found)} tokens are named {name_or_id!r}; name one by its id: {ids}")
        return found[0]

    def revoke(self, token_id: UUID) -> None:
        self._client.order("DELETE", paths.TOKEN.format(token_id=token_id))

    def rotate(self, token_id: UUID) -> IssuedToken:
        """A new secret; the old one lives until the new one was used, or 10 minutes."""
        return self._client.call(IssuedToken, "POST", paths.TOKEN_ROTATE.format(token_id=token_id))
