"""`truebeat up`: server, PostgreSQL and fleet on one machine, nothing to install."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import sys
import threading
from pathlib import Path  # noqa: TC003 - read at run time by the command line
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

from cyclopts import Parameter

from truebeat import errors
from truebeat.cli import connection
from truebeat.cli.canvas import login_address
from truebeat.cli.fleet import Fleet, Running, load
from truebeat.cli.output import console, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from truebeat.server.store.embedded import EmbeddedPostgres

_NOT_FOR_WORKSPACES: Final = {"TRUEBEAT_ADMIN_TOKEN", "TRUEBEAT_DATABASE_URL", "TRUEBEAT_TOKEN_FILE"}


def up(
    *,
    port: int = 8700,
    host: str = "127.0.0.1",
    data_dir: Path | None = None,
    fleet: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Run the server with its own PostgreSQL, and the workspaces of a fleet.toml, until interrupted.

    Parameters
    ----------
    port
        Where to listen; 0 takes any free port.
    host
        Which address to listen on.
    data_dir
        Where everything is kept. Default: TRUEBEAT_DATA_DIR, else the platform's place for user data.
    fleet
        A fleet.toml with the workspaces to run.
    json
        One line of JSON when it is ready.
    """
    members = load(fleet) if fleet is not None else Fleet()
    directory = connection.data_dir(data_dir)
    check_port(host, port)
    with stopped_by_signals():
        _run(directory, host, port, members, json=json)


def _run(directory: Path, host: str, port: int, fleet: Fleet, *, json: bool) -> None:
    from truebeat.server.store.embedded import EmbeddedPostgres

    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    postgres = EmbeddedPostgres(directory)
    # It takes as long to start as the server's modules take to import.
    early = threading.Thread(target=_start_early, args=(postgres,), name="early PostgreSQL")
    early.start()
    try:
        _serve(postgres, directory, host, port, fleet, json=json)
    finally:
        early.join()
        postgres.stop()


def _start_early(postgres: EmbeddedPostgres) -> None:
    with contextlib.suppress(Exception):  # the server starts it again, and tells why that fails
        postgres.start()


def _serve(postgres: EmbeddedPostgres, directory: Path, host: str, port: int, fleet: Fleet, *, json: bool) -> None:
    from truebeat.server import logs
    from truebeat.server.serve import run
    from truebeat.server.settings import Settings

    logs.configure("warning")

    token = admin_token(directory)
    settings = Settings.from_env({**os.environ, "TRUEBEAT_DATABASE_URL": "", "TRUEBEAT_ADMIN_TOKEN": token})
    running = Running(directory / "logs")

    def ready(url: str) -> None:
        connection.write(directory, connection.Connection(url=url, token=token, pid=os.getpid()))
        kept = {key: value for key, value in os.environ.items() if key not in _NOT_FOR_WORKSPACES}
        own = {"TRUEBEAT_URL": url, "TRUEBEAT_TOKEN": token, "TRUEBEAT_DATA_DIR": str(directory)}
        running.start(fleet.workspace, {**kept, **own})
        _tell_ready(url, token, directory, len(fleet.workspace), json=json)

    try:
        # It starts PostgreSQL, starts it again when it dies, brings the schema up, and stops it at the end.
        run(settings, host, port, embedded=postgres, ready=ready)
    finally:
        running.stop()
        connection.forget(directory, os.getpid())


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the block in order, and are what one does to end it: no error."""

    def stop(*_: object) -> NoReturn:
        # Once is enough: a second one must not interrupt the cleaning up.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check_port(host: str, port: int) -> None:
    """Conflict if somebody listens there already: better now than after PostgreSQL was started."""
    try:
        family, kind, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except (OSError, OverflowError) as error:
        raise errors.Conflict(
            f"cannot listen on {host}:{port} ({getattr(error, 'strerror', None) or error}); choose another --port"
        ) from None


def admin_token(directory: Path) -> str:
    """TRUEBEAT_ADMIN_TOKEN, else the one in the data directory, made if there is none."""
    if given := os.environ.get("TRUEBEAT_ADMIN_TOKEN"):
        return given
    path = directory / "admin.token"
    with contextlib.suppress(OSError):
        if kept := path.read_text(encoding="utf-8").strip():
            return kept
    token = secrets.token_urlsafe(32)
    connection.write_secret(path, token + "\n")
    return token


def _tell_ready(url: str, token: str, directory: Path, workspaces: int, *, json: bool) -> None:
    if json:
        print_json(
            {
                "url": url,
                "canvas": login_address(url, token),
                "pid": os.getpid(),
                "data_dir": str(directory),
                "workspaces": workspaces,
            }
        )
        return
    from rich.markup import escape

    out = console()
    out.print(f"[bold green]truebeat is up[/] at [bold]{escape(url)}[/]  (API: {escape(url)}/docs)")
    out.print(f"  canvas   {escape(login_address(url, token))}", soft_wrap=True)
    out.print(f"  data     {escape(str(directory))}")
    if workspaces:
        out.print(f"  fleet    {workspaces} workspaces starting; their logs are in {escape(str(directory / 'logs'))}")
    if directory != connection.data_dir():
        out.print(f"  first    export TRUEBEAT_DATA_DIR={escape(str(directory))}")
    out.print("  next     truebeat ps   truebeat watch   truebeat run NAME --agent command -- PROGRAM")
    out.print("  stop     Ctrl-C")
    sys.stdout.flush()
