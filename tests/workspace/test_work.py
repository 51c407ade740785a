"""Tasks in a worker: each Deliver gets exactly one ending."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from scripted_executor import Repairable, Script, Scripted, cancel, echo, order

from truebeat.clock import ManualClock
from truebeat.protocol import pipe
from truebeat.protocol.delivery import RESULT_LIMIT, Begun, Chunk, Finished, HandedBack
from truebeat.workspace.executors.base import (
    AnsweredError,
    InputRequired,
    InterruptedTurnError,
    Options,
    Output,
    Result,
    Text,
    Turn,
    TurnError,
)
from truebeat.workspace.turns import Turns
from truebeat.workspace.watch import Watch
from truebeat.workspace.wedge import WedgeFlag
from truebeat.workspace.work import Work

KEY = {"task_id": "T1", "generation": 3, "attempt": 1}
TOO_LARGE = f"the answer is larger than {RESULT_LIMIT} bytes, which is all that can be delivered"
TASK_FRAMES = (Begun, Chunk, Finished, HandedBack)


class Bench:
    """A worker's inside without its process."""

    def __init__(self, executor: Scripted | None = None, *, cancel_timeout: float = 5.0) -> None:
        self.executor = executor or Scripted()
        self.sent: list[pipe.FromWorker] = []
        self._news = asyncio.Event()
        self.flag = WedgeFlag()
        self.turns = Turns(self.executor, self._heard, ManualClock(), self.flag)
        self.watch = Watch(self.executor, Options({"probe_timeout": "0.1"}), self.turns, self.flag)
        self.turns.on_wedge = self.watch.accuse
        self.work = Work(
            self.executor, self.turns, self.watch, capacity=self.executor.capacity, cancel_timeout=cancel_timeout
        )

    def _heard(self, frame: pipe.FromWorker) -> None:
        self.sent.append(frame)
        self._news.set()

    def told(self, task: str = "T1") -> list[object]:
        return [frame for frame in self.sent if isinstance(frame, TASK_FRAMES) and frame.task_id == task]

    async def until(self, kind: type, task: str = "T1") -> object:
        async with asyncio.timeout(5):
            while True:
                for frame in self.told(task):
                    if isinstance(frame, kind):
                        return frame
                self._news.clear()
                await self._news.wait()

    async def ending(self, task: str = "T1") -> object:
        return await self.until(Finished | HandedBack, task)  # type: ignore[arg-type]

    async def idle(self) -> None:
        async with asyncio.timeout(5):
            while self.work._runs:  # noqa: ASYNC110
                await asyncio.sleep(0)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    yield Bench()


def chunk(task: str) -> Chunk:
    return Chunk(task_id=task, generation=3, attempt=1, index=0, kind="text", text="...")


def says(*outputs: Output | BaseException) -> Script:
    async def script(turn: Turn) -> AsyncGenerator[Output, None]:
        for output in outputs:
            await asyncio.sleep(0)
            if isinstance(output, BaseException):
                raise output
            yield output

    return script


class Endless:
    """A turn that goes on until it is closed; `ignores` closing until it is released."""

    def __init__(self, *, ignores: bool = False) -> None:
        self.started = asyncio.Event()
        self.closed = False
        self.released = asyncio.Event()
        self._ignores = ignores

    async def __call__(self, turn: Turn) -> AsyncGenerator[Output, None]:
        try:
            yield Text("...")
            self.started.set()
            await asyncio.Event().wait()
        finally:
            if self._ignores:
                await self.released.wait()
            self.closed = True


async def test_a_task_from_delivery_to_its_end(bench: Bench) -> None:
    bench.work.deliver(
        order(parts=[{"text": "hi"}], reply=True, interrupted=True, attempt=1)
    )  # fmt: skip
    assert await bench.ending() == Finished(**KEY, state="completed", text="hi")
    assert bench.told() == [
        Begun(**KEY),
        Chunk(**KEY, index=0, kind="text", text="hi"),
        Finished(**KEY, state="completed", text="hi"),
    ]
    assert bench.executor.turns == [
        Turn(
            "hi",
            context_id="C",
            task_id="T1",
            parts=({"text": "hi"},),
            sender_name="Ada",
            sender_id="p",
            reply=True,
            interrupted=True,
        )
    ]
    counters = bench.turns.evidence.counters()
    assert (counters.turns_started, counters.turns_finished, counters.frames) == (1, 1, 1)


