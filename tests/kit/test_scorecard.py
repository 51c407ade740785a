"""What the scorecard adds up, calls good, and shows."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO

import msgspec
import pytest
from rich.console import Console

from truebeat.cli.check_table import tell
from truebeat.kit.outcome import Outcome, Verdict
from truebeat.kit.scorecard import Machine, Scorecard, add_up
from truebeat.kit.scorecard_page import page

MACHINE = Machine(system="Linux", python="3.11.1", cores=2, memory_gib=4, load=0.5)


def lie(name: str, seconds: float | None, verdict: Verdict = Verdict.FOUND, **facts) -> Outcome:
    given = {"hard": True, "limit": 7.0, "title": f"the {name}", "agent": "python"} | facts
    return Outcome(case=name, kind="lie", verdict=verdict, found_after=seconds, **given)


def hardship(name: str, verdict: Verdict = Verdict.UNHARMED, **facts) -> Outcome:
    return Outcome(
        case=name, kind="hardship", title=f"the {name}", agent="python", hard=False, verdict=verdict, **facts
    )


def card(*outcomes: Outcome, left_over: list[str] | None = None) -> Scorecard:
    return Scorecard(
        at=datetime(2026, 1, 2, tzinfo=UTC),
        seconds=60,
        rounds=1,
        machine=MACHINE,
        outcomes=list(outcomes),
        totals=add_up(outcomes, left_over or []),
        left_over=left_over or [],
    )


def reached(made: Scorecard) -> dict[str, bool]:
    return {goal: ok for goal, ok, _ in made.totals.goals}


def test_median_and_maximum_are_of_hard_evidence_alone():
    totals = add_up([lie("a", 1.0), lie("b", 2.0), lie("c", 6.0), lie("q", 40.0, hard=False, limit=45.0)])
    assert (totals.hard, totals.hard_median, totals.hard_max) == (3, 2.0, 6.0)
    assert (totals.quiet, totals.quiet_within) == (1, 1)
    assert totals.found == totals.lies == 4


def test_all_well_is_good_and_reaches_every_goal():
    made = card(lie("a", 1.0), lie("q", 3.0, hard=False, limit=5.0), hardship("h"))
    assert made.good
    assert all(reached(made).values())


@pytest.mark.parametrize(
    ("outcome", "goal"),
    [
        (lie("a", None, Verdict.MISSED), "every lie found in time"),
        (lie("a", 9.0, Verdict.LATE), "every lie found in time"),
        (lie("a", 9.0, Verdict.LATE), "hard evidence: every case below 7 s"),
        (lie("a", 9.0, Verdict.LATE, hard=False, limit=5.0), "quiet phases within their declared bound"),
        (lie("a", None, Verdict.MISSED, hard=False, limit=5.0), "quiet phases within their declared bound"),
        (lie("a", 1.0, Verdict.LOST), None),
        (lie("a", None, Verdict.NOT_PLAYED), "every lie found in time"),
        (lie("a", 1.0, alarms=["WORKSPACE_DEGRADED: too early"]), "no alarm without a fault"),
        (lie("a", 1.0, left_over=["77 python"]), "no process left behind"),
        (hardship("h", Verdict.FLIPPED), "no hardship punished"),
        (hardship("h", Verdict.KILLED), "no hardship punished"),
        (hardship("h", Verdict.TURN_LOST), "every turn under a hardship ended well"),
    ],
)
def test_one_thing_amiss_is_not_good(outcome: Outcome, goal: str | None):
    made = card(lie("fine", 1.0), outcome)
    assert not made.good
    if goal is not None:
        assert not reached(made)[goal]


def test_a_slow_median_misses_its_goal_although_every_case_is_in_time():
    made = card(lie("a", 4.0), lie("b", 4.5), lie("c", 5.0))
    assert made.good
    assert not reached(made)["hard evidence: median at most 4.2 s"]


def test_a_process_that_the_whole_run_left_behind_is_not_good():
    made = card(lie("a", 1.0), left_over=["78 sh"])
    assert not made.good
    assert made.totals.left_over == 1


def test_another_verdict_in_another_round_is_not_steady():
    assert add_up([lie("a", 1.0), lie("a", 1.1, round=2)]).steady
    assert not add_up([lie("a", 1.0), lie("a", None, Verdict.MISSED, round=2)]).steady


def test_the_page_has_every_case_once_and_what_was_not_reached():
    text = page(
        card(
            lie("a", 1.0, witnesses=["evidence"], recovery="restart verified", recovered_after=2.0),
            lie("a", 3.0, round=2, witnesses=["canary"], recovery="restart verified", recovered_after=4.0),
            lie("q", None, Verdict.MISSED, hard=False, limit=5.0, bound="made of | and\nmore"),
            hardship("h", task="completed"),
        )
    )
    assert text.count("`a`") == 1
    assert "| 2.00 (≤ 3.00) | evidence / canary | restart verified | 3.00 (≤ 4.00) |" in text
    assert "made of \\| and more" in text
    assert "| every lie found in time | **no** | 2 of 3 |" in text
    assert all(line.count("|") - line.count("\\|") > 3 for line in text.splitlines() if line.startswith("| "))


def test_the_table_names_what_is_wrong_and_no_text_of_an_agent_is_taken_for_markup():
    console = Console(width=200, file=StringIO())
    tell(console, card(lie("a", None, Verdict.MISSED, note="[bold]said\x1b[31m"), hardship("h")))
    text = console.file.getvalue()
    assert "missed" in text
    assert "[bold]said\\x1b[31m" in text
    assert "not reached  every lie found in time: 0 of 1" in text


def test_it_is_one_json_document():
    made = card(lie("a", 1.0), hardship("h"))
    assert msgspec.json.decode(msgspec.json.encode(made), type=Scorecard) == made
