"""The supervisor's rules, without any I/O. Scenarios read: event in, commands out."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truebeat.domain.restart import RestartPolicy
from truebeat.protocol import delivery, link, pipe
from truebeat.workspace import events as ev
from truebeat.workspace.brain import Brain
from truebeat.workspace.leaving import FAREWELL
from truebeat.workspace.measure import Reading
from truebeat.workspace.stages import ADMISSION_GRACE, HAS_PROCESS, Rules, Stage

POLICY = RestartPolicy(limit=2, window=100.0, first_delay=1.0, jitter=0.0)


def welcome(generation: int = 0, beat_interval: float = 10.0) -> ev.LinkUp:
    return ev.LinkUp(link.Welcome(version=2, generation=generation, beat_interval=beat_interval, lease=45.0))


class Scene:
    """A brain with a clock: `do` returns what it commanded, logs left out.

    A look at the process is answered at once with `state`, `cpu` and `run_delay`.
    """

    def __init__(self, **rules: Any) -> None:
        self.now = 1000.0
        self.state, self.cpu, self.run_delay = "S", 0.0, 0.0
        self.brain = Brain(Rules(restart=POLICY, **rules))
        assert self.brain.begin(self.now) == [ev.Dial()]

    def do(self, event: ev.Event, after: float = 0.0, chance: float = 0.0) -> list[Any]:
        self.now += after
        commands = [c for c in self.brain.handle(event, self.now, chance) if not isinstance(c, ev.Log)]
        if any(isinstance(c, ev.Measure) for c in commands):
            commands = [c for c in commands if not isinstance(c, ev.Measure)]
            reading = Reading(self.state, self.cpu, self.run_delay)
            commands += self.do(ev.WorkerMeasured(self.brain.generation, reading))
        return commands

    def wait(self) -> list[Any]:
        """Until a timer that has a consequence; looks at the process may have none."""
        while self.brain.next_due() < math.inf:
            self.now = max(self.now, self.brain.next_due())
            if commands := self.do(ev.TimerDue()):
                return commands
        return []

    def pass_by(self, seconds: float, *, ticks: bool = False) -> list[Any]:
        """Let time pass, every timer on its dot; the worker ticks, or does not. Health is acknowledged."""
        end, commands = self.now + seconds, []
        while self.now < end:
            self.now = min(max(self.now, self.brain.next_due()), self.now + 0.25, end)
            if ticks:
                commands += self.do(ev.WorkerTicked(self.brain.generation))
            if self.brain.next_due() <= self.now:
                commands += self.do(ev.TimerDue())
            for beat in beats(commands)[-1:]:
                if beat.runtime_state != "wedged":
                    commands += self.do(ev.AckReceived(beat.seq))
        return commands

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
    began = scene.now
    scene.do(ev.AckReceived(2))
    assert only_beat(scene.wait()).runtime_state == ""
    assert scene.now == pytest.approx(began + 10.0)


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
    assert scene.brain.known.wedge == "first"


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


def ticking(scene: Scene) -> Scene:
    scene.do(ev.AckReceived(99))
    scene.pass_by(3.0, ticks=True)
    return scene


def reports(commands: list[Any]) -> list[link.Report]:
    return [c.frame for c in commands if isinstance(c, ev.SendFrame) and isinstance(c.frame, link.Report)]


def asked_for_a_stack(commands: list[Any]) -> bool:
    return any(isinstance(c, ev.CaptureStack) for c in commands)


def stalls(commands: list[Any]) -> list[str]:
    return [beat.stall for beat in beats(commands)]


def test_a_blocked_loop_is_told_at_once_beside_the_workers_own_word() -> None:
    scene = ticking(Scene().running())
    began = scene.now
    assert stalls(scene.pass_by(2.0)) == []
    commands = scene.pass_by(0.5)
    (beat,) = beats(commands)
    assert (beat.runtime_state, beat.capacity, beat.tick_age) == ("", 0, pytest.approx(scene.now - began, abs=0.6))
    assert beat.stall.startswith("the event loop has been blocked for 2.")
    assert asked_for_a_stack(commands)
    commands = scene.do(ev.WorkerTicked(1))
    assert (only_beat(commands).stall, only_beat(commands).capacity) == ("", 1)
    assert [report.kind for report in reports(commands)] == ["resumed"]


def test_a_report_waits_for_the_stack() -> None:
    scene = ticking(Scene().running())
    assert reports(scene.pass_by(3.0)) == []
    (report,) = reports(scene.do(ev.StackCaptured(1, "Thread 1: lock.acquire", "", "last words"), after=0.3))
    assert (report.kind, report.stack, report.stderr_tail) == ("blocked", "Thread 1: lock.acquire", "last words")
    assert report.age > 0.3


def test_waiting_for_a_processor_is_not_being_blocked() -> None:
    scene = ticking(Scene().running())
    for _ in range(200):
        scene.run_delay += 0.24
        assert stalls(scene.pass_by(0.25)) in ([], [""])
    assert scene.brain.stalled == ""
    assert "blocked" in "".join(stalls(scene.pass_by(3.0)))


def test_a_runnable_process_that_gets_no_processor_at_all_is_not_accused() -> None:
    scene = ticking(Scene().running())
    scene.state = "R"
    scene.do(ev.TimerDue(), after=0.25)
    assert "".join(stalls(scene.pass_by(30.0))) == ""
    scene.cpu += 0.1
    for _ in range(20):  # a busy loop: it runs, and does not tick
        scene.cpu += 0.25
        scene.pass_by(0.25)
    assert scene.brain.stalled == "blocked"


def test_a_loop_that_works_under_a_small_quota_is_counted_by_what_it_got() -> None:
    scene = ticking(Scene().running())
    scene.state = "R"
    seconds = 0.0
    while scene.brain.stalled == "":
        scene.cpu += 0.05
        scene.pass_by(0.25)
        seconds += 0.25
    assert 5.0 <= seconds <= 12.0


def test_a_supervisor_that_was_frozen_accuses_nobody() -> None:
    scene = ticking(Scene().running())
    assert stalls(scene.do(ev.TimerDue(), after=60.0)) in ([], [""])
    assert stalls(scene.pass_by(1.0)) == []
    assert "blocked" in "".join(stalls(scene.pass_by(2.0)))


def test_a_loop_that_puts_out_work_is_not_blocked_although_its_ticks_are_dropped() -> None:
    scene = ticking(Scene().running())
    scene.do(deliver())
    for index in range(20):
        chunk = delivery.Chunk(task_id="t", generation=1, attempt=1, index=index, kind="text", text="x")
        scene.do(ev.TaskTold(1, chunk))
        scene.pass_by(0.5)
    assert scene.brain.stalled == ""


def test_a_worker_that_never_ticked_is_not_accused_of_it() -> None:
    scene = Scene().running()
    assert "".join(stalls(scene.pass_by(60.0))) == ""


def test_a_loop_that_stays_blocked_is_replaced_with_its_stack() -> None:
    scene = ticking(Scene().running())
    scene.pass_by(3.0)
    scene.do(ev.StackCaptured(1, "first", ""))
    commands = scene.pass_by(17.4)
    wedged = [beat for beat in beats(commands) if beat.runtime_state == "wedged"]
    assert wedged[0].sample_error == "the event loop was blocked for 20 s"
    assert asked_for_a_stack(commands)
    (report,) = reports(scene.do(ev.StackCaptured(1, "second", "")))
    assert (report.kind, report.stack, report.action) == (
        "wedged",
        "second",
        "the process tree is ended and another worker started after 1.0 s",
    )
    assert scene.do(ev.WorkerCleared(1)) == []
    assert ev.EndTree(2.0) in scene.do(ev.AckReceived(wedged[0].seq))


def test_a_stopped_process_is_named_so_and_gives_no_stack() -> None:
    scene = ticking(Scene().running())
    scene.state = "T"
    told = stalls(scene.pass_by(3.0))
    assert set(told) == {"the worker process is stopped (state T)"}
    (report,) = reports(scene.do(ev.StackCaptured(1, "", "the process is stopped")))
    assert (report.kind, report.stack, report.facts) == ("stopped", "", {"no_stack": "the process is stopped"})
    scene.state = "S"
    assert only_beat(scene.do(ev.WorkerTicked(1))).process_state in {"S", "T"}
    assert scene.brain.stalled == ""


def test_before_ready_a_blocked_loop_is_left_to_the_deadline_of_the_start() -> None:
    scene = Scene(start_bound=30.0)
    scene.do(welcome())
    scene.do(ev.WorkerStarted(1, 77))
    scene.do(ev.WorkerTicked(1))
    commands = scene.pass_by(29.0)
    assert {(beat.runtime_state, beat.stall) for beat in beats(commands)} <= {(None, "")}
    wedged = [beat.sample_error for beat in beats(scene.pass_by(2.0)) if beat.runtime_state == "wedged"]
    assert wedged[0] == "the worker was not ready within 30 s"


def test_a_slow_machine_gets_more_time_to_start() -> None:
    scene = Scene(start_bound=30.0)
    scene.do(welcome())
    for _ in range(60):
        scene.run_delay += 0.8
        assert not scene.brain.known.wedge
        scene.pass_by(1.0)
    assert not scene.brain.known.wedge


def test_a_living_worker_that_closes_its_pipe_is_replaced_after_a_moment() -> None:
    scene = ticking(Scene().running())
    assert scene.do(ev.PipeClosed(1)) == []
    assert beats(scene.pass_by(0.4)) == []
    (beat,) = beats(scene.pass_by(0.2))
    assert (beat.runtime_state, beat.sample_error) == ("wedged", "the worker closed its pipe")


def test_an_exit_tells_its_own_reason_although_the_pipe_closed_first() -> None:
    scene = ticking(Scene().running())
    scene.do(ev.PipeClosed(1))
    commands = scene.do(ev.WorkerExited(1, "exit code 3", "boom"), after=0.1)
    assert only_beat(commands).sample_error == "worker exited: exit code 3; restarting"
    (report,) = reports(commands)
    assert (report.kind, report.detail, report.stderr_tail) == ("exited", "exit code 3", "boom")


def test_a_restart_is_recovery_only_when_the_canary_passed() -> None:
    scene = Scene().running()
    scene.do(ev.WorkerExited(1, "exit code 1"))
    scene.do(ev.TreeGone(1))
    commands = scene.wait()
    assert [(report.kind, report.generation) for report in reports(commands)] == [("restarted", 2)]
    commands = scene.do(ev.WorkerReady(2))
    assert [(report.kind, report.generation) for report in reports(commands)] == [("verified", 2)]


def test_reports_are_repeated_with_their_age_until_settled() -> None:
    scene = Scene().running()
    scene.do(ev.LinkLost("cut"))
    assert reports(scene.do(ev.WorkerExited(1, "exit code 1"))) == []
    (first,) = reports(scene.do(welcome(generation=1), after=7.0))
    assert (first.kind, first.age) == ("exited", 7.0)
    scene.do(ev.LinkLost("cut"))
    assert [report.n for report in reports(scene.do(welcome(generation=1)))] == [first.n]
    scene.do(ev.FrameSettled(first.n))
    scene.do(ev.LinkLost("cut"))
    assert reports(scene.do(welcome(generation=1))) == []


def test_a_storm_of_repairs_is_not_told_without_end() -> None:
    scene = Scene().running()
    told = [report for _ in range(500) for report in reports(scene.do(ev.RepairTold(1, "fresh client", False, "no")))]
    assert 1 <= len(told) <= 20
    assert told[0].kind == "recovery_failed"
    assert reports(scene.do(ev.WorkerExited(1, "exit code 1")))[0].kind == "exited"


def test_the_evidence_is_in_every_beat() -> None:
    scene = Scene().running()
    counters = link.Counters(turns_started=3, canaries_passed=2)
    scene.do(ev.WorkerTicked(1, 0.25, counters), after=1.0)
    assert only_beat(scene.do(ev.CanaryTold(1, 1, "no answer"))).canary == link.Canary(
        age=0.0, failures=1, detail="no answer"
    )
    assert scene.do(ev.CanaryTold(1, 1, "no answer")) == []
    scene.do(ev.PhaseChanged(1, "in_tool", "build", 600.0), after=1.0)
    beat = only_beat(scene.do(ev.NoteTold(1, "upstream_stalled: slow"), after=1.0))
    assert (beat.counters, beat.loop_lag, beat.tick_age) == (counters, 0.25, 2.0)
    assert (beat.phase_bound, beat.note, beat.canary) == (
        600.0,
        "upstream_stalled: slow",
        link.Canary(age=2.0, failures=1, detail="no answer"),
    )
    assert scene.do(ev.NoteTold(1, "upstream_stalled: slow")) == []


def deliver(task: str = "t", generation: int = 1, attempt: int = 1) -> ev.Delivered:
    sender = delivery.Sender(kind="person", id="ann")
    frame = delivery.Deliver(
        task_id=task, context_id="c", generation=generation, attempt=attempt, sender=sender, text="hi"
    )
    return ev.Delivered(frame)


def finished(task: str = "t", generation: int = 1) -> delivery.Finished:
    return delivery.Finished(task_id=task, generation=generation, attempt=1, state="completed", text="done")


def sent(commands: list[Any]) -> list[Any]:
    return [c.frame for c in commands if isinstance(c, ev.SendFrame)]


def test_a_task_goes_to_the_worker_and_what_became_of_it_goes_up() -> None:
    scene = Scene().running()
    order = deliver()
    assert scene.do(order) == [ev.TellWorker(order.frame)]
    assert scene.do(order) == []  # a repetition
    (begun,) = sent(scene.do(ev.TaskTold(1, delivery.Begun(task_id="t", generation=1, attempt=1))))
    cancel = delivery.Cancel(task_id="t", generation=1, attempt=1)
    assert scene.do(ev.CancelOrdered(cancel)) == [ev.TellWorker(cancel)]
    commands = scene.do(ev.TaskTold(1, finished()), after=1.0)
    (end,) = sent(commands)
    assert (end.state, end.n) == ("completed", begun.n + 1)
    assert (only_beat(commands).capacity, only_beat(commands).holding) == (1, ["t/1"])
    assert sent(scene.do(ev.TaskTold(1, finished()))) == []  # it has ended
    scene.do(ev.LinkLost("cut"))
    assert [frame.n for frame in sent(scene.do(welcome(generation=1)))] == [begun.n, end.n]
    scene.do(ev.FrameSettled(end.n))
    scene.do(ev.LinkLost("cut"))
    commands = scene.do(welcome(generation=1))
    assert (sent(commands), only_beat(commands).holding) == ([], [])


def test_what_the_worker_can_not_take_goes_back() -> None:
    scene = Scene().running()
    (back,) = sent(scene.do(deliver("old", generation=0)))
    assert (back.task_id, back.begun, back.reason) == ("old", False, "fenced: for generation 0, and this is 1")
    scene.do(deliver("a"))
    (back,) = sent(scene.do(deliver("b")))
    assert (back.task_id, back.reason) == ("b", "no room: this workspace takes 1 at a time")
    scene.do(ev.TaskTold(1, finished("a")))
    scene.do(ev.WorkerWedged(1, "stuck"))
    (back,) = sent(scene.do(deliver("c")))
    assert (back.task_id, back.begun) == ("c", False)


def test_places_that_canceled_turns_keep_are_not_offered() -> None:
    scene = Scene()
    scene.do(welcome())
    scene.do(ev.RoomTold(1, 5))  # not ready yet: nothing is offered
    assert only_beat(scene.do(ev.WorkerStarted(1, 77)) or scene.wait()).capacity == 0
    assert only_beat(scene.do(ev.WorkerReady(1, 2))).capacity == 2
    assert only_beat(scene.do(ev.RoomTold(1, 0), after=1.0)).capacity == 0
    (back,) = sent(scene.do(deliver("a")))
    assert (back.task_id, back.begun) == ("a", False)
    assert only_beat(scene.do(ev.RoomTold(1, 10**9), after=1.0)).capacity == 64


def test_a_stalled_worker_gets_no_task() -> None:
    scene = ticking(Scene().running())
    scene.pass_by(3.0)
    (back,) = sent(scene.do(deliver()))
    assert "blocked" in back.reason


def test_what_a_dead_generation_held_goes_back_begun_or_not() -> None:
    scene = Scene()
    scene.do(welcome())
    scene.do(ev.WorkerStarted(1, 77))
    scene.do(ev.WorkerReady(1, 2))
    scene.do(deliver("a"))
    scene.do(deliver("b"))
    scene.do(ev.TaskTold(1, delivery.Begun(task_id="a", generation=1, attempt=1)))
    backs = [f for f in sent(scene.do(ev.WorkerExited(1, "killed by SIGKILL"))) if isinstance(f, delivery.HandedBack)]
    assert [(back.task_id, back.begun) for back in backs] == [("a", True), ("b", False)]
    scene.do(ev.TreeGone(1))
    scene.wait()
    assert sent(scene.do(ev.TaskTold(2, finished("a", generation=1)))) == []
    assert sent(scene.do(ev.TaskTold(2, finished("a", generation=2)))) == []


def test_what_a_worker_finishes_in_its_grace_counts() -> None:
    scene = Scene().running()
    scene.do(deliver("a"))
    scene.do(ev.RestartOrdered("r1", "by ann"))
    (end,) = sent(scene.do(ev.TaskTold(1, finished("a"))))
    assert end.state == "completed"
    assert not [f for f in sent(scene.do(ev.TreeGone(1))) if isinstance(f, delivery.HandedBack)]


def test_a_probe_is_passed_on() -> None:
    assert Scene().running().do(ev.ProbeOrdered("ann asks")) == [ev.TellWorker(pipe.Probe())]


def test_a_server_that_acknowledges_late_is_not_dropped() -> None:
    scene = Scene().running()
    for seq in range(3, 20):
        assert not any(isinstance(c, ev.DropLink) for c in scene.do(ev.TimerDue(), after=10.0))
        scene.do(ev.AckReceived(seq - 2))  # always of a beat before


def test_a_server_that_takes_a_large_result_slowly_is_not_dropped() -> None:
    scene = Scene().running()
    for _ in range(30):
        assert not any(isinstance(c, ev.DropLink) for c in scene.do(ev.TimerDue(), after=2.0))
        scene.do(ev.LinkMoved())
    assert any(isinstance(c, ev.DropLink) for c in scene.do(ev.TimerDue(), after=30.0))


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


def test_an_order_that_the_present_generation_fulfils_makes_no_second_worker() -> None:
    scene = Scene()
    assert scene.start_of(scene.do(welcome(generation=5))) == [6]
    assert scene.do(ev.RestartOrdered("r1", "by ann", above=5)) == []
    assert scene.brain.generation == 6
    assert ev.EndTree(2.0) in scene.do(ev.RestartOrdered("r2", "by ann", above=6))


def test_the_platforms_orders_are_within_the_budget_and_an_operators_renews_it() -> None:
    scene = Scene().running()
    for number in range(POLICY.limit):
        scene.do(ev.RestartOrdered(f"p{number}", "stalled", by_operator=False))
        scene.do(ev.TreeGone(scene.brain.generation))
        assert scene.start_of(scene.wait())
        scene.do(ev.WorkerStarted(scene.brain.generation, 78))
        scene.do(ev.WorkerReady(scene.brain.generation))
    last = scene.do(ev.RestartOrdered("p9", "stalled", by_operator=False))
    assert "did not help" in beats(last)[-1].quarantine
    scene.do(ev.TreeGone(scene.brain.generation))
    assert scene.brain.stage is Stage.QUARANTINED
    assert scene.do(ev.RestartOrdered("p10", "stalled", by_operator=False)) == []
    assert scene.start_of(scene.do(ev.RestartOrdered("o1", "by ann")))


def leaving_with_a_result() -> Scene:
    """The link is lost, the supervisor was told to stop, and its worker finished a task and ended."""
    scene = Scene().running()
    scene.do(deliver("a"))
    scene.do(ev.LinkLost("the server restarts"))
    scene.do(ev.StopRequested())
    scene.do(ev.TaskTold(1, finished("a")))
    scene.do(ev.WorkerExited(1, "exit code 0"))
    assert not exits(scene.do(ev.TreeGone(1)))
    return scene


def exits(commands: list[Any]) -> list[ev.Exit]:
    return [c for c in commands if isinstance(c, ev.Exit)]


def test_a_supervisor_does_not_leave_with_a_result_that_the_server_lacks() -> None:
    scene = leaving_with_a_result()
    assert ev.Dial() in scene.wait()
    (end,) = [frame for frame in sent(scene.do(welcome(generation=1))) if isinstance(frame, delivery.Finished)]
    assert exits(scene.do(ev.FrameSettled(end.n))) == [ev.Exit(0, "stopped")]


def test_it_leaves_when_the_server_does_not_come_back() -> None:
    scene, left = leaving_with_a_result(), []
    began = scene.now
    while not left:
        commands = scene.wait()
        left = exits(commands)
        if ev.Dial() in commands:
            scene.do(ev.LinkLost("nobody there"))
    assert left == [ev.Exit(0, "stopped")]
    assert scene.now - began == pytest.approx(FAREWELL)


@pytest.mark.parametrize("event", [ev.LinkLost("removed", ev.Refusal.GONE), ev.LinkLost("other", ev.Refusal.REPLACED)])
def test_it_leaves_at_once_when_nobody_takes_its_results(event: ev.LinkLost) -> None:
    assert exits(leaving_with_a_result().do(event)) == [ev.Exit(0, "stopped")]


def test_told_twice_to_stop_it_waits_for_nobody() -> None:
    scene = leaving_with_a_result()
    assert ev.EndTree(0.0) in scene.do(ev.StopRequested())
    assert exits(scene.do(ev.TreeGone(1))) == [ev.Exit(0, "stopped")]


def test_a_bound_of_a_tool_is_not_the_supervisors_own_phase() -> None:
    scene = Scene().running()
    scene.do(ev.PhaseChanged(1, "in_tool", "t", 3.0))
    assert beats(scene.pass_by(1, ticks=True) or scene.wait())[-1].phase_bound == 3.0
    beat = beats(scene.do(ev.RestartOrdered("r1", "by ann")))[-1]
    assert (beat.phase, beat.phase_bound) == ("restarting", None)


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
    assert beats(scene.do(ev.WorkerWedged(1, "stuck while alone"))) == []
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
        failed = scene.now
        assert scene.wait() == [ev.Dial()]
        delays.append(scene.now - failed)
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
    st.builds(ev.RoomTold, GENERATIONS, st.integers(-1, 100)),
    st.builds(ev.WorkerWedged, GENERATIONS, TEXTS),
    st.builds(ev.WorkerCleared, GENERATIONS),
    st.builds(ev.WorkerTicked, GENERATIONS),
    st.builds(ev.WorkerMeasured, GENERATIONS, st.builds(Reading, st.sampled_from(["R", "S", "T", "D", ""]))),
    st.builds(ev.PipeClosed, GENERATIONS),
    st.builds(ev.StackCaptured, GENERATIONS, TEXTS, TEXTS, TEXTS),
    st.builds(ev.CanaryTold, GENERATIONS, st.integers(-1, 3), TEXTS),
    st.builds(ev.RepairTold, GENERATIONS, TEXTS, st.booleans(), TEXTS),
    st.builds(ev.NoteTold, GENERATIONS, TEXTS),
    st.builds(ev.TaskTold, GENERATIONS, st.builds(finished, st.sampled_from("abc"), st.integers(0, 3))),
    st.builds(deliver, st.sampled_from("abc"), st.integers(0, 4)),
    st.builds(ev.FrameSettled, st.integers(0, 20)),
    st.just(ev.LinkMoved()),
    st.just(ev.ProbeOrdered("")),
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
        if brain.budget.quarantine:
            spent = True
