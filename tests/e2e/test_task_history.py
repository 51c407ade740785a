"""Many senders, and kill -9 and SIGSTOP of everything meanwhile: nothing lost, nothing ended twice, every order kept.

The long run is `python -m bench.history`; what it checks is checked in test_history_check.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos_rig import Rig, dice

from bench.history import run

TASKS = 300


@pytest.mark.timeout(400)
def test_nothing_is_lost_and_nothing_ends_twice_whatever_dies(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HISTORY_JOURNAL", str(tmp_path / "journal"))
    monkeypatch.setenv("HISTORY_WORK", "0.4")  # seconds of a turn at most: long enough to be hit in the middle
    figures = run(rig, tasks=TASKS, workspaces=3, threads=6, pause=1.0, dice=dice(), least=20.0)
    print(figures)
    assert figures["deeds"], "nothing was killed or stopped: the run shows nothing"
    assert figures["violations"] == []
    assert figures["tasks"] == TASKS
    assert figures["states"].get("completed", 0) > 0.9 * TASKS, figures
