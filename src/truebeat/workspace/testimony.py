"""What is known of one generation's worker, and the beat that tells it. All of it is lost with the generation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from truebeat.protocol import link
from truebeat.workspace import events as ev
from truebeat.workspace.loop_watch import LoopWatch

if TYPE_CHECKING:
    from truebeat.workspace.stages import Rules

WEDGED: Final = "wedged"
#: characters of an error text, a task's name and a phase's name that are sent
TEXT_LIMIT: Final = 2000
PHASE_LIMIT: Final = 100
#: what a hostile worker may claim at most
CAPACITY_LIMIT: Final = 64
_COUNTER_LIMIT: Final = 2**53
_LAG_LIMIT: Final = 1e6
_BOUND_LIMIT: Final = 1e12


class Known:
    """What one worker told, and what was measured of it; before the first one, nothing: `started_at` is None."""

    def __init__(self, now: float) -> None:
        self.loop = LoopWatch(now)
        self.started_at: float | None = now
        self.pid: int | None = None
        self.ready = False
        self.capacity = 0
        #: the first reason stays until cleared; "" is none
        self.wedge = ""
        self.phase_bound: float | None = None
        self.note = ""
        self._lag = 0.0
        self._counters = link.Counters()
        #: failed ones in a row, the detail, and when; None before the first
        self._canary: tuple[int, str, float] | None = None
        #: a ready generation that told nothing yet had no failures
        self._error_rate: float | None = None
        self._sample_error = ""

    def become_ready(self, capacity: int, now: float) -> None:
        """The executor started and its canary passed. From here on the loop owes its ticks."""
        self.loop.ran(now)
        self.ready = True
        self.capacity = min(max(capacity, 0), CAPACITY_LIMIT)

    def ticked(self, tick: ev.WorkerTicked, now: float) -> None:
        """A tick, with what it carries."""
        self.loop.ticked(now)
        self._lag = min(max(tick.lag, 0.0), _LAG_LIMIT)
        if tick.counters is not None:
            self._counters = tick.counters

    def told(self, event: ev.OutcomesChanged | ev.CanaryTold | ev.NoteTold | ev.RoomTold, now: float) -> str:
        """Something for the beat: "now" if that should be told at once, "soon" if shortly, "" if with the next one."""
        match event:
            case ev.OutcomesChanged():
                self._error_rate = min(max(event.error_rate, 0.0), 1.0)
                self._sample_error = event.sample_error
            case ev.CanaryTold():
                before = self._canary[0] if self._canary is not None else 0
                failures = min(max(event.failures, 0), _COUNTER_LIMIT)
                self._canary = (failures, event.detail[:TEXT_LIMIT], now)
                return "now" if failures != before else ""
            case ev.NoteTold():
                if event.text == self.note:
                    return ""
                self.note = event.text
            case ev.RoomTold():
                if self.ready:
                    self.capacity = min(max(event.capacity, 0), CAPACITY_LIMIT)
        return "soon"

    def stall(self, bound: float) -> str:
        """What is measured against it, "" for nothing.

        Before it is ready a blocked loop is not told: a heavy import holds the interpreter, nothing was claimed yet,
        and the start has a deadline of its own.
        """
        loop = self.loop
        if loop.blocked <= bound:
            return ""
        if loop.stopped:
            return f"the worker process is stopped (state {loop.state})"
        if not self.ready or loop.ticked_at is None:
            return ""
        waits = "; its process waits in the kernel (state D)" if loop.state == "D" else ""
        return f"the event loop has been blocked for {loop.blocked:.1f} s{waits}"

    def fault(self, rules: Rules) -> str:
        """Why it has to be replaced, by what is measured against it; "" for not."""
        loop = self.loop
        if self.stall(rules.loop_bound) and loop.blocked > rules.loop_kill:
            was = (
                f"the worker process was stopped (state {loop.state})" if loop.stopped else "the event loop was blocked"
            )
            return f"{was} for {rules.loop_kill:g} s"
        if not self.ready and loop.age > rules.start_bound:
            return f"the worker was not ready within {rules.start_bound:g} s"
        return ""

    def beat(
        self,
        *,
        seq: int,
        generation: int,
        phase: str,
        phase_age: float,
        task: str,
        claim: str | None,
        stall: str,
        restarts: int,
        quarantine: str,
        capacity: int,
        holding: list[str],
        now: float,
    ) -> link.Beat:
        """Everything, every time."""
        ticked_at = self.loop.ticked_at
        canary = None
        if self._canary is not None:
            failures, detail, at = self._canary
            canary = link.Canary(age=max(now - at, 0.0), failures=failures, detail=detail)
        bound = self.phase_bound
        return link.Beat(
            seq=seq,
            generation=generation,
            runtime_state=claim,
            error_rate=0.0 if self._error_rate is None and self.ready else self._error_rate,
            sample_error=(self.wedge or self._sample_error)[:TEXT_LIMIT],
            active_tasks=max(len(holding), 1 if task else 0),
            current_task=task[:TEXT_LIMIT],
            uptime_seconds=0.0 if self.started_at is None else now - self.started_at,
            phase=phase,
            phase_age=max(phase_age, 0.0),
            worker_pid=self.pid,
            restarts=restarts,
            quarantine=quarantine[:TEXT_LIMIT],
            counters=self._counters,
            loop_lag=self._lag,
            tick_age=None if ticked_at is None else max(now - ticked_at, 0.0),
            process_state=self.loop.state if self.pid is not None else "",
            canary=canary,
            phase_bound=None if bound is None else min(max(bound, 0.0), _BOUND_LIMIT),
            stall=stall,
            note=self.note[:TEXT_LIMIT],
            capacity=capacity,
            holding=holding,
        )
