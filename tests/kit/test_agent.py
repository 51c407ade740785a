"""The demo's runtime: it answers everything, also what it does not understand."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import aclosing

import pytest

from truebeat.kit import agent
from truebeat.workspace import executors
from truebeat.workspace.executors.base import Result, Turn


def test_pings_and_turns() -> None:
    assert list(agent.replies("bo", '{"type":"ping","id":7}', 0)) == [{"type": "pong", "id": 7}]
    *pieces, last = agent.replies("bo", '{"type":"turn","id":"t","text":"how  are you"}', 1)
    assert last["type"] == "result"
    assert last["text"] == "".join(piece["text"] for piece in pieces)
    assert 'bo here, turn 1. You said: "how are you".' in last["text"]
    assert {reply["id"] for reply in (*pieces, last)} == {"t"}


@pytest.mark.parametrize("line", ["nonsense", "[]", "{}", "null", '{"type":"dance","id":1}'])
def test_what_it_does_not_understand_gets_an_error(line: str) -> None:
    (reply,) = agent.replies("bo", line, 0)
    assert reply["type"] == "error"
    assert reply["error"]


def test_an_empty_question_gets_an_answer() -> None:
    assert "".join(agent.answer("bo", " ", 1)).startswith("bo here.")


def test_it_serves_until_its_input_ends() -> None:
    lines = '\n{"type":"ping","id":1}\n{"type":"turn","id":"a","text":"x"}\n'
    ended = subprocess.run(
        [sys.executable, "-m", "truebeat.kit.agent", "bo"],
        input=lines, capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    replies = [json.loads(line) for line in ended.stdout.splitlines()]
    assert replies[0] == {"type": "pong", "id": 1}
    assert replies[-1]["type"] == "result"


async def test_the_command_executor_runs_it() -> None:
    executor = executors.create("command", [sys.executable, "-m", "truebeat.kit.agent", "bo"], {"mode": "ndjson"})
    await executor.start()
    try:
        async with aclosing(executor.run(Turn("hello"))) as stream:
            outputs = [output async for output in stream]
    finally:
        await executor.close()
    assert isinstance(outputs[-1], Result)
    assert "hello" in outputs[-1].text
