"""Which session continues which conversation."""

from __future__ import annotations

from pathlib import Path

import pytest

from truebeat.workspace.executors import claude_sessions
from truebeat.workspace.executors.claude_sessions import Sessions


async def test_the_conversation_that_was_unused_for_longest_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claude_sessions, "LIMIT", 2)
    sessions = Sessions(None)
    await sessions.put("a", "1")
    await sessions.put("b", "2")
    await sessions.put("a", "1")
    await sessions.put("c", "3")
    assert [sessions.get(context) for context in "abc"] == ["1", "", "3"]


async def test_it_is_kept_over_a_restart_and_forgotten_for_good(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path / "new" / "place")
    await sessions.load()
    await sessions.put("a", "1")
    await sessions.put("", "2")
    await sessions.put("b", "3")
    await sessions.forget("a")
    again = Sessions(tmp_path / "new" / "place")
    await again.load()
    assert [again.get(context) for context in ("a", "", "b")] == ["", "", "3"]


async def test_a_place_that_can_not_be_written_costs_no_turn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    sessions = Sessions(tmp_path / "file")
    await sessions.put("a", "1")
    assert sessions.get("a") == "1"
    assert "can't be written" in capsys.readouterr().err
