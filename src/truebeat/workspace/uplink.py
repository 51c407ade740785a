"""The brain's half that faces the server, pure: when to beat, when to dial again, what to repeat."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from truebeat.workspace import events as ev
from truebeat.workspace.redial import Redial

if TYPE_CHECKING:
    from collections.abc import Callable

    from truebeat.protocol import link
    from truebeat.workspace.desk import Desk
    from truebeat.workspace.outbox import Frame, Outbox
    from truebeat.workspace.stages import Rules

#: seconds between two beats that tell only of a phase or of outcomes
BEAT_SPACING: Final = 0.1


class Uplink:
    """`testify(seq)` makes the beat: every beat is built in one place."""

    def __init__(self, desk: Desk, rules: Rules, outbox: Outbox, testify: Callable[[int], link.Beat]) -> None:
        self._desk = desk
        self._rules = rules
        self._outbox = outbox
        self._testify = testify
        self.linked = False
        #: of the last beat
        self.seq = 0
        self._interval = 10.0
        self._last_beat = -math.inf
        self._redial = Redial()

    def up(self, welcome: link.Welcome) -> None:
        """The server welcomes."""
        self.linked = True
        self._interval = max(welcome.beat_interval, 0.05)
        self._redial.within(welcome.lease)
        self._desk.cancel("dial")
        self._desk.log("info", "linked", beat_interval=welcome.beat_interval, server_generation=welcome.generation)

    def repeat(self) -> None:
        """After a welcome and the first beat: what the server may not have, in order."""
        self._desk.out.extend(ev.SendFrame(frame) for frame in self._outbox.unsettled(self._desk.now))

    def lost(self) -> None:
        """The link is gone."""
        self.linked = False
        self._desk.cancel("beat", "ack", "soon", "dial")

    def redial(self, event: ev.LinkLost) -> None:
        """Try again, when that makes sense."""
        if event.refusal is ev.Refusal.UNAUTHENTICATED:
            self._desk.out.append(ev.RefreshToken())
        retry = self._redial.after(event.refusal, self._desk.chance)
        self._desk.log(retry.level, retry.text, reason=event.reason, retry_in=f"{retry.delay:.1f}")
        self._desk.due["dial"] = self._desk.now + retry.delay

    def acknowledged(self, seq: int) -> None:
        """The server judged that beat."""
        self._redial.proved()
        if seq >= self.seq:
            self._desk.cancel("ack")
        else:
            self.moved()

    def moved(self) -> None:
        """The server lives, though what was sent last is not acknowledged."""
        if "ack" in self._desk.due:
            self._desk.due["ack"] = self._desk.now + self._ack_bound()

    def timer(self, name: str) -> None:
        """One of this half's timers went off; other names are not its."""
        match name:
            case "beat" | "soon":
                self.beat()
            case "dial":
                self._desk.out.append(ev.Dial())
            case "ack" if self.linked:
                self.linked = False
                self._desk.out.append(ev.DropLink("no acknowledgement in time"))
            case _:
                pass

    def beat_soon(self) -> None:
        """For what may change many times a second."""
        if self._desk.now - self._last_beat >= BEAT_SPACING:
            self.beat()
        else:
            self._desk.due.setdefault("soon", self._last_beat + BEAT_SPACING)

    def beat(self) -> None:
        """Say everything, now; without a link nothing is lost: the state is said after the next welcome."""
        if not self.linked:
            return
        self.seq += 1
        self._last_beat = self._desk.now
        self._desk.cancel("soon")
        self._desk.due["beat"] = self._desk.now + self._interval
        self._desk.due.setdefault("ack", self._desk.now + self._ack_bound())
        self._desk.out.append(ev.SendBeat(self._testify(self.seq)))

    def send(self, frame: Frame) -> None:
        """A numbered frame; without a link it goes out after the next welcome."""
        if self.linked:
            self._desk.out.append(ev.SendFrame(frame))

    def _ack_bound(self) -> float:
        return max(2 * self._interval, self._rules.ack_timeout)
