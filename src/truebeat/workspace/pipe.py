"""Lines over the pipe between supervisor and worker: one JSON object a line, each line bounded.

Neither side trusts the other's bytes: a bad line is told as a `Garbage` and the reading goes on after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import msgspec

from truebeat.protocol import pipe

if TYPE_CHECKING:
    from collections.abc import Iterator

_F = TypeVar("_F")
_encode = msgspec.json.Encoder().encode


class Garbage(NamedTuple):
    """A line that is no frame: why, and its beginning."""

    why: str
    sample: str


def encode(frame: msgspec.Struct) -> bytes:
    """One frame as a line."""
    return _encode(frame) + b"\n"


class Lines:
    """Bytes in, whole lines out. A line over the limit is dropped as a whole and told as Garbage."""

    def __init__(self, limit: int = pipe.LINE_LIMIT) -> None:
        self._limit = limit
        #: pieces of the line that has no end yet; joined once, because a line may be long
        self._pieces: list[bytes] = []
        self._size = 0
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[bytes | Garbage]:
        """The lines that `data` completes, without their line ends; empty lines are left out."""
        first, *others = data.split(b"\n")
        for following in others:
            self._add(first)
            line, skipped = self.rest, self._skipping
            self._pieces, self._size, self._skipping = [], 0, False
            first = following
            if skipped:
                continue
            if len(line) > self._limit:
                yield self._oversize(line)
            elif line.strip():
                yield line
        self._add(first)
        if self._size > self._limit:
            yield self._oversize(self.rest)
            self._pieces, self._size, self._skipping = [], 0, True

    def _add(self, piece: bytes) -> None:
        if piece and not self._skipping:
            self._pieces.append(piece)
            self._size += len(piece)

    @property
    def rest(self) -> bytes:
        """A last line without its end."""
        return b"".join(self._pieces)

    def _oversize(self, line: bytes) -> Garbage:
        return Garbage(f"a line over {self._limit} bytes", line[:80].decode(errors="replace"))


class Reader(Generic[_F]):
    """Bytes in, frames of one side out."""

    def __init__(self, decoder: msgspec.json.Decoder[_F]) -> None:
        self._lines = Lines()
        self._decoder = decoder

    def feed(self, data: bytes) -> Iterator[_F | Garbage]:
        """The frames that `data` completes, in order."""
        for line in self._lines.feed(data):
            if isinstance(line, Garbage):
                yield line
                continue
            try:
                yield self._decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                yield Garbage(str(error), line[:80].decode(errors="replace"))


def from_worker() -> Reader[pipe.FromWorker]:
    """What a supervisor reads with."""
    return Reader(msgspec.json.Decoder(pipe.FromWorker))


def to_worker() -> Reader[pipe.ToWorker]:
    """What a worker reads with."""
    return Reader(msgspec.json.Decoder(pipe.ToWorker))
