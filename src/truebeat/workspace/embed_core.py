"""The rules of an embedded workspace, pure: what happened, the time and a dice in; commands out.

Like the supervisor's brain it says everything it knows in every beat, at once on a change. Unlike it, it can't restart
anything: the process is somebody else's. So it tells (stalled, wedged, what it holds) and never kills.
embed_thread.py performs the commands.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from truebeat.protocol import delivery, link
from truebeat.workspace import embed_commands as do
from truebeat.workspace.embed_commands import Facts, Measured
from truebeat.workspace.events import LinkLost, Refusal
from truebeat.workspace.outbox import Outbox
from truebeat.workspace.redial import Redial

if TYPE_CHECKING:
    from collections.abc import Mapping

    from truebeat.protocol.delivery import Deliver
    from truebeat.workspace.outbox import TaskFrame

#: seconds between two beats that tell only of a phase, outcomes or room
BEAT_SPACING: Final = 0.1
#: seconds without an acknowledgement until the link is dropped; never less than two beat intervals
ACK_TIMEOUT: Final = 15.0
#: seconds that leaving waits for the server to have what is still to be told
FAREWELL: Final = 2.0
#: characters of an error text, a task's name and a note that are sent
TEXT_LIMIT: Final = 2000


class Core:
    """One embedded workspace's mind, used by one thread."""

    def __init__(self, *, boot: int, pid: int, now: float, bounds: Mapping[str, float]) -> None:
        self.hello = link.Hello(version=link.VERSION, boot=boot, agent="embedded", pid=pid, bounds=dict(bounds))
        self.outbox = Outbox()
        self.facts = Facts()
        self.measured = Measured(0.0, 0.0, "")
        #: 0 before the first welcome
        self.generation = 0
        self.linked = False
        #: a beat of this workspace was acknowledged
        self.proved = False
        self.ended = False
        self.wedge = ""
        self.stall = ""
        self._pid = pid
        self._started = now
        self._phase_since = now
        #: times it started over; a canary of an earlier start proves nothing
        self._start = 0
        self._canary: tuple[float, int, str] | None = None
        #: a canary of this start passed
        self._proven = False
        self._seq = 0
        self._interval = 10.0
        self._last_beat = -math.inf
        self._stopping = False
        #: restarts that were obeyed
        self._orders: deque[str] = deque(maxlen=256)
        self._redial = Redial()
        self._due: dict[str, float] = {}
        self._out: list[do.Command] = []
        self._now = now

    def begin(self, now: float) -> list[do.Command]:
        self._now = now
        return [do.Dial()]

    def next_due(self) -> float:
        """When `timers` is wanted; infinity for never."""
        return min(self._due.values(), default=math.inf)

    def take(self, now: float) -> list[do.Command]:
        """What is to be done since the last call."""
        self._now = now
        out, self._out = self._out, []
        return out

    # --- what the process says ---

    def wedged(self, reason: str | None, now: float) -> None:
        """An admission, or None for its end: said at once."""
        self._now = now
        self.wedge = reason or ""
        self._beat()

    def stalled(self, why: str, stack: str, now: float) -> None:
        """The loop stands still ("" when it moves again): said at once, the first time with every thread's stack."""
        self._now = now
        begins = bool(why) and not self.stall
        self.stall = why
        self._beat()
        if begins:
            self._log("warning", why)
            self._report("blocked", why, "reported; an embedded workspace is never killed", stack)

    def probed(self, failures: int, detail: str, now: float, start: int = 0) -> None:
        """A canary ended. failures: in a row, 0 when it passed. start: the last one that was done when it set out."""
        self._now = now
        if start != self._start:
            return
        changed = self._canary is None or self._canary[1] != failures
        self._canary = (now, failures, detail[:TEXT_LIMIT])
        if failures == 0 and not self._proven:
            self._proven = True
            self._phase_since = now
        if changed:
            self._beat()

    def told(self, facts: Facts, now: float) -> None:
        """The process's own facts, as a whole."""
        self._now = now
        if self._proven and facts.phase != self.facts.phase:
            self._phase_since = now
        moved = replace(facts, counters=self.facts.counters) != self.facts
        self.facts = facts
        if moved:
            self._beat_soon()

    def said(self, frame: TaskFrame, now: float) -> None:
        """A frame about a task: it goes up unless it is fenced."""
        self._now = now
        numbered = self.outbox.up(frame)
        if numbered is not None:
            self._send(numbered)
            self._beat_soon()

    def stop(self, now: float) -> None:
        """Leave: give back what is left, say goodbye, and wait for the server to have it, but not for long."""
        self._now = now
        if self._stopping or self.ended:
            return
        self._stopping = True
        for frame in self.outbox.lost(self.generation, "the workspace is leaving"):
            self._send(frame)
        self.facts = replace(self.facts, phase="draining", capacity=0)
        self._phase_since = now
        if not self.linked:
            self._end(Refusal.NONE, "stopped")
            return
        self._beat()
        self._due["farewell"] = now + FAREWELL

    # --- what the server says ---

    def welcomed(self, welcome: link.Welcome, now: float) -> None:
        self._now = now
        self._interval = max(welcome.beat_interval, 0.05)
        self._redial.within(welcome.lease)
        self._due.pop("dial", None)
        if welcome.generation >= self.generation + (self.generation > 0):
            self._renew(welcome.generation, "another one ran this workspace meanwhile")
        self.linked = True
        for frame in self.outbox.unsettled(now):
            self._send(frame)
        self._beat()

    def received(self, frame: link.Down, now: float) -> None:
        self._now = now
        match frame:
            case link.Ack():
                self._acknowledged(frame.seq)
            case delivery.Settled():
                self.outbox.settled(frame.n)
                self._beat_soon()
                self._leave_when_settled()
            case delivery.Deliver():
                self._delivered(frame)
            case delivery.Cancel():
                if self.outbox.holds(frame):
                    self._out.append(do.Interrupt(frame))
            case link.Restart() if frame.restart_id not in self._orders:
                self._orders.append(frame.restart_id)
                if frame.above is not None and frame.above < self.generation:
                    return  # of before this process began; a newer generation is what was ordered
                self._renew(self.generation, f"a restart was ordered: {frame.reason}")
                self._beat()
            case link.Retire():
                self._end(Refusal.GONE, frame.reason)
            case link.Probe():
                self._beat()
            case _:
                pass

    def link_lost(self, lost: LinkLost, now: float, chance: float) -> None:
        """A link or a try for one ended. `chance` in 0..1 is the dice for the jitter."""
        self._now = now
        self.linked = False
        for name in ("beat", "ack", "soon", "dial"):
            self._due.pop(name, None)
        if self.ended:
            return
        if self._stopping:
            self._end(Refusal.NONE, "stopped")
        elif lost.refusal in {Refusal.GONE, Refusal.REPLACED}:
            self._end(lost.refusal, lost.reason)
        else:
            if lost.refusal is Refusal.UNAUTHENTICATED:
                self._out.append(do.RefreshToken())
            retry = self._redial.after(lost.refusal, chance)
            self._log(retry.level, f"{retry.text} ({lost.reason}); again in {retry.delay:.1f} s")
            self._due["dial"] = now + retry.delay
            if lost.refusal is not Refusal.NONE and retry.delay > 0:
                self._out.append(do.Refused(lost.refusal, f"{retry.text} ({lost.reason})"))

    def timers(self, now: float) -> None:
        self._now = now
        for name in [name for name, at in self._due.items() if at <= now]:
            self._due.pop(name, None)
            match name:
                case "beat" | "soon":
                    self._beat()
                case "dial":
                    self._out.append(do.Dial())
                case "ack" if self.linked:
                    self._out.append(do.Drop("no acknowledgement in time"))
                case "farewell":
                    self._end(Refusal.NONE, "stopped")
                case _:
                    pass

    # --- inside ---

    def _delivered(self, deliver: Deliver) -> None:
        if deliver.generation == self.generation and self._room() > 0:
            if self.outbox.taken(deliver):
                self._out.append(do.Begin(deliver))
                self._beat_soon()
            return
        fenced = deliver.generation != self.generation
        back = self.outbox.refused(deliver, "fenced" if fenced else "this workspace takes no task now")
        if back is not None:
            self._send(back)

    def _renew(self, floor: int, reason: str) -> None:
        old, self.generation = self.generation, max(self.generation, floor) + 1
        if old:
            for frame in self.outbox.lost(old, reason):
                self._send(frame)
            self._log("warning", reason)
            self._start += 1
            self._canary, self._proven = None, False
            self._phase_since = self._now
            self._out.append(do.Renew(reason, self._start))

    def _acknowledged(self, seq: int) -> None:
        self._redial.proved()
        self.proved = True
        if seq >= self._seq:
            self._due.pop("ack", None)
            self._leave_when_settled()
        elif "ack" in self._due:
            self._due["ack"] = self._now + self._ack_bound()

    def _leave_when_settled(self) -> None:
        if self._stopping and "ack" not in self._due and not self.outbox.unsettled():
            self._end(Refusal.NONE, "stopped")

    def _end(self, refusal: Refusal, reason: str) -> None:
        if not self.ended:
            self.ended = True
            self._due.clear()
            self._out.append(do.End(refusal, reason))

    def _beat_soon(self) -> None:
        """For what may change many times a second."""
        if self._now - self._last_beat >= BEAT_SPACING:
            self._beat()
        elif self.linked:
            self._due.setdefault("soon", self._last_beat + BEAT_SPACING)

    def _beat(self) -> None:
        if not self.linked or self.ended:
            return
        self._seq += 1
        self._last_beat = self._now
        self._due.pop("soon", None)
        self._due["beat"] = self._now + self._interval
        self._due.setdefault("ack", self._now + self._ack_bound())
        self._send(self._testimony())

    def _testimony(self) -> link.Beat:
        facts, now = self.facts, self._now
        running = [task.partition("/")[0] for task in self.outbox.holding]
        canary = None
        if self._canary is not None:
            at, failures, detail = self._canary
            canary = link.Canary(age=max(0.0, now - at), failures=failures, detail=detail)
        return link.Beat(
            seq=self._seq,
            generation=self.generation,
            runtime_state=self._claim(),
            error_rate=facts.error_rate,
            sample_error=(self.wedge or facts.sample_error)[:TEXT_LIMIT],
            active_tasks=len(running),
            current_task=facts.current_task[:TEXT_LIMIT],
            uptime_seconds=max(0.0, now - self._started),
            phase=facts.phase[:100] if self._proven or self._stopping else "starting",
            phase_age=max(0.0, now - self._phase_since),
            worker_pid=self._pid,
            restarts=0,
            quarantine="",
            counters=facts.counters,
            loop_lag=self.measured.loop_lag,
            tick_age=self.measured.tick_age,
            process_state=self.measured.state,
            canary=canary,
            phase_bound=None,
            stall=self.stall,
            note=facts.note[:TEXT_LIMIT],
            capacity=self._room(),
            holding=self.outbox.holding,
        )

    def _claim(self) -> str | None:
        """Unknown until a canary of this start passed, and on the way out."""
        if self.wedge:
            return "wedged"
        return "" if self._proven and not self._stopping else None

    def _room(self) -> int:
        """How many more tasks: none before the start is proven."""
        return self.outbox.room(self.facts.capacity) if self._proven and not self._stopping else 0

    def _report(self, kind: str, detail: str, action: str, stack: str) -> None:
        frame = link.Report(
            n=0,
            generation=self.generation,
            kind=kind,
            age=0.0,
            detail=detail[:TEXT_LIMIT],
            action=action,
            stack=stack[: link.STACK_LIMIT],
        )
        self._send(self.outbox.report(frame, self._now))

    def _ack_bound(self) -> float:
        return max(2 * self._interval, ACK_TIMEOUT)

    def _send(self, frame: link.Up) -> None:
        if self.linked:
            self._out.append(do.Send(frame))

    def _log(self, level: str, text: str) -> None:
        self._out.append(do.Log(level, text))
