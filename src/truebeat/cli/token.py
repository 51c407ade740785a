"""`truebeat token`: who may talk to the server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from truebeat import errors
from truebeat.cli.connection import connect
from truebeat.cli.looks import age, span
from truebeat.cli.output import console, marked, print_json
from truebeat.clock import SystemClock
from truebeat.domain.access import Role  # noqa: TC001 - read at run time by the command line
from truebeat.protocol.resources import NewToken

if TYPE_CHECKING:
    from datetime import datetime

    from truebeat.protocol.resources import IssuedToken, TokenView

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def create_token(
    name: str,
    /,
    *,
    role: Role,
    workspace: str | None = None,
    expires: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Make a token; its secret is printed this once.

    Parameters
    ----------
    name
        What people call it.
    role
        operator (everything), member (sees everything), viewer (sees statuses), workspace (is one workspace), enrolment
        (may only register workspaces).
    workspace
        With --role workspace: which, by name or id.
    expires
        After this long, as 90s, 15m, 12h or 30d. Never, if not given.
    json
        The token as JSON.
    """
    seconds = None if expires is None else seconds_of(expires)
    with connect() as client:
        workspace_id = client.workspaces.find(workspace).id if workspace else None
        new = NewToken(name=name, role=role.value, workspace_id=workspace_id, expires_in_seconds=seconds)
        _tell(client.tokens.issue(new), json=json)


def list_token(*, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """List the tokens, without their secrets.

    Parameters
    ----------
    json
        The tokens as JSON.
    """
    with connect() as client:
        views = client.tokens.listing()
    if json:
        print_json(views)
        return
    from rich.table import Table

    now = SystemClock().now()
    rows = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    rows.add_column("NAME", overflow="fold")
    for title in ("ROLE", "STATE", "USED"):
        rows.add_column(title)
    rows.add_column("ID", no_wrap=True, min_width=36)
    for view in views:
        used = "never" if view.last_used_at is None else f"{age(view.last_used_at, now)} ago"
        rows.add_row(marked(view.name), view.role, _state(view, now), used, str(view.id))
    console().print(rows)


def _state(view: TokenView, now: datetime) -> str:
    if view.revoked_at is not None:
        return "revoked"
    if view.expires_at is None:
        return "valid"
    left = (view.expires_at - now).total_seconds()
    return f"{span(left)} left" if left > 0 else "expired"


def revoke_token(token: str, /, *, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """End a token at once.

    Parameters
    ----------
    token
        Its name or its id.
    json
        What was revoked as JSON.
    """
    with connect() as client:
        view = client.tokens.find(token)
        client.tokens.revoke(view.id)
    if json:
        print_json({"id": view.id, "name": view.name, "revoked": True})
    else:
        console().print(f"the token [bold]{marked(view.name)}[/] is revoked")


def rotate_token(token: str, /, *, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Make a new secret for a token. The old one lives until the new one was used, or 10 minutes.

    Parameters
    ----------
    token
        Its name or its id.
    json
        The new token as JSON.
    """
    with connect() as client:
        _tell(client.tokens.rotate(client.tokens.find(token).id), json=json)


def seconds_of(text: str) -> int:
    """Whole seconds of a duration like 90s, 15m, 12h, 30d."""
    match = re.fullmatch(r"(\d{1,9})([smhd])", text.strip())
    if match is None:
        raise errors.Invalid(f"{text!r} is no duration; write it like 90s, 15m, 12h or 30d")
    return int(match[1]) * _UNITS[match[2]]


def _tell(issued: IssuedToken, *, json: bool) -> None:
    if json:
        print_json(issued)
        return
    out = console()
    out.print(f"[bold]{marked(issued.view.name)}[/] ({issued.view.role}, {issued.view.id}); shown this once:")
    out.print(issued.token, markup=False)
