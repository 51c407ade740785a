"""`truebeat serve`: the server alone, on a PostgreSQL that somebody else runs."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from truebeat import errors
from truebeat.cli.output import print_json
from truebeat.cli.up import check_port, stopped_by_signals


def serve(*, port: int = 8700, host: str = "127.0.0.1", json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Run the server alone, until interrupted. Bring the database up first: truebeat migrate up.

    Parameters
    ----------
    port
        Where to listen; 0 takes any free port.
    host
        Which address to listen on.
    json
        One line of JSON when it is ready.
    """
    from truebeat.server import logs
    from truebeat.server.serve import run
    from truebeat.server.settings import Settings

    settings = Settings.from_env()
    if not settings.database_url:
        raise errors.Invalid(
            "TRUEBEAT_DATABASE_URL is not set: set it to a PostgreSQL (postgresql://user@host/database), "
            "or use `truebeat up`, which brings its own"
        )
    check_port(host, port)
    logs.configure("info")

    def ready(url: str) -> None:
        if json:
            print_json({"url": url})
        else:
            sys.stderr.write(f"truebeat serves at {url}\n")

    with stopped_by_signals():
        run(settings, host, port, ready=ready)
