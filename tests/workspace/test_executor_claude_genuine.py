"""The genuine CLI that claude-agent-sdk bundles, offline, against a stand-in for the Messages API."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from truebeat.clock import SystemClock
from truebeat.workspace import executors, processes
from truebeat.workspace.executors.base import Executor, Options, Output, Result, Text, Turn
from truebeat.workspace.turns import Turns
from truebeat.workspace.watch import Watch
from truebeat.workspace.wedge import WedgeFlag

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


async def ask(executor: Executor, text: str) -> list[Output]:
    async with aclosing(executor.run(Turn(text))) as stream:
        return [output async for output in stream]


async def test_turns_probe_and_a_real_wedge(offline: None, tmp_path: Path) -> None:
    executor = executors.create("claude", "", {"cwd": str(tmp_path), "connect_timeout": "60", "max_retries": "0"})
    await executor.start()
    try:
        await executor.probe()
        for _ in range(2):
            got = await ask(executor, "ping")
            assert got[-1] == Result("pong from the fake")
            assert [one.text for one in got if isinstance(one, Text)] == ["pong ", "from ", "the fake"]

        flag, sent = WedgeFlag(), []
        turns = Turns(executor, sent.append, SystemClock(), flag)
        with pytest.raises(Exception, match="429"):
            await turns.take(Turn("RATELIMIT please"))
        assert flag.reason is None
        assert not [frame for frame in sent if type(frame).__name__ == "Outcomes"]

        assert (await ask(executor, "ping"))[-1] == Result("pong from the fake")
        pid = executor.runtime_pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        watch = Watch(executor, Options({"probe_timeout": "0.5"}), turns, flag)
        await watch.probe_now()
        assert flag.reason == f"runtime (pid {pid}) did not answer 2 probes of 0.5 s; process state T (stopped)"
    finally:
        await executor.close()
    process = processes.read(pid)
    assert process is None or process.state in "ZX"
