"""Migrations: `migrations/NNNN_name.{up,down}.sql`, each in one transaction with its entry in `schema_migrations`.

An advisory lock makes concurrent runs safe: the second waits, then finds nothing to do. A migration that was applied
must never change: its checksum is kept and compared.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from truebeat.errors import Conflict, Invalid, Unavailable
from truebeat.server.store.database import connect, lost_is_unavailable
from truebeat.server.store.sql import queries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

#: key of the advisory lock that one run holds; any constant does, as long as it never changes
LOCK_KEY: Final = 7_483_201
_FILE: Final = re.compile(r"^(\d{4})_(\w+)\.(up|down)\.sql$")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step. `checksum` is over the up script."""

    version: int
    name: str
    up: str
    down: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.up.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.version:04}_{self.name}"


@dataclass(frozen=True, slots=True)
class Applied:
    """One step that was just made, up or down."""

    version: int
    name: str


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """`applied_at` is None while pending; `changed` if the file is not the one that was applied."""

    version: int
    name: str
    applied_at: datetime | None
    changed: bool


def shipped() -> list[Migration]:
    """The migrations of this package: versions 1, 2, 3 ... without a gap."""
    scripts: dict[tuple[int, str], dict[str, str]] = {}
    for file in files(__package__).joinpath("migrations").iterdir():
        if match := _FILE.match(file.name):
            version, name, direction = match.groups()
            scripts.setdefault((int(version), name), {})[direction] = file.read_text(encoding="utf-8")
    found = [Migration(version, name, **both) for (version, name), both in sorted(scripts.items())]
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"the migrations are not numbered 1, 2, 3 ...: {[str(migration) for migration in found]}")
    return found


async def up(url: str, target: int | None = None) -> list[Applied]:
    """Applies what is pending, up to `target` (default: all). Each step is applied wholly or not at all."""
    migrations = shipped()
    last = len(migrations) if target is None else _known(target, migrations)
    async with _session(url) as (connection, applied):
        _check(migrations, applied)
        pending = [migration for migration in migrations if len(applied) < migration.version <= last]
        for migration in pending:
            await _step(connection, migration, migration.up, "record_up", migration.name, migration.checksum)
        return [Applied(migration.version, migration.name) for migration in pending]


async def down(url: str, target: int) -> list[Applied]:
    """Reverts, newest first, until `target` is the newest that is applied (0: an empty database)."""
    migrations = shipped()
    _known(target, migrations)
    async with _session(url) as (connection, applied):
        _check(migrations, applied)
        undone = [migration for migration in reversed(migrations) if target < migration.version <= len(applied)]
        for migration in undone:
            await _step(connection, migration, migration.down, "record_down")
        return [Applied(migration.version, migration.name) for migration in undone]


async def status(url: str) -> list[MigrationStatus]:
    """Every migration, shipped or applied, in order."""
    migrations = {migration.version: migration for migration in shipped()}
    async with _session(url) as (_, applied):
        return [
            MigrationStatus(
                version,
                migrations[version].name if version in migrations else applied[version]["name"],
                applied[version]["applied_at"] if version in applied else None,
                version in applied
                and (version not in migrations or applied[version]["checksum"] != migrations[version].checksum),
            )
            for version in sorted(migrations.keys() | applied.keys())
        ]


@asynccontextmanager
async def _session(url: str) -> AsyncIterator[tuple[Any, dict[int, Any]]]:
    """A connection that holds the lock, and what is applied. The lock goes with the connection."""
    connection = await connect(url, statement_timeout=None)
    try:
        with lost_is_unavailable():
            await connection.execute(queries("migrate")["lock"], LOCK_KEY)
            await connection.execute(queries("migrate")["create_ledger"])
            rows = await connection.fetch(queries("migrate")["applied"])
            yield connection, {row["version"]: row for row in rows}
    finally:
        await connection.close()


async def _step(connection: Any, migration: Migration, script: str, record: str, *facts: str) -> None:
    try:
        async with connection.transaction():
            await connection.execute(script)
            await connection.execute(queries("migrate")[record], migration.version, *facts)
    except asyncpg.RaiseError as error:  # the script's own refusal: its text is for people
        hint = f"; {error.hint}" if error.hint else ""
        raise Conflict(f"migration {migration} was not applied and nothing was changed: {error}{hint}") from error
    except asyncpg.LockNotAvailableError as error:
        raise Unavailable(
            f"migration {migration} was not applied and nothing was changed: a table it needs is in use; try again",
            retry_after=5,
        ) from error


def _known(target: int, migrations: list[Migration]) -> int:
    if not 0 <= target <= len(migrations):
        raise Invalid(f"target: there is no migration {target}; the newest is {len(migrations)}")
    return target


def _check(migrations: list[Migration], applied: dict[int, Any]) -> None:
    for version, row in applied.items():
        if version > len(migrations):
            raise Conflict(
                f"the database is at migration {version:04}_{row['name']}, which this truebeat does not know; "
                "use the newer truebeat that applied it"
            )
        migration = migrations[version - 1]
        if row["checksum"] != migration.checksum:
            raise Conflict(
                f"migration {migration} was changed after it was applied; "
                "put the applied text back and write a new migration for the change"
            )
    if applied.keys() != set(range(1, len(applied) + 1)):
        raise Conflict(f"schema_migrations has a gap: {sorted(applied)}; restore the missing rows")
