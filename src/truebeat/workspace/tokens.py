"""The workspace's token: from the environment or a file, kept, and re-read when the server refused it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from truebeat.errors import Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Mapping

ENV_TOKEN: Final = "TRUEBEAT_TOKEN"  # noqa: S105
ENV_TOKEN_FILE: Final = "TRUEBEAT_TOKEN_FILE"  # noqa: S105
#: characters; a longer file is not a token
TOKEN_LIMIT: Final = 4096


class TokenCache:
    """`current` is cheap; `refresh` looks again. A file, when there is one, wins over TRUEBEAT_TOKEN.

    A file that vanished, is empty or unreadable keeps the last good token: a rotation may be under way.
    """

    def __init__(self, token_file: str | None = None, env: Mapping[str, str] | None = None) -> None:
        self._env = os.environ if env is None else env
        self._file = token_file or self._env.get(ENV_TOKEN_FILE) or None
        self._token: str | None = None

    def current(self) -> str:
        """The token; raises Unauthenticated when none can be found."""
        if self._token is None:
            self.refresh()
        if self._token is None:
            where = f"the token file {self._file} holds none" if self._file else "none is set"
            raise Unauthenticated(f"no token: {where}; set {ENV_TOKEN} or {ENV_TOKEN_FILE}")
        return self._token

    def refresh(self) -> bool:
        """Read it again. True if it is another one than before."""
        found = self._read()
        if found is None or found == self._token:
            return False
        self._token = found
        return True

    def _read(self) -> str | None:
        if self._file is not None:
            try:
                with open(self._file, encoding="utf-8") as file:  # noqa: PTH123
                    text = file.read(TOKEN_LIMIT + 1)
            except (OSError, UnicodeDecodeError):
                text = ""
            return _usable(text) or _usable(self._env.get(ENV_TOKEN, ""))
        return _usable(self._env.get(ENV_TOKEN, ""))


class TokenOrigin:
    """The same token for `truebeat.client`."""

    def __init__(self, cache: TokenCache) -> None:
        self._cache = cache

    def current(self) -> str | None:
        return self._cache.current()

    def refresh(self) -> str | None:
        self._cache.refresh()
        return self._cache.current()


def _usable(text: str) -> str | None:
    """The token in `text`, or None: what goes into a header is one printable ASCII word."""
    token = text.strip()
    if not token or len(token) > TOKEN_LIMIT or not token.isascii() or not token.isprintable() or " " in token:
        return None
    return token
