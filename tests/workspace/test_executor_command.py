"""The command executor with real programs."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from truebeat.clock import SystemClock
from truebeat.workspace import executors, processes
from truebeat.workspace.executors.base import (
    ConfigurationError,
    Executor,
    Options,
    Output,
    Progress,
    Result,
    Text,
    Turn,
    TurnError,
)
from truebeat.workspace.turns import Turns
from truebeat.workspace.watch import Watch
from truebeat.workspace.wedge import WedgeFlag

AGENT = Path(__file__).parents[1] / "stands" / "ndjson_agent.py"
Open = Callable[..., Awaitable[Executor]]


@pytest.fixture
async def runtime() -> AsyncIterator[Open]:
    opened: list[Executor] = []

    async def open_one(mode: str, *words: str, **options: str) -> Executor:
        target = [sys.executable, "-I", str(AGENT), mode, *words]
        executor = executors.create("command", target, {"mode": "ndjson", **options})
        opened.append(executor)
        await executor.start()
        return executor

    yield open_one
    for executor in opened:
        await executor.close()


async def outputs(executor: Executor, text: str) -> list[Output]:
    async with aclosing(executor.run(Turn(text))) as stream:
        return [output async for output in stream]


async def gone(pid: int) -> None:
    async with asyncio.timeout(5):
        while (process := processes.read(pid)) is not None and process.state not in "ZX":  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def watch(executor: Executor, flag: WedgeFlag, **options: str) -> Watch:
    turns = Turns(executor, lambda frame: None, SystemClock(), flag)
    return Watch(executor, Options(options), turns, flag)


def command(line: str | list[str], **options: str) -> Executor:
    return executors.create("command", line, options)


# -- one process a turn


async def test_a_turn_is_a_process_text_in_text_out() -> None:
    executor = command("tr a-z A-Z")
    await executor.start()
    for text in ("héllo", "again"):
        got = await outputs(executor, text)
        assert got[-1] == Result(text.upper().replace("É", "é"))
        assert "".join(one.text for one in got if isinstance(one, Text)) == got[-1].text  # type: ignore[union-attr]


async def test_a_failing_command_fails_the_turn_with_its_last_words() -> None:
    executor = command(["sh", "-c", "echo half; echo no key >&2; exit 4"])
    with pytest.raises(TurnError, match="exited with status 4: no key"):
        await outputs(executor, "x")


async def test_a_killed_command_says_so() -> None:
    with pytest.raises(TurnError, match="killed by SIGKILL"):
        await outputs(command(["sh", "-c", "kill -KILL $$"]), "x")


async def test_output_that_is_not_utf8_is_kept_readable() -> None:
    assert (await outputs(command(["printf", r"a\377b"]), ""))[-1] == Result("a\N{REPLACEMENT CHARACTER}b")


async def test_a_grandchild_that_holds_stdout_does_not_hold_the_turn() -> None:
    async with asyncio.timeout(10):
        assert (await outputs(command(["sh", "-c", "sleep 600 & echo done"]), ""))[-1] == Result("done")


async def test_leaving_a_turn_ends_its_process(tmp_path: Path) -> None:
    executor = command(["sh", "-c", "echo $$; exec sleep 600"])
    async with aclosing(executor.run(Turn(""))) as stream:
        first = await anext(stream)
        assert isinstance(first, Text)
    await gone(int(first.text))


@pytest.mark.parametrize(
    ("line", "options", "match"),
    [
        ("", {}, "command is empty"),
        ("no-such-program-here x", {}, "not on the PATH"),
        ("cat", {"cwd": "/no/such/place"}, "working directory"),
        ("cat", {"mode": "telepathy"}, "mode='telepathy' is not one of turn, ndjson"),
        ("/no/such/program", {"mode": "ndjson"}, "can't run"),
        ("cat", {"mode": "ndjson", "start_timeout": "soon"}, "start_timeout='soon' is not a number"),
        ("cat", {"mode": "ndjson", "start_timeout": "nan"}, "start_timeout='nan' is not a number"),
    ],
)
async def test_configuration_errors_say_what_to_do(line: str, options: dict[str, str], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        await command(line, **options).start()


# -- one long-lived runtime


async def test_turns_through_a_runtime(runtime: Open) -> None:
    executor = await runtime("ok")
    await executor.probe()
    for text in ("one", "two\nlines"):
        assert await outputs(executor, text) == [
            Progress("thinking"),
            Text("you said "),
            Text(text),
            Result(f"you said {text}"),
        ]


async def test_a_slow_start_is_a_start(runtime: Open) -> None:
    await (await runtime("late")).probe()


async def test_lines_that_are_no_replies_are_passed_over(runtime: Open) -> None:
    assert (await outputs(await runtime("noise"), "x"))[-1] == Result("you said x")


async def test_a_mute_runtime_does_not_start(runtime: Open) -> None:
    with pytest.raises(TimeoutError, match=r"did not answer its first ping within 0.3 s"):
        await runtime("mute", start_timeout="0.3")


async def test_a_runtime_that_ends_at_once_says_why() -> None:
    executor = command(["sh", "-c", "echo no licence >&2; exit 5"], mode="ndjson")
    with pytest.raises(TurnError, match="exited with status 5: no licence"):
        await executor.start()
    await executor.close()


async def test_a_runtime_that_dies_in_a_turn_fails_it_and_is_a_wedge(runtime: Open) -> None:
    executor, flag = await runtime("die-on-turn"), WedgeFlag()
    pid = executor.runtime_pid
    with pytest.raises(TurnError, match="exited with status 3: out of memory"):
        await outputs(executor, "x")
    with pytest.raises(TurnError, match="exited with status 3"):
        await executor.probe()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        watching = group.create_task(watch(executor, flag).run())
        while flag.reason is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        watching.cancel()
    assert flag.reason == f"runtime (pid {pid}) exited with status 3: out of memory"


async def test_a_stopped_runtime_is_found_before_its_interval_with_what_was_measured(runtime: Open) -> None:
    executor, flag = await runtime("ok"), WedgeFlag()
    pid = executor.runtime_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        watching = group.create_task(watch(executor, flag, probe_interval="60", probe_timeout="0.2").run())
        while flag.reason is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        watching.cancel()
    assert flag.reason == f"runtime (pid {pid}) did not answer 2 probes of 0.2 s; process state T (stopped)"


async def test_one_missed_probe_is_no_wedge(runtime: Open) -> None:
    executor, flag = await runtime("ok"), WedgeFlag()
    pid = executor.runtime_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    asyncio.get_running_loop().call_later(0.6, os.kill, pid, signal.SIGCONT)
    await watch(executor, flag, probe_timeout="0.5").probe_now()
    assert flag.reason is None


async def test_closing_ends_the_whole_group(runtime: Open, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    executor = await runtime("grandchild", str(file))
    pid = executor.runtime_pid
    assert pid is not None
    await executor.close()
    await gone(pid)
    await gone(int(file.read_text()))


async def test_a_runtime_that_is_stopped_can_be_closed(runtime: Open) -> None:
    executor = await runtime("ok")
    pid = executor.runtime_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(5):
        await executor.close()
    await gone(pid)
