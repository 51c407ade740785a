"""The ladder of the claude executor, and how conversations go on, on the real SDK with a stand-in for the CLI."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from truebeat.workspace import processes
from truebeat.workspace.executors import claude_cli
from truebeat.workspace.executors.base import AnsweredError, ConfigurationError, InPhase, Result, TurnError

pytest.importorskip("claude_agent_sdk")
sys.path.insert(0, str(Path(__file__).parent))
from claude_rig import Rig, Running, ask, gone, mine, recovered


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path)
    yield made
    await made.close()


async def session_of(executor: object, context: str = "") -> str:
    return (await ask(executor, "recall", context_id=context))[-1].text


# -- the ladder


async def test_a_lost_client_is_replaced_in_place_and_its_session_resumed(rig: Rig) -> None:
    executor = await rig.open()
    session = await session_of(executor, "c1")
    with pytest.raises(TurnError):
        await ask(executor, "fault:die", context_id="c1")
    (step,) = await recovered(executor)
    assert (step.name, step.ok) == ("fresh client with resume", True)
    assert session in step.detail
    await executor.probe()
    pid = executor.runtime_pid
    assert await session_of(executor, "c1") == session
    assert executor.runtime_pid == pid, "the repaired client was not used for the conversation it carries"


@pytest.mark.parametrize("fault", ["hang", "stop"])
async def test_a_dead_client_that_nobody_killed_is_replaced(rig: Rig, fault: str) -> None:
    executor = await rig.open()
    pid = executor.runtime_pid
    turn = Running(executor, f"fault:{fault}")
    await turn.seen(lambda output: output == InPhase("waiting_model"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await executor.probe()
    await turn.stop()
    (step,) = await recovered(executor)
    assert step.ok
    assert executor.runtime_pid not in {None, pid}
    assert (await ask(executor, "again"))[-1] == Result("pong: again")


async def test_nothing_helps_when_the_cli_is_broken(rig: Rig) -> None:
    executor = await rig.open()
    # only now: the sound start above may take its time
    executor._client._limits = replace(executor._client._limits, connect=0.5)
    rig.set("no-initialize")
    steps = await recovered(executor, "why")
    assert [(step.name, step.ok) for step in steps] == [
        ("fresh client", False),
        ("canary with minimal options", False),
    ]
    assert all(step.detail.startswith("Control request timeout: initialize") for step in steps)
    with pytest.raises(TurnError, match="Control request timeout"):
        await executor.probe()
    await gone(mine, "a CLI was left behind")


async def test_a_session_that_can_not_be_resumed_costs_the_conversation_and_not_the_workspace(rig: Rig) -> None:
    executor = await rig.open()
    session = await session_of(executor, "c1")
    rig.set("no-session")
    steps = await recovered(executor)
    assert [(step.name, step.ok) for step in steps] == [
        ("fresh client with resume", False),
        ("fresh client with a new session", True),
    ]
    assert "No conversation found" in steps[0].detail
    assert await session_of(executor, "c1") != session


async def test_a_session_that_keeps_it_from_starting_is_given_up_once_a_canary_passed(rig: Rig) -> None:
    executor = await rig.open(connect_timeout="4")
    session = await session_of(executor, "c1")
    rig.set("deaf-resume")
    steps = await recovered(executor)
    assert [(step.name, step.ok) for step in steps] == [
        ("fresh client with resume", False),
        ("canary with minimal options", False),
        ("fresh client with a new session", True),
    ]
    assert steps[1].detail.startswith("it starts")
    assert await session_of(executor, "c1") != session


async def test_options_that_keep_it_from_starting_are_named_and_not_looped_on(rig: Rig) -> None:
    with pytest.raises(ConfigurationError, match="starts with minimal options, and not with setting_sources=project"):
        await rig.open("needs-minimal", setting_sources="project", connect_timeout="4")
    await gone(mine, "a CLI was left behind")


async def test_options_are_not_blamed_for_one_slow_start(rig: Rig) -> None:
    executor = await rig.open(rig.once("needs-minimal"), setting_sources="project", connect_timeout="5")
    assert (await ask(executor, "hello"))[-1] == Result("pong: hello")


async def test_options_that_break_later_are_named_by_the_repair(rig: Rig) -> None:
    executor = await rig.open(setting_sources="project", connect_timeout="4")
    rig.set("needs-minimal")
    with pytest.raises(ConfigurationError, match="setting_sources=project"):
        await recovered(executor)


async def test_credentials_end_the_ladder_at_its_first_step(rig: Rig) -> None:
    executor = await rig.open()
    rig.set("no-login")
    with pytest.raises(ConfigurationError, match=r"^credentials: "):
        await recovered(executor)


# -- leftovers


OWNER = """
import os, subprocess, sys
from truebeat.workspace.executors import claude_cli
marked = os.environ | {claude_cli.MARK: claude_cli.new_mark()}
busy = [sys.executable, "-I", "-c", "while True: pass"]
print(subprocess.Popen(busy, env=marked, start_new_session=True, stdin=subprocess.DEVNULL).pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def abandoned() -> Iterator[tuple[subprocess.Popen[str], processes.Process]]:
    """Another worker, and its busy CLI, which does not end with it."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as one:
        busy = processes.read(int(one.stdout.readline()))
        yield one, busy
        processes.send(busy, signal.SIGKILL)


async def test_leftovers_of_a_dead_process_are_killed_before_a_connect(rig: Rig, abandoned: tuple) -> None:
    owner, busy = abandoned
    executor = await rig.open()
    assert processes.alive(busy), "a client of a living process was killed"
    owner.stdin.close()
    owner.wait(20)
    assert processes.alive(busy)
    await recovered(executor)
    await gone(lambda: processes.alive(busy), "the leftover was not killed")


@pytest.mark.parametrize("mark", ["", "x", "1/1.1/1", "//", "1/2", "a/b.c/d"])
def test_a_mark_that_says_nothing_here_is_no_leftover(mark: str) -> None:
    assert not claude_cli._is_leftover(mark)


def test_a_client_of_this_process_is_a_leftover_once_it_is_closed() -> None:
    mark = claude_cli.new_mark()
    assert not claude_cli._is_leftover(mark)
    claude_cli.forget(mark)
    assert claude_cli._is_leftover(mark)


# -- conversations


async def test_each_conversation_has_its_own_session_which_goes_on(rig: Rig, tmp_path: Path) -> None:
    executor = await rig.open(state_dir=str(tmp_path / "state"))
    first = await session_of(executor, "c1")
    pid = executor.runtime_pid
    assert await session_of(executor, "c1") == first
    assert executor.runtime_pid == pid, "a client was opened for a conversation that is open"
    second = await session_of(executor, "c2")
    assert second != first
    assert await session_of(executor, "c1") == first
    await gone(lambda: len(mine()) > 1, "a client of another conversation was left behind")
    kept = tmp_path / "state" / "claude-sessions.json"
    assert json.loads(kept.read_text()) == {"c1": first, "c2": second}
    assert kept.stat().st_mode & 0o077 == 0
    # and over a restart
    again = await rig.open(state_dir=str(tmp_path / "state"))
    assert await session_of(again, "c2") == second
    assert await session_of(again, "c1") == first


async def test_a_conversation_that_is_lost_begins_anew_and_the_agent_is_told(rig: Rig) -> None:
    executor = await rig.open()
    await session_of(executor, "c1")
    await session_of(executor, "c2")
    rig.set("no-session")
    got = await ask(executor, "hello", context_id="c1")
    assert got[-1].text.startswith("pong: [The earlier part of this conversation could not be restored.]")


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "null", '{"c1": 5}', "\x00"])
async def test_a_map_that_can_not_be_read_costs_no_start(rig: Rig, tmp_path: Path, text: str) -> None:
    (tmp_path / "claude-sessions.json").write_text(text)
    executor = await rig.open(state_dir=str(tmp_path))
    assert (await ask(executor, "hello", context_id="c"))[-1] == Result("pong: hello")
    assert "c" in json.loads((tmp_path / "claude-sessions.json").read_text())


async def test_a_session_that_breaks_the_stream_twice_is_given_up(rig: Rig) -> None:
    executor = await rig.open()
    session = await session_of(executor, "c1")
    for _ in range(2):
        with pytest.raises(TurnError, match="Failed to decode JSON"):
            await ask(executor, "fault:garbage-json", context_id="c1")
    assert await session_of(executor, "c1") != session


async def test_an_interrupted_turn_is_told_to_the_agent(rig: Rig) -> None:
    executor = await rig.open()
    got = await ask(executor, "the work", interrupted=True)
    assert "An earlier attempt at this message was interrupted" in got[-1].text
    assert got[-1].text.endswith("the work")


# -- no client, and no fault


async def test_a_cli_that_exits_after_it_reported_an_error_is_no_fault_and_is_replaced_when_probed(rig: Rig) -> None:
    executor = await rig.open()
    session = await session_of(executor, "c1")
    (cli,) = mine()
    with pytest.raises(AnsweredError):
        await ask(executor, "fault:rate-limit", context_id="c1")
    processes.send(cli, signal.SIGKILL)
    async with asyncio.timeout(20):
        while executor.runtime_pid is None:
            assert executor.suspicion() == ""
            await executor.probe()
            await asyncio.sleep(0.02)
    assert executor.runtime_pid != cli.pid
    pid = executor.runtime_pid
    assert await session_of(executor, "c1") == session
    assert executor.runtime_pid == pid


async def test_a_turn_that_is_canceled_while_its_client_starts_leaves_a_workspace_that_is_proved_again(
    rig: Rig,
) -> None:
    executor = await rig.open()
    await session_of(executor, "c1")
    (first,) = mine()
    rig.set("deaf")
    turn = Running(executor, "hello", context_id="c2")
    await gone(lambda: not [one for one in mine() if one.pid != first.pid], "no other client was started")
    await executor.probe()  # what is being opened has its own deadline
    await turn.stop()
    assert executor.runtime_pid is None
    await gone(mine, "a CLI was left behind")
    # nobody believes in a client that is not there: the probe opens one, and tells if it can't
    rig.set("exit-3")
    with pytest.raises(TurnError, match="no such account"):
        async with asyncio.timeout(20):
            while True:
                await executor.probe()
                await asyncio.sleep(0.02)
    rig.set("ok")
    (step,) = await recovered(executor)
    assert step.ok
    assert (await ask(executor, "hello", context_id="c2"))[-1] == Result("pong: hello")


async def test_many_clients_leave_no_descriptor_and_no_process(rig: Rig) -> None:
    executor = await rig.open()
    before = None
    for _ in range(6):
        for fault in ("die", "garbage-json", "grandchild"):
            with pytest.raises(TurnError):
                await ask(executor, f"fault:{fault}")
            assert (await recovered(executor))[-1].ok
        await gone(lambda: len(mine()) > 1, "a CLI was left behind")
        before = before if before is not None else len(list(Path("/proc/self/fd").iterdir()))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
