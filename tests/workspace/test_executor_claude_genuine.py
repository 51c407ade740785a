"""The genuine CLI that claude-agent-sdk bundles, offline, against a stand-in for the Messages API."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from truebeat.clock import SystemClock
from truebeat.workspace import executors, processes
from truebeat.workspace.executors.base import AnsweredError, ConfigurationError, Executor, Progress, Result, Text, Turn
from truebeat.workspace.turns import Turns
from truebeat.workspace.wedge import WedgeFlag

sys.path.insert(0, str(Path(__file__).parent))
from claude_rig import Rig, Running, ask, gone, mine, recovered

sdk = pytest.importorskip("claude_agent_sdk")
BUNDLED = Path(sdk.__file__).parent / "_bundled" / "claude"
FAKE = Path(__file__).parents[1] / "stands" / "fake_messages.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BUNDLED.exists(), reason="this platform's claude-agent-sdk bundles no CLI"),
]


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A scratch home, a dummy key, and nowhere to go but the stand-in."""
    home = tmp_path / "home"
    home.mkdir()
    with subprocess.Popen(
        [sys.executable, "-I", str(FAKE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as api:
        assert api.stdout is not None
        port = api.stdout.readline().strip()
        for name, value in {
            "HOME": str(home),
            "CLAUDE_CONFIG_DIR": str(home / "claude"),
            "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}",
            "ANTHROPIC_API_KEY": "dummy",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_AUTOUPDATER": "1",
            "no_proxy": "127.0.0.1",
            "NO_PROXY": "127.0.0.1",
        }.items():
            monkeypatch.setenv(name, value)
        yield
        assert api.stdin is not None
        api.stdin.close()


@pytest.fixture
async def rig(offline: None, tmp_path: Path) -> AsyncIterator[GenuineRig]:
    made = GenuineRig(tmp_path)
    yield made
    await made.close()


class GenuineRig(Rig):
    """The same on the bundled CLI."""

    async def open(self, fault: str = "ok", **options: str) -> Executor:
        patient = {"cwd": str(self._directory), "connect_timeout": "60", "max_retries": "0"}
        executor = executors.create("claude", "", patient | options)
        executor.note = self.notes.append
        self.executors.append(executor)
        await executor.start()
        return executor


PONG = Result("pong from the fake")


async def test_turns_rate_limits_and_credentials(rig: GenuineRig) -> None:
    executor = await rig.open()
    pid = executor.runtime_pid
    await executor.probe()
    for _ in range(2):
        got = await ask(executor, "ping", context_id="c1")
        assert got[-1] == PONG
        assert [one.text for one in got if isinstance(one, Text)] == ["pong ", "from ", "the fake"]
    assert executor.runtime_pid == pid

    flag, sent = WedgeFlag(), []
    with pytest.raises(AnsweredError, match=r"\(upstream\).*429"):
        await Turns(executor, sent.append, SystemClock(), flag).take(Turn("RATELIMIT please", context_id="c1"))
    assert flag.reason is None
    assert not [frame for frame in sent if type(frame).__name__ == "Outcomes"]
    with pytest.raises(AnsweredError, match=r"\(credentials\)"):
        await ask(executor, "BADKEY please", context_id="c1")
    assert rig.notes[-1].startswith("credentials: ")
    assert (await ask(executor, "ping", context_id="c1"))[-1] == PONG
    assert rig.notes[-1] == ""


async def test_a_killed_cli_is_replaced_and_the_conversation_resumed(rig: GenuineRig) -> None:
    executor = await rig.open()
    assert (await ask(executor, "ping", context_id="c1"))[-1] == PONG
    os.kill(executor.runtime_pid, signal.SIGKILL)
    await gone(lambda: not executor.suspicion(), "the exit was not noticed")
    assert "was killed by SIGKILL" in executor.exit_text()
    (step,) = await recovered(executor)
    assert (step.name, step.ok) == ("fresh client with resume", True)
    assert (await ask(executor, "ping", context_id="c1"))[-1] == PONG


async def test_a_cli_stopped_in_a_turn_fails_its_probe_and_is_replaced(rig: GenuineRig) -> None:
    executor = await rig.open(interrupt_timeout="60")
    assert (await ask(executor, "ping", context_id="c1"))[-1] == PONG
    turn = Running(executor, "STALL please", context_id="c1")
    await turn.seen(lambda output: isinstance(output, Progress))
    pid = executor.runtime_pid
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await executor.probe()
    executor.abandon()
    await turn.stop()
    process = processes.read(pid)
    assert process is None or process.state in "ZX"
    (step,) = await recovered(executor)
    assert step.ok
    assert (await ask(executor, "ping", context_id="c1"))[-1] == PONG


async def test_an_upstream_that_never_answers_is_a_note_and_an_interrupt_ends_it(rig: GenuineRig) -> None:
    executor = await rig.open(stalled_after="0.5", interrupt_timeout="30")
    pid = executor.runtime_pid
    turn = Running(executor, "STALL please")
    await turn.seen(lambda output: isinstance(output, Progress))
    async with asyncio.timeout(60):
        while not rig.notes or not rig.notes[-1].startswith("upstream_stalled: "):
            await executor.probe()
            await asyncio.sleep(0.05)
    await turn.stop()
    assert turn.task.cancelled()
    await executor.probe()
    assert executor.runtime_pid == pid, "the interrupt was enough"
    assert (await ask(executor, "ping"))[-1] == PONG
    assert rig.notes[-1] == ""


async def test_a_session_start_hook_that_hangs_is_named(rig: GenuineRig, tmp_path: Path) -> None:
    settings = tmp_path / ".claude" / "settings.json"
    settings.parent.mkdir()
    hook = {"hooks": [{"type": "command", "command": "sleep 300"}]}
    settings.write_text(json.dumps({"hooks": {"SessionStart": [hook]}}))
    with pytest.raises(ConfigurationError, match="starts with minimal options, and not with setting_sources=project"):
        await rig.open(setting_sources="project", connect_timeout="12")
    await gone(mine, "a process was left behind")
