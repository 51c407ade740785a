"""What a supervisor saw and did, told for the incident: numbered, kept by the outbox until the server has it.

The stack of a worker comes a moment after it was asked for, so a report that wants one waits for it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from truebeat.protocol.link import STACK_LIMIT, STDERR_LIMIT, Report
from truebeat.workspace import events as ev
from truebeat.workspace.testimony import TEXT_LIMIT

if TYPE_CHECKING:
    from truebeat.workspace.desk import Desk
    from truebeat.workspace.outbox import Outbox
    from truebeat.workspace.uplink import Uplink

#: what a worker can cause without end, and how many of it within a window of seconds are told
STORMY: Final = frozenset({"recovered", "recovery_failed", "blocked", "stopped", "resumed"})
BURST: Final = 20
WINDOW: Final = 60.0


class Reports:
    """One supervisor's."""

    def __init__(self, desk: Desk, outbox: Outbox, uplink: Uplink) -> None:
        self._desk = desk
        self._outbox = outbox
        self._uplink = uplink
        self._told: deque[float] = deque(maxlen=BURST)
        #: with the time each happened; all want the stack that is being captured
        self._waiting: list[tuple[Report, float]] = []
        self._capturing = False

    def tell(self, kind: str, generation: int, detail: str, *, action: str = "", tail: str = "") -> None:
        """At once. In a storm the rest of it is left out."""
        self._send(_report(kind, generation, detail, action, tail))

    def tell_with_stack(self, kind: str, generation: int, detail: str, *, action: str = "") -> None:
        """As soon as the worker gave its stack, or did not in time. Only for a worker that lives."""
        self._waiting.append((_report(kind, generation, detail, action, ""), self._desk.now))
        self.capture()

    def repaired(self, event: ev.RepairTold) -> None:
        """A step of a repair in place."""
        kind = "recovered" if event.ok else "recovery_failed"
        self.tell(kind, event.generation, event.detail or event.step, action=event.step)

    def verified(self, generation: int) -> None:
        """Its canary passed."""
        self.tell("verified", generation, f"the canary of generation {generation} passed")

    def capture(self) -> None:
        """Ask for the stack, if that is not under way."""
        if not self._capturing:
            self._capturing = True
            self._desk.out.append(ev.CaptureStack())

    def captured(self, event: ev.StackCaptured) -> None:
        """The stack came, or it did not."""
        self._capturing = False
        waiting, self._waiting = self._waiting, []
        for report, at in waiting:
            report.age = max(self._desk.now - at, 0.0)
            report.stack = event.stack[:STACK_LIMIT]
            report.stderr_tail = event.tail[-STDERR_LIMIT:]
            if event.missing:
                report.facts = {"no_stack": event.missing[:TEXT_LIMIT]}
            self._send(report)

    def _send(self, report: Report) -> None:
        now = self._desk.now
        if report.kind in STORMY:
            if len(self._told) == BURST and now - self._told[0] < WINDOW:
                return
            self._told.append(now)
        self._uplink.send(self._outbox.report(report, now))


def _report(kind: str, generation: int, detail: str, action: str, tail: str) -> Report:
    return Report(
        n=0,
        generation=generation,
        kind=kind,
        age=0.0,
        detail=detail[:TEXT_LIMIT],
        action=action[:TEXT_LIMIT],
        stderr_tail=tail[-STDERR_LIMIT:],
    )
