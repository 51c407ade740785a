"""The phases of a worker, and how long each may last without evidence. Pure: `now` is a parameter.

*Evidence* is what can't be said without having been done: a counter that rose, a canary that passed, a change of phase.
Two bounds for each phase, in seconds:

- `suspect_after`: silence of the work itself. It only makes the worker probe its runtime; it never degrades anything.
- `still_after`: no evidence of any kind, passed canaries included. Then it stands still, whatever the beats claim.

None is no bound. A worker may declare other bounds for its phases (Hello), and one for the present phase (a tool's own,
an announced retry); the declared bound replaces the table's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds; None is for ever."""

    suspect_after: float | None
    still_after: float | None
    #: whether the runtime can be probed in it; where it can't, its own bound is all there is
    probed: bool
    why: str


#: The table that docs/phases.md shows.
PHASES: Final[dict[str, Bounds]] = {
    "waiting": Bounds(None, None, False, "no worker yet: the supervisor waits for the server"),
    "starting": Bounds(None, 120.0, False, "the executor's own deadline is shorter; this catches a start that hangs"),
    "idle": Bounds(5.0, 45.0, True, "nothing moves by itself: the canary is the evidence"),
    "working": Bounds(20.0, 45.0, True, "a turn without a finer phase"),
    "waiting_model": Bounds(20.0, 45.0, True, "a slow model is healthy as long as the probe answers"),
    "in_tool": Bounds(20.0, 45.0, True, "a silent 30-minute tool is healthy as long as the probe answers"),
    "compacting": Bounds(20.0, 120.0, True, "the context is rewritten"),
    "awaiting_input": Bounds(20.0, 45.0, True, "a person is waited for; the probe goes on"),
    "upstream_retry": Bounds(20.0, 45.0, True, "the model's API asked to wait; the probe goes on"),
    "recovering": Bounds(None, 120.0, False, "the executor repairs itself in place"),
    "draining": Bounds(None, 120.0, False, "told to stop; the grace ends it"),
    "restarting": Bounds(None, None, False, "the old worker ends, the next one waits for its delay"),
    "quarantined": Bounds(None, None, False, "no worker, and none until an operator orders one"),
}

#: phases that the supervisor says of a worker that is ending or gone: to come into one proves nothing of the worker
OF_THE_SUPERVISOR: Final = frozenset({"waiting", "draining", "restarting", "quarantined"})
#: for a phase this version does not know
UNKNOWN: Final = Bounds(20.0, 120.0, True, "a phase of the executor's own")


def bounds_of(phase: str) -> Bounds:
    """The table's row; a phase of an executor's own gets the row for unknown ones."""
    return PHASES.get(phase, UNKNOWN)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one beat proves. Counters only grow within a generation."""

    generation: int
    turns_started: int
    turns_finished: int
    frames: int
    tools_started: int
    tools_finished: int
    canaries_passed: int
    phase: str
    #: `still_after` that the worker declares for the phase it is in; None: the declared or the table's row
    bound: float | None = None

    def proves_more_than(self, older: Evidence) -> bool:
        """Whether anything moved since. A lower counter of the same generation is no movement."""
        return (
            self.generation > older.generation
            or (self.phase != older.phase and self.phase not in OF_THE_SUPERVISOR)
            or self.turns_started > older.turns_started
            or self.turns_finished > older.turns_finished
            or self.frames > older.frames
            or self.tools_started > older.tools_started
            or self.tools_finished > older.tools_finished
            or self.canaries_passed > older.canaries_passed
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest evidence, and when it last moved by the observer's own clock (monotonic seconds)."""

    evidence: Evidence
    moved_at: float


def follow(standing: Standing | None, evidence: Evidence, now: float, unseen: float = 0.0) -> Standing:
    """The standing after one more beat. `unseen`: seconds since the beat before in which the observer could not have
    seen any evidence (it was held up, no link was open); they count against nobody.
    """
    if standing is None or evidence.proves_more_than(standing.evidence):
        return Standing(evidence, now)
    return Standing(evidence, min(standing.moved_at + unseen, now))


def stall(standing: Standing, declared: Mapping[str, float], now: float) -> str | None:
    """Why this counts as standing still, for people; "" if it does not, None if nothing can move in this phase.
    `declared`: bounds by phase, in seconds.
    """
    evidence = standing.evidence
    bound = evidence.bound
    if bound is None:
        bound = declared.get(evidence.phase, bounds_of(evidence.phase).still_after)
    still = now - standing.moved_at
    if bound is None:
        return None
    if still <= bound:
        return ""
    return f"no evidence for {still:.0f} s in phase {evidence.phase} (bound {bound:.0f} s), though beats keep coming"
