"""Log lines for people: plain text on stderr, one event a line.

Nothing that a worker, an agent or the server sends can forge a line or move the cursor: what is not printable is
escaped. Writing never blocks: with a full stderr the line is lost, the beat is not.
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from truebeat.clock import Clock

LEVELS: Final = {"debug": 0, "info": 1, "warning": 2, "error": 3}
#: bytes of one line; a write of this size to a writable pipe never blocks
LINE_LIMIT: Final = 4096


def printable(text: str) -> str:
    """The text with everything unprintable escaped."""
    if text.isprintable():
        return text
    return "".join(ch if ch.isprintable() else ch.encode("unicode_escape", "surrogatepass").decode() for ch in text)


def write(fd: int, line: str) -> None:
    """One line to `fd`, cut at the limit, dropped if `fd` takes nothing now."""
    data = line.encode(errors="backslashreplace")[: LINE_LIMIT - 1] + b"\n"
    try:
        if select.select([], [fd], [], 0)[1]:
            os.write(fd, data)
    except (OSError, ValueError):
        return


class Log:
    """`log("info", "worker started", generation=3)` writes `<time> info    [name] worker started generation=3`."""

    def __init__(self, clock: Clock, name: str, level: str = "info", fd: int = 2) -> None:
        self._clock = clock
        self._name = printable(name)
        self._least = LEVELS[level]
        self._fd = fd

    def __call__(self, level: str, text: str, **facts: object) -> None:
        if LEVELS[level] < self._least:
            return
        at = self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        tail = "".join(f" {key}={printable(str(value))}" for key, value in facts.items())
        write(self._fd, f"{at} {level:<7} [{self._name}] {printable(text)}{tail}")
