"""Counters, phases and silences of the turns that are on."""

from __future__ import annotations

import math

import pytest

from truebeat.clock import ManualClock
from truebeat.protocol import pipe
from truebeat.protocol.link import Counters
from truebeat.workspace.evidence import Evidence
from truebeat.workspace.executors.base import (
    Artifact,
    InPhase,
    Output,
    Progress,
    Result,
    Text,
    ToolFinished,
    ToolStarted,
)


class Bench:
    def __init__(self) -> None:
        self.sent: list[pipe.FromWorker] = []
        self.clock = ManualClock()
        self.evidence = Evidence(self.sent.append, self.clock)

    def phases(self) -> list[tuple[str, float | None]]:
        return [(frame.name, frame.bound) for frame in self.sent if isinstance(frame, pipe.Phase)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_is_counted(bench: Bench) -> None:
    turn = bench.evidence.begin("T1")
    for output in (Text("a"), Progress("b"), Artifact("c", ()), ToolStarted("t"), ToolFinished("t"), Result("d")):
        bench.evidence.output(turn, output)
    bench.evidence.end(turn)
    bench.evidence.canary_passed()
    assert bench.evidence.counters() == Counters(
        turns_started=1, turns_finished=1, frames=3, tools_started=1, tools_finished=1, canaries_passed=1
    )


NESTED = (
    (ToolStarted("outer", 100.0), ("in_tool", 100.0)),
    (ToolStarted("inner", 10.0), ("in_tool", 100.0)),
    (ToolFinished("inner"), ("in_tool", 100.0)),
    (ToolFinished("outer"), ("working", None)),
)
PARALLEL = (
    (ToolStarted("a", 10.0), ("in_tool", 10.0)),
    (ToolStarted("b"), ("in_tool", 45.0)),
    (ToolStarted("b", 300.0), ("in_tool", 300.0)),
    (ToolFinished("a"), ("in_tool", 300.0)),
    (ToolFinished("b"), ("in_tool", None)),
    (ToolFinished("b"), ("working", None)),
)
AFTER_A_MODEL = (
    (InPhase("waiting_model", 30.0), ("waiting_model", 30.0)),
    (ToolStarted("a"), ("in_tool", None)),
    (InPhase("awaiting_input"), ("awaiting_input", None)),
    (ToolFinished("a"), ("waiting_model", 30.0)),
    (InPhase("compacting"), ("compacting", None)),
    (ToolStarted("a"), ("in_tool", None)),
    (ToolFinished("a"), ("waiting_model", 30.0)),
)


@pytest.mark.parametrize("story", [NESTED, PARALLEL, AFTER_A_MODEL])
def test_tools_and_phases(bench: Bench, story: tuple[tuple[Output, tuple[str, float | None]], ...]) -> None:
    turn = bench.evidence.begin("T1")
    for output, place in story:
        bench.evidence.output(turn, output)
        assert (bench.evidence.place.phase, bench.evidence.place.bound) == place


def test_a_tool_that_never_started_ends_nothing(bench: Bench) -> None:
    turn = bench.evidence.begin("T1")
    bench.evidence.output(turn, ToolStarted("a"))
    bench.evidence.output(turn, ToolFinished("b"))
    assert bench.evidence.place.phase == "in_tool"
    assert bench.evidence.counters().tools_finished == 0


@pytest.mark.parametrize("name", ["idle", "restarting", "recovering", "draining", "quarantined", "waiting", "starting"])
def test_no_turn_hides_in_a_phase_that_is_not_its_own(bench: Bench, name: str) -> None:
    turn = bench.evidence.begin("T1")
    bench.evidence.output(turn, InPhase(name, 1e9))
    assert bench.evidence.place.phase == "working"


@pytest.mark.parametrize("bound", [math.nan, math.inf, -1.0, 0.0, 1e300])
def test_a_bound_that_is_none(bench: Bench, bound: float) -> None:
    turn = bench.evidence.begin("T1")
    bench.evidence.output(turn, InPhase("dreaming", bound))
    assert bench.phases()[-1] == ("dreaming", None)
    bench.evidence.output(turn, ToolStarted("a", bound))
    assert bench.phases()[-1] == ("in_tool", None)


def test_a_phases_name_is_bounded(bench: Bench) -> None:
    turn = bench.evidence.begin("T1")
    bench.evidence.output(turn, InPhase("x" * 1000))
    assert bench.phases()[-1][0] == "x" * 100


def test_of_several_turns_the_one_that_changed_last_is_told(bench: Bench) -> None:
    one, two = bench.evidence.begin("T1"), bench.evidence.begin("T2")
    bench.evidence.output(one, ToolStarted("a"))
    assert bench.sent[-1] == pipe.Phase(name="in_tool", current_task="T1")
    bench.evidence.end(one)
    assert bench.sent[-1] == pipe.Phase(name="working", current_task="T2")
    bench.evidence.end(two)
    assert bench.sent[-1] == pipe.Phase(name="idle")


def test_nothing_is_told_twice(bench: Bench) -> None:
    turn = bench.evidence.begin("T1")
    told = len(bench.sent)
    bench.evidence.output(turn, InPhase("working"))
    bench.evidence.output(turn, Text("x"))
    bench.evidence.enter("idle")
    assert len(bench.sent) == told


def test_what_moves_the_work(bench: Bench) -> None:
    def silence() -> float:
        return round(bench.evidence.silence())

    bench.clock.advance(7)
    bench.evidence.canary_passed()
    assert silence() == 7
    turn = bench.evidence.begin("T1")
    assert silence() == 0
    for output in (Text(""), ToolStarted("a"), ToolFinished("a"), InPhase("compacting")):
        bench.clock.advance(7)
        bench.evidence.output(turn, output)
        assert silence() == 0
    bench.clock.advance(7)
    bench.evidence.output(turn, InPhase("compacting"))
    assert silence() == 7
    bench.evidence.end(turn)
    assert silence() == 0


def test_a_turn_past_its_declared_silence(bench: Bench) -> None:
    turn = bench.evidence.begin("T1")
    bench.clock.advance(5)
    assert bench.evidence.overdue(5) is None
    bench.clock.advance(1)
    assert bench.evidence.overdue(5) is turn
    # another turn's chatter is no excuse; a tool's own longer bound and a person are
    other = bench.evidence.begin("T2")
    bench.evidence.output(other, Text("x"))
    assert bench.evidence.overdue(5) is turn
    bench.evidence.output(turn, ToolStarted("make", 60))
    bench.clock.advance(6)
    assert bench.evidence.overdue(5) is other
    bench.evidence.end(other)
    assert bench.evidence.overdue(5) is None
    bench.evidence.output(turn, InPhase("awaiting_input"))
    bench.clock.advance(1e6)
    assert bench.evidence.overdue(5) is None


def test_tools_that_never_end_cost_no_memory(bench: Bench) -> None:
    turn = bench.evidence.begin("T1")
    for number in range(10_000):
        bench.evidence.output(turn, ToolStarted(f"t{number}", 7.0))
    assert len(turn.tools) == 100
    assert bench.phases() == [("working", None), ("in_tool", 7.0)]
    assert bench.evidence.counters().tools_started == 10_000


def test_a_silence_that_is_not_the_turns_own(bench: Bench) -> None:
    turn = bench.evidence.begin("T1")
    bench.clock.advance(8)
    bench.evidence.forgive(4)
    assert bench.evidence.overdue(5) is None
    bench.clock.advance(2)
    assert bench.evidence.overdue(5) is turn
    bench.evidence.hold(turn, held=True)
    bench.clock.advance(100)
    assert bench.evidence.overdue(5) is None
    bench.evidence.hold(turn, held=False)
    assert bench.evidence.overdue(5) is None
    bench.evidence.forgive(1e6)
    bench.clock.advance(6)
    assert bench.evidence.overdue(5) is turn
