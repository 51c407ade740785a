"""Whole lines out of a runtime's output, in time linear in its size; a line over the limit is told once, as None."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class LineCutter:
    """`limit` bytes a line. What follows on a line that was too long is passed over up to its end."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pending = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        """The lines that `data` completes, without their ends; None for one that is too long."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            piece, start = data[start:end], end + 1
            if self._skipping:
                self._skipping = False
                continue
            line = bytes(self._pending) + piece
            self._pending.clear()
            yield line if len(line) <= self._limit else None
        if self._skipping:
            return
        self._pending += data[start:]
        if len(self._pending) > self._limit:
            self._pending.clear()
            self._skipping = True
            yield None
