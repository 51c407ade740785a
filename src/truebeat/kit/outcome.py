"""What came of one case, as it goes into the scorecard and into JSON."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct, field


class Verdict(StrEnum):
    #: a lie, found in time
    FOUND = "found"
    #: a lie, found after its limit
    LATE = "late"
    #: a lie that nobody found
    MISSED = "missed"
    #: a lie, found in time, after which it did not come back as it should
    LOST = "not recovered"
    #: a hardship, left alone
    UNHARMED = "unharmed"
    #: a hardship that was punished: its status changed
    FLIPPED = "flipped"
    #: a hardship that was punished: its worker or its runtime was replaced
    KILLED = "killed"
    #: a hardship whose turn did not end well
    TURN_LOST = "turn lost"
    #: the case itself could not be played
    NOT_PLAYED = "not played"

    @property
    def good(self) -> bool:
        return self in {Verdict.FOUND, Verdict.UNHARMED}


class Outcome(Struct, kw_only=True):
    """Seconds from the moment the fault took effect; None: it never came.

    hard: hard evidence; else `bound` says what was declared. limit: what `found_after` must stay below.
    witnesses, symptoms, detail: of the conditions in the event that told it. alarms: what was said against the
    workspace before there was a fault, or during a hardship. left_over: processes that the case left behind.
    task: the state in which the case's turn ended. note: what else a reader
    should know. took: seconds of the whole play.
    """

    case: str
    round: int = 1
    kind: str
    title: str
    agent: str
    verdict: Verdict
    hard: bool
    bound: str = ""
    limit: float = 0.0
    found_after: float | None = None
    witnesses: list[str] = field(default_factory=list)
    symptoms: list[str] = field(default_factory=list)
    detail: str = ""
    recovery: str = ""
    recovered_after: float | None = None
    alarms: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    task: str = ""
    note: str = ""
    took: float = 0.0
    log: str = ""

    @property
    def good(self) -> bool:
        return self.verdict.good and not self.left_over and not self.alarms
