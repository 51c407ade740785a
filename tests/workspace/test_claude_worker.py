"""The claude executor under the worker's watch, on the real SDK: what a fault of the CLI comes to."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from truebeat.clock import SystemClock
from truebeat.protocol import pipe
from truebeat.protocol.delivery import Cancel, Deliver, Finished, HandedBack, Sender
from truebeat.workspace.executors.base import Executor, Options
from truebeat.workspace.turns import Turns
from truebeat.workspace.watch import Watch
from truebeat.workspace.wedge import WedgeFlag
from truebeat.workspace.work import Work

pytest.importorskip("claude_agent_sdk")
sys.path.insert(0, str(Path(__file__).parent))
from claude_rig import Rig, gone, mine


class Bench:
    """A worker's inside without its process, with short bounds."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.sent: list[pipe.FromWorker] = []
        self._news = asyncio.Event()
        self.flag = WedgeFlag()
        self.turns = Turns(executor, self._heard, SystemClock(), self.flag)
        options = Options({"probe_timeout": "1", "probe_interval": "0.2"})
        suspects = {"waiting_model": 0.3, "working": 0.3, "in_tool": 0.3}
        self.watch = Watch(executor, options, self.turns, self.flag, suspects=suspects)
        self.turns.on_wedge = self.watch.accuse
        self.work = Work(executor, self.turns, self.watch, capacity=1, cancel_timeout=10.0)
        self.watching = asyncio.get_running_loop().create_task(self.watch.run())

    def _heard(self, frame: pipe.FromWorker) -> None:
        self.sent.append(frame)
        self._news.set()

    def deliver(self, task: str, text: str) -> None:
        sender = Sender(kind="person", id="p")
        self.work.deliver(Deliver(task_id=task, context_id="c", generation=1, attempt=1, sender=sender, text=text))

    async def until(self, wanted: Callable[[pipe.FromWorker], bool], since: int = 0) -> pipe.FromWorker:
        async with asyncio.timeout(40):
            while True:
                self._news.clear()
                for frame in self.sent[since:]:
                    if wanted(frame):
                        return frame
                await self._news.wait()

    async def ending(self, task: str) -> pipe.FromWorker:
        return await self.until(lambda one: isinstance(one, Finished | HandedBack) and one.task_id == task)

    @property
    def accused(self) -> bool:
        return any(isinstance(one, pipe.Canary) and one.failures >= 2 for one in self.sent)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    rig = Rig(tmp_path)
    made = Bench(await rig.open(interrupt_timeout="3", stalled_after="0.1", result_timeout="0.5"))
    made.rig = rig
    yield made
    made.watching.cancel()
    await asyncio.wait({made.watching})
    await made.work.drain(0.0, 5.0)
    await rig.close()


async def proved_again(bench: Bench) -> None:
    """Repaired in place, by a step that was believed only after a probe; the next task is done."""
    step = await bench.until(lambda one: isinstance(one, pipe.Recovered))
    assert step.ok
    # the session is resumed if it was known before the fault
    assert step.step in {"fresh client with resume", "fresh client"}
    await bench.until(lambda one: one == pipe.Canary(failures=0), bench.sent.index(step))
    assert bench.flag.reason is None
    bench.deliver("T2", "hello")
    done = await bench.ending("T2")
    assert (done.state, done.text) == ("completed", "pong: hello")
    await gone(lambda: len(mine()) != 1, "more than the one client is left")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("hang", "did not answer 2 probes"),
        ("stop", "did not answer 2 probes of 1.0 s; process state T"),
        ("killed", "was killed by SIGKILL"),
        ("no-result", "ended the turn without a result"),
        ("garbage-json", "Failed to decode JSON"),
        ("grandchild", "is gone"),
    ],
)
async def test_a_cli_that_breaks_in_a_turn_is_accused_and_repaired_in_place(
    bench: Bench, fault: str, reason: str
) -> None:
    bench.deliver("T1", f"fault:{fault}")
    accusation = await bench.until(lambda one: isinstance(one, pipe.Canary) and one.failures >= 2)
    assert reason in accusation.detail
    ended = await bench.ending("T1")
    assert isinstance(ended, HandedBack)
    assert ended.begun
    await proved_again(bench)


async def test_an_interrupt_that_is_ignored_ends_in_a_repair(bench: Bench) -> None:
    bench.deliver("T1", "fault:ignore-interrupt")
    await bench.until(lambda one: isinstance(one, pipe.Phase) and one.name == "waiting_model")
    bench.work.cancel(Cancel(task_id="T1", generation=1, attempt=1))
    assert (await bench.ending("T1")).state == "canceled"
    accusation = await bench.until(lambda one: isinstance(one, pipe.Canary) and one.failures >= 2)
    assert "acknowledged and ignored" in accusation.detail
    await proved_again(bench)


async def test_a_result_that_is_never_sent_answers_the_task_and_costs_the_client(bench: Bench) -> None:
    bench.deliver("T1", "fault:end-turn")
    done = await bench.ending("T1")
    assert (done.state, done.text) == ("completed", "pong: all of it")
    accusation = await bench.until(lambda one: isinstance(one, pipe.Canary) and one.failures >= 2)
    assert "the result was never sent" in accusation.detail
    await proved_again(bench)


@pytest.mark.parametrize("fault", ["silent-turn", "slow-mcp", "pings"])
async def test_a_silent_upstream_accuses_nobody(bench: Bench, fault: str) -> None:
    bench.deliver("T1", f"fault:{fault}")
    await gone(lambda: not bench.rig.notes, "no note came")
    passed = bench.turns.evidence.counters().canaries_passed
    await gone(lambda: bench.turns.evidence.counters().canaries_passed < passed + 2, "no canaries passed")
    assert not bench.accused
    bench.work.cancel(Cancel(task_id="T1", generation=1, attempt=1))
    assert (await bench.ending("T1")).state == "canceled"
    await gone(lambda: bench.work.on, "the canceled turn is still on")
    bench.deliver("T2", "hello")
    assert (await bench.ending("T2")).text == "pong: hello"
    assert not bench.accused
    assert bench.rig.notes[-1] == ""


@pytest.mark.parametrize("fault", ["slow=1.5", "tool=1.5", "compact=1.5", "retry=1.5", "stderr-flood", "burst"])
async def test_hardships_accuse_nobody(bench: Bench, fault: str) -> None:
    pid = bench.executor.runtime_pid
    bench.deliver("T1", f"fault:{fault}")
    assert (await bench.ending("T1")).state == "completed"
    assert not bench.accused
    assert bench.executor.runtime_pid == pid
