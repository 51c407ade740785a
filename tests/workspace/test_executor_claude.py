"""The claude executor on the real SDK, with a stand-in for the CLI: starts, turns, probes, what a failure means."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from truebeat.domain.symptoms import means_wedged
from truebeat.workspace import executors, processes
from truebeat.workspace.executors.base import (
    AnsweredError,
    ConfigurationError,
    InPhase,
    InterruptedTurnError,
    Progress,
    Result,
    Text,
    ToolFinished,
    ToolStarted,
    TurnError,
)

pytest.importorskip("claude_agent_sdk")
sys.path.insert(0, str(Path(__file__).parent))
from claude_rig import Rig, Running, ask, gone, mine


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path)
    yield made
    await made.close()


def dead(pid: int | None) -> bool:
    process = processes.read(pid) if pid is not None else None
    return process is None or process.state in "ZX"


# -- starting


async def test_turns_give_text_and_a_result_and_the_probe_is_answered(rig: Rig) -> None:
    executor = await rig.open()
    pid = executor.runtime_pid
    assert pid is not None
    await executor.probe()
    for text in ("one", "two"):
        got = await ask(executor, text)
        assert got[0] == InPhase("waiting_model")
        assert Text(f"pong: {text}") in got
        assert got[-1] == Result(f"pong: {text}")
    await executor.probe()
    assert executor.runtime_pid == pid, "a turn cost the client"
    assert executor.suspicion() == ""
    assert rig.notes == []


@pytest.mark.parametrize("fault", ["no-initialize", "deaf", "stop-start"])
async def test_a_cli_that_never_answers_initialize_is_a_wedge_at_the_deadline(rig: Rig, fault: str) -> None:
    with pytest.raises(TimeoutError, match=r"^Control request timeout: initialize \(no answer within 0.7 s\)$") as told:
        await rig.open(fault, connect_timeout="0.7")
    assert means_wedged(str(told.value))
    await gone(mine, "a CLI was left behind")


async def test_a_slow_start_is_told_and_is_no_fault(rig: Rig) -> None:
    executor = await rig.open("slow-init=1", connect_soft="0.2", connect_timeout="60")
    assert rig.notes == ["slow start: the Claude CLI has not answered for 0.2 s", ""]
    assert (await ask(executor, "hello"))[-1] == Result("pong: hello")


async def test_a_refused_initialize_is_no_wedge(rig: Rig) -> None:
    with pytest.raises(TurnError, match="initialize refused: bad hooks") as told:
        await rig.open("refuse")
    assert not means_wedged(str(told.value))


async def test_an_exit_before_initialize_is_seen_at_once_not_after_a_minute(rig: Rig) -> None:
    started = time.monotonic()
    with pytest.raises(TurnError, match="exited before it answered initialize"):
        await rig.open("exit-0")
    assert time.monotonic() - started < 30


async def test_a_cli_that_fails_says_its_last_words(rig: Rig) -> None:
    with pytest.raises(TurnError, match="no such account"):
        await rig.open("exit-3")


@pytest.mark.parametrize(
    ("fault", "match"),
    [("usage", "^configuration: .*unknown option '--frobnicate'"), ("no-login", "^credentials: .*Not logged in")],
)
async def test_what_only_a_person_can_mend_is_named_at_the_start(rig: Rig, fault: str, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        await rig.open(fault)


async def test_a_cancelled_start_leaves_no_cli(rig: Rig) -> None:
    starting = asyncio.get_running_loop().create_task(rig.open("deaf"))
    await gone(lambda: not mine(), "no CLI was started")
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await gone(mine, "a CLI was left behind")


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


# -- turns that break the client


@pytest.mark.parametrize(
    ("fault", "match"),
    [
        ("no-result", "ended the turn without a result"),
        ("die", "exited with status 1: a bug in the CLI"),
        ("killed", "was killed by SIGKILL"),
        ("garbage-json", "Failed to decode JSON"),
        ("huge-line", "exceeded maximum buffer size"),
        ("grandchild", "holds its output open"),
    ],
)
async def test_a_broken_turn_fails_at_once_and_is_hard_evidence(rig: Rig, fault: str, match: str) -> None:
    executor = await rig.open()
    pid = executor.runtime_pid
    with pytest.raises(InterruptedTurnError, match=match) as told:
        await ask(executor, f"fault:{fault}")
    assert not means_wedged(str(told.value))
    # what it goes on naming is dead, and the probe says why: nobody takes this workspace for healthy
    assert executor.runtime_pid == pid
    assert dead(pid)
    assert executor.exit_text().startswith("is gone: ")
    assert executor.suspicion()
    with pytest.raises(TurnError, match=match):
        await executor.probe()
    await gone(mine, "a process of the broken client was left behind")
    # a turn that comes before the repair has a fresh client
    assert (await ask(executor, "again"))[-1] == Result("pong: again")
    await executor.probe()
    assert executor.exit_text() == ""


@pytest.mark.parametrize("fault", ["garbage-text", "stderr-flood", "burst"])
async def test_noise_breaks_nothing(rig: Rig, fault: str) -> None:
    executor = await rig.open()
    got = await ask(executor, f"fault:{fault}")
    assert isinstance(got[-1], Result)
    assert "".join(one.text for one in got if isinstance(one, Text)) == got[-1].text
    await executor.probe()


async def test_a_cli_that_dies_between_turns_is_seen_without_a_probe(rig: Rig) -> None:
    executor = await rig.open()
    pid = executor.runtime_pid
    os.kill(pid, signal.SIGKILL)
    await gone(lambda: not executor.exit_text(), "the exit was not noticed")
    assert executor.runtime_pid == pid
    assert "was killed by SIGKILL" in executor.exit_text()
    assert executor.suspicion()
    with pytest.raises(TurnError, match="was killed by SIGKILL"):
        await executor.probe()
    assert (await ask(executor, "again"))[-1] == Result("pong: again")


# -- turns that the runtime answers with an error


@pytest.mark.parametrize(
    ("fault", "match", "note"),
    [
        ("rate-limit", r"\(upstream\).*HTTP 429", "upstream: "),
        ("overloaded", r"\(upstream\).*HTTP 529", "upstream: "),
        ("server-error", r"\(upstream\).*HTTP 500", "upstream: "),
        ("auth", r"\(credentials\).*Invalid API key", "credentials: "),
    ],
)
async def test_what_is_not_its_own_fault_is_named_and_does_not_break_the_client(
    rig: Rig, fault: str, match: str, note: str
) -> None:
    executor = await rig.open()
    with pytest.raises(AnsweredError, match=match) as told:
        await ask(executor, f"fault:{fault}")
    assert not means_wedged(str(told.value))
    assert rig.notes[-1].startswith(note)
    await executor.probe()
    assert executor.runtime_pid is None  # it may exit now
    assert (await ask(executor, "again"))[-1] == Result("pong: again")
    assert rig.notes[-1] == ""
    assert executor.runtime_pid is not None


async def test_a_result_that_quotes_the_timeout_text_is_answered(rig: Rig) -> None:
    executor = await rig.open()
    with pytest.raises(AnsweredError, match="Control request timeout"):
        await ask(executor, "fault:control-timeout")
    assert rig.notes == []


async def test_a_configuration_error_at_a_turn_fails_the_turn_and_is_told(rig: Rig) -> None:
    executor = await rig.open()
    with pytest.raises(TurnError):
        await ask(executor, "fault:die")
    rig.set("usage")
    with pytest.raises(AnsweredError, match=r"^configuration: "):
        await ask(executor, "again")
    assert rig.notes[-1].startswith("configuration: ")
    with pytest.raises(TurnError, match=r"^configuration: "):
        await executor.probe()


# -- silences


async def test_a_silent_upstream_is_a_note_and_no_fault(rig: Rig) -> None:
    executor = await rig.open(stalled_after="0.05")
    for fault, note in (("silent-turn", "upstream_stalled: "), ("pings", "upstream_stalled: "), ("slow-mcp", "mcp_")):
        turn = Running(executor, f"fault:{fault}")
        await turn.seen(lambda output: output == InPhase("waiting_model"))
        async with asyncio.timeout(20):
            while not rig.notes or not rig.notes[-1].startswith(note):
                await executor.probe()
                await asyncio.sleep(0.02)
        await turn.stop()
        assert turn.task.cancelled()
        # the interrupt ended the turn: the client is as good as before
        await executor.probe()
        assert (await ask(executor, "again"))[-1] == Result("pong: again")
        assert rig.notes[-1] == ""


async def test_a_note_of_a_stall_ends_when_the_turn_moves(rig: Rig) -> None:
    executor = await rig.open(stalled_after="0.05")
    turn = Running(executor, "fault:slow=1.5")
    await turn.seen(lambda output: output == InPhase("waiting_model"))
    async with asyncio.timeout(20):
        while not rig.notes and not turn.task.done():
            await executor.probe()
            await asyncio.sleep(0.02)
    await turn.task
    assert turn.outputs[-1] == Result("pong: fault:slow=1.5")
    assert [note.partition(":")[0] for note in rig.notes] == ["upstream_stalled", ""]


@pytest.mark.parametrize("fault", ["hang", "silent", "stop"])
async def test_a_dead_cli_in_a_turn_fails_its_probe_and_is_killed_when_the_turn_is_stopped(
    rig: Rig, fault: str
) -> None:
    executor = await rig.open("ok" if fault != "silent" else "silent", interrupt_timeout="60")
    pid = executor.runtime_pid
    turn = Running(executor, f"fault:{fault}")
    await turn.seen(lambda output: output == InPhase("waiting_model"))
    if fault == "stop":
        await gone(lambda: processes.read(pid).state != "T", "it did not stop")
    await asyncio.sleep(0)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await executor.probe()
    async with asyncio.timeout(20):
        await turn.stop()
    assert dead(pid)
    assert executor.runtime_pid == pid
    assert "did not answer" in executor.exit_text()


async def test_a_turn_that_is_stopped_while_a_probe_is_on_costs_no_client(rig: Rig) -> None:
    executor = await rig.open(interrupt_timeout="60")
    pid = executor.runtime_pid
    turn = Running(executor, "fault:silent-turn")
    await turn.seen(lambda output: isinstance(output, Progress))
    probing = asyncio.get_running_loop().create_task(executor.probe())
    await asyncio.sleep(0)
    await turn.stop()
    await probing
    assert executor.runtime_pid == pid
    assert (await ask(executor, "again"))[-1] == Result("pong: again")
    assert executor.runtime_pid == pid


async def test_an_abandoned_turn_ends_at_once(rig: Rig) -> None:
    executor = await rig.open(interrupt_timeout="60")
    pid = executor.runtime_pid
    turn = Running(executor, "fault:ignore-interrupt")
    await turn.seen(lambda output: output == InPhase("waiting_model"))
    turn.task.cancel()
    await asyncio.sleep(0)
    executor.abandon()
    async with asyncio.timeout(20):
        await asyncio.wait({turn.task})
    assert dead(pid)


async def test_an_interrupt_that_is_acknowledged_and_ignored_ends_in_a_kill(rig: Rig) -> None:
    executor = await rig.open(interrupt_timeout="0.5")
    pid = executor.runtime_pid
    turn = Running(executor, "fault:ignore-interrupt")
    await turn.seen(lambda output: output == InPhase("waiting_model"))
    await turn.stop()
    assert dead(pid)
    assert executor.exit_text() == "is gone: the interrupt was acknowledged and ignored"


async def test_a_complete_answer_without_a_result_is_given_and_the_client_replaced(rig: Rig) -> None:
    executor = await rig.open(result_timeout="0.3", interrupt_timeout="1")
    pid = executor.runtime_pid
    got = await ask(executor, "fault:end-turn")
    assert got[-1] == Result("pong: all of it")
    assert dead(pid)
    assert executor.exit_text() == "is gone: the turn was done and the result was never sent"
    assert (await ask(executor, "again"))[-1] == Result("pong: again")


# -- phases


async def test_the_phases_of_a_turn(rig: Rig) -> None:
    executor = await rig.open()
    got = await ask(executor, "fault:tool=0.1")
    assert got.index(ToolStarted("Bash")) < got.index(ToolFinished("Bash")) < got.index(Result("pong: fault:tool=0.1"))
    assert got[got.index(ToolFinished("Bash")) + 1] == InPhase("waiting_model")
    got = await ask(executor, "fault:compact=0.1")
    assert [one for one in got if isinstance(one, InPhase)] == [
        InPhase("waiting_model"),
        InPhase("compacting"),
        InPhase("waiting_model"),
    ]
    got = await ask(executor, "fault:retry=0.1")
    assert InPhase("upstream_retry", 30.1) in got


async def test_a_silent_tool_is_no_stall_of_the_upstream(rig: Rig) -> None:
    executor = await rig.open(stalled_after="0.01")
    turn = Running(executor, "fault:tool=1")
    await turn.seen(lambda output: output == ToolStarted("Bash"))
    await asyncio.sleep(0.05)
    await executor.probe()
    assert rig.notes == []
    await turn.task
