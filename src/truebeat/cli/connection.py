"""Which server and whose token: TRUEBEAT_URL and TRUEBEAT_TOKEN, else what `truebeat up` left in the data directory."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from truebeat import errors
from truebeat.client.credentials import FileToken, FixedToken

if TYPE_CHECKING:
    from truebeat.client.credentials import TokenSource
    from truebeat.client.http import Client

FILE_NAME: Final = "connection.json"


class Connection(msgspec.Struct, kw_only=True):
    """connection.json: how to reach the `up` with process id `pid`. Only its owner may read it."""

    url: str
    token: str
    pid: int


def data_dir(given: Path | None = None) -> Path:
    """--data-dir, else TRUEBEAT_DATA_DIR, else the platform's place for user data."""
    if given is not None:
        return given.expanduser().resolve()
    if named := os.environ.get("TRUEBEAT_DATA_DIR"):
        return Path(named).expanduser().resolve()
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "truebeat"


def read(directory: Path) -> Connection | None:
    """What `up` left there; None if there is nothing that can be read."""
    try:
        return msgspec.json.decode((directory / FILE_NAME).read_bytes(), type=Connection)
    except (OSError, msgspec.DecodeError):
        return None


def write(directory: Path, connection: Connection) -> None:
    write_secret(directory / FILE_NAME, msgspec.json.format(msgspec.json.encode(connection)).decode() + "\n")


def forget(directory: Path, pid: int) -> None:
    """Remove it, if it is still ours."""
    left = read(directory)
    if left is not None and left.pid == pid:
        with contextlib.suppress(FileNotFoundError):
            (directory / FILE_NAME).unlink()


def write_secret(path: Path, text: str) -> None:
    """Whole or not at all, and at no moment readable by others."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)


class _ConnectionToken:
    """The token in connection.json: a new `up` may have written another."""

    def __init__(self, directory: Path, token: str) -> None:
        self._directory = directory
        self._token = token

    def current(self) -> str | None:
        return self._token

    def refresh(self) -> str | None:
        left = read(self._directory)
        if left is not None:
            self._token = left.token
        return self._token


def address() -> tuple[str, TokenSource]:
    """The server's URL and where its token comes from."""
    url = os.environ.get("TRUEBEAT_URL")
    directory = data_dir()
    left = read(directory)
    if url is None:
        if left is None:
            raise errors.Unavailable(
                "no server is known: start one with `truebeat up`, or set TRUEBEAT_URL and TRUEBEAT_TOKEN"
            )
        url = left.url
    if token := os.environ.get("TRUEBEAT_TOKEN"):
        return url, FixedToken(token)
    if path := os.environ.get("TRUEBEAT_TOKEN_FILE"):
        return url, FileToken(Path(path))
    if left is not None and left.url == url:
        return url, _ConnectionToken(directory, left.token)
    return url, FixedToken(None)


def connect() -> Client:
    """The client every command uses."""
    from truebeat.client.http import Client

    return Client(*address())
