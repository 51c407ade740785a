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
    Artifact,
    ConfigurationError,
    Executor,
    InPhase,
    InputRequired,
    Options,
    Output,
    Progress,
    Result,
    Text,
    ToolFinished,
    ToolStarted,
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


async def test_a_runtime_that_dies_in_a_turn_fails_it_with_its_last_words(runtime: Open) -> None:
    executor = await runtime("die-on-turn")
    with pytest.raises(TurnError, match="exited with status 3: out of memory"):
        await outputs(executor, "x")
    with pytest.raises(TurnError, match="exited with status 3"):
        await executor.probe()


async def marked(executor: Executor, flag: WedgeFlag, **options: str) -> str:
    """What is admitted when nothing is repaired."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        watching = group.create_task(watch(executor, flag, recover="no", **options).run())
        while flag.reason is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        watching.cancel()
    return flag.reason or ""


async def test_a_runtime_that_is_gone_is_a_wedge_with_how_it_ended(runtime: Open) -> None:
    executor = await runtime("die-on-turn")
    pid = executor.runtime_pid
    with pytest.raises(TurnError):
        await outputs(executor, "x")
    said = await marked(executor, WedgeFlag(), probe_interval="60")
    assert said == f"runtime (pid {pid}) exited with status 3: out of memory"


async def test_a_stopped_runtime_is_found_before_its_interval_with_what_was_measured(runtime: Open) -> None:
    executor = await runtime("ok")
    pid = executor.runtime_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    said = await marked(executor, WedgeFlag(), probe_interval="60", probe_timeout="0.2")
    assert said == f"runtime (pid {pid}) did not answer 2 probes of 0.2 s; process state T (stopped)"


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


# -- more than text, and what goes wrong


async def test_every_kind_of_line(runtime: Open) -> None:
    assert await outputs(await runtime("rich"), "x") == [
        InPhase("waiting_model", 40),
        ToolStarted("grep", 5),
        ToolFinished("grep"),
        Artifact("a.txt", ({"text": "x"},)),
        Text("done"),
        Result("done"),
    ]


async def test_a_question_and_its_answer(runtime: Open) -> None:
    executor = await runtime("ask")
    assert await outputs(executor, "x") == [InputRequired("which one?")]
    async with aclosing(executor.run(Turn("that one", reply=True))) as stream:
        assert [output async for output in stream] == [Result("thanks")]


async def test_leaving_a_turn_cancels_it_and_waits_for_its_end(runtime: Open) -> None:
    executor = await runtime("patient")
    async with asyncio.timeout(5), aclosing(executor.run(Turn("x"))) as stream:
        assert await anext(stream) == Text("...")
    await executor.probe()
    async with asyncio.timeout(5), aclosing(executor.run(Turn("again"))) as stream:
        assert await anext(stream) == Text("...")


async def test_a_runtime_that_hears_no_cancel_is_left_only_by_abandoning_it(runtime: Open) -> None:
    executor = await runtime("stubborn")
    pid = executor.runtime_pid
    assert pid is not None
    stream = executor.run(Turn("x"))
    assert await anext(stream) == Text("...")
    leaving = asyncio.ensure_future(stream.aclose())  # type: ignore[arg-type]
    await asyncio.wait({leaving}, timeout=0.2)
    assert not leaving.done()
    executor.abandon()
    async with asyncio.timeout(5):
        await leaving
    await gone(pid)


async def test_pings_are_answered_in_the_middle_of_a_turn(runtime: Open) -> None:
    executor = await runtime("stubborn")
    stream = executor.run(Turn("x"))
    assert await anext(stream) == Text("...")
    async with asyncio.timeout(5):
        await executor.probe()
    executor.abandon()
    await stream.aclose()


async def test_a_runtime_that_cannot_answer_in_turns_may_say_so(runtime: Open) -> None:
    executor = await runtime("busy", ping_in_turns="no")
    turn = asyncio.ensure_future(outputs(executor, "x"))
    await asyncio.sleep(0)
    async with asyncio.timeout(0.4):
        await executor.probe()
    assert (await turn)[-1] == Result("you said x")
    await executor.probe()


async def test_repair_is_a_fresh_process_in_place(runtime: Open, tmp_path: Path) -> None:
    executor = await runtime("hang-once", str(tmp_path / "hung"))
    pid = executor.runtime_pid
    assert pid is not None
    stream = executor.run(Turn("x"))
    taking = asyncio.ensure_future(anext(stream))
    while not (tmp_path / "hung").exists():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    executor.abandon()
    with pytest.raises(TurnError, match="killed because it did not answer"):
        await taking
    steps = [step async for step in executor.recover("why")]
    assert [(step.name, step.ok) for step in steps] == [("fresh process", True)]
    assert executor.runtime_pid not in {None, pid}
    await gone(pid)
    assert (await outputs(executor, "again"))[-1] == Result("you said again")


async def test_a_repair_that_fails_says_why(runtime: Open, tmp_path: Path) -> None:
    place = tmp_path / "agent"
    place.mkdir()
    executor = await runtime("ok", cwd=str(place))
    place.rmdir()
    steps = [step async for step in executor.recover("why")]
    assert [(step.name, step.ok) for step in steps] == [("fresh process", False)]
    assert "working directory" in steps[0].detail


async def test_a_grandchild_that_holds_stdout_does_not_hold_the_runtimes_turn(runtime: Open, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    executor = await runtime("hold", str(file))
    async with asyncio.timeout(10):
        with pytest.raises(TurnError, match="exited with status 3: out of memory"):
            await outputs(executor, "x")
    await executor.close()
    await gone(int(file.read_text()))


async def test_a_line_over_the_limit_fails_the_turn_and_no_more(runtime: Open) -> None:
    executor = await runtime("huge")
    async with asyncio.timeout(20):
        with pytest.raises(TurnError, match=r"a line longer than 16777216 bytes"):
            await outputs(executor, "x")
        await executor.probe()


async def test_a_flood_blocks_nothing(runtime: Open, capfd: pytest.CaptureFixture[str]) -> None:
    executor = await runtime("flood")
    async with asyncio.timeout(20):
        assert (await outputs(executor, "x"))[-1] == Result("done")
        await executor.probe()


async def test_an_answer_without_an_end_fails_and_its_runtime_is_killed(runtime: Open) -> None:
    executor = await runtime("endless", cancel_timeout="0.2")
    pid = executor.runtime_pid
    assert pid is not None
    with pytest.raises(TurnError, match=r"longer than 10485760 characters|more than 27262976 bytes"):
        async with asyncio.timeout(20):
            await outputs(executor, "x")
    await gone(pid)


async def test_a_turns_process_that_is_stopped_is_evidence_and_repaired_by_ending_it() -> None:
    executor = command(["sh", "-c", "echo $$; exec sleep 600"])
    await executor.start()
    assert executor.suspicion() == ""
    stream = executor.run(Turn(""))
    first = await anext(stream)
    assert isinstance(first, Text)
    pid = int(first.text)
    await executor.probe()
    os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(5):
        while not executor.suspicion():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    with pytest.raises(TurnError, match=rf"pid {pid}\) is stopped \(state T\)"):
        await executor.probe()
    await stream.aclose()
    assert [step.ok async for step in executor.recover("why")] == [True]
    await executor.probe()
    await gone(pid)


async def test_an_idle_probe_sees_that_the_program_is_there_no_more(tmp_path: Path) -> None:
    program = tmp_path / "agent"
    program.write_text("#!/bin/sh\ncat\n")
    program.chmod(0o755)
    executor = command([str(program)])
    await executor.start()
    await executor.probe()
    program.unlink()
    with pytest.raises(TurnError, match="can't be run any more"):
        await executor.probe()


async def test_an_endless_answer_of_a_command_fails_the_turn() -> None:
    with pytest.raises(TurnError, match="longer than 10485760 bytes"):
        async with asyncio.timeout(30):
            await outputs(command("yes"), "")
