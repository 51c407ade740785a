"""What the worker can prove: counters that only grow, the phase of the turns that are on, and when the work last moved.

Each turn has a phase of its own; what is told is the phase of the turn that changed its last. A turn may enter the
probed phases of domain/phases.py and phases of its own, never those that are the worker's (idle, recovering, ...): no
turn can hide from the probes by naming one.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from truebeat.domain.phases import PHASES, bounds_of
from truebeat.protocol import pipe
from truebeat.protocol.link import Counters
from truebeat.workspace.executors.base import (
    Artifact,
    InPhase,
    InputRequired,
    Output,
    Progress,
    Result,
    Text,
    ToolFinished,
    ToolStarted,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from truebeat.clock import Clock

#: characters of a phase's name
_NAME_LIMIT: Final = 100
#: tools of one turn that are followed at the same time; beyond it the oldest is taken for ended
_TOOLS_LIMIT: Final = 100
#: phases that a turn can't enter: they are the worker's and the supervisor's to say
_NOT_A_TURNS: Final = frozenset(name for name, bounds in PHASES.items() if not bounds.probed or name == "idle")
#: phases to which a turn goes back when its tools have ended
_RESTING: Final = frozenset({"working", "waiting_model"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """A phase, with the bound declared for this stay in it (seconds; None: the usual one)."""

    phase: str
    bound: float | None = None


@dataclass(slots=True, eq=False)
class TurnEvidence:
    """One turn that is on."""

    task: str
    #: when its executor last put out anything
    spoke_at: float
    place: Place = Place("working")
    #: where it goes back to when no tool runs any more
    resting: Place = Place("working")
    tools: list[ToolStarted] = field(default_factory=list)
    #: its next output is not asked for yet, because too much waits for the supervisor
    held: bool = False


class Evidence:
    """`send` gets a Phase frame for each change. Times are `clock.monotonic()`."""

    def __init__(self, send: Callable[[pipe.FromWorker], None], clock: Clock) -> None:
        self._send = send
        self.clock = clock
        self._counts = dict.fromkeys(Counters.__struct_fields__, 0)
        #: turns that are on; the one that changed its phase last is at the end
        self._turns: list[TurnEvidence] = []
        #: the worker's own phase; the turns' phases are told only while it is "idle"
        self._own = "idle"
        self._told: tuple[Place, str] = (Place("idle"), "")
        #: when the work last moved: a turn began or ended, or put anything out; canaries are no work
        self.moved_at = clock.monotonic()
        #: how often a runtime put anything out: what a silent one can't have done
        self.spoken = 0

    # -- read

    @property
    def busy(self) -> bool:
        return bool(self._turns)

    @property
    def place(self) -> Place:
        """What is told to be the worker's phase."""
        return self._told[0]

    def counters(self) -> Counters:
        return Counters(**self._counts)

    def silence(self) -> float:
        """Seconds since the work last moved."""
        return self.clock.monotonic() - self.moved_at

    def overdue(self, bound: float) -> TurnEvidence | None:
        """A turn that has put nothing out for `bound` seconds, or longer where its phase declares more; a person may
        be waited for without an end.
        """
        now = self.clock.monotonic()
        for turn in self._turns:
            limit = max(bound, turn.place.bound or 0.0)
            if turn.place.phase != "awaiting_input" and not turn.held and now - turn.spoke_at > limit:
                return turn
        return None

    # -- what happens

    def enter(self, phase: str) -> None:
        """The worker's own phase: starting, idle, recovering, draining."""
        self._own = phase
        self._tell()

    def begin(self, task: str) -> TurnEvidence:
        turn = TurnEvidence(task, self.clock.monotonic())
        self._turns.append(turn)
        self._moved("turns_started")
        self._tell()
        return turn

    def end(self, turn: TurnEvidence) -> None:
        self._turns.remove(turn)
        self._moved("turns_finished")
        self._tell()

    def hold(self, turn: TurnEvidence, held: bool) -> None:
        """While it is held its silence is not its own."""
        turn.held = held
        turn.spoke_at = self.clock.monotonic()

    def forgive(self, seconds: float) -> None:
        """The process was held up for so long: no turn was silent in that time."""
        now = self.clock.monotonic()
        for turn in self._turns:
            turn.spoke_at = min(turn.spoke_at + seconds, now)

    def canary_passed(self) -> None:
        self._counts["canaries_passed"] += 1

    def output(self, turn: TurnEvidence, output: Output) -> None:
        """Count it, and follow the phase."""
        turn.spoke_at = self.clock.monotonic()
        match output:
            case Text() | Progress() | Artifact():
                self._moved("frames")
            case ToolStarted():
                turn.tools.append(output)
                del turn.tools[:-_TOOLS_LIMIT]
                self._moved("tools_started")
                self._go(turn, _in_tools(turn.tools))
            case ToolFinished():
                open_one = next((tool for tool in reversed(turn.tools) if tool.name == output.name), None)
                if open_one is None:
                    _log.warning("a tool %r ended that had not started", output.name)
                    return
                turn.tools.remove(open_one)
                self._moved("tools_finished")
                self._go(turn, _in_tools(turn.tools) if turn.tools else turn.resting)
            case InPhase():
                name = output.name[:_NAME_LIMIT]
                if name in _NOT_A_TURNS:
                    _log.warning("a turn can't enter the phase %r", name)
                    return
                place = Place(name, _sane(output.bound))
                if name in _RESTING:
                    turn.resting = place
                if place != turn.place:
                    self._moved(None)
                    self._go(turn, place)
            case Result() | InputRequired():
                # the turn's end is counted when it has ended
                pass

    def _moved(self, counter: str | None) -> None:
        if counter is not None:
            self._counts[counter] += 1
        if counter not in {"turns_started", "turns_finished"}:
            self.spoken += 1
        self.moved_at = self.clock.monotonic()

    def _go(self, turn: TurnEvidence, place: Place) -> None:
        if place != turn.place:
            turn.place = place
            self._turns.remove(turn)
            self._turns.append(turn)
        self._tell()

    def _tell(self) -> None:
        last = self._turns[-1] if self._turns else None
        place = last.place if last is not None and self._own == "idle" else Place(self._own)
        now = (place, last.task if last is not None else "")
        if now != self._told:
            self._told = now
            self._send(pipe.Phase(name=place.phase, current_task=now[1], bound=place.bound))


def _sane(bound: float | None) -> float | None:
    """A bound that can be sent; what is no positive number is none."""
    return bound if bound is not None and math.isfinite(bound) and 0 < bound <= 1e12 else None


def _in_tools(tools: list[ToolStarted]) -> Place:
    """Several at a time: the most patient one counts, and one without a bound has the phase's."""
    declared = [bound for tool in tools if (bound := _sane(tool.bound)) is not None]
    if not declared:
        return Place("in_tool")
    if len(declared) < len(tools):
        declared.append(bounds_of("in_tool").still_after or 0.0)
    return Place("in_tool", max(declared))
