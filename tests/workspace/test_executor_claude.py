"""The claude executor on the real SDK, with a stand-in for the CLI."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from truebeat.clock import SystemClock
from truebeat.domain.symptoms import means_wedged
from truebeat.workspace import executors, processes
from truebeat.workspace.executors.base import (
    AnsweredError,
    ConfigurationError,
    Executor,
    Options,
    Result,
    Text,
    Turn,
    TurnError,
)
from truebeat.workspace.turns import Turns
from truebeat.workspace.watch import Watch
from truebeat.workspace.wedge import WedgeFlag

pytest.importorskip("claude_agent_sdk")

STUB = Path(__file__).parents[1] / "stands" / "stub_claude.py"
Open = Callable[..., Awaitable[Executor]]


@pytest.fixture
async def claude(tmp_path: Path) -> AsyncIterator[Open]:
    opened: list[Executor] = []

    async def open_one(mode: str, **options: str) -> Executor:
        cli = tmp_path / f"claude-{mode}"
        cli.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I "{STUB}" {mode} "$@"\n')
        cli.chmod(0o755)
        executor = executors.create("claude", "", {"cli_path": str(cli), **options})
        opened.append(executor)
        await executor.start()
        return executor

    yield open_one
    for executor in opened:
        await executor.close()
    mine = [one for one in processes.snapshot() if one.parent == os.getpid() and one.state not in "ZX"]
    commands = [Path(f"/proc/{one.pid}/cmdline").read_bytes() for one in mine if Path(f"/proc/{one.pid}").exists()]
    assert not [command for command in commands if b"stub_claude" in command], "a CLI was left behind"


async def outputs(executor: Executor, text: str) -> list[object]:
    async with aclosing(executor.run(Turn(text))) as stream:
        return [output async for output in stream]


def turns(executor: Executor, flag: WedgeFlag) -> Turns:
    return Turns(executor, lambda frame: None, SystemClock(), flag)


async def test_turns_give_text_and_a_result_and_the_probe_is_answered(claude: Open) -> None:
    executor = await claude("ok")
    assert executor.runtime_pid is not None
    await executor.probe()
    for text in ("one", "two"):
        got = await outputs(executor, text)
        assert Text(f"pong: {text}") in got
        assert got[-1] == Result(f"pong: {text}")
    await executor.probe()


@pytest.mark.parametrize("mode", ["no-initialize", "deaf"])
async def test_a_cli_that_never_answers_initialize_is_a_wedge_at_the_deadline(claude: Open, mode: str) -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"^Control request timeout: initialize \(no answer within 0.7 s\)$") as told:
        await claude(mode, connect_deadline="0.7")
    assert means_wedged(str(told.value))
    assert time.monotonic() - started < 4


async def test_a_refused_initialize_is_no_wedge(claude: Open) -> None:
    with pytest.raises(TurnError, match="initialize refused: bad hooks") as told:
        await claude("refuse")
    assert not means_wedged(str(told.value))


async def test_an_exit_before_initialize_is_seen_at_once_not_after_a_minute(claude: Open) -> None:
    with pytest.raises(TurnError, match="exited before it answered initialize"):
        await claude("exit-0")


async def test_a_cli_that_fails_says_its_last_words(claude: Open) -> None:
    with pytest.raises(TurnError, match="no such account"):
        await claude("exit-3")


async def test_a_turn_without_a_result_failed_and_the_next_one_has_a_fresh_client(claude: Open) -> None:
    executor = await claude("no-result")
    before = executor.runtime_pid
    flag = WedgeFlag()
    with pytest.raises(TurnError):
        await turns(executor, flag).take(Turn("hello"))
    assert flag.reason is None
    assert executor.runtime_pid is None
    with pytest.raises(TurnError):
        await outputs(executor, "again")
    assert before is not None


async def test_broken_json_discards_the_client(claude: Open) -> None:
    executor = await claude("garbage-json")
    with pytest.raises(Exception, match="JSON"):
        await outputs(executor, "hello")
    assert executor.runtime_pid is None
    # a zombie client would end this turn at once with no message
    with pytest.raises(Exception, match="JSON"):
        await outputs(executor, "again")


async def test_a_rate_limit_neither_wedges_nor_counts(claude: Open) -> None:
    executor, flag, sent = await claude("rate-limit"), WedgeFlag(), []
    taking = Turns(executor, sent.append, SystemClock(), flag)
    with pytest.raises(AnsweredError, match="HTTP 429"):
        await taking.take(Turn("hello"))
    assert flag.reason is None
    assert not [frame for frame in sent if type(frame).__name__ == "Outcomes"]


async def test_a_result_that_quotes_the_timeout_text_is_no_wedge(claude: Open) -> None:
    executor, flag = await claude("control-timeout"), WedgeFlag()
    with pytest.raises(AnsweredError, match="Control request timeout"):
        await turns(executor, flag).take(Turn("hello"))
    assert flag.reason is None


async def test_an_empty_success_clears_nothing_and_content_does(claude: Open) -> None:
    flag = WedgeFlag()
    flag.mark("first")
    await turns(await claude("empty"), flag).take(Turn("hello"))
    assert flag.reason == "first"
    await turns(await claude("ok"), flag).take(Turn("hello"))
    assert flag.reason is None


async def test_a_cli_that_falls_silent_is_found_by_the_probe(claude: Open) -> None:
    executor, flag = await claude("silent"), WedgeFlag()
    options = Options({"probe_interval": "0.1", "probe_timeout": "0.2"})
    watch = Watch(executor, options, turns(executor, flag), flag)
    await watch.probe_now()
    assert flag.reason is not None
    assert f"runtime (pid {executor.runtime_pid}) did not answer 2 probes of 0.2 s" in flag.reason


async def test_configuration_errors_say_what_to_do(tmp_path: Path) -> None:
    for options, match in (
        ({"cli_path": str(tmp_path / "none")}, "cli_path="),
        ({"cwd": str(tmp_path / "none")}, "working directory"),
    ):
        with pytest.raises(ConfigurationError, match=match):
            await executors.create("claude", "", options).start()


async def test_without_the_extra_the_executor_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "claude_agent_sdk", None)
    with pytest.raises(ConfigurationError, match=r"install truebeat\[claude\]"):
        await executors.create("claude", "", {}).start()
