"""Suspicion, probe, repair, admission: by a clock that the test moves."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from scripted_executor import Repairable, Scripted

from truebeat.clock import ManualClock
from truebeat.protocol import pipe
from truebeat.workspace import probing, repair
from truebeat.workspace.evidence import TurnEvidence
from truebeat.workspace.executors.base import InPhase, Options, Text, ToolStarted, TurnError
from truebeat.workspace.probing import Prober, waited_for_cpu
from truebeat.workspace.turns import Turns
from truebeat.workspace.watch import Watch
from truebeat.workspace.wedge import WedgeFlag

PASSED = pipe.Canary(failures=0)


class Bench:
    def __init__(
        self,
        executor: Scripted | None = None,
        suspects: dict[str, float] | None = None,
        bounds: dict[str, float] | None = None,
        **options: str,
    ) -> None:
        self.executor = executor or Scripted()
        self.sent: list[pipe.FromWorker] = []
        self.clock = ManualClock()
        self.flag = WedgeFlag()
        self.turns = Turns(self.executor, self.sent.append, self.clock, self.flag)
        options = {"probe_timeout": "0.05", **options}
        self.watch = Watch(self.executor, Options(options), self.turns, self.flag, suspects=suspects, bounds=bounds)

    @property
    def evidence(self) -> object:
        return self.turns.evidence

    def canaries(self) -> list[pipe.FromWorker]:
        return [frame for frame in self.sent if isinstance(frame, pipe.Canary)]

    async def probes_after(self, seconds: float) -> int:
        """How many probes a look makes once so much more time has gone by."""
        before = self.executor.probes
        self.clock.advance(seconds)
        await self.watch.look()
        return self.executor.probes - before

    def begin(self, *outputs: object) -> TurnEvidence:
        turn = self.turns.evidence.begin("T1")
        for output in outputs:
            self.turns.evidence.output(turn, output)  # type: ignore[arg-type]
        return turn


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("truebeat.workspace.watch._BETWEEN", 0.0)


# -- suspicion


async def test_an_idle_runtime_is_probed_each_interval_and_a_passed_canary_is_counted() -> None:
    bench = Bench()
    assert await bench.probes_after(4.9) == 0
    assert await bench.probes_after(0.2) == 1
    assert await bench.probes_after(4.9) == 0
    assert await bench.probes_after(0.2) == 1
    assert bench.canaries() == [PASSED, PASSED]
    assert bench.turns.evidence.counters().canaries_passed == 2


@pytest.mark.parametrize(
    ("given", "outputs", "after"),
    [
        ({}, (), 20.0),
        ({}, (InPhase("waiting_model"),), 20.0),
        ({}, (ToolStarted("make"),), 20.0),
        ({}, (ToolStarted("make", 6.0),), 2.0),
        ({}, (ToolStarted("make", 600.0),), 20.0),
        ({}, (InPhase("awaiting_input"),), 20.0),
        ({}, (InPhase("dreaming"),), 20.0),
        ({"suspects": {"in_tool": 3.0}}, (ToolStarted("make"),), 3.0),
        ({"suspects": {"in_tool": 3.0}}, (), 20.0),
        ({"bounds": {"working": 9.0}}, (), 3.0),
        ({"probe_interval": "2"}, (), 20.0),
        # no later than the server may call it standing still (45 s)
        ({"suspects": {"working": 300.0}}, (), 22.5),
    ],
)
async def test_a_silent_turn_is_suspected_as_its_phase_says(
    given: dict[str, object], outputs: tuple[object, ...], after: float
) -> None:
    bench = Bench(**given)  # type: ignore[arg-type]
    turn = bench.begin(*outputs)
    assert await bench.probes_after(after - 0.1) == 0
    assert await bench.probes_after(0.2) == 1
    assert await bench.probes_after(after - 0.1) == 0
    bench.turns.evidence.output(turn, Text("x"))
    assert await bench.probes_after(after - 0.1) == 0
    assert await bench.probes_after(0.2) == 1
    assert bench.canaries() == [PASSED, PASSED]


async def test_the_idle_interval_is_the_option_or_the_workspaces_own() -> None:
    assert await Bench(probe_interval="2").probes_after(2.1) == 1
    assert await Bench(suspects={"idle": 1.0}).probes_after(1.1) == 1
    assert await Bench(suspects={"idle": 1.0}, probe_interval="3").probes_after(2.9) == 0


@pytest.mark.parametrize("phase", ["starting", "recovering", "draining"])
async def test_where_nothing_can_be_probed_nothing_is(phase: str) -> None:
    bench = Bench()
    bench.turns.evidence.enter(phase)
    assert await bench.probes_after(1e6) == 0


async def test_who_asks_gets_a_probe_at_once() -> None:
    bench = Bench()
    bench.watch.ask()
    assert await bench.probes_after(0) == 1
    assert await bench.probes_after(0) == 0
    assert bench.canaries() == [PASSED]


async def test_an_executors_own_suspicion_is_followed() -> None:
    class Nervous(Scripted):
        def suspicion(self) -> str:
            return "a child is stopped"

    assert await Bench(Nervous()).probes_after(0) == 1


# -- what counts


async def test_one_failed_probe_is_told_and_changes_nothing() -> None:
    bench = Bench()
    bench.executor.failing = TurnError("busy")
    probe = bench.executor.probe

    async def once() -> None:
        failing, bench.executor.failing = bench.executor.failing, None
        bench.executor.probe = probe  # type: ignore[method-assign]
        assert isinstance(failing, Exception)
        raise failing

    bench.executor.probe = once  # type: ignore[method-assign]
    await bench.watch.probe_now()
    assert bench.canaries() == [pipe.Canary(failures=1, detail="busy"), PASSED]
    assert bench.flag.reason is None
    assert bench.watch.unable() == ""


async def test_a_probe_that_is_not_answered_while_the_runtime_speaks_is_no_evidence() -> None:
    bench = Bench()
    turn = bench.begin()
    bench.executor.failing = asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, bench.turns.evidence.output, turn, Text("I live"))
    await bench.watch.probe_now()
    assert bench.canaries() == []
    # what a turn's beginning and end do not prove
    bench.turns.evidence.end(turn)
    asyncio.get_running_loop().call_later(0.02, bench.begin)
    await bench.watch.probe_now()
    assert bench.flag.reason is not None


@pytest.mark.parametrize(
    ("failing", "reason"),
    [
        (TurnError("no socket"), "runtime failed 2 probes: no socket"),
        (asyncio.Event(), "runtime did not answer 2 probes of 0.05 s"),
        (SystemExit(3), "runtime failed 2 probes: the probe raised SystemExit(3)"),
        (asyncio.CancelledError(), "runtime failed 2 probes: the probe was canceled from within"),
    ],
)
async def test_two_failed_probes_are_a_wedge_where_nothing_can_be_repaired(failing: object, reason: str) -> None:
    bench = Bench()
    bench.executor.failing = failing  # type: ignore[assignment]
    await bench.watch.probe_now()
    assert bench.flag.reason == reason
    assert bench.canaries()[-1] == pipe.Canary(failures=2, detail=reason)
    assert [frame for frame in bench.sent if isinstance(frame, pipe.Phase)] == []
    bench.executor.failing = None
    assert await bench.probes_after(1e6) == 0
    # whoever cleared it knows better: it is watched again
    bench.flag.clear()
    assert await bench.probes_after(1e6) == 1


async def test_the_first_canary_needs_two_failures_too() -> None:
    bench = Bench()
    assert await bench.watch.first() is None
    assert bench.canaries() == [PASSED]
    bench.executor.failing = TurnError("no licence")
    assert await bench.watch.first() == "runtime failed 2 probes: no licence"
    assert bench.canaries()[1:] == [
        pipe.Canary(failures=1, detail="no licence"),
        pipe.Canary(failures=2, detail="runtime failed 2 probes: no licence"),
    ]
    assert bench.flag.reason is None


async def test_a_turns_declared_silence_is_evidence() -> None:
    bench = Bench(turn_silence="30")
    bench.begin()
    assert await bench.probes_after(29) == 1
    assert bench.flag.reason is None
    await bench.probes_after(2)
    assert bench.flag.reason == "a turn put nothing out for longer than 30 s (turn_silence)"


# -- never guilty for what this process or the machine did


async def test_a_probe_is_never_asked_twice_at_once() -> None:
    executor = Scripted()
    on, most = 0, 0
    release = asyncio.Event()

    async def stubborn() -> None:
        nonlocal on, most
        on += 1
        most = max(most, on)
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        on -= 1

    executor.probe = stubborn  # type: ignore[method-assign]
    prober = Prober(executor, 0.05)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probing, "_LEAVE", 0.01)
        for _ in range(3):
            assert (await prober.ask()).failure == ""
    assert most == 1
    release.set()
    async with asyncio.timeout(5):
        while on:  # noqa: ASYNC110
            await asyncio.sleep(0)
    executor.probe = Scripted.probe.__get__(executor)  # type: ignore[method-assign]
    assert (await prober.ask()).failure is None


async def test_time_in_which_this_process_was_held_up_does_not_count() -> None:
    executor = Scripted()
    answers = executor.failing = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold_up() -> None:
        # the loop can do nothing for longer than the limit; the answer comes right after
        end = loop.time() + 0.4
        while loop.time() < end:
            pass
        loop.call_later(0.05, answers.set)

    loop.call_later(0.02, hold_up)
    assert await Prober(executor, 0.2).ask() == probing.Answer(None)


async def test_time_in_which_the_runtime_waited_for_a_cpu_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = Scripted()
    answers = executor.failing = asyncio.Event()
    executor.runtime_pid = 1
    loop = asyncio.get_running_loop()
    started = loop.time()
    # it gets a tenth of the time it asks for
    monkeypatch.setattr(probing, "waited_for_cpu", lambda pid: (loop.time() - started) * 0.9)
    loop.call_later(0.3, answers.set)
    assert await Prober(executor, 0.1).ask() == probing.Answer(None)


async def test_a_machine_that_gives_no_cpu_at_all_leaves_it_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.executor.failing = asyncio.Event()
    bench.executor.runtime_pid = 1
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(probing, "waited_for_cpu", lambda pid: loop.time())
    await bench.watch.probe_now()
    assert bench.canaries() == []
    assert bench.flag.reason is None


def test_the_wait_for_a_cpu_is_read_where_it_can_be() -> None:
    assert waited_for_cpu(None) == 0.0
    assert waited_for_cpu(2**30) == 0.0
    assert waited_for_cpu(1) >= 0.0


# -- repair


async def test_a_repair_is_believed_after_a_probe() -> None:
    executor = Repairable()
    executor.useless = 2
    executor.failing = TurnError("dead")
    bench = Bench(executor)
    await bench.watch.probe_now()
    why = "runtime failed 2 probes: dead"
    assert bench.sent == [
        pipe.Canary(failures=1, detail="dead"),
        pipe.Canary(failures=2, detail=why),
        pipe.Phase(name="recovering"),
        pipe.Recovered(step="try 0", ok=False, detail="no use"),
        pipe.Recovered(step="try 1", ok=False, detail="no use"),
        pipe.Recovered(step="fresh", ok=True),
        pipe.Phase(name="idle"),
        PASSED,
    ]
    assert (executor.abandoned, executor.reason) == (1, why)
    assert bench.flag.reason is None
    assert bench.watch.unable() == ""


async def test_a_repair_that_only_claims_to_have_helped_is_not_believed() -> None:
    class Boaster(Repairable):
        async def probe(self) -> None:
            raise TurnError("still dead")

    bench = Bench(Boaster())
    await bench.watch.probe_now()
    assert pipe.Recovered(step="fresh", ok=False, detail="a probe after it failed: still dead") in bench.sent
    assert bench.flag.reason == (
        "runtime failed 2 probes: still dead; not repaired by fresh: a probe after it failed: still dead"
    )


@pytest.mark.parametrize("how", ["raises", "hangs", "nothing"])
async def test_a_repair_that_fails_ends_in_the_admission(how: str) -> None:
    class Clumsy(Repairable):
        recovery_timeout = 0.05

        async def recover(self, reason: str):  # type: ignore[no-untyped-def,override]
            if how == "raises":
                raise OSError("no file")
            if how == "hangs":
                await asyncio.Event().wait()
            for step in ():
                yield step

    bench = Bench(Clumsy())
    bench.executor.failing = TurnError("dead")
    await bench.watch.probe_now()
    said = {
        "raises": "the repair failed: no file",
        "hangs": "the repair took longer than 0.05 s",
        "nothing": "the executor had no way to repair it",
    }
    assert bench.flag.reason == f"runtime failed 2 probes: dead; {said[how]}"
    assert bench.turns.evidence.place.phase == "idle"


async def test_turns_that_do_not_end_are_no_base_for_a_repair() -> None:
    executor = Repairable()
    executor.failing = TurnError("dead")
    bench = Bench(executor)

    async def never(reason: str) -> bool:
        return False

    bench.watch.interrupt = never
    await bench.watch.probe_now()
    assert bench.flag.reason == "runtime failed 2 probes: dead; a turn could not be ended"
    assert not [frame for frame in bench.sent if isinstance(frame, pipe.Recovered)]


async def test_repairs_are_counted_and_then_left_to_the_supervisor() -> None:
    executor = Repairable()
    bench = Bench(executor)
    for _ in range(repair.LIMIT):
        bench.watch.accuse("it broke")
        await bench.watch.look()
        assert bench.flag.reason is None
    bench.watch.accuse("it broke")
    await bench.watch.look()
    assert bench.flag.reason == "it broke; repaired 5 times within 600 s already"
    bench.flag.clear()
    bench.clock.advance(repair.WINDOW)
    bench.watch.accuse("it broke")
    await bench.watch.look()
    assert bench.flag.reason is None


async def test_an_operator_may_want_no_repair() -> None:
    bench = Bench(Repairable(), recover="no")
    bench.executor.failing = TurnError("dead")
    await bench.watch.probe_now()
    assert bench.flag.reason == "runtime failed 2 probes: dead"


async def test_an_accusation_is_told_at_once_and_the_first_counts() -> None:
    bench = Bench()
    bench.watch.accuse("first")
    bench.watch.accuse("second")
    assert bench.sent == [pipe.Canary(failures=2, detail="first")]
    assert bench.watch.unable() == "the runtime is being repaired: first"
    await bench.watch.look()
    assert bench.flag.reason == "first"
    assert bench.watch.unable() == "wedged: first"
    bench.watch.accuse("third")
    assert bench.sent[-1] == pipe.Canary(failures=2, detail="first")


async def test_a_stopped_runtime_is_given_less_time_than_a_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hard evidence must not wait for the patience that slow runtimes get: the Claude executor's is 5 s a probe."""
    monkeypatch.setattr("truebeat.workspace.watch.STOPPED_LIMIT", 0.05)
    bench = Bench(probe_timeout="60")
    bench.executor.failing = asyncio.Event()
    runtime = subprocess.Popen(["sleep", "60"])  # noqa: ASYNC220
    try:
        bench.executor.runtime_pid = runtime.pid
        runtime.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, runtime.pid, os.WSTOPPED)  # noqa: ASYNC222
        async with asyncio.timeout(20):
            await bench.watch.look()
        first, second = bench.canaries()
        assert (first.failures, first.detail) == (1, "no answer within 0.05 s")
        assert second.failures == 2
        assert "2 probes of 0.05 s; process state T (stopped)" in second.detail
    finally:
        runtime.kill()
        runtime.wait()
