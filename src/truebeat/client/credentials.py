"""Where a token comes from. A token is rotated under a running program, so every source can be read again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path


class TokenSource(Protocol):
    """`current` may answer from memory; `refresh` reads the origin again. None: there is no token."""

    def current(self) -> str | None: ...

    def refresh(self) -> str | None: ...


class FixedToken:
    """A token that was given and has no origin to read again."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def current(self) -> str | None:
        return self._token

    def refresh(self) -> str | None:
        return self._token


class FileToken:
    """A token kept in a file; a file that is missing or empty keeps the last good token."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._token: str | None = None

    def current(self) -> str | None:
        return self._token if self._token is not None else self.refresh()

    def refresh(self) -> str | None:
        try:
            text = self._path.read_text(encoding="utf-8").strip()
        except OSError:
            text = ""
        self._token = text or self._token
        return self._token
