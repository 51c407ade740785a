"""`truebeat migrate`: the database's schema, up and down."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path  # noqa: TC003 - read at run time by the command line
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from truebeat import errors
from truebeat.cli import connection
from truebeat.cli.output import console, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from truebeat.server.store.migrate import Applied


def migrate_up(
    *, to: int | None = None, data_dir: Path | None = None, json: Annotated[bool, Parameter(negative="")] = False
) -> None:
    """Apply what is pending.

    Parameters
    ----------
    to
        Up to this version only.
    data_dir
        The embedded database's place, if TRUEBEAT_DATABASE_URL is not set.
    json
        What was applied as JSON.
    """
    from truebeat.server.store import migrate

    with _database(data_dir) as url:
        _tell(asyncio.run(migrate.up(url, to)), "applied", json=json)


def migrate_down(
    *, to: int, data_dir: Path | None = None, json: Annotated[bool, Parameter(negative="")] = False
) -> None:
    """Revert, newest first. Data that only the newer schema can hold is lost.

    Parameters
    ----------
    to
        The version that is the newest afterwards; 0 leaves an empty database.
    data_dir
        The embedded database's place, if TRUEBEAT_DATABASE_URL is not set.
    json
        What was reverted as JSON.
    """
    from truebeat.server.store import migrate

    with _database(data_dir) as url:
        _tell(asyncio.run(migrate.down(url, to)), "reverted", json=json)


def migrate_status(*, data_dir: Path | None = None, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """List the migrations: applied, pending, or changed since they were applied (exit code 1).

    Parameters
    ----------
    data_dir
        The embedded database's place, if TRUEBEAT_DATABASE_URL is not set.
    json
        The migrations as JSON.
    """
    from truebeat.server.store import migrate

    with _database(data_dir) as url:
        found = asyncio.run(migrate.status(url))
    if json:
        print_json(found)
    else:
        out = console()
        for step in found:
            when = f"applied {step.applied_at:%Y-%m-%d %H:%M:%S} UTC" if step.applied_at else "pending"
            out.print(f"{step.version:04}  {step.name:<32} {when}" + ("  [bold red]CHANGED since[/]" * step.changed))
    return 1 if any(step.changed for step in found) else 0


@contextlib.contextmanager
def _database(data_dir: Path | None) -> Iterator[str]:
    """TRUEBEAT_DATABASE_URL, else the embedded one in the data directory, which must not be in use by an `up`."""
    if data_dir is None and (url := os.environ.get("TRUEBEAT_DATABASE_URL")):
        yield url
        return
    directory = connection.data_dir(data_dir)
    if not directory.is_dir():
        raise errors.NotFound(
            f"there is no database in {directory}; set TRUEBEAT_DATABASE_URL, or give --data-dir of a `truebeat up`"
        )
    from truebeat.server.store.embedded import EmbeddedPostgres

    postgres = EmbeddedPostgres(directory)
    try:
        yield postgres.start()
    finally:
        postgres.stop()


def _tell(steps: Sequence[Applied], word: str, *, json: bool) -> None:
    if json:
        print_json(steps)
        return
    out = console()
    for step in steps:
        out.print(f"{word} {step.version:04}_{step.name}")
    if not steps:
        out.print("nothing to do")
