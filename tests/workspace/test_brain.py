"""The supervisor's rules, without any I/O. Scenarios read: event in, commands out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truebeat.domain.restart import RestartPolicy
from truebeat.protocol import link
from truebeat.workspace import events as ev
from truebeat.workspace.brain import ADMISSION_GRACE, Brain
from truebeat.workspace.stages import HAS_PROCESS, Rules, Stage

POLICY = RestartPolicy(limit=2, window=100.0, first_delay=1.0, jitter=0.0)


def welcome(generation: int = 0, beat_interval: float = 10.0) -> ev.LinkUp:
    return ev.LinkUp(link.Welcome(version=2, generation=generation, beat_interval=beat_interval, lease=45.0))


class Scene:
    """A brain with a clock: `do` returns what it commanded, logs left out."""

    def __init__(self, **rules: Any) -> None:
        self.now = 1000.0
        self.brain = Brain(Rules(restart=POLICY, **rules))
        assert self.brain.begin(self.now) == [ev.Dial()]

    def do(self, event: ev.Event, after: float = 0.0, chance: float = 0.0) -> list[Any]:
        self.now += after
        return [c for c in self.brain.handle(event, self.now, chance) if not isinstance(c, ev.Log)]

    def wait(self) -> list[Any]:
        """Until the next timer."""
        self.now = max(self.now, self.brain.next_due())
        return self.do(ev.TimerDue())

    def running(self) -> Scene:
        self.do(welcome())
        self.do(ev.WorkerStarted(1, 77))
        self.do(ev.WorkerReady(1))
        assert self.brain.stage is Stage.RUNNING
        return self

    def start_of(self, commands: list[Any]) -> list[int]:
        return [c.generation for c in commands if isinstance(c, ev.StartWorker)]


def beats(commands: list[Any]) -> list[link.Beat]:
    return [c.beat for c in commands if isinstance(c, ev.SendBeat)]


def only_beat(commands: list[Any]) -> link.Beat:
    (beat,) = beats(commands)
    return beat


def test_the_first_worker_starts_above_the_servers_generation_and_claims_nothing() -> None:
    scene = Scene()
    commands = scene.do(welcome(generation=7))
    assert scene.start_of(commands) == [8]
    beat = only_beat(commands)
    assert (beat.generation, beat.runtime_state, beat.phase) == (8, None, "starting")


def test_ready_is_told_at_once() -> None:
    scene = Scene()
    scene.do(welcome())
    scene.do(ev.WorkerStarted(1, 77))
    beat = only_beat(scene.do(ev.WorkerReady(1)))
    assert (beat.runtime_state, beat.worker_pid) == ("", 77)


def test_beats_come_on_the_interval() -> None:
    scene = Scene().running()
    scene.do(ev.AckReceived(2))
    assert scene.brain.next_due() == scene.now + 10.0
    assert only_beat(scene.wait()).runtime_state == ""


def test_phases_and_outcomes_are_told_but_not_more_often_than_useful() -> None:
    scene = Scene().running()
    first = only_beat(scene.do(ev.PhaseChanged(1, "working", "write a poem"), after=1.0))
    assert (first.phase, first.active_tasks, first.current_task) == ("working", 1, "write a poem")
    assert scene.do(ev.OutcomesChanged(1, 0.7, "boom")) == []
    late = only_beat(scene.wait())
    assert (late.error_rate, late.sample_error, late.runtime_state) == (0.7, "boom", "")


def test_an_admission_is_told_at_once_and_ends_the_worker_when_acknowledged() -> None:
    scene = Scene().running()
    beat = only_beat(scene.do(ev.WorkerWedged(1, "Control request timeout: initialize")))
    assert (beat.runtime_state, beat.sample_error) == ("wedged", "Control request timeout: initialize")
    assert scene.do(ev.AckReceived(beat.seq - 1)) == []
    ending = scene.do(ev.AckReceived(beat.seq))
    assert ev.EndTree(2.0) in ending
    assert only_beat(ending).runtime_state == "wedged"
    scene.do(ev.TreeGone(1))
    commands = scene.wait()
    assert scene.start_of(commands) == [2]
    assert only_beat(commands).runtime_state is None


def test_an_admission_that_nobody_acknowledges_ends_the_worker_all_the_same() -> None:
    scene = Scene().running()
    scene.do(ev.WorkerWedged(1, "stuck"))
    began = scene.now
    assert ev.EndTree(2.0) in scene.wait()
    assert scene.now == pytest.approx(began + ADMISSION_GRACE)


def test_the_first_reason_stays() -> None:
    scene = Scene().running()
    scene.do(ev.WorkerWedged(1, "first"))
    assert scene.do(ev.WorkerWedged(1, "second")) == []
    assert scene.brain.wedge == "first"


def test_a_wedge_cleared_in_time_spares_the_worker() -> None:
    scene = Scene().running()
    scene.do(ev.WorkerWedged(1, "stuck"))
    assert only_beat(scene.do(ev.WorkerCleared(1))).runtime_state == ""
    assert scene.brain.stage is Stage.RUNNING


def test_phase_changes_never_drop_the_wedge() -> None:
    scene = Scene().running()
    scene.do(ev.WorkerWedged(1, "stuck"))
    beat = only_beat(scene.do(ev.PhaseChanged(1, "idle", ""), after=0.5))
    assert (beat.runtime_state, beat.sample_error) == ("wedged", "stuck")
    beat = only_beat(scene.do(ev.OutcomesChanged(1, 0.0, ""), after=0.2))
    assert (beat.runtime_state, beat.sample_error) == ("wedged", "stuck")


def test_a_worker_that_stops_ticking_is_not_called_healthy() -> None:
    scene = Scene().running()
    scene.do(ev.WorkerTicked(1))
    beat = only_beat(scene.do(ev.TimerDue(), after=5.0))
    assert (beat.runtime_state, beat.sample_error) == ("stalled", "the worker's event loop has not ticked for 5 s")
    assert only_beat(scene.do(ev.PhaseChanged(1, "idle", ""), after=1.0)).runtime_state == "stalled"
    assert only_beat(scene.do(ev.WorkerTicked(1))).runtime_state == ""
    scene.do(ev.TimerDue(), after=5.0)
    assert only_beat(scene.do(ev.WorkerWedged(1, "stuck"))).runtime_state == "wedged"


def test_a_stall_before_ready_claims_nothing() -> None:
    scene = Scene()
    scene.do(welcome())
    scene.do(ev.WorkerStarted(1, 77))
    scene.do(ev.WorkerTicked(1))
    assert only_beat(scene.do(ev.TimerDue(), after=5.0)).runtime_state is None
    assert only_beat(scene.do(ev.PhaseChanged(1, "importing", ""), after=1.0)).runtime_state is None


def test_the_error_rate_is_unknown_until_a_generation_is_ready_and_then_none_failed() -> None:
    scene = Scene().running()
    assert only_beat(scene.do(ev.OutcomesChanged(1, 0.7, "boom"), after=1.0)).error_rate == 0.7
    scene.do(ev.WorkerExited(1, "exit code 1"))
    scene.do(ev.TreeGone(1))
    assert only_beat(scene.wait()).error_rate is None
    ready = only_beat(scene.do(ev.WorkerReady(2)))
    assert (ready.error_rate, ready.sample_error) == (0.0, "")


def test_a_dead_worker_is_told_its_tree_ended_and_another_started() -> None:
    scene = Scene().running()
    commands = scene.do(ev.WorkerExited(1, "killed by SIGKILL"))
    beat = only_beat(commands)
    assert (beat.runtime_state, beat.sample_error) == ("wedged", "worker exited: killed by SIGKILL; restarting")
    assert ev.EndTree(2.0) in commands
    died = scene.now
    assert scene.do(ev.TreeGone(1)) == []
    assert scene.start_of(scene.wait()) == [2]
    assert scene.now == pytest.approx(died + POLICY.first_delay)


def crash(scene: Scene, generation: int) -> list[Any]:
    commands = scene.do(ev.WorkerExited(generation, "exit code 1"))
    return commands + scene.do(ev.TreeGone(generation))


def spend_the_budget(scene: Scene) -> list[Any]:
    for generation in (1, 2):
        crash(scene, generation)
        scene.wait()
    return crash(scene, 3)


def test_a_crash_loop_ends_in_quarantine() -> None:
    scene = Scene().running()
    commands = spend_the_budget(scene)
    assert scene.brain.stage is Stage.QUARANTINED
    assert not scene.start_of(commands)
    beat = beats(commands)[-1]
    assert beat.runtime_state == "wedged"
    assert beat.quarantine == "2 restarts within 100 s did not help; last: worker exited: exit code 1"
    for _ in range(3):
        assert not scene.start_of(scene.wait())


def test_an_order_ends_the_quarantine_and_is_obeyed_once() -> None:
    scene = Scene().running()
    spend_the_budget(scene)
    order = ev.RestartOrdered("r1", "by ann")
    commands = scene.do(order)
    assert scene.start_of(commands) == [4]
    assert only_beat(commands).quarantine == ""
    assert scene.do(order) == []


def test_an_order_ends_a_healthy_worker_and_starts_another_without_delay() -> None:
    scene = Scene().running()
    commands = scene.do(ev.RestartOrdered("r1", "by ann"))
    assert ev.EndTree(2.0) in commands
    assert only_beat(commands).runtime_state is None
    assert scene.start_of(scene.do(ev.TreeGone(1))) == [2]


def test_a_fatal_configuration_is_not_looped_on() -> None:
    scene = Scene().running()
    commands = scene.do(ev.WorkerFatal(1, "no module named agent"))
    assert only_beat(commands).quarantine == "no module named agent"
    scene.do(ev.WorkerExited(1, "exit code 2"))
    scene.do(ev.TreeGone(1))
    assert scene.brain.stage is Stage.QUARANTINED


def test_an_old_generation_is_not_heard() -> None:
    scene = Scene().running()
    crash(scene, 1)
    scene.wait()
    assert scene.do(ev.WorkerReady(1)) == []
    assert scene.do(ev.WorkerWedged(1, "late")) == []
    assert scene.do(ev.WorkerExited(1, "late")) == []
    assert scene.do(ev.TreeGone(1)) == []


def test_a_new_link_is_told_the_present_state_at_once() -> None:
    scene = Scene().running()
    scene.do(ev.LinkLost("cut"))
    assert scene.do(ev.WorkerWedged(1, "stuck while alone")) == []
    beat = only_beat(scene.do(welcome(generation=1), after=0.5))
    assert (beat.runtime_state, beat.sample_error) == ("wedged", "stuck while alone")


def test_the_worker_outlives_the_link() -> None:
    scene = Scene().running()
    scene.do(ev.LinkLost("cut"))
    assert scene.wait() == [ev.Dial()]
    assert scene.brain.stage is Stage.RUNNING


def test_a_server_that_knows_a_newer_generation_gets_a_newer_worker() -> None:
    scene = Scene().running()
    scene.do(ev.LinkLost("cut"))
    assert ev.EndTree(2.0) in scene.do(welcome(generation=5))
    assert scene.start_of(scene.do(ev.TreeGone(1))) == [6]


def test_redials_back_off_and_an_acknowledgement_resets_that() -> None:
    scene = Scene().running()
    delays = []
    for _ in range(9):
        scene.do(ev.LinkLost("refused"), chance=1.0)
        delays.append(scene.brain.next_due() - scene.now)
        assert scene.wait() == [ev.Dial()]
    assert delays == pytest.approx([0.5, 1, 2, 4, 8, 15, 15, 15, 15])  # never above a third of the lease
    scene.do(welcome(generation=1))
    scene.do(ev.AckReceived(99))
    scene.do(ev.LinkLost("cut"), chance=0.0)
    assert scene.brain.next_due() - scene.now == pytest.approx(0.25)


def test_a_refused_token_is_read_again_and_tried_once_at_once() -> None:
    scene = Scene().running()
    refused = ev.LinkLost("HTTP 401", ev.Refusal.UNAUTHENTICATED)
    assert scene.do(refused) == [ev.RefreshToken()]
    assert scene.brain.next_due() == scene.now
    assert scene.wait() == [ev.Dial()]
    assert scene.do(refused) == [ev.RefreshToken()]
    assert scene.brain.next_due() > scene.now


@pytest.mark.parametrize("refusal", [ev.Refusal.NOT_FOUND, ev.Refusal.FORBIDDEN, ev.Refusal.INVALID])
def test_what_needs_a_person_is_retried_slowly(refusal: ev.Refusal) -> None:
    scene = Scene()
    scene.do(ev.LinkLost("no", refusal))
    assert scene.brain.next_due() - scene.now >= 5.0


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (ev.Retired("removed"), 0),
        (ev.LinkLost("HTTP 410", ev.Refusal.GONE), 0),
        (ev.LinkLost("4409", ev.Refusal.REPLACED), 4),
        (ev.StopRequested(), 0),
    ],
)
def test_the_end(event: ev.Event, code: int) -> None:
    scene = Scene().running()
    assert ev.AskToStop(5.0) in scene.do(event)
    assert ev.EndTree(2.0) in scene.do(ev.WorkerExited(1, "exit code 0"))
    (leave,) = [c for c in scene.do(ev.TreeGone(1)) if isinstance(c, ev.Exit)]
    assert leave.code == code


def test_a_worker_that_does_not_finish_is_killed() -> None:
    scene = Scene().running()
    scene.do(ev.StopRequested())
    assert ev.EndTree(2.0) in scene.wait()


def test_a_second_stop_kills_at_once() -> None:
    scene = Scene().running()
    scene.do(ev.StopRequested())
    assert scene.do(ev.StopRequested()) == [ev.EndTree(0.0)]


@pytest.mark.parametrize("prepare", [lambda s: None, spend_the_budget])
def test_stopping_without_a_worker(prepare: Any) -> None:
    scene = Scene()
    if prepare is spend_the_budget:
        prepare(scene.running())
    commands = scene.do(ev.StopRequested())
    assert any(isinstance(c, ev.EndTree) for c in commands)
    commands = scene.do(ev.TreeGone(scene.brain.generation))
    assert any(isinstance(c, ev.Exit) for c in commands)


def test_a_link_that_acknowledges_nothing_is_dropped() -> None:
    scene = Scene().running()
    began = scene.now
    commands: list[Any] = []
    while not any(isinstance(c, ev.DropLink) for c in commands):
        commands = scene.wait()
    assert scene.now == pytest.approx(began + 20.0)


def test_texts_are_cut_to_what_the_server_takes() -> None:
    scene = Scene().running()
    scene.do(ev.PhaseChanged(1, "p" * 500, "t" * 9000), after=1.0)
    beat = only_beat(scene.do(ev.WorkerWedged(1, "x" * 9000), after=1.0))
    assert (len(beat.phase), len(beat.current_task), len(beat.sample_error)) == (100, 2000, 2000)


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        (401, "UNAUTHENTICATED"),
        (4401, "UNAUTHENTICATED"),
        (410, "GONE"),
        (4410, "GONE"),
        (4409, "REPLACED"),
        (4404, "NOT_FOUND"),
        (1006, "NONE"),
        (None, "NONE"),
        (503, "NONE"),
        (4503, "NONE"),
    ],
)
def test_refusals(code: int | None, refusal: str) -> None:
    assert ev.refusal_of(code) is ev.Refusal[refusal]


#: relative to the brain's generation: its own, mostly, or an older one
GENERATIONS = st.sampled_from([0, 0, 0, -1])
TEXTS = st.sampled_from(["", "a", "b"])
EVENTS = st.one_of(
    st.builds(ev.WorkerStarted, GENERATIONS, st.just(7)),
    st.builds(ev.WorkerReady, GENERATIONS),
    st.builds(ev.WorkerWedged, GENERATIONS, TEXTS),
    st.builds(ev.WorkerCleared, GENERATIONS),
    st.builds(ev.WorkerTicked, GENERATIONS),
    st.builds(ev.WorkerFatal, GENERATIONS, TEXTS),
    st.builds(ev.WorkerExited, GENERATIONS, TEXTS),
    st.builds(ev.PhaseChanged, GENERATIONS, TEXTS, TEXTS),
    st.builds(ev.OutcomesChanged, GENERATIONS, st.floats(0, 1), TEXTS),
    st.builds(ev.TreeGone, GENERATIONS),
    st.builds(welcome, st.integers(0, 6)),
    st.builds(ev.LinkLost, TEXTS, st.sampled_from([ev.Refusal.NONE, ev.Refusal.UNAUTHENTICATED, ev.Refusal.NOT_FOUND])),
    st.builds(ev.AckReceived, st.integers(0, 30)),
    st.builds(ev.RestartOrdered, st.sampled_from("xyz"), TEXTS),
    st.just(ev.TimerDue()),
    st.just(ev.StopRequested()),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(EVENTS, st.sampled_from([0.0, 0.3, 20.0]), st.floats(0, 1)), max_size=60))
def test_invariants(steps: list[tuple[ev.Event, float, float]]) -> None:
    brain = Brain(Rules(restart=POLICY))
    now, started, alive, spent = 0.0, 0, False, False
    ready_of, admitted_in = -1, -1
    obeyed: set[str] = set()
    brain.begin(now)
    for drawn, after, chance in [*steps, (ev.TimerDue(), 60.0, 0.0)]:
        now += after
        event: Any = drawn
        if hasattr(drawn, "generation"):
            event = drawn._replace(generation=drawn.generation + brain.generation)
        alive_before = brain.stage in HAS_PROCESS
        if isinstance(event, ev.WorkerReady) and event.generation == brain.generation and alive_before:
            ready_of = event.generation
        if isinstance(event, ev.WorkerWedged) and event.generation == brain.generation and alive_before:
            admitted_in = event.generation
        if isinstance(event, ev.WorkerCleared) and event.generation == brain.generation:
            admitted_in = -1
        ordered = isinstance(event, ev.RestartOrdered) and event.restart_id not in obeyed
        current = brain.generation
        commands = brain.handle(event, now, chance)
        if ordered:
            obeyed.add(event.restart_id)
            spent = False
        elif isinstance(event, ev.RestartOrdered):
            assert commands == []
        for command in commands:
            if isinstance(command, ev.StartWorker):
                assert command.generation > started, "a generation was started twice"
                assert not alive, "two workers at once"
                assert not spent, "a start after the budget was spent"
                started, alive = command.generation, True
                current = command.generation
            if isinstance(command, ev.SendBeat):
                beat = command.beat
                spent = spent or bool(beat.quarantine)
                assert beat.generation == current
                if beat.runtime_state == "":
                    assert beat.generation == ready_of
                    assert beat.generation != admitted_in
                    assert beat.quarantine == ""
                if beat.quarantine:
                    assert beat.runtime_state == "wedged"
            if isinstance(command, ev.EndTree):
                alive = False
        if brain.quarantine:
            spent = True
