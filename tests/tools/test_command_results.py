"""How command-line agents get results: DELEGATION_RESULTS_FILE, the NDJSON frame, and, if asked for, the prompt."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from fleet_stub import ME, Stub
from hostile_results import RESULTS, assert_only_data, result

from truebeat.workspace import executors
from truebeat.workspace.executors.base import Executor, InputRequired, Output, Result, Turn, TurnError

ALL = tuple(RESULTS.values())
TASK = "00000000-0000-0000-0000-0000000000aa"

SHOWS = """
import json, os, sys
path = os.environ["DELEGATION_RESULTS_FILE"]
said = {"stdin": sys.stdin.read(), "mode": None, "lines": []}
if os.path.exists(path):
    said["mode"] = oct(os.stat(path).st_mode & 0o777)
    said["lines"] = open(path, encoding="ascii").read().splitlines()
said["env"] = {name: value for name, value in os.environ.items() if name.startswith("TRUEBEAT_")}
print(json.dumps(said))
sys.exit(3 if "fail" in said["stdin"] else 0)
"""

RUNTIME = """
import json, os, sys
path = os.environ["DELEGATION_RESULTS_FILE"]
for line in sys.stdin.buffer:
    # as a reader does that takes every kind of line end
    frames = [json.loads(one) for one in line.decode().splitlines()]
    for frame in frames:
        if frame["type"] == "ping":
            print(json.dumps({"type": "pong", "id": frame["id"]}), flush=True)
        elif frame["type"] == "turn":
            lines = open(path).read().splitlines() if os.path.exists(path) else []
            text = json.dumps({"frame": frame, "lines": lines})
            kind = frame["text"] if frame["text"] in {"error", "input_required"} else "result"
            print(json.dumps({"type": kind, "id": frame["id"], "text": text, "error": "no"}), flush=True)
"""


@pytest.fixture
async def agents(tmp_path: Path, stub: Stub) -> AsyncIterator:
    made: list[Executor] = []

    async def make(program: str, **options: str) -> Executor:
        file = tmp_path / "results.jsonl"
        executor = executors.create("command", [sys.executable, "-c", program], {"results_file": str(file), **options})
        executor.place = stub.place
        made.append(executor)
        await executor.start()
        return executor

    yield make
    for executor in made:
        await executor.close()


async def ask(executor: Executor, text: str, *results, attempt: int = 1) -> Output:
    turn = Turn(text, task_id=TASK, attempt=attempt, results=tuple(results))
    last: Output | None = None
    async with aclosing(executor.run(turn)) as outputs:
        async for output in outputs:
            last = output
    assert last is not None
    return last


async def test_a_turns_process_reads_its_results_and_they_are_consumed(agents, tmp_path: Path) -> None:
    executor = await agents(SHOWS)
    said = json.loads((await ask(executor, "go", *ALL)).text)
    assert said["mode"] == "0o600"
    assert [json.loads(line)["text"] for line in said["lines"]] == [one.text for one in ALL]
    assert said["stdin"] == "go", "a result in the prompt"
    assert said["env"]["TRUEBEAT_WORKSPACE_ID"] == str(ME)
    assert said["env"]["TRUEBEAT_TASK_ID"] == TASK
    assert not (tmp_path / "results.jsonl").exists()
    assert json.loads((await ask(executor, "go")).text)["lines"] == []


async def test_a_turn_that_failed_leaves_them_for_the_next(agents, tmp_path: Path) -> None:
    executor = await agents(SHOWS)
    with pytest.raises(TurnError):
        await ask(executor, "fail", result("a", 1), result("b", 2))
    assert (tmp_path / "results.jsonl").exists()
    said = json.loads((await ask(executor, "go", result("a", 1), result("b", 2), result("c", 3), attempt=2)).text)
    assert [json.loads(line)["text"] for line in said["lines"]] == ["a", "b", "c"]
    assert not (tmp_path / "results.jsonl").exists()


async def test_they_are_consumed_before_the_end_of_the_turn_is_told(agents, tmp_path: Path) -> None:
    executor = await agents(SHOWS)
    async with aclosing(executor.run(Turn("go", task_id=TASK, results=(result("a", 1),)))) as outputs:
        async for output in outputs:
            if isinstance(output, Result):
                assert not (tmp_path / "results.jsonl").exists()
                return
    raise AssertionError("no result")


async def test_a_start_moves_aside_what_an_earlier_process_left(agents, tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text('{"delegation_id": "old"}\n')
    executor = await agents(SHOWS)
    assert json.loads((await ask(executor, "go")).text)["lines"] == []


async def test_a_file_that_cannot_be_written_fails_the_turn_and_loses_nothing(agents, tmp_path: Path) -> None:
    executor = await agents(SHOWS)
    (tmp_path / "results.jsonl").mkdir()
    with pytest.raises(TurnError, match="the results can't be written"):
        await ask(executor, "go", result("a", 1))


async def test_in_the_prompt_if_asked_for(agents) -> None:
    executor = await agents(SHOWS, results="prompt")
    few = ALL[::5]
    said = json.loads((await ask(executor, "go", *few)).text)
    assert_only_data(said["stdin"], list(few))
    assert said["stdin"].endswith("\n\ngo")
    assert json.loads((await ask(executor, "go")).text)["stdin"] == "go"


async def test_an_ndjson_runtime_gets_them_in_the_frame_and_in_the_file(agents, tmp_path: Path) -> None:
    executor = await agents(RUNTIME, mode="ndjson")
    said = json.loads((await ask(executor, "go", *ALL)).text)
    assert [one["text"] for one in said["frame"]["results"]] == [one.text for one in ALL]
    assert_only_data(said["frame"]["results_text"], list(ALL))
    assert said["frame"]["text"] == "go"
    assert [json.loads(line)["text"] for line in said["lines"]] == [one.text for one in ALL]
    assert not (tmp_path / "results.jsonl").exists()
    again = json.loads((await ask(executor, "go")).text)
    assert (again["frame"]["results"], again["frame"]["results_text"], again["lines"]) == ([], "", [])


@pytest.mark.parametrize("end", ["error", "input_required"])
async def test_an_ndjson_turn_that_did_not_complete_consumes_nothing(agents, tmp_path: Path, end: str) -> None:
    executor = await agents(RUNTIME, mode="ndjson")
    if end == "error":
        with pytest.raises(TurnError):
            await ask(executor, end, result("a", 1))
    else:
        assert isinstance(await ask(executor, end, result("a", 1)), InputRequired)
    assert (tmp_path / "results.jsonl").exists()
    said = json.loads((await ask(executor, "go", result("a", 1), attempt=2)).text)
    assert len(said["lines"]) == 1
    assert not (tmp_path / "results.jsonl").exists()
