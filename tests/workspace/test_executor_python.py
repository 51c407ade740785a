"""The python executor, and finding executors by name."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from truebeat.clock import SystemClock
from truebeat.protocol.delivery import ResultEnvelope
from truebeat.workspace import executors
from truebeat.workspace.executors.base import (
    Artifact,
    ConfigurationError,
    Executor,
    InPhase,
    InputRequired,
    Output,
    Result,
    Text,
    ToolFinished,
    ToolStarted,
    Turn,
    TurnError,
)
from truebeat.workspace.probing import Prober
from truebeat.workspace.turns import Turns
from truebeat.workspace.wedge import WedgeFlag

AGENTS = """
import asyncio, sys, threading, time
from truebeat.workspace.executors.base import (
    Artifact, InPhase, InputRequired, Result, ToolFinished, ToolStarted,
)
from truebeat.workspace.executors.python import canceled

begun, ended, release = threading.Event(), threading.Event(), threading.Event()

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

def with_turn(text, turn):
    assert len(turn.results) == 1
    return text

async def coroutine(text, turn):
    return f"{text} {turn.context_id}"

async def stream(text):
    yield text
    yield "?"

def tools(text):
    yield InPhase("waiting_model", 30)
    yield ToolStarted("grep", 5)
    yield ToolFinished("grep")
    yield Artifact("f", ({"text": "x"},))
    yield "done"

def ask(text, turn):
    if turn.reply:
        return f"thanks for {text}"
    return InputRequired("which?")

async def ends_early(text):
    yield Result("here")
    yield "never"

def leaves(text):
    sys.exit(3)

async def leaves_too(text):
    raise SystemExit(3)

def long(text):
    begun.set()
    while not canceled():
        time.sleep(0.005)
    ended.set()

def long_steps(text):
    try:
        while True:
            begun.set()
            yield "."
            time.sleep(0.005)
    finally:
        ended.set()

async def long_async(text):
    try:
        begun.set()
        await asyncio.to_thread(wait_for_cancel)
    finally:
        ended.set()

def wait_for_cancel():
    while not canceled():
        time.sleep(0.005)

def stuck(text):
    begun.set()
    release.wait()
    return "released"

async def fills_the_pool(text):
    for _ in range(64):
        asyncio.get_running_loop().run_in_executor(None, release.wait)
    begun.set()
    await asyncio.to_thread(int)
    yield "released"

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
    sample = sys.modules.pop("sample_agents", None)
    if sample is not None:
        sample.release.set()


async def started(target: str, **options: str) -> Executor:
    executor = executors.create("python", target, options)
    await executor.start()
    return executor


async def ask(target: str, text: str = "hi") -> list[Output]:
    executor = await started(target)
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


@pytest.mark.parametrize(("function", "blocks"), [("plain", 1), ("stream", 1), ("with_turn", 0)])
async def test_a_function_that_takes_only_a_text_gets_its_results_before_it(function: str, blocks: int) -> None:
    executor = await started(f"sample_agents:{function}")
    returned = ResultEnvelope(
        delegation_id="d", from_id="b", from_name="bob", asked="count", state="completed",
        ended_at=datetime(2026, 1, 1, tzinfo=UTC), text="seven",
    )  # fmt: skip
    async with aclosing(executor.run(Turn("go on", results=(returned,)))) as run:
        said = "".join([output.text async for output in run if isinstance(output, Text)])
    assert said.count("BEGIN DELEGATION RESULTS") == blocks
    assert said.count('"text": "seven"') == blocks
    assert "go on" in said
    await executor.close()


async def test_a_functions_error_is_the_turns_error() -> None:
    with pytest.raises(ValueError, match="no hi"):
        await ask("sample_agents:breaks")


async def test_tools_phases_and_artifacts_are_yielded() -> None:
    assert await ask("sample_agents:tools") == [
        InPhase("waiting_model", 30),
        ToolStarted("grep", 5),
        ToolFinished("grep"),
        Artifact("f", ({"text": "x"},)),
        Text("done"),
        Result("done"),
    ]


async def test_a_question_ends_the_turn_and_its_answer_comes_as_a_reply() -> None:
    assert await ask("sample_agents:ask") == [InputRequired("which?")]
    executor = await started("sample_agents:ask")
    async with aclosing(executor.run(Turn("this", reply=True))) as stream:
        assert [output async for output in stream][-1] == Result("thanks for this")


