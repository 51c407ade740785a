"""Which workspace an embedded one is: found by name or id, or created, and with which token it speaks."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from truebeat import errors
from truebeat.client.credentials import FixedToken
from truebeat.client.http import Client
from truebeat.domain.access import Role
from truebeat.protocol.resources import NewToken, NewWorkspace
from truebeat.workspace.tokens import ENV_TOKEN, TokenCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from truebeat.clock import Clock

ENV_URL: Final = "TRUEBEAT_URL"
#: seconds between two tries while the server does not answer
AGAIN: Final = 0.5


class Place(NamedTuple):
    """A workspace, and the token to speak for it. give_back: revokes a token that was issued for this run only."""

    workspace_id: str
    tokens: TokenCache
    give_back: Callable[[], None]


def url_of(given: str | None) -> str:
    """The server's base URL; Invalid if none is known."""
    url = given or os.environ.get(ENV_URL)
    if not url:
        raise errors.Invalid(f"no server is known: give url=, or set {ENV_URL}")
    return url.rstrip("/")


def tokens_of(token: str | None, token_file: str | None) -> TokenCache:
    """The token given, or a file, or what the environment says."""
    return TokenCache(token_file, None if token is None else {ENV_TOKEN: token})


def find(
    url: str,
    tokens: TokenCache,
    name: str,
    role: str,
    *,
    patience: float,
    clock: Clock,
    given_up: threading.Event | None = None,
) -> Place:
    """Ask the server; while it does not answer, for `patience` seconds. Blocks: not for an event loop.

    given_up: nobody wants it any more. Then it raises Unavailable before the next try.
    """
    deadline = clock.monotonic() + patience
    given_up = given_up or threading.Event()
    while True:
        try:
            with Client(url, FixedToken(tokens.current())) as client:
                return _own(client, tokens, name, role)
        except errors.Unavailable:
            if clock.monotonic() > deadline or given_up.wait(AGAIN):
                raise


def _own(client: Client, tokens: TokenCache, name: str, role: str) -> Place:
    """An operator's token creates the workspace or gets a token for it; a workspace's own is used as it is."""
    try:
        view = client.workspaces.find(name)
    except errors.NotFound:
        created = client.workspaces.create(NewWorkspace(name=name, role=role))
        return Place(str(created.workspace.id), tokens_of(created.token, None), _nothing)
    try:
        issued = client.tokens.issue(
            NewToken(name=f"embedded {view.name}"[:200], role=Role.WORKSPACE, workspace_id=view.id)
        )
    except errors.Forbidden:
        return Place(str(view.id), tokens, _nothing)

    def give_back() -> None:
        with Client(client.url, FixedToken(tokens.current())) as again:
            again.tokens.revoke(issued.view.id)

    return Place(str(view.id), tokens_of(issued.token, None), give_back)


def _nothing() -> None:
    """The token is not ours to revoke."""
