"""The token cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from truebeat.errors import Unauthenticated
from truebeat.workspace.tokens import TokenCache


def test_from_the_environment() -> None:
    assert TokenCache(env={"TRUEBEAT_TOKEN": " abc \n"}).current() == "abc"


def test_a_file_wins_and_is_read_again_only_on_refresh(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    cache = TokenCache(env={"TRUEBEAT_TOKEN": "other", "TRUEBEAT_TOKEN_FILE": str(file)})
    assert cache.current() == "one"
    file.write_text("two\n")
    assert cache.current() == "one"
    assert cache.refresh()
    assert cache.current() == "two"
    assert not cache.refresh()


def test_a_file_that_vanishes_or_is_half_written_keeps_the_last_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one")
    cache = TokenCache(str(file), env={})
    assert cache.current() == "one"
    for spoil in (lambda: file.write_text(""), lambda: file.write_bytes(b"\xff\xfe"), file.unlink):
        spoil()
        assert not cache.refresh()
        assert cache.current() == "one"


@pytest.mark.parametrize("text", ["", "  ", "a b", "a\r\nX-Evil: 1", "tøken", "x" * 5000, "a\x00b"])
def test_what_can_not_be_a_token_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(Unauthenticated, match="set TRUEBEAT_TOKEN"):
        TokenCache(str(tmp_path / "token"), env={}).current()
    with pytest.raises(Unauthenticated):
        TokenCache(env={"TRUEBEAT_TOKEN": text}).current()
