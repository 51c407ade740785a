"""The scorecard: what one or several rounds of the kit add up to."""

from __future__ import annotations

import os
import platform
import statistics
from datetime import datetime
from typing import TYPE_CHECKING

import psutil
from msgspec import Struct, field

from truebeat.kit.case import HARD_LIMIT, HARD_MEDIAN, Kind
from truebeat.kit.outcome import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Machine(Struct, kw_only=True):
    """Where it was measured. load: the average of the last minute, when the kit began."""

    system: str
    python: str
    cores: int
    memory_gib: float
    load: float


class Totals(Struct, kw_only=True):
    """Counts are of plays: a case played in three rounds counts three times. Seconds, or None without any.

    found: in time. alarms: events against a workspace that had no fault. steady: every case had the same verdict in
    every round.
    """

    lies: int
    hardships: int
    found: int
    late: int
    missed: int
    not_recovered: int
    not_played: int
    hard: int
    hard_median: float | None
    hard_max: float | None
    quiet: int
    quiet_within: int
    false_flips: int
    false_kills: int
    turns_lost: int
    alarms: int
    left_over: int
    steady: bool

    @property
    def goals(self) -> list[tuple[str, bool, str]]:
        """What was to be reached, whether it was, and the number."""
        median, most = self.hard_median, self.hard_max
        return [
            ("every lie found in time", self.found == self.lies, f"{self.found} of {self.lies}"),
            (f"hard evidence: median at most {HARD_MEDIAN} s", median is None or median <= HARD_MEDIAN, _s(median)),
            (f"hard evidence: every case below {HARD_LIMIT:g} s", most is None or most < HARD_LIMIT, _s(most)),
            (
                "quiet phases within their declared bound",
                self.quiet_within == self.quiet,
                f"{self.quiet_within} of {self.quiet}",
            ),
            ("no hardship punished", self.false_flips + self.false_kills == 0, f"{self.punished} of {self.hardships}"),
            ("every turn under a hardship ended well", self.turns_lost == 0, f"{self.turns_lost} lost"),
            ("no alarm without a fault", self.alarms == 0, str(self.alarms)),
            ("no process left behind", self.left_over == 0, str(self.left_over)),
            ("the same verdicts in every round", self.steady, "yes" if self.steady else "no"),
        ]

    @property
    def punished(self) -> int:
        return self.false_flips + self.false_kills


class Scorecard(Struct, kw_only=True):
    """left_over: processes that had to be killed at the end. left_out: cases whose needs are not installed."""

    at: datetime
    seconds: float
    rounds: int
    machine: Machine
    outcomes: list[Outcome]
    totals: Totals
    left_over: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Nothing missed, nobody punished, nothing left behind."""
        return not self.left_over and all(outcome.good for outcome in self.outcomes)


def machine() -> Machine:
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        cores=psutil.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        load=round(os.getloadavg()[0], 2),
    )


def add_up(outcomes: Sequence[Outcome], left_over: Iterable[str] = ()) -> Totals:
    lies = [one for one in outcomes if one.kind == Kind.LIE]
    hardships = [one for one in outcomes if one.kind == Kind.HARDSHIP]
    count = {verdict: sum(one.verdict is verdict for one in outcomes) for verdict in Verdict}
    hard = [one for one in lies if one.hard]
    quiet = [one for one in lies if not one.hard]
    seconds = [one.found_after for one in hard if one.found_after is not None]
    verdicts: dict[str, set[Verdict]] = {}
    for one in outcomes:
        verdicts.setdefault(one.case, set()).add(one.verdict)
    return Totals(
        lies=len(lies),
        hardships=len(hardships),
        found=count[Verdict.FOUND] + count[Verdict.LOST],
        late=count[Verdict.LATE],
        missed=count[Verdict.MISSED],
        not_recovered=count[Verdict.LOST],
        not_played=count[Verdict.NOT_PLAYED],
        hard=len(hard),
        hard_median=round(statistics.median(seconds), 3) if seconds else None,
        hard_max=max(seconds, default=None),
        quiet=len(quiet),
        quiet_within=sum(one.found_after is not None and one.found_after <= one.limit for one in quiet),
        false_flips=count[Verdict.FLIPPED],
        false_kills=count[Verdict.KILLED],
        turns_lost=count[Verdict.TURN_LOST],
        alarms=sum(bool(one.alarms) for one in lies),
        left_over=sum(len(one.left_over) for one in outcomes) + len(list(left_over)),
        steady=all(len(found) == 1 for found in verdicts.values()),
    )


def _s(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f} s"
