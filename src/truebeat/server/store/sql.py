"""Named queries from the .sql files of this package, and the texts PostgreSQL can hold."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


@cache
def queries(noun: str) -> dict[str, str]:
    """The queries of `<noun>.sql` by name. A query starts with a line `-- name: its_name`."""
    text = files(__package__).joinpath(f"{noun}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    found = dict(zip(parts[::2], (body.strip() for body in parts[1::2]), strict=True))
    if len(found) * 2 != len(parts):
        raise ValueError(f"{noun}.sql names a query twice")
    return found


def storable(text: str) -> str:
    """`text` without NUL and lone surrogates, which PostgreSQL refuses: one bad beat must not fail a whole batch."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")
