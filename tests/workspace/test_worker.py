"""The worker as a process, over its real pipe."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from truebeat.protocol import pipe
from truebeat.protocol.delivery import Begun, Chunk, Finished, HandedBack
from truebeat.workspace import processes
from truebeat.workspace.config import RunConfig, encode
from truebeat.workspace.keeper import keep
from truebeat.workspace.pipe import encode as encode_frame
from truebeat.workspace.pipe import from_worker

sys.path.insert(0, str(Path(__file__).parent))
from scripted_executor import cancel, order

STANDS = Path(__file__).parents[1] / "stands"
STARTED = [pipe.Phase(name="starting"), pipe.Canary(failures=0), pipe.Ready(), pipe.Phase(name="idle")]


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

    async def until(self, met: Callable[[], bool], seconds: float = 20.0, *, poll: bool = False) -> None:
        """Looks after each frame; `poll`: also in between."""
        async with asyncio.timeout(seconds):
            while not met():
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.02 if poll else None):
                        await self._news.wait()

    async def frame(self, kind: type) -> object:
        await self.until(lambda: any(isinstance(one, kind) for one in self.frames))
        return next(one for one in self.frames if isinstance(one, kind))

    async def phase(self, name: str) -> None:
        await self.until(lambda: any(isinstance(one, pipe.Phase) and one.name == name for one in self.frames))

    async def ready(self) -> None:
        """Ready, and what was said until then forgotten."""
        await self.phase("idle")
        self.frames.clear()

    def give(self, frame: msgspec.Struct) -> None:
        self.write(encode_frame(frame))

    def pause(self) -> None:
        """Read nothing more, as a supervisor that is stopped."""
        asyncio.get_running_loop().remove_reader(self._reads)

    def go_on(self) -> None:
        asyncio.get_running_loop().add_reader(self._reads, self._read)

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

    async def start_one(
        agent: str, target: str | list[str], suspects: dict[str, float] | None = None, **options: str
    ) -> Process:
        config = RunConfig(
            name="w", workspace_id="w", url="http://127.0.0.1:1", agent=agent, target=target, options=options,
            suspects=suspects or {},
        )  # fmt: skip
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
    await worker.phase("idle")
    assert worker.frames == STARTED
    assert all(tick.lag >= 0 for tick in worker.ticks)
    agent = child_of(worker.process.pid)
    worker.write(b"not a frame\n" + b'{"type":"later"}\n' + b"x" * (2 * pipe.LINE_LIMIT) + b"\n")
    worker.stop()
    assert (await worker.end())[0] == 0
    assert worker.frames[4:] == [pipe.Phase(name="draining")]
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


async def test_a_runtime_that_stops_is_told_and_repaired_while_the_ticks_go_on(start: Callable[..., object]) -> None:
    worker: Process = await start("command", runtime("ok"), mode="ndjson", probe_timeout="0.3")
    await worker.ready()
    agent = child_of(worker.process.pid)
    os.kill(agent, signal.SIGSTOP)
    await worker.frame(pipe.Recovered)
    await worker.phase("idle")
    await worker.until(lambda: worker.frames[-1] == pipe.Canary(failures=0))
    why = f"runtime (pid {agent}) did not answer 2 probes of 0.3 s; process state T (stopped)"
    fresh = child_of(worker.process.pid)
    assert worker.frames == [
        pipe.Canary(failures=1, detail="no answer within 0.3 s"),
        pipe.Canary(failures=2, detail=why),
        pipe.Phase(name="recovering"),
        pipe.Recovered(step="fresh process", ok=True, detail=f"pid {fresh}, after: {why}"),
        pipe.Phase(name="idle"),
        pipe.Canary(failures=0),
    ]
    assert fresh != agent
    ticks = len(worker.ticks)
    await worker.until(lambda: len(worker.ticks) >= ticks + 2)
    assert worker.ticks[-1].counters.canaries_passed >= 2


async def test_without_a_repair_it_is_a_wedge(start: Callable[..., object]) -> None:
    worker: Process = await start("command", runtime("ok"), mode="ndjson", probe_timeout="0.3", recover="no")
    await worker.ready()
    agent = child_of(worker.process.pid)
    os.kill(agent, signal.SIGSTOP)
    reason = f"runtime (pid {agent}) did not answer 2 probes of 0.3 s; process state T (stopped)"
    assert await worker.frame(pipe.Wedged) == pipe.Wedged(reason=reason)
    ticks = len(worker.ticks)
    await worker.until(lambda: len(worker.ticks) >= ticks + 2)
    assert worker.process.returncode is None


async def test_a_runtime_that_dies_is_told_at_once(start: Callable[..., object]) -> None:
    worker: Process = await start("command", runtime("ok"), mode="ndjson", probe_interval="60")
    await worker.ready()
    agent = child_of(worker.process.pid)
    os.kill(agent, signal.SIGKILL)
    told = await worker.frame(pipe.Canary)
    assert told == pipe.Canary(failures=2, detail=f"runtime (pid {agent}) killed by SIGKILL")
    await worker.until(lambda: worker.frames[-1] == pipe.Canary(failures=0))


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
        ("command", "cat", {"turn_silence": "0"}, "turn_silence='0'"),
        ("command", "cat", {"recover": "perhaps"}, "recover='perhaps'"),
        ("claude", "", {"capacity": "2"}, "does 1 turns at a time"),
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
    worker: Process = await start("claude", "", cli_path=str(cli), connect_timeout="0.5")
    reason = "Control request timeout: initialize (no answer within 0.5 s)"
    assert await worker.frame(pipe.Wedged) == pipe.Wedged(reason=reason)
    ticks = len(worker.ticks)
    await worker.until(lambda: len(worker.ticks) >= ticks + 2)
    assert worker.process.returncode is None
    assert not [frame for frame in worker.frames if isinstance(frame, pipe.Ready)]
    worker.stop()
    assert (await worker.end())[0] == 0


@pytest.mark.parametrize(("crashes", "runs_wanted"), [(2, 3), (99, 4)])
async def test_a_crashed_loop_is_restarted_and_not_for_ever(
    crashes: int, runs_wanted: int, capfd: pytest.CaptureFixture[str]
) -> None:
    runs, given_up = 0, []

    async def loop() -> None:
        nonlocal runs
        runs += 1
        if runs <= crashes:
            raise RuntimeError("broken")

    await keep("sample", loop, lambda: given_up.append(True), limit=4)
    assert runs == runs_wanted
    assert bool(given_up) == (crashes == 99)
    assert ("keeps crashing: broken" in capfd.readouterr().err) == (crashes == 99)


async def test_started_by_hand_it_says_so() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "truebeat.workspace.worker", "{}", stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 78
    assert b"started by a supervisor, not by hand" in said


# -- tasks


async def test_a_task_over_the_pipe(start: Callable[..., object]) -> None:
    worker: Process = await start("command", runtime("rich"), mode="ndjson")
    await worker.ready()
    worker.give(order())
    ended = await worker.frame(Finished)
    key = {"task_id": "T1", "generation": 3, "attempt": 1}
    assert ended == Finished(**key, state="completed", text="done")
    tasks = [one for one in worker.frames if isinstance(one, Begun | Chunk | Finished)]
    assert tasks == [
        Begun(**key),
        Chunk(**key, index=0, kind="artifact", name="a.txt", parts=[{"text": "x"}]),
        Chunk(**key, index=1, kind="text", text="done"),
        ended,
    ]
    phases = [(one.name, one.bound) for one in worker.frames if isinstance(one, pipe.Phase)]
    wanted = [("working", None), ("waiting_model", 40.0), ("in_tool", 5.0), ("waiting_model", 40.0)]
    assert phases[:4] == wanted
    await worker.until(lambda: bool(worker.ticks) and worker.ticks[-1].counters.turns_finished == 1)
    assert await worker.frame(pipe.Note) == pipe.Note(text="upstream_stalled: no answer yet")
    counters = worker.ticks[-1].counters
    assert (counters.turns_started, counters.tools_started, counters.tools_finished, counters.frames) == (1, 1, 1, 2)


async def test_a_task_before_it_is_ready_goes_back_untouched(start: Callable[..., object]) -> None:
    worker: Process = await start("command", runtime("mute"), mode="ndjson")
    await worker.until(lambda: len(worker.ticks) >= 1)
    worker.give(order())
    back = await worker.frame(HandedBack)
    assert isinstance(back, HandedBack)
    assert (back.begun, back.reason) == (False, "the worker is not ready")


async def test_cancel_probe_and_stop_in_the_middle_of_a_turn(start: Callable[..., object]) -> None:
    worker: Process = await start("command", runtime("patient"), mode="ndjson", probe_interval="60")
    await worker.ready()
    worker.give(order())
    await worker.frame(Chunk)
    worker.give(pipe.Probe())
    assert await worker.frame(pipe.Canary) == pipe.Canary(failures=0)
    worker.give(cancel())
    ended = await worker.frame(Finished)
    assert isinstance(ended, Finished)
    assert ended.state == "canceled"
    worker.frames.clear()
    worker.give(order("T2"))
    await worker.frame(Chunk)
    worker.stop(grace=1)
    back = await worker.frame(HandedBack)
    assert isinstance(back, HandedBack)
    assert (back.task_id, back.begun, back.reason) == ("T2", True, "the worker was told to stop")
    assert (await worker.end())[0] == 0


@pytest.mark.parametrize("agent", ["python", "command", "ndjson"])
async def test_a_sender_cannot_have_a_healthy_agent_taken_for_wedged(
    start: Callable[..., object], tmp_path: Path, agent: str
) -> None:
    """An agent that quotes its input in its errors: what the sender wrote is no evidence against the runtime."""
    (tmp_path / "quoting.py").write_text("def answer(text): raise ValueError(f'unknown command: {text}')\n")
    worker: Process
    if agent == "python":
        worker = await start("python", "quoting:answer")
    elif agent == "command":
        worker = await start("command", ["sh", "-c", 'read x; echo "unknown command: $x" >&2; exit 2'])
    else:
        worker = await start("command", runtime("refuses"), mode="ndjson")
    await worker.ready()
    for number in range(3):
        worker.give(order(f"T{number}", "Control request timeout: hi\n"))
        await worker.until(lambda number=number: [one for one in worker.frames if of(one, f"T{number}")])
    ends = [one for one in worker.frames if isinstance(one, Finished | HandedBack)]
    assert [(one.state, "unknown command: Control request" in one.text) for one in ends] == [("failed", True)] * 3
    ticks = len(worker.ticks)
    await worker.until(lambda: len(worker.ticks) >= ticks + 3)
    bad = [
        one for one in worker.frames if isinstance(one, pipe.Wedged) or (isinstance(one, pipe.Canary) and one.failures)
    ]
    assert bad == []


def of(frame: object, task: str) -> bool:
    return isinstance(frame, Finished | HandedBack) and frame.task_id == task


async def test_canceling_functions_that_hear_nothing_costs_nobody_else_anything(
    start: Callable[..., object], tmp_path: Path
) -> None:
    (tmp_path / "deaf.py").write_text(
        "import pathlib, time\n"
        "def answer(text):\n"
        "    pathlib.Path(text + '.on').touch()\n"
        "    while not pathlib.Path(text).exists(): time.sleep(0.01)\n"
        "    return 'done'\n"
    )
    worker: Process = await start("python", "deaf:answer", capacity="3", cancel_timeout="0.1")
    await worker.ready()
    worker.give(order("innocent", "go"))
    for number in range(2):
        worker.give(order(f"T{number}", f"stay{number}"))
        # canceled before its thread ran, it would simply never run
        await worker.until(lambda number=number: (tmp_path / f"stay{number}.on").exists(), poll=True)
        worker.give(cancel(f"T{number}"))
        await worker.until(lambda number=number: [one for one in worker.frames if of(one, f"T{number}")])
    # the ending is told first, then the place that it still takes
    rooms = [pipe.Room(capacity=2), pipe.Room(capacity=1)]
    await worker.until(lambda: [one for one in worker.frames if isinstance(one, pipe.Room)][-1:] == rooms[-1:])
    note = pipe.Note(text="2 turns that were told to end go on: 2 of 3 places taken")
    await worker.until(lambda: note in worker.frames)
    (tmp_path / "go").touch()
    await worker.until(lambda: [one for one in worker.frames if of(one, "innocent")])
    ends = [one for one in worker.frames if isinstance(one, Finished | HandedBack)]
    assert [(one.task_id, one.state) for one in ends] == [
        ("T0", "canceled"), ("T1", "canceled"), ("innocent", "completed"),
    ]  # fmt: skip
    for number in range(2):
        (tmp_path / f"stay{number}").touch()
    await worker.until(lambda: pipe.Room(capacity=3) in worker.frames)
    assert not [one for one in worker.frames if isinstance(one, pipe.Wedged)]
    assert not [one for one in worker.frames if isinstance(one, pipe.Canary) and one.failures]


async def test_a_runtime_that_ignores_a_cancel_is_replaced(start: Callable[..., object]) -> None:
    worker: Process = await start("command", runtime("stubborn"), mode="ndjson", cancel_timeout="0.3")
    await worker.ready()
    agent = child_of(worker.process.pid)
    worker.give(order())
    await worker.frame(Chunk)
    worker.give(cancel())
    ended = await worker.frame(Finished)
    assert isinstance(ended, Finished)
    assert ended.state == "canceled"
    recovered = await worker.frame(pipe.Recovered)
    assert isinstance(recovered, pipe.Recovered)
    assert recovered.ok
    await worker.until(lambda: worker.frames[-1] == pipe.Canary(failures=0))
    assert child_of(worker.process.pid) != agent


async def test_a_runtime_that_hangs_in_a_turn_is_suspected_probed_and_replaced(
    start: Callable[..., object], tmp_path: Path
) -> None:
    worker: Process = await start(
        "command", runtime("hang-once", str(tmp_path / "hung")), mode="ndjson", probe_timeout="0.2",
        suspects={"working": 0.3},
    )  # fmt: skip
    await worker.ready()
    worker.give(order())
    back = await worker.frame(HandedBack)
    assert isinstance(back, HandedBack)
    assert (back.begun, "did not answer 2 probes of 0.2 s" in back.reason) == (True, True)
    await worker.until(lambda: worker.frames[-1] == pipe.Canary(failures=0))
    worker.give(order(attempt=2, interrupted=True))
    ended = await worker.frame(Finished)
    assert isinstance(ended, Finished)
    assert ended.text == "you said hi"


async def test_a_supervisor_that_is_stopped_loses_no_task_frame(start: Callable[..., object], tmp_path: Path) -> None:
    (tmp_path / "talker.py").write_text(
        "from pathlib import Path\n"
        "def answer(text):\n"
        "    for number in range(400):\n"
        "        Path('at').write_text(str(number))\n"
        "        yield f'{number:04} ' * 3000\n"
    )
    worker: Process = await start("python", "talker:answer")
    await worker.ready()
    worker.pause()
    worker.give(order())
    at = tmp_path / "at"
    async with asyncio.timeout(20):
        # the turn is held up once enough waits: it goes no further
        before = ""
        while not at.exists() or (now := at.read_text()) != before or not now:
            before = at.read_text() if at.exists() else ""
            await asyncio.sleep(0.5)
    assert 60 < int(before) < 399
    worker.go_on()
    ended = await worker.frame(Finished)
    chunks = [one for one in worker.frames if isinstance(one, Chunk)]
    assert [one.index for one in chunks] == list(range(len(chunks)))
    whole = "".join(f"{number:04} " * 3000 for number in range(400))
    assert isinstance(ended, Finished)
    assert "".join(one.text for one in chunks) == whole == ended.text
    worker.stop()
    assert (await worker.end())[0] == 0


@pytest.mark.parametrize(
    ("raised", "frame"),
    [("ValueError('no index')", None), ("Exception('Control request timeout: x')", pipe.Wedged)],
)
async def test_a_failing_canary_is_a_start_that_failed(
    start: Callable[..., object], tmp_path: Path, raised: str, frame: type | None
) -> None:
    (tmp_path / "sick.py").write_text(f"def answer(text): return text\ndef probe(): raise {raised}\n")
    worker: Process = await start("python", "sick:answer")
    if frame is None:
        code, said = await worker.end()
        assert code == 1
        assert "the python executor did not start: it started, but its canary failed" in said
        assert "failed 2 probes: no index" in said
    else:
        await worker.frame(frame)
        assert worker.process.returncode is None
    assert not [one for one in worker.frames if isinstance(one, pipe.Ready)]


async def test_a_deadlocked_thread_is_found_by_its_declared_bound(start: Callable[..., object], tmp_path: Path) -> None:
    (tmp_path / "locked.py").write_text(
        "import threading\nlock = threading.Lock()\ndef answer(text):\n    lock.acquire()\n    lock.acquire()\n"
    )
    worker: Process = await start("python", "locked:answer", turn_silence="0.5")
    await worker.ready()
    worker.give(order())
    back = await worker.frame(HandedBack)
    assert isinstance(back, HandedBack)
    assert back.reason == "a turn put nothing out for longer than 0.5 s (turn_silence)"
    assert await worker.frame(pipe.Wedged) == pipe.Wedged(reason=back.reason)


WAITS = (
    "import time\nfrom pathlib import Path\n"
    "def answer(text):\n"
    "    while not Path('go').exists(): time.sleep(0.01)\n"
    "    return 'done'\n"
)


async def test_a_declared_bound_counts_no_time_in_which_the_worker_was_stopped(
    start: Callable[..., object], tmp_path: Path
) -> None:
    (tmp_path / "waiting.py").write_text(WAITS)
    worker: Process = await start("python", "waiting:answer", turn_silence="2")
    await worker.ready()
    worker.give(order())
    await worker.frame(Begun)
    worker.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(2.5)
    ticks = len(worker.ticks)
    worker.process.send_signal(signal.SIGCONT)
    await worker.until(lambda: len(worker.ticks) >= ticks + 3)
    (tmp_path / "go").touch()
    assert await worker.frame(Finished | HandedBack) == Finished(  # type: ignore[arg-type]
        task_id="T1", generation=3, attempt=1, state="completed", text="done"
    )


async def test_a_long_silent_turn_is_healthy_as_long_as_the_probe_answers(
    start: Callable[..., object], tmp_path: Path
) -> None:
    (tmp_path / "patient.py").write_text(WAITS)
    worker: Process = await start("python", "patient:answer", suspects={"working": 0.1})
    await worker.ready()
    worker.give(order())
    await worker.until(lambda: sum(one == pipe.Canary(failures=0) for one in worker.frames) >= 5)
    (tmp_path / "go").touch()
    ended = await worker.frame(Finished)
    assert isinstance(ended, Finished)
    assert ended.text == "done"
    assert not [one for one in worker.frames if isinstance(one, pipe.Canary) and one.failures]


async def test_a_worker_that_was_stopped_accuses_nobody(start: Callable[..., object]) -> None:
    worker: Process = await start(
        "command", runtime("ok"), mode="ndjson", probe_timeout="0.2", suspects={"idle": 0.1}
    )  # fmt: skip
    await worker.ready()
    for _ in range(3):
        worker.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.7)
        worker.process.send_signal(signal.SIGCONT)
        passed = sum(one == pipe.Canary(failures=0) for one in worker.frames)
        await worker.until(lambda: sum(one == pipe.Canary(failures=0) for one in worker.frames) > passed + 1)  # noqa: B023
    assert not [one for one in worker.frames if isinstance(one, pipe.Canary) and one.failures]


async def test_a_flood_to_stderr_that_nobody_reads_blocks_nothing(start: Callable[..., object]) -> None:
    worker: Process = await start("command", runtime("flood"), mode="ndjson")
    await worker.ready()
    worker.give(order())
    ended = await worker.frame(Finished)
    assert isinstance(ended, Finished)
    assert ended.text == "done"
    ticks = len(worker.ticks)
    await worker.until(lambda: len(worker.ticks) >= ticks + 2)
    worker.stop()
    assert (await worker.end())[0] == 0
