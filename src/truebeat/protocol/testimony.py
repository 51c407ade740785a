"""Who says what about a workspace, side by side, and the evidence itself. Ages and durations are seconds."""

from __future__ import annotations

from msgspec import Struct

from truebeat.domain.conditions import Witness
from truebeat.protocol.link import Counters


class WitnessView(Struct, kw_only=True):
    """One witness. `says` is in the platform's own words; `detail` is what it was told, "" for those who may not see
    error texts. age: how old what it says is; None when it never said anything. healthy: None when it can't tell.
    """

    witness: Witness
    says: str
    detail: str
    age: float | None
    healthy: bool | None


class CanaryView(Struct, kw_only=True):
    """The last probe of the runtime; `failures` in a row, 0 when it passed."""

    age: float
    failures: int
    detail: str


class EvidenceView(Struct, kw_only=True):
    """What the supervisor measured, `age` seconds ago. unmoved: seconds since any of it moved.

    stall: why it counts as standing still, "" while it moves. holding: "task_id/attempt" of each task in hand.
    `note`, `stall` and the canary's detail are "" for those who may not see error texts.
    """

    age: float
    phase: str
    phase_age: float
    unmoved: float
    counters: Counters
    loop_lag: float
    tick_age: float | None
    process_state: str
    canary: CanaryView | None
    stall: str
    note: str
    capacity: int
    holding: list[str]
