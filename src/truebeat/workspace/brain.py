"""The supervisor's rules, pure: an event, the time and a dice in; commands out. supervisor.py performs them.

The worker's life is a stage (stages.py). What is claimed (`_claim`) is the worker's own word: "wedged" while there is a
wedge, "" only if the current generation is ready and admits nothing, else None (unknown). What the supervisor measures
against it stands beside that as `stall`. No path omits either: every beat is built in one place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from truebeat.protocol import pipe
from truebeat.workspace import events as ev
from truebeat.workspace.budget import Budget
from truebeat.workspace.desk import Desk
from truebeat.workspace.errands import Errands
from truebeat.workspace.leaving import Leaving
from truebeat.workspace.orders import Orders
from truebeat.workspace.outbox import Outbox
from truebeat.workspace.reports import Reports
from truebeat.workspace.stages import ADMISSION_GRACE, HAS_PROCESS, PIPE_GRACE, Stage
from truebeat.workspace.testimony import PHASE_LIMIT, WEDGED, Known
from truebeat.workspace.uplink import Uplink

if TYPE_CHECKING:
    from truebeat.protocol import link
    from truebeat.workspace.events import Command, Event
    from truebeat.workspace.stages import Rules

EXIT_REPLACED: Final = 4


class Brain:
    """One supervisor's mind. Call `begin` once, `handle` for each event, and again with TimerDue at `next_due()`."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.stage = Stage.WAITING
        #: only grows; 0 before the first welcome
        self.generation = 0
        #: of the present generation; after its end, what was last known of it
        self.known = Known(0.0)
        self.known.started_at = None
        #: what is measured against the worker, as the kind of its report: "blocked", "stopped" or "" for nothing
        self.stalled = ""
        self.outbox = Outbox()
        self._desk = Desk()
        self.budget = Budget(rules.restart, self._desk)
        self._uplink = Uplink(self._desk, rules, self.outbox, self._testimony)
        self._reports = Reports(self._desk, self.outbox, self._uplink)
        self._errands = Errands(self._desk, self.outbox, self._uplink)
        self._orders = Orders()
        #: the highest generation the server ever told of
        self._floor = 0
        self._phase, self._phase_since, self._task = "waiting", 0.0, ""
        self._admission_seq: int | None = None
        #: the wedge is the supervisor's finding, so the worker can't take it back
        self._found = False
        self._leaving = Leaving(self._desk, self.outbox)

    def begin(self, now: float) -> list[Command]:
        """The first commands."""
        self._phase_since = now
        return [ev.Dial()]

    def next_due(self) -> float:
        """When TimerDue is wanted; infinity for never."""
        return self._desk.next_due()

    def handle(self, event: Event, now: float, chance: float) -> list[Command]:
        """One event. `now` in monotonic seconds; `chance` in 0..1 is the dice for every jitter."""
        out = self._desk.open(now, chance)
        match event:
            case ev.TimerDue():
                self._timers()
            case ev.LinkUp():
                self._link_up(event.welcome)
            case ev.LinkLost():
                self._link_lost(event)
            case ev.LinkMoved():
                self._uplink.moved()
            case ev.AckReceived():
                self._acknowledged(event.seq)
            case ev.FrameSettled():
                self.outbox.settled(event.n)
                self._leaving.look()
            case ev.Delivered():
                refusal = self._refusal(event.frame.generation)
                self._errands.delivered(event.frame, refusal=refusal, capacity=self.known.capacity)
            case ev.CancelOrdered():
                self._errands.cancelled(event.frame)
            case ev.ProbeOrdered():
                if self.stage is Stage.RUNNING:
                    self._desk.out.append(ev.TellWorker(pipe.Probe()))
            case ev.RestartOrdered():
                self._restart_ordered(event)
            case ev.Retired():
                self._stop(ev.Exit(0, f"the workspace was removed: {event.reason}"))
            case ev.StopRequested():
                if self._leaving.exit is None:
                    self._stop(ev.Exit(0, "stopped"), patient=True)
                else:
                    self._kill_at_once()
            case ev.TreeGone():
                if event.generation == self.generation and self.stage is Stage.ENDING:
                    self._after_ending()
            case ev.StackCaptured():
                self._reports.captured(event)
            case _:
                # an old generation's output is fenced off; what a worker finishes while it is ended is done
                finishing = self.stage is Stage.ENDING and isinstance(event, ev.TaskTold)
                if event.generation == self.generation and (finishing or self.stage in HAS_PROCESS):
                    self._worker_said(event)
        return out

    # --- the worker ---

    def _worker_said(self, event: ev.WorkerEvent) -> None:
        known, now = self.known, self._desk.now
        match event:
            case ev.WorkerStarted():
                known.pid = event.pid
            case ev.WorkerExited():
                self._worker_exited(event)
            case ev.WorkerReady() if not known.ready:
                self._worker_ready(event.capacity)
            case ev.WorkerTicked():
                known.ticked(event, now)
                self._judge_loop()
            case ev.WorkerMeasured():
                known.loop.looked(event.reading, now)
                self._desk.due["look"] = known.loop.due
                self._judge_loop()
            case ev.PipeClosed():
                self._desk.due.setdefault("pipe", now + PIPE_GRACE)
            case ev.WorkerWedged() if not known.wedge:
                self._wedge("wedged", event.reason or "the worker gives no reason", found=False)
            case ev.WorkerCleared() if known.wedge and not self._found and not self.budget.quarantine:
                known.wedge = ""
                if self.stage is Stage.ADMITTED:
                    self.stage = Stage.RUNNING
                    self._desk.cancel("admission")
                self._reports.tell("recovered", self.generation, "the worker takes its wedge back")
                self._uplink.beat()
            case ev.WorkerFatal():
                known.wedge = known.wedge or event.reason
                text = "the worker can't run as configured; restarting can't help"
                self._desk.log("error", text, reason=event.reason)
                self._give_up(event.reason)
                self._end()
            case ev.PhaseChanged() if self.stage is not Stage.STOPPING:
                self._enter(event.name[:PHASE_LIMIT], event.current_task, event.bound)
                self._uplink.beat_soon()
            case ev.OutcomesChanged() | ev.CanaryTold() | ev.NoteTold() | ev.RoomTold():
                when = known.told(event, now)
                if when:
                    (self._uplink.beat if when == "now" else self._uplink.beat_soon)()
            case ev.RepairTold():
                self._reports.repaired(event)
            case ev.TaskTold():
                known.loop.ran(now)  # only a loop that runs puts anything out
                if self._errands.told(event):
                    self._uplink.beat_soon()  # there is room again
            case _:
                pass

    def _worker_ready(self, capacity: int) -> None:
        self.known.become_ready(capacity, self._desk.now)
        if self.budget.restarts:
            self._reports.verified(self.generation)
        self._uplink.beat()

    def _worker_exited(self, event: ev.WorkerExited) -> None:
        known, reason = self.known, event.reason
        known.pid, known.ready = None, False
        if self.stage is Stage.RUNNING:
            self._desk.log("warning", "the worker exited", generation=self.generation, reason=reason)
            action = self._plan_restart(f"worker exited: {reason}")
            known.wedge = known.wedge or f"worker exited: {reason}" + ("" if self.budget.quarantine else "; restarting")
            self._reports.tell("exited", self.generation, reason, action=action, tail=event.tail)
        self._errands.lost(self.generation, f"the worker exited: {reason}")
        self._end()

    def _judge_loop(self) -> None:
        """After a tick or a look: what is measured against the worker, and whether that is enough to replace it."""
        if self.stage is not Stage.RUNNING:
            return
        known, rules = self.known, self.rules
        stall = known.stall(rules.loop_bound)
        kind = "" if not stall else "stopped" if known.loop.stopped else "blocked"
        before, self.stalled = self.stalled, kind
        if kind and not before:
            self._desk.log("warning", stall)
            self._reports.tell_with_stack(kind, self.generation, stall)
        elif before and not kind:
            self._desk.log("info", "the worker ticks again")
            self._reports.tell("resumed", self.generation, "the event loop runs again")
        if kind != before:
            self._uplink.beat()
        fault = known.fault(rules)
        if fault:
            self._wedge("wedged", fault, found=True)

    def _wedge(self, kind: str, reason: str, *, found: bool) -> None:
        """Tell it, take the stack, and end the worker once the server knows."""
        self.known.wedge = self.known.wedge or reason
        self._found = found
        self._desk.log("warning", "the worker is wedged" if found else "the worker admits a wedge", reason=reason)
        action = self._plan_restart(reason) if self.stage is Stage.RUNNING else ""
        if self.stage is Stage.RUNNING:
            self.stage = Stage.ADMITTED
            self._desk.due["admission"] = self._desk.now + ADMISSION_GRACE
        self._uplink.beat()
        self._admission_seq = self._uplink.seq if self._uplink.linked else None
        self._reports.tell_with_stack(kind, self.generation, reason, action=action)

    def _plan_restart(self, why: str) -> str:
        action = self.budget.plan(why)
        if self.budget.quarantine:
            self._give_up(self.budget.quarantine)
        return action

    def _give_up(self, reason: str) -> None:
        self.budget.give_up(reason)
        text = "quarantined: no restart until an operator orders one"
        self._desk.log("error", text, reason=self.budget.quarantine)
        self._reports.tell("quarantined", self.generation, self.budget.quarantine, action=text)

    def _end(self, why: str = "") -> None:
        """Kill what there is of the tree, also when the worker itself is gone: it may have left children.

        `why`: for a living worker that is not ended for a wedge; it goes with its stack.
        """
        if why and self.known.pid is not None:
            self._reports.tell_with_stack("ended", self.generation, why)
        self.stage, self.known.ready, self.stalled = Stage.ENDING, False, ""
        self._desk.cancel("admission", "stop", "start", "look", "pipe")
        self._enter("draining" if self._leaving.exit else "quarantined" if self.budget.quarantine else "restarting")
        self._desk.out.append(ev.EndTree(self.rules.kill_grace))
        self._uplink.beat()

    def _after_ending(self) -> None:
        self._errands.lost(self.generation, self.known.wedge or "the worker was ended")
        self.known.pid = self.known.started_at = None
        if self._leaving.exit is not None:
            self._leaving.gone()
        elif self.budget.quarantine:
            self.stage = Stage.QUARANTINED
            self._uplink.beat()
        else:
            self.stage = Stage.DELAYED
            self._desk.due["start"] = self.budget.start_at
            self._timers()

    def _start(self) -> None:
        self.generation = max(self.generation, self._floor) + 1
        self.stage = Stage.RUNNING
        self.known = Known(self._desk.now)
        self.stalled, self._found, self._admission_seq = "", False, None
        self._desk.due["look"] = self.known.loop.due
        self._enter("starting")
        self._desk.out.append(ev.StartWorker(self.generation))
        self._uplink.beat()
        if self.budget.restarts:
            self._reports.tell("restarted", self.generation, f"generation {self.generation} was started")

    # --- orders ---

    def _refusal(self, generation: int) -> str:
        """Why a task for that generation can't go to the worker; "" when it can."""
        if generation != self.generation:
            return f"fenced: for generation {generation}, and this is {self.generation}"
        if self._claim() != "" or self.stage is not Stage.RUNNING:
            return f"this workspace takes no task now ({self.known.wedge or self._phase})"
        return self.known.stall(self.rules.loop_bound) if self.stalled else ""

    def _restart_ordered(self, order: ev.RestartOrdered) -> None:
        if self._leaving.exit is not None or not self._orders.counts(order, self.generation):
            return
        why = f"a restart was ordered: {order.reason}"
        self._desk.log("info", why, restart_id=order.restart_id)
        if order.by_operator:
            self.budget.renew()
        elif self.stage in HAS_PROCESS:
            self._plan_restart(why)
        if self.stage in HAS_PROCESS:
            self._end(why)
        elif self.stage in {Stage.QUARANTINED, Stage.DELAYED} and order.by_operator:
            self._desk.cancel("start")
            self._start()

    def _stop(self, exit_: ev.Exit, *, patient: bool = False) -> None:
        if self._leaving.exit is not None:
            return
        self._leaving.decide(exit_, patient=patient)
        self._desk.log("info", "stopping", why=exit_.message)
        self._desk.due = {name: at for name, at in self._desk.due.items() if name in {"beat", "ack", "dial"}}
        if self.stage in {Stage.RUNNING, Stage.ADMITTED}:
            self.stage = Stage.STOPPING
            self.stalled = ""
            self._enter("draining")
            self._desk.out.append(ev.AskToStop(self.rules.stop_grace))
            self._desk.due["stop"] = self._desk.now + self.rules.stop_grace
            self._uplink.beat()
        elif self.stage is not Stage.ENDING:
            self._end()

    def _kill_at_once(self) -> None:
        self._desk.log("warning", "told to stop again: killing now")
        self._leaving.hurry()
        self._desk.cancel("stop")
        self.stage = Stage.ENDING
        self._desk.out.append(ev.EndTree(0.0))

    # --- the link ---

    def _link_up(self, welcome: link.Welcome) -> None:
        self._uplink.up(welcome)
        fenced = welcome.generation > self.generation
        self._floor = max(self._floor, welcome.generation)
        staying = self._leaving.exit is None
        if staying and self.stage is Stage.WAITING:
            self._start()
            return
        if staying and fenced and self.stage in {Stage.RUNNING, Stage.ADMITTED}:
            self._desk.log("warning", "the server knows a newer generation; starting another worker")
            self.budget.start_at = self._desk.now
            self._end("the server knows a newer generation")
        else:
            self._uplink.beat()
        self._uplink.repeat()

    def _link_lost(self, event: ev.LinkLost) -> None:
        self._uplink.lost()
        if self._leaving.exit is not None and event.refusal in {ev.Refusal.GONE, ev.Refusal.REPLACED}:
            self._leaving.hurry()  # nobody takes anything from here any more
            self._leaving.look()
        if not self._leaving.wants_link:
            return
        match event.refusal:
            case ev.Refusal.GONE:
                self._stop(ev.Exit(0, "the workspace was removed"))
            case ev.Refusal.REPLACED:
                self._stop(ev.Exit(EXIT_REPLACED, "another supervisor with a newer start runs this workspace"))
            case _:
                self._uplink.redial(event)

    def _acknowledged(self, seq: int) -> None:
        self._uplink.acknowledged(seq)
        if self.stage is Stage.ADMITTED and self._admission_seq is not None and seq >= self._admission_seq:
            self._end()

    # --- timers and the beat ---

    def _timers(self) -> None:
        for name in self._desk.take_due():
            match name:
                case "start":
                    self._start()
                case "look" if self.stage in HAS_PROCESS:
                    self._desk.out.append(ev.Measure())
                case "admission" if self.stage is Stage.ADMITTED:
                    self._end()
                case "pipe" if self.stage is Stage.RUNNING:
                    self._wedge("pipe_closed", "the worker closed its pipe", found=True)
                case "stop" if self.stage is Stage.STOPPING:
                    self._desk.log("warning", "the worker did not finish in time")
                    self._end("it did not finish in time when it was asked to stop")
                case "farewell":
                    self._leaving.over()
                case _:
                    self._uplink.timer(name)

    def _claim(self) -> str | None:
        if self.known.wedge:
            return WEDGED
        return "" if self.known.ready and self.stage is Stage.RUNNING else None

    def _testimony(self, seq: int) -> link.Beat:
        claim = self._claim()
        free = claim == "" and not self.stalled
        return self.known.beat(
            seq=seq,
            generation=self.generation,
            phase=self._phase,
            phase_age=self._desk.now - self._phase_since,
            task=self._task,
            claim=claim,
            stall=self.known.stall(self.rules.loop_bound) if self.stalled else "",
            restarts=self.budget.restarts,
            quarantine=self.budget.quarantine,
            capacity=self.outbox.room(self.known.capacity) if free else 0,
            holding=self.outbox.holding,
            now=self._desk.now,
        )

    def _enter(self, phase: str, task: str = "", bound: float | None = None) -> None:
        if phase != self._phase:
            self._phase_since = self._desk.now
        self._phase, self._task, self.known.phase_bound = phase, task, bound