async def test_a_result_is_the_last_word() -> None:
    assert await ask("sample_agents:ends_early") == [Result("here")]


# -- cancel


def signals() -> object:
    return sys.modules["sample_agents"]


async def set_in(event: str) -> None:
    async with asyncio.timeout(5):
        while not getattr(signals(), event).is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def take(executor: Executor) -> None:
    async with aclosing(executor.run(Turn("x"))) as stream:
        async for _ in stream:
            pass


@pytest.mark.parametrize("function", ["long", "long_steps", "long_async"])
async def test_a_canceled_turn_hears_of_it_and_has_ended_when_it_is_left(function: str) -> None:
    executor = await started(f"sample_agents:{function}")
    taking = asyncio.ensure_future(take(executor))
    await set_in("begun")
    taking.cancel()
    await asyncio.wait({taking}, timeout=5)
    assert taking.cancelled()
    assert signals().ended.is_set()  # type: ignore[attr-defined]


async def test_a_thread_that_hears_nothing_holds_its_turn() -> None:
    executor = await started("sample_agents:stuck")
    taking = asyncio.ensure_future(take(executor))
    await set_in("begun")
    taking.cancel()
    await asyncio.wait({taking}, timeout=0.1)
    assert not taking.done()
    signals().release.set()  # type: ignore[attr-defined]
    await asyncio.wait({taking}, timeout=5)
    assert taking.cancelled()


@pytest.mark.parametrize("function", ["leaves", "leaves_too"])
async def test_an_agent_that_leaves_fails_its_turn(function: str) -> None:
    executor = await started(f"sample_agents:{function}")
    turns = Turns(executor, lambda frame: None, SystemClock(), WedgeFlag())
    with pytest.raises(TurnError, match=r"SystemExit\(3\)"):
        await turns.take(Turn("x"))


# -- the probe


async def test_a_long_turn_is_not_found_guilty() -> None:
    executor = await started("sample_agents:stuck", capacity="2")
    taking = [asyncio.ensure_future(take(executor)) for _ in range(2)]
    await set_in("begun")
    for _ in range(3):
        async with asyncio.timeout(5):
            await executor.probe()
    signals().release.set()  # type: ignore[attr-defined]
    await asyncio.gather(*taking)


async def test_calls_that_never_end_and_left_no_thread_are_found() -> None:
    executor = await started("sample_agents:stuck")
    taking = [asyncio.ensure_future(take(executor)) for _ in range(2)]
    await set_in("begun")
    answer = await Prober(executor, 0.1).ask()
    assert answer.failure == ""
    signals().release.set()  # type: ignore[attr-defined]
    await asyncio.gather(*taking)
    assert (await Prober(executor, 5).ask()).failure is None


async def test_a_blocked_pool_of_asyncio_is_found_for_async_agents() -> None:
    executor = await started("sample_agents:fills_the_pool")
    assert (await Prober(executor, 5).ask()).failure is None
    taking = asyncio.ensure_future(take(executor))
    await set_in("begun")
    assert (await Prober(executor, 0.1).ask()).failure == ""
    signals().release.set()  # type: ignore[attr-defined]
    await taking
    assert (await Prober(executor, 5).ask()).failure is None


@pytest.mark.parametrize(
    ("probe", "failure"),
    [
        ("def probe(): return 'fine'", None),
        ("async def probe(): return True", None),
        ("def probe(): return False", "the agent's own probe() returned False"),
        ("def probe(): raise OSError('no licence')", "no licence"),
        ("async def probe(): raise OSError('no licence')", "no licence"),
        ("import asyncio\nasync def probe(): await asyncio.Event().wait()", ""),
        ("def probe(what): raise OSError('not a probe of ours')", None),
        ("probe = 7", None),
        ("from operator import attrgetter as probe", None),
    ],
)
async def test_the_agents_own_probe(tmp_path: Path, probe: str, failure: str | None) -> None:
    (tmp_path / "probing_agent.py").write_text(f"def answer(text): return text\n{probe}\n")
    try:
        executor = await started("probing_agent:answer")
        assert (await Prober(executor, 0.5).ask()).failure == failure
    finally:
        sys.modules.pop("probing_agent", None)


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
