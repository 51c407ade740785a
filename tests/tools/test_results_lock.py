"""Two workspaces on one results file: the second says so and does not start; one workspace has it again and again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from truebeat.client.credentials import FixedToken
from truebeat.tools.place import Place
from truebeat.workspace import executors
from truebeat.workspace.executors import results_lock
from truebeat.workspace.executors.base import ConfigurationError, Executor, TurnError
from truebeat.workspace.executors.results_lock import ResultsLock

ADA, EVE = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2))
RUNTIME = """
import json, sys
for line in sys.stdin:
    print(json.dumps({"type": "pong", "id": json.loads(line)["id"]}), flush=True)
"""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_lock, "PATIENCE", 0.2)


def executor(workspace_id: str, **options: str) -> Executor:
    made = executors.create("command", [sys.executable, "-c", RUNTIME], options)
    made.place = Place("http://127.0.0.1:9", workspace_id, FixedToken("x"))
    return made


@pytest.mark.parametrize("mode", ["turn", "ndjson"])
async def test_an_exported_variable_is_one_workspaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    path = tmp_path / "results.jsonl"
    monkeypatch.setenv("DELEGATION_RESULTS_FILE", str(path))
    ada, eve = executor(ADA, mode=mode), executor(EVE, mode=mode)
    await ada.start()
    try:
        path.write_text("of ada\n")
        with pytest.raises(ConfigurationError, match=rf"belongs to another workspace \({ADA}\).*results_file"):
            await eve.start()
        assert path.read_text() == "of ada\n", "it touched what is another's"
        own = executor(EVE, mode=mode, results_file=str(tmp_path / "eve.jsonl"))
        await own.start()
        await own.close()
    finally:
        await ada.close()
        await eve.close()
    later = executor(EVE, mode=mode)
    await later.start()
    await later.close()


def test_an_earlier_process_of_the_same_workspace_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    first, second = ResultsLock(path, ADA), ResultsLock(path, ADA)
    first.take()
    first.take()
    with pytest.raises(TurnError, match="earlier process of this workspace"):
        second.take()
    first.release()
    second.take()
    second.release()


def test_a_process_that_is_gone_holds_nothing_and_its_children_neither(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    holds = (
        "import subprocess, sys; from pathlib import Path; "
        "from truebeat.workspace.executors.results_lock import ResultsLock; "
        "ResultsLock(Path(sys.argv[1]), 'other').take(); "
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=0, stdout=2); print(child.pid)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", holds, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdecimal()
        assert process.wait(30) == 0
        lock = ResultsLock(path, ADA)
        lock.take()
        lock.release()
    finally:
        process.communicate("\n", timeout=30)
