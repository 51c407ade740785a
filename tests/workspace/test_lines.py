"""Cutting lines out of a stream, whatever the pieces it comes in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from truebeat.workspace.executors.lines import LineCutter

LIMIT = 5


@given(st.lists(st.text("ab\n", max_size=12).map(str.encode), max_size=12))
def test_the_lines_are_the_same_however_they_come(pieces: list[bytes]) -> None:
    cutter = LineCutter(LIMIT)
    got = [line for piece in pieces for line in cutter.feed(piece)]
    *whole, rest = b"".join(pieces).split(b"\n")
    wanted = [line if len(line) <= LIMIT else None for line in whole]
    # a line that is too long is told as soon as it is, before its end came
    assert got == wanted + ([None] if len(rest) > LIMIT else [])


def test_what_is_passed_over_takes_no_memory() -> None:
    cutter = LineCutter(LIMIT)
    assert list(cutter.feed(b"x" * 6)) == [None]
    for _ in range(100):
        assert list(cutter.feed(b"x" * 1000)) == []
        assert len(cutter._pending) == 0
    assert list(cutter.feed(b"x\nab\n")) == [b"ab"]
