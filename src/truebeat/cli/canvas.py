"""`truebeat canvas`: where the page is, with a login that is good once."""

from __future__ import annotations

import secrets
from typing import Annotated

from cyclopts import Parameter

from truebeat import errors
from truebeat.cli import connection
from truebeat.cli.output import print_json
from truebeat.clock import SystemClock


def canvas(*, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Print the canvas's URL with a login that is good once, for ten minutes.

    Parameters
    ----------
    json
        As JSON.
    """
    url, tokens = connection.address()
    token = tokens.current()
    if not token:
        raise errors.Unauthenticated("no token is known: set TRUEBEAT_TOKEN, or start a server with `truebeat up`")
    address = login_address(url, token)
    if json:
        print_json({"url": address})
    else:
        print(address)


def login_address(url: str, admin_token: str, query: str = "") -> str:
    """The URL with a fresh code. Only the token that the server was started with makes codes that it takes."""
    from truebeat.protocol.login import login_url, make_code

    code = make_code(admin_token, SystemClock().now().timestamp(), secrets.token_bytes(16))
    return login_url(url, code, query)
