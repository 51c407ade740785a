"""The worker as a process, over its real pipe."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from truebeat.protocol import pipe
from truebeat.workspace import processes
from truebeat.workspace import worker as worker_module
from truebeat.workspace.config import RunConfig, encode
from truebeat.workspace.pipe import encode as encode_frame
from truebeat.workspace.pipe import from_worker
from truebeat.workspace.wedge import WedgeFlag
from truebeat.workspace.worker_pipe import FrameWriter

STANDS = Path(__file__).parents[1] / "stands"


class Process:
    """A worker started as a supervisor starts it; `frames` holds everything it sent but ticks."""

    def __init__(self, process: asyncio.subprocess.Process, sends: int, reads: int) -> None:
        self.process = process
        self.frames: list[object] = []
        self.ticks: list[pipe.Tick] = []
        self._sends: int | None = sends
        self._reads = reads
        self._news = asyncio.Event()
        self._reader = from_worker()
        os.set_blocking(reads, False)
        asyncio.get_running_loop().add_reader(reads, self._read)

    def _read(self) -> None:
        data = os.read(self._reads, 65536)
        if not data:
            asyncio.get_running_loop().remove_reader(self._reads)
        for frame in self._reader.feed(data):
            (self.ticks if isinstance(frame, pipe.Tick) else self.frames).append(frame)
        self._news.set()

    async def until(self, met: Callable[[], bool], seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while not met():
                self._news.clear()
                await self._news.wait()

    async def frame(self, kind: type) -> object:
        await self.until(lambda: any(isinstance(one, kind) for one in self.frames))
        return next(one for one in self.frames if isinstance(one, kind))

    def write(self, data: bytes) -> None:
        assert self._sends is not None
        os.write(self._sends, data)

    def stop(self, grace: float = 5.0) -> None:
        self.write(encode_frame(pipe.Stop(grace=grace)))

    def hang_up(self) -> None:
        if self._sends is not None:
            os.close(self._sends)
            self._sends = None

    async def end(self) -> tuple[int, str]:
        async with asyncio.timeout(20):
            assert self.process.stderr is not None
            said = await self.process.stderr.read()
            return await self.process.wait(), said.decode()

    async def clean_up(self) -> None:
        self.hang_up()
        if self.process.returncode is None:
            self.process.kill()
            await self.process.communicate()
        asyncio.get_running_loop().remove_reader(self._reads)
        os.close(self._reads)


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[..., object]]:
    started: list[Process] = []

    async def start_one(agent: str, target: str | list[str], **options: str) -> Process:
        config = RunConfig(
            name="w", workspace_id="w", url="http://127.0.0.1:1", agent=agent, target=target, options=options
        )
        their_in, our_out = os.pipe()
        our_in, their_out = os.pipe()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "truebeat.workspace.worker", encode(config),
            pass_fds=(their_in, their_out), cwd=tmp_path, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "TRUEBEAT_PIPE_IN": str(their_in), "TRUEBEAT_PIPE_OUT": str(their_out)},
        )  # fmt: skip
        os.close(their_in)
        os.close(their_out)
        started.append(Process(process, our_out, our_in))
        return started[-1]

    yield start_one
    for one in started:
        await one.clean_up()


def runtime(mode: str, *words: str) -> list[str]:
    return [sys.executable, "-I", str(STANDS / "ndjson_agent.py"), mode, *words]


def child_of(pid: int) -> int:
    return next(one.pid for one in processes.snapshot() if one.parent == pid)


async def test_a_generation_from_start_to_stop(start: Callable[..., object]) -> None:
    worker: Process = await start("command", runtime("ok"), mode="ndjson")
    await worker.until(lambda: len(worker.ticks) >= 3)
    assert worker.frames == [pipe.Phase(name="starting"), pipe.Ready(), pipe.Phase(name="idle")]
    assert all(tick.lag >= 0 for tick in worker.ticks)
    agent = child_of(worker.process.pid)
    worker.write(b"not a frame\n" + b'{"type":"later"}\n' + b"x" * (2 * pipe.LINE_LIMIT) + b"\n")
    worker.stop()
    assert (await worker.end())[0] == 0
    assert worker.frames[3:] == [pipe.Phase(name="draining")]
    assert processes.read(agent) is None


@pytest.mark.parametrize("way", ["hang up", "SIGTERM"])
async def test_without_a_supervisor_it_ends(start: Callable[..., object], way: str) -> None:
    worker: Process = await start("command", "cat")
    await worker.frame(pipe.Ready)
    if way == "SIGTERM":
        worker.process.send_signal(signal.SIGTERM)
    else:
        worker.hang_up()
    assert (await worker.end())[0] == 0


async def test_a_runtime_that_stops_is_admitted_while_the_ticks_go_on(start: Callable[..., object]) -> None:
    worker: Process = await start("command", runtime("ok"), mode="ndjson", probe_timeout="0.3")
    await worker.frame(pipe.Ready)
    agent = child_of(worker.process.pid)
    os.kill(agent, signal.SIGSTOP)
    wedged = await worker.frame(pipe.Wedged)
    assert wedged == pipe.Wedged(
        reason=f"runtime (pid {agent}) did not answer 2 probes of 0.3 s; process state T (stopped)"
    )
    ticks = len(worker.ticks)
    await worker.until(lambda: len(worker.ticks) >= ticks + 2)
    assert worker.process.returncode is None


async def test_a_runtime_that_dies_is_admitted_at_once(start: Callable[..., object]) -> None:
    worker: Process = await start("command", runtime("ok"), mode="ndjson", probe_interval="60")
    await worker.frame(pipe.Ready)
    agent = child_of(worker.process.pid)
    os.kill(agent, signal.SIGKILL)
    killed = time.monotonic()
    assert await worker.frame(pipe.Wedged) == pipe.Wedged(reason=f"runtime (pid {agent}) killed by SIGKILL")
    assert time.monotonic() - killed < 3


async def test_a_runtime_does_not_outlive_a_killed_worker(start: Callable[..., object]) -> None:
    worker: Process = await start("command", runtime("ok"), mode="ndjson")
    await worker.frame(pipe.Ready)
    agent = child_of(worker.process.pid)
    os.kill(agent, signal.SIGSTOP)  # so that the end of its stdin alone would not end it
    worker.process.kill()
    await worker.process.wait()
    async with asyncio.timeout(5):
        while (left := processes.read(agent)) is not None and left.state not in "ZX":  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("agent", "target", "options", "match"),
    [
        ("python", "no_such_module:f", {}, "there is no module 'no_such_module'"),
        ("python", "os:nothing", {}, "has no function 'nothing'"),
        ("command", "no-such-program-here", {}, "not on the PATH"),
        ("telepathy", "", {}, "there is no executor 'telepathy'"),
        ("command", "cat", {"probe_interval": "often"}, "probe_interval='often'"),
        ("claude", "", {"cli_path": "/no/such/claude"}, "cli_path='/no/such/claude'"),
    ],
)
async def test_what_a_restart_cannot_help_is_fatal(
    start: Callable[..., object], agent: str, target: str, options: dict[str, str], match: str
) -> None:
    worker: Process = await start(agent, target, **options)
    fatal = await worker.frame(pipe.Fatal)
    assert isinstance(fatal, pipe.Fatal)
    assert match in fatal.reason
    assert not [frame for frame in worker.frames if isinstance(frame, pipe.Ready | pipe.Wedged)]
    worker.stop()
    assert (await worker.end())[0] == 78


async def test_a_start_that_may_go_better_next_time_exits_1_with_the_reason(start: Callable[..., object]) -> None:
    worker: Process = await start("command", ["sh", "-c", "echo no licence >&2; exit 5"], mode="ndjson")
    code, said = await worker.end()
    assert code == 1
    assert "the command executor did not start: the runtime exited with status 5: no licence" in said
    assert not [frame for frame in worker.frames if isinstance(frame, pipe.Ready | pipe.Wedged | pipe.Fatal)]


async def test_marking_from_the_agents_own_code_is_heard_at_once(start: Callable[..., object], tmp_path: Path) -> None:
    (tmp_path / "marking.py").write_text(
        "from truebeat.workspace.wedge import mark_wedged\nmark_wedged('the licence server is gone')\n"
        "def answer(text): return text\n"
    )
    worker: Process = await start("python", "marking:answer")
    assert await worker.frame(pipe.Wedged) == pipe.Wedged(reason="the licence server is gone")


async def test_a_slow_import_is_no_blocked_loop(start: Callable[..., object], tmp_path: Path) -> None:
    (tmp_path / "slow_agent.py").write_text("import time\ntime.sleep(1)\ndef answer(text): return text\n")
    worker: Process = await start("python", "slow_agent:answer")
    await worker.frame(pipe.Ready)
    assert len(worker.ticks) >= 2


async def test_a_thread_that_never_ends_does_not_hold_the_exit(start: Callable[..., object], tmp_path: Path) -> None:
    (tmp_path / "stuck_agent.py").write_text("import time\ntime.sleep(600)\n")
    worker: Process = await start("python", "stuck_agent:answer")
    await worker.until(lambda: len(worker.ticks) >= 1)
    worker.stop(grace=2)
    assert (await worker.end())[0] == 0


async def test_a_claude_cli_that_never_answers_is_admitted(start: Callable[..., object], tmp_path: Path) -> None:
    pytest.importorskip("claude_agent_sdk")
    cli = tmp_path / "claude"
    cli.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I "{STANDS / "stub_claude.py"}" no-initialize "$@"\n')
    cli.chmod(0o755)
    worker: Process = await start("claude", "", cli_path=str(cli), connect_deadline="0.5")
    reason = "Control request timeout: initialize (no answer within 0.5 s)"
    assert await worker.frame(pipe.Wedged) == pipe.Wedged(reason=reason)
    ticks = len(worker.ticks)
    await worker.until(lambda: len(worker.ticks) >= ticks + 2)
    assert worker.process.returncode is None
    assert not [frame for frame in worker.frames if isinstance(frame, pipe.Ready)]
    worker.stop()
    assert (await worker.end())[0] == 0


@pytest.mark.parametrize(("crashes", "status"), [(2, 0), (99, 1)])
async def test_a_crashed_loop_is_restarted_and_not_for_ever(
    crashes: int, status: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(worker_module, "_CRASH_LIMIT", 4)
    runs = 0

    async def loop() -> None:
        nonlocal runs
        runs += 1
        if runs <= crashes:
            raise RuntimeError("broken")

    sends, reads = os.pipe()[::-1]
    try:
        config = RunConfig(name="w", workspace_id="w", url="http://127.0.0.1:1")
        worker = worker_module.Worker(config, FrameWriter(sends), reads, WedgeFlag())
        await worker._keep("sample", loop)
    finally:
        os.close(sends)
        os.close(reads)
    assert runs == (3 if status == 0 else 4)
    assert worker._status == status
    assert ("keeps crashing: broken" in capfd.readouterr().err) == (status == 1)


async def test_started_by_hand_it_says_so() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "truebeat.workspace.worker", "{}", stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 78
    assert b"started by a supervisor, not by hand" in said
