"""The supervisor's rules, pure: an event, the time and a dice in; commands out. supervisor.py performs them.

The worker's life is a stage (stages.py). What is claimed (`_claim`) follows from the facts: "wedged" while there is a
wedge, "stalled" while a ready worker that used to tick does not, "" only if the current generation is ready and admits
nothing, else None (unknown). No path omits it: every beat is built in one place.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

from truebeat.domain.restart import RestartHistory, decide
from truebeat.protocol import link
from truebeat.workspace import events as ev
from truebeat.workspace.redial import Redial
from truebeat.workspace.stages import HAS_PROCESS, Stage

if TYPE_CHECKING:
    from truebeat.workspace.events import Command, Event
    from truebeat.workspace.stages import Rules

#: seconds that an admission has to be acknowledged before the wedged worker is ended
ADMISSION_GRACE: Final = 1.0
#: seconds between two beats that tell only of a phase or of outcomes
BEAT_SPACING: Final = 0.1
#: seconds without a tick after which the worker is not called healthy any more; shown, and by itself no wedge
STALLED_AFTER: Final = 5.0
WEDGED: Final = "wedged"
STALLED: Final = "stalled"
STALLED_TEXT: Final = f"the worker's event loop has not ticked for {STALLED_AFTER:.0f} s"
EXIT_REPLACED: Final = 4
#: characters of an error text, a task's name and a phase's name that are sent
TEXT_LIMIT: Final = 2000
PHASE_LIMIT: Final = 100


class Brain:
    """One supervisor's mind. Call `begin` once, `handle` for each event, and again with TimerDue at `next_due()`."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.stage = Stage.WAITING
        #: only grows; 0 before the first welcome
        self.generation = 0
        self.ready = False
        #: the first reason stays until cleared; "" is none
        self.wedge = ""
        #: why no more restarts; "" while there is budget
        self.quarantine = ""
        #: a worker that used to tick does not
        self.stalled = False
        self.linked = False
        self._history = RestartHistory()
        self._restarts = 0
        self._obeyed: deque[str] = deque(maxlen=256)
        #: the highest generation the server ever told of
        self._floor = 0
        self._phase = "waiting"
        self._phase_since = 0.0
        self._task = ""
        #: what the worker told; a ready generation that told nothing yet had no failures
        self._error_rate: float | None = None
        self._sample_error = ""
        self._pid: int | None = None
        self._started_at: float | None = None
        self._start_at = 0.0
        self._seq = 0
        self._interval = 10.0
        self._last_beat = -math.inf
        self._admission_seq: int | None = None
        self._redial = Redial()
        self._exit: ev.Exit | None = None
        self._due: dict[str, float] = {}
        self._out: list[Command] = []
        self._now = 0.0
        self._chance = 0.0

    def begin(self, now: float) -> list[Command]:
        """The first commands."""
        self._phase_since = now
        return [ev.Dial()]

    def next_due(self) -> float:
        """When TimerDue is wanted; infinity for never."""
        return min(self._due.values(), default=math.inf)

    def handle(self, event: Event, now: float, chance: float) -> list[Command]:
        """One event. `now` in monotonic seconds; `chance` in 0..1 is the dice for every jitter."""
        self._out, self._now, self._chance = [], now, chance
        match event:
            case ev.TimerDue():
                self._timers()
            case ev.LinkUp():
                self._link_up(event.welcome)
            case ev.LinkLost():
                self._link_lost(event)
            case ev.AckReceived():
                self._acknowledged(event.seq)
            case ev.RestartOrdered():
                self._restart_ordered(event)
            case ev.Retired():
                self._stop(ev.Exit(0, f"the workspace was removed: {event.reason}"))
            case ev.StopRequested():
                if self._exit is None:
                    self._stop(ev.Exit(0, "stopped"))
                else:
                    self._kill_at_once()
            case ev.TreeGone():
                if event.generation == self.generation and self.stage is Stage.ENDING:
                    self._after_ending()
            case _:
                if event.generation == self.generation:  # an old generation's output is fenced off
                    self._worker_said(event)
        return self._out

    # --- the worker ---

    def _worker_said(self, event: ev.WorkerEvent) -> None:
        living = self.stage in HAS_PROCESS
        match event:
            case ev.WorkerStarted() if living:
                self._pid = event.pid
            case ev.WorkerExited() if living:
                self._worker_exited(event.reason)
            case ev.WorkerReady() if living and not self.ready:
                self.ready = True
                self._beat()
            case ev.WorkerTicked() if living:
                self._due["stall"] = self._now + STALLED_AFTER
                if self.stalled:
                    self.stalled = False
                    self._log("info", "the worker ticks again")
                    self._beat()
            case ev.WorkerWedged() if living and not self.wedge:
                self._worker_wedged(event.reason)
            case ev.WorkerCleared() if living and self.wedge and not self.quarantine:
                self.wedge = ""
                if self.stage is Stage.ADMITTED:
                    self.stage = Stage.RUNNING
                    self._due.pop("admission", None)
                self._beat()
            case ev.PhaseChanged() if living and self.stage is not Stage.STOPPING:
                self._enter(event.name[:PHASE_LIMIT], event.current_task)
                self._beat_soon()
            case ev.OutcomesChanged() if living:
                self._error_rate = min(max(event.error_rate, 0.0), 1.0)
                self._sample_error = event.sample_error
                self._beat_soon()
            case ev.WorkerFatal() if living:
                self.wedge = self.wedge or event.reason
                self._log("error", "the worker can't run as configured; restarting can't help", reason=event.reason)
                self._give_up(event.reason)
                self._end()
            case _:
                pass

    def _worker_wedged(self, reason: str) -> None:
        self.wedge = reason or "the worker gives no reason"
        self._log("warning", "the worker admits a wedge", reason=self.wedge)
        if self.stage is Stage.RUNNING:
            self._plan_restart(self.wedge)
            self.stage = Stage.ADMITTED
            self._due["admission"] = self._now + ADMISSION_GRACE
        self._beat()
        self._admission_seq = self._seq if self.linked else None

    def _worker_exited(self, reason: str) -> None:
        stage = self.stage
        self._pid = None
        self.ready = False
        if stage is Stage.RUNNING:
            self._log("warning", "the worker exited", generation=self.generation, reason=reason)
            self._plan_restart(f"worker exited: {reason}")
            self.wedge = self.wedge or f"worker exited: {reason}" + ("" if self.quarantine else "; restarting")
        self._end()

    def _plan_restart(self, why: str) -> None:
        decision = decide(self.rules.restart, self._history, self._now, self._chance)
        self._history = decision.history
        if decision.delay is None:
            policy = self.rules.restart
            self._give_up(f"{policy.limit} restarts within {policy.window:.0f} s did not help; last: {why}")
        else:
            self._start_at = self._now + decision.delay
            self._restarts += 1

    def _give_up(self, reason: str) -> None:
        self.quarantine = self.quarantine or reason
        self._log("error", "quarantined: no restart until an operator orders one", reason=self.quarantine)

    def _end(self, grace: float | None = None) -> None:
        """Kill what there is of the tree, also when the worker itself is gone: it may have left children."""
        self.stage = Stage.ENDING
        self.ready = self.stalled = False
        for name in ("admission", "stop", "start", "stall"):
            self._due.pop(name, None)
        self._enter("draining" if self._exit else "quarantined" if self.quarantine else "restarting")
        self._out.append(ev.EndTree(self.rules.kill_grace if grace is None else grace))
        self._beat()

    def _after_ending(self) -> None:
        self._pid = self._started_at = None
        if self._exit is not None:
            self._out.append(self._exit)
        elif self.quarantine:
            self.stage = Stage.QUARANTINED
            self._beat()
        else:
            self.stage = Stage.DELAYED
            self._due["start"] = self._start_at
            self._timers()

    def _start(self) -> None:
        self.generation = max(self.generation, self._floor) + 1
        self.stage = Stage.RUNNING
        self.ready = False
        self.wedge = ""
        self._error_rate, self._sample_error = None, ""
        self._started_at = self._now
        self._admission_seq = None
        self._enter("starting")
        self._out.append(ev.StartWorker(self.generation))
        self._beat()

    # --- orders ---

    def _restart_ordered(self, order: ev.RestartOrdered) -> None:
        if order.restart_id in self._obeyed or self._exit is not None:
            return
        self._obeyed.append(order.restart_id)
        self._log("info", "an operator ordered a restart", reason=order.reason, restart_id=order.restart_id)
        self._history = RestartHistory()
        self.quarantine = ""
        self._start_at = self._now
        self._restarts += 1
        if self.stage in HAS_PROCESS:
            self._end()
        elif self.stage in {Stage.QUARANTINED, Stage.DELAYED}:
            self._due.pop("start", None)
            self._start()

    def _stop(self, exit_: ev.Exit) -> None:
        if self._exit is not None:
            return
        self._exit = exit_
        self._log("info", "stopping", why=exit_.message)
        self._due = {name: at for name, at in self._due.items() if name in {"beat", "ack"}}
        if self.stage in {Stage.RUNNING, Stage.ADMITTED}:
            self.stage = Stage.STOPPING
            self._enter("draining")
            self._out.append(ev.AskToStop(self.rules.stop_grace))
            self._due["stop"] = self._now + self.rules.stop_grace
            self._beat()
        elif self.stage is not Stage.ENDING:
            self._end()

    def _kill_at_once(self) -> None:
        self._log("warning", "told to stop again: killing now")
        self._due.pop("stop", None)
        self.stage = Stage.ENDING
        self._out.append(ev.EndTree(0.0))

    # --- the link ---

    def _link_up(self, welcome: link.Welcome) -> None:
        self.linked = True
        self._interval = max(welcome.beat_interval, 0.05)
        self._redial.within(welcome.lease)
        self._due.pop("dial", None)
        self._log("info", "linked", beat_interval=welcome.beat_interval, server_generation=welcome.generation)
        fenced = welcome.generation > self.generation
        self._floor = max(self._floor, welcome.generation)
        if self._exit is None and self.stage is Stage.WAITING:
            self._start()
        elif self._exit is None and fenced and self.stage in {Stage.RUNNING, Stage.ADMITTED}:
            self._log("warning", "the server knows a newer generation; starting another worker")
            self._start_at = self._now
            self._end()
        else:
            self._beat()

    def _link_lost(self, event: ev.LinkLost) -> None:
        self.linked = False
        for name in ("beat", "ack", "soon", "dial"):
            self._due.pop(name, None)
        if self._exit is not None:
            return
        match event.refusal:
            case ev.Refusal.GONE:
                self._stop(ev.Exit(0, "the workspace was removed"))
                return
            case ev.Refusal.REPLACED:
                self._stop(ev.Exit(EXIT_REPLACED, "another supervisor with a newer start runs this workspace"))
                return
            case ev.Refusal.UNAUTHENTICATED:
                self._out.append(ev.RefreshToken())
            case _:
                pass
        retry = self._redial.after(event.refusal, self._chance)
        self._log(retry.level, retry.text, reason=event.reason, retry_in=f"{retry.delay:.1f}")
        self._due["dial"] = self._now + retry.delay

    def _acknowledged(self, seq: int) -> None:
        self._redial.proved()
        if seq >= self._seq:
            self._due.pop("ack", None)
        elif "ack" in self._due:
            self._due["ack"] = self._now + self._ack_bound()
        if self.stage is Stage.ADMITTED and self._admission_seq is not None and seq >= self._admission_seq:
            self._end()

    # --- beats and timers ---

    def _timers(self) -> None:
        for name in [name for name, at in self._due.items() if at <= self._now]:
            self._due.pop(name, None)
            match name:
                case "beat" | "soon":
                    self._beat()
                case "start":
                    self._start()
                case "admission" if self.stage is Stage.ADMITTED:
                    self._end()
                case "stop" if self.stage is Stage.STOPPING:
                    self._log("warning", "the worker did not finish in time")
                    self._end()
                case "stall" if self.stage is Stage.RUNNING:
                    self.stalled = True
                    self._log("warning", STALLED_TEXT)
                    self._beat()
                case "dial":
                    self._out.append(ev.Dial())
                case "ack" if self.linked:
                    self.linked = False
                    self._out.append(ev.DropLink("no acknowledgement in time"))
                case _:
                    pass

    def _beat_soon(self) -> None:
        """For what may change many times a second."""
        if self._now - self._last_beat >= BEAT_SPACING:
            self._beat()
        else:
            self._due.setdefault("soon", self._last_beat + BEAT_SPACING)

    def _beat(self) -> None:
        """Say everything, now; without a link nothing is lost: the state is said after the next welcome."""
        if not self.linked:
            return
        self._seq += 1
        self._last_beat = self._now
        self._due.pop("soon", None)
        self._due["beat"] = self._now + self._interval
        self._due.setdefault("ack", self._now + self._ack_bound())
        self._out.append(ev.SendBeat(self._testimony()))

    def _ack_bound(self) -> float:
        return max(2 * self._interval, self.rules.ack_timeout)

    def _claim(self) -> str | None:
        if self.wedge:
            return WEDGED
        if self.stalled and self.ready:
            return STALLED
        return "" if self.ready and self.stage is Stage.RUNNING else None

    def _testimony(self) -> link.Beat:
        return link.Beat(
            seq=self._seq,
            generation=self.generation,
            runtime_state=self._claim(),
            error_rate=0.0 if self._error_rate is None and self.ready else self._error_rate,
            sample_error=(self.wedge or (STALLED_TEXT if self.stalled else self._sample_error))[:TEXT_LIMIT],
            active_tasks=1 if self._task else 0,
            current_task=self._task[:TEXT_LIMIT],
            uptime_seconds=0.0 if self._started_at is None else self._now - self._started_at,
            phase=self._phase,
            phase_age=max(self._now - self._phase_since, 0.0),
            worker_pid=self._pid,
            restarts=self._restarts,
            quarantine=self.quarantine[:TEXT_LIMIT],
            counters=link.Counters(),
            loop_lag=0.0,
            tick_age=None,
            process_state="",
            canary=None,
            phase_bound=None,
            stall="",
            note="",
            capacity=0,
            holding=[],
        )

    def _enter(self, phase: str, task: str = "") -> None:
        if phase != self._phase:
            self._phase_since = self._now
        self._phase, self._task = phase, task

    def _log(self, level: str, text: str, **facts: object) -> None:
        self._out.append(ev.Log(level, text, facts))