async def test_begun_is_told_before_the_executor_is_asked() -> None:
    seen: list[object] = []

    async def script(turn: Turn) -> AsyncGenerator[Output, None]:
        seen.extend(bench.told())
        yield Result("x")

    bench = Bench(Scripted(script))
    bench.work.deliver(order())
    await bench.ending()
    assert seen == [Begun(**KEY)]


@pytest.mark.parametrize(
    ("outputs", "state", "text"),
    [
        ((Result("done"),), "completed", "done"),
        ((InputRequired("which?"),), "input-required", "which?"),
        ((InputRequired("who are you?", auth=True),), "auth-required", "who are you?"),
        ((ValueError("no such file"),), "failed", "no such file"),
        ((AnsweredError("quota"),), "failed", "quota"),
        ((), "failed", "the turn ended without a result"),
        ((Text("half"),), "failed", "the turn ended without a result"),
        ((asyncio.CancelledError(),), "failed", "the turn was canceled from within"),
        ((Result("\ud800 and \0"),), "completed", "? and \N{REPLACEMENT CHARACTER}"),
        ((Result("x" * (RESULT_LIMIT + 1)),), "failed", TOO_LARGE),
        ((Result("é" * (RESULT_LIMIT // 2 + 1)),), "failed", TOO_LARGE),
    ],
)  # fmt: skip
async def test_how_a_turn_ends_is_told(outputs: tuple[Output | Exception, ...], state: str, text: str) -> None:
    bench = Bench(Scripted(says(*outputs)))
    bench.work.deliver(order())
    ended = await bench.ending()
    assert isinstance(ended, Finished)
    assert (ended.state, ended.text) == (state, text)
    await bench.idle()
    assert sum(isinstance(frame, Finished | HandedBack) for frame in bench.told()) == 1


@pytest.mark.parametrize("way", [SystemExit(3), KeyboardInterrupt()])
async def test_an_agent_that_leaves_ends_its_turn_only(way: BaseException) -> None:
    bench = Bench(Scripted(says(way)))
    bench.work.deliver(order())
    ended = await bench.ending()
    assert isinstance(ended, Finished)
    assert ended.state == "failed"
    assert type(way).__name__ in ended.text


async def test_too_much_text_is_an_honest_failure_and_ends_the_turn() -> None:
    closed = False

    async def script(turn: Turn) -> AsyncGenerator[Output, None]:
        nonlocal closed
        try:
            while True:
                yield Text("x" * 1024 * 1024)
        finally:
            closed = True

    bench = Bench(Scripted(script))
    bench.work.deliver(order())
    ended = await bench.ending()
    assert isinstance(ended, Finished)
    assert (ended.state, "more than 10485760 bytes" in ended.text) == ("failed", True)
    await bench.idle()
    assert closed
    sent = sum(len(frame.text) for frame in bench.told() if isinstance(frame, Chunk))
    assert sent <= RESULT_LIMIT


# -- capacity


async def test_no_more_turns_than_there_is_room_for() -> None:
    endless = Endless()
    bench = Bench(Scripted(endless, capacity=2))
    for name in ("T1", "T2", "T3"):
        bench.work.deliver(order(name))
    refused = await bench.ending("T3")
    assert refused == HandedBack(task_id="T3", generation=3, attempt=1, begun=False, reason="busy: 2 of 2 turns are on")
    bench.work.cancel(cancel("T1"))
    await bench.ending("T1")
    await bench.until(Begun, "T2")
    async with asyncio.timeout(5):
        while bench.work.on > 1:  # noqa: ASYNC110
            await asyncio.sleep(0)
    bench.executor.script = echo
    bench.work.deliver(order("T4"))
    assert isinstance(await bench.ending("T4"), Finished)
    bench.work.cancel(cancel("T2"))
    await bench.idle()


async def test_a_delivery_that_is_repeated_starts_nothing_again(bench: Bench) -> None:
    bench.work.deliver(order())
    bench.work.deliver(order())
    await bench.ending()
    await bench.idle()
    bench.work.deliver(order())
    await bench.idle()
    assert len(bench.executor.turns) == 1
    bench.work.deliver(order(attempt=2))
    await bench.idle()
    assert len(bench.executor.turns) == 2


async def test_a_wedged_runtime_is_given_nothing(bench: Bench) -> None:
    bench.flag.mark("stuck")
    bench.work.deliver(order())
    assert await bench.ending() == HandedBack(**KEY, begun=False, reason="wedged: stuck")
    assert bench.executor.turns == []


# -- cancel


async def test_a_cancel_closes_the_turn_and_is_told() -> None:
    endless = Endless()
    bench = Bench(Scripted(endless))
    bench.work.deliver(order())
    await endless.started.wait()
    bench.work.cancel(cancel())
    bench.work.cancel(cancel())
    assert await bench.ending() == Finished(**KEY, state="canceled", text="")
    await bench.idle()
    assert endless.closed
    assert bench.flag.reason is None
    assert bench.watch.unable() == ""


async def test_a_cancel_before_the_first_step_is_told_too(bench: Bench) -> None:
    bench.work.deliver(order())
    bench.work.cancel(cancel())
    assert await bench.ending() == Finished(**KEY, state="canceled", text="")
    assert bench.executor.turns == []


async def test_a_cancel_of_what_is_not_here_does_nothing(bench: Bench) -> None:
    bench.work.cancel(cancel("T9"))
    bench.work.deliver(order())
    bench.work.cancel(cancel(attempt=7))
    assert await bench.ending() == Finished(**KEY, state="completed", text="hi")


async def test_a_turn_that_ends_although_it_was_canceled_says_how_it_ended() -> None:
    started = asyncio.Event()

    async def script(turn: Turn) -> AsyncGenerator[Output, None]:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            yield Result("just done")

    bench = Bench(Scripted(script))
    bench.work.deliver(order())
    await started.wait()
    bench.work.cancel(cancel())
    assert await bench.ending() == Finished(**KEY, state="completed", text="just done")


async def test_a_cancel_that_nothing_can_enforce_costs_its_place_and_nobody_elses_turn() -> None:
    endless, other, notes = Endless(ignores=True), Endless(), []
    scripts = iter([endless, other, echo])

    def script(turn: Turn) -> AsyncGenerator[Output, None]:
        return next(scripts)(turn)

    bench = Bench(Scripted(script, capacity=2), cancel_timeout=0.1)
    bench.executor.note = notes.append
    bench.work.deliver(order())
    bench.work.deliver(order("T2"))
    await endless.started.wait()
    await other.started.wait()
    bench.work.cancel(cancel())
    assert await bench.ending() == Finished(**KEY, state="canceled", text="")
    # before the end, which makes the place look free
    assert bench.sent[-2:] == [pipe.Room(capacity=1), bench.told()[-1]]
    assert notes == ["a turn that was told to end goes on: 1 of 2 places taken"]
    await bench.watch.look()
    assert bench.executor.probes == 1
    assert (bench.flag.reason, bench.watch.unable(), bench.told("T2")[-1]) == (None, "", chunk("T2"))
    bench.work.deliver(order("T3"))
    assert await bench.ending("T3") == HandedBack(
        task_id="T3", generation=3, attempt=1, begun=False, reason="busy: 2 of 2 turns are on"
    )
    endless.released.set()
    async with asyncio.timeout(5):
        while bench.work.on > 1:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert (bench.sent[-1], notes[-1]) == (pipe.Room(capacity=2), "")
    bench.work.deliver(order("T4"))
    assert isinstance(await bench.ending("T4"), Finished)
    bench.work.cancel(cancel("T2"))
    await bench.idle()


async def test_a_cancel_that_nothing_can_enforce_has_the_runtime_probed_the_way_work_goes() -> None:
    endless = Endless(ignores=True)
    bench = Bench(Scripted(endless), cancel_timeout=0.1)
    bench.work.deliver(order())
    await endless.started.wait()
    bench.executor.failing = TurnError("no thread is free")
    bench.work.cancel(cancel())
    assert await bench.ending() == Finished(**KEY, state="canceled", text="")
    await bench.watch.look()
    assert bench.flag.reason == "runtime failed 2 probes: no thread is free"
    endless.released.set()
    await bench.idle()


async def test_a_drain_waits_for_no_turn_that_was_told_as_canceled() -> None:
    endless = Endless(ignores=True)
    bench = Bench(Scripted(endless), cancel_timeout=0.1)
    bench.work.deliver(order())
    await endless.started.wait()
    bench.work.cancel(cancel())
    await bench.ending()
    async with asyncio.timeout(5):
        await bench.work.drain(600, 0.1)
    endless.released.set()
    await bench.idle()


async def test_an_executor_that_can_repair_itself_gets_the_chance_first() -> None:
    endless = Endless(ignores=True)

    class Kills(Repairable):
        def abandon(self) -> None:
            endless.released.set()

    bench = Bench(Kills(endless), cancel_timeout=0.1)
    bench.work.deliver(order())
    await endless.started.wait()
    bench.work.cancel(cancel())
    await bench.ending()
    await bench.watch.look()
    assert bench.flag.reason is None
    assert bench.watch.unable() == ""
    bench.executor.script = echo
    bench.work.deliver(order("T2"))
    assert isinstance(await bench.ending("T2"), Finished)


# -- a broken runtime


@pytest.mark.parametrize("error", [Exception("Control request timeout: interrupt"), InterruptedTurnError("it died")])
async def test_what_a_broken_runtime_interrupts_is_handed_back_after_the_accusation(error: Exception) -> None:
    bench = Bench(Repairable(says(Text("half"), error)))
    bench.executor.wedge_texts = True
    bench.work.deliver(order())
    assert await bench.ending() == HandedBack(**KEY, begun=True, reason=str(error))
    accused = next(frame for frame in bench.sent if isinstance(frame, pipe.Canary))
    assert accused == pipe.Canary(failures=2, detail=str(error))
    assert bench.sent.index(accused) < bench.sent.index(await bench.ending())  # type: ignore[arg-type]
    bench.work.deliver(order("T2"))
    assert await bench.ending("T2") == HandedBack(
        task_id="T2", generation=3, attempt=1, begun=False, reason=f"the runtime is being repaired: {error}"
    )
    await bench.watch.look()
    assert bench.watch.unable() == ""


async def test_an_answer_of_a_runtime_that_is_gone_by_now_is_an_answer() -> None:
    """A message that makes the runtime say no and leave must not be given to the next one, and the next."""
    gone = subprocess.Popen(["true"])  # noqa: ASYNC220
    gone.wait()
    bench = Bench(Repairable(says(AnsweredError("no such command"))))
    bench.executor.runtime_pid = gone.pid
    bench.work.deliver(order())
    assert await bench.ending() == Finished(**KEY, state="failed", text="no such command")
    bench.executor.script = says(TurnError("exited with status 3"))
    bench.work.deliver(order("T2"))
    assert isinstance(await bench.ending("T2"), HandedBack)


async def test_a_repair_hands_back_what_it_interrupts() -> None:
    endless = Endless()
    bench = Bench(Repairable(endless))
    bench.work.deliver(order())
    await endless.started.wait()
    bench.executor.failing = TurnError("no answer")
    await bench.watch.probe_now()
    assert await bench.ending() == HandedBack(**KEY, begun=True, reason="runtime failed 2 probes: no answer")
    assert endless.closed
    assert bench.flag.reason is None
    phases = [(frame.name, frame.current_task) for frame in bench.sent if isinstance(frame, pipe.Phase)]
    assert phases == [("working", "T1"), ("recovering", "T1"), ("recovering", ""), ("idle", "")]
    after = bench.sent[-2:]
    assert after == [pipe.Phase(name="idle"), pipe.Canary(failures=0)]


# -- draining


async def test_a_turn_may_end_while_the_worker_drains() -> None:
    go = asyncio.Event()

    async def script(turn: Turn) -> AsyncGenerator[Output, None]:
        await go.wait()
        yield Result("made it")

    bench = Bench(Scripted(script))
    bench.work.deliver(order())
    await bench.until(Begun)
    draining = asyncio.ensure_future(bench.work.drain(5, 1))
    await asyncio.sleep(0)
    bench.work.deliver(order("T2"))
    assert await bench.ending("T2") == HandedBack(
        task_id="T2", generation=3, attempt=1, begun=False, reason="the worker is stopping"
    )
    go.set()
    await draining
    assert await bench.ending() == Finished(**KEY, state="completed", text="made it")


async def test_a_turn_that_takes_longer_than_the_grace_is_handed_back() -> None:
    endless = Endless()
    bench = Bench(Scripted(endless))
    bench.work.deliver(order())
    await endless.started.wait()
    await bench.work.drain(0.05, 1)
    assert await bench.ending() == HandedBack(**KEY, begun=True, reason="the worker was told to stop")
    assert endless.closed


async def test_a_turn_that_ignores_its_end_does_not_hold_the_drain() -> None:
    endless = Endless(ignores=True)
    bench = Bench(Scripted(endless))
    bench.work.deliver(order())
    await endless.started.wait()
    async with asyncio.timeout(20):
        await bench.work.drain(0.05, 0.1)
    assert isinstance(await bench.ending(), HandedBack)
    endless.released.set()
    await bench.idle()
    assert sum(isinstance(frame, Finished | HandedBack) for frame in bench.told()) == 1
