"""The python executor, and finding executors by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import aclosing
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from truebeat.workspace import executors
from truebeat.workspace.executors.base import ConfigurationError, Executor, Output, Result, Text, Turn, TurnError

AGENTS = """
import threading

def plain(text):
    return f"{text} in {threading.current_thread().name}"

def nothing(text):
    return None

def number(text):
    return 7

def breaks(text):
    raise ValueError("no " + text)

def pieces(text):
    yield text
    yield "!"

async def coroutine(text, turn):
    return f"{text} {turn.context_id}"

async def stream(text):
    yield text
    yield "?"

class Holder:
    @staticmethod
    def inner(text):
        return text

value = 3
"""


@pytest.fixture(autouse=True)
def agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "sample_agents.py").write_text(AGENTS)
    (tmp_path / "needy_agent.py").write_text("import a_module_that_is_not_there\n")
    (tmp_path / "broken_agent.py").write_text("1 / 0\n")
    (tmp_path / "leaving_agent.py").write_text("raise SystemExit(2)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("sample_agents", None)


async def ask(target: str, text: str = "hi") -> list[Output]:
    executor = executors.create("python", target, {})
    await executor.start()
    async with aclosing(executor.run(Turn(text, context_id="C"))) as stream:
        return [output async for output in stream]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("plain", ["hi in turn"]),
        ("pieces", ["hi", "!"]),
        ("coroutine", ["hi C"]),
        ("stream", ["hi", "?"]),
        ("Holder.inner", ["hi"]),
        ("nothing", []),
    ],
)
async def test_every_kind_of_function(function: str, said: list[str]) -> None:
    assert await ask(f"sample_agents:{function}") == [*map(Text, said), Result("".join(said))]


async def test_a_functions_error_is_the_turns_error() -> None:
    with pytest.raises(ValueError, match="no hi"):
        await ask("sample_agents:breaks")


async def test_what_is_not_text_is_refused() -> None:
    with pytest.raises(TurnError, match="gave int, not text"):
        await ask("sample_agents:number")


@pytest.mark.parametrize(
    ("target", "match"),
    [
        ("", "is not module:function"),
        ("sample_agents", "is not module:function"),
        ("no_such_module:f", "there is no module 'no_such_module'"),
        ("sample_agents:missing", "has no function 'missing'"),
        ("sample_agents:value", "is not a function but int"),
        ("needy_agent:f", "needs 'a_module_that_is_not_there'"),
        ("broken_agent:f", "fails on import: ZeroDivisionError"),
        ("leaving_agent:f", "fails on import: SystemExit"),
    ],
)
async def test_configuration_errors_say_what_to_do(target: str, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        await executors.create("python", target, {}).start()


# -- by name


def test_an_unknown_executor_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"no executor 'nope'; choose one of: .*claude, command, python"):
        executors.create("nope", "", {})


def entry(monkeypatch: pytest.MonkeyPatch, place: str, name: str = "theirs") -> None:
    found = [EntryPoint(name=name, value=place, group=executors.GROUP)]
    monkeypatch.setattr(executors, "entry_points", lambda group: found)


def test_others_add_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    entry(monkeypatch, "truebeat.workspace.executors.python:PythonExecutor")
    assert "theirs" in executors.names()
    assert isinstance(executors.create("theirs", "a:b", {}), Executor)


@pytest.mark.parametrize("place", ["broken_agent:X", "no_such_module:X", "sample_agents:X", "leaving_agent:X"])
def test_one_that_cannot_be_imported_is_an_error_not_health(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    entry(monkeypatch, place)
    with pytest.raises(ConfigurationError, match="executor 'theirs' can't be imported"):
        executors.create("theirs", "", {})


def test_built_in_names_cannot_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    entry(monkeypatch, "broken_agent:X", name="python")
    assert isinstance(executors.create("python", "a:b", {}), Executor)


def test_what_is_not_an_executor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    entry(monkeypatch, "operator:eq")
    with pytest.raises(ConfigurationError, match="gave bool, not an Executor"):
        executors.create("theirs", "", {})


def test_one_that_cannot_be_made_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    entry(monkeypatch, "builtins:dict")
    with pytest.raises(ConfigurationError, match="can't be made: TypeError"):
        executors.create("theirs", "", {})
