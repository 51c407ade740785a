"""Where the tools act from: a server, a workspace, its token; and the turn that is on.

Code inside a turn need not say who it is: the worker and the embedded workspace enter the turn's place into its
context, which tasks and `asyncio.to_thread` inherit.
"""

from __future__ import annotations

import os
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from truebeat import errors
from truebeat.client.credentials import FileToken, FixedToken

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextvars import Token

    from truebeat.client.credentials import TokenSource

#: how a program that a turn started knows the place: the workspace and the task it works on
ENV_URL: Final = "TRUEBEAT_URL"
ENV_WORKSPACE: Final = "TRUEBEAT_WORKSPACE_ID"
ENV_TASK: Final = "TRUEBEAT_TASK_ID"
ENV_TOKEN: Final = "TRUEBEAT_TOKEN"  # noqa: S105
ENV_TOKEN_FILE: Final = "TRUEBEAT_TOKEN_FILE"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Place:
    """One workspace of one server. The token is its own: the server lets it act as itself and as nobody else."""

    url: str
    workspace_id: str
    tokens: TokenSource

    @property
    def id(self) -> UUID:
        return UUID(self.workspace_id)


@dataclass(frozen=True, slots=True)
class Here:
    """The turn that is on: `task_id` is "" where there is none."""

    place: Place
    task_id: str = ""


_here: ContextVar[Here | None] = ContextVar("truebeat_here", default=None)


def enter(here: Here | None) -> Token[Here | None]:
    """From here on, in this context and in what is started from it."""
    return _here.set(here)


def here() -> Here:
    """The turn that is on; Invalid outside one."""
    found = _here.get()
    if found is None:
        raise errors.Invalid("there is no turn here: call this from code that answers a turn of a truebeat workspace")
    return found


def tokens_of(token_file: str | None, env: Mapping[str, str] | None = None) -> TokenSource:
    """A file, read again when the server refuses the token, or else the environment's."""
    env = os.environ if env is None else env
    path = token_file or env.get(ENV_TOKEN_FILE)
    return FileToken(Path(path)) if path else FixedToken(env.get(ENV_TOKEN))


def of_environment(env: Mapping[str, str] | None = None) -> Here:
    """Of a program that was started for a workspace; the server is asked where the environment does not say which."""
    env = os.environ if env is None else env
    url = env.get(ENV_URL)
    if not url:
        raise errors.Invalid(f"no server is known: set {ENV_URL}")
    tokens = tokens_of(None, env)
    return Here(Place(url, _workspace(url, tokens, env.get(ENV_WORKSPACE, "")), tokens), env.get(ENV_TASK, ""))


def _workspace(url: str, tokens: TokenSource, named: str) -> str:
    # not at the top: a worker knows its place and need not load an HTTP client for it
    from truebeat.client.http import Client
    from truebeat.protocol import paths
    from truebeat.protocol.resources import SessionView

    if named:
        try:
            return str(UUID(named))
        except ValueError:
            raise errors.Invalid(f"{ENV_WORKSPACE}={named!r} is not the id of a workspace") from None
    with Client(url, tokens) as client:
        session = client.call(SessionView, "GET", paths.SESSION)
    if session.workspace_id is None:
        raise errors.Forbidden(
            f"this token is {session.role}'s, and the tools act for one workspace: use the workspace's own token "
            "(truebeat token create --role workspace --workspace NAME)"
        )
    return session.workspace_id
