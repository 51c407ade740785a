"""When incidents open and close, and how they say they ended."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from truebeat.domain.health import (
    Beat,
    BudgetSpent,
    GenerationVerified,
    LeaseExpired,
    RemovalOrdered,
    RestartOrdered,
    Status,
    created,
    judge,
)
from truebeat.domain.incidents import IN_PLACE, REMOVED, RESUMED, recovery, turn

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def story(*observations, present=None):
    """(recovery of each closed incident, the open one) after these observations of a new workspace."""
    record, recoveries, opened = created(T0), [], 0
    for number, observation in enumerate(observations):
        now = T0 + timedelta(seconds=number)
        verdict = judge(record, observation, now)
        record = verdict.record
        if verdict.announcement is None:
            continue
        found = turn(present, verdict.announcement, record.generation, now)
        opened += found.opened
        assert found.opened == (present is None and found.incident is not None)
        assert bool(found.recovery) == (present is not None and found.incident is None)
        present = found.incident
        # at most one is open, and exactly while it is neither online nor new
        assert (present is not None) == (
            record.status in {Status.DEGRADED, Status.OFFLINE, Status.FAILED}
            or (record.status is Status.PROVISIONING and opened > len(recoveries) + bool(found.recovery))
        )
        if found.recovery:
            recoveries.append(found.recovery)
    return recoveries, present


HEALTHY = Beat("", 0.0, generation=1)
WEDGED = Beat("wedged", 0.0, "stuck", generation=1)


def test_a_planned_restart_is_no_incident():
    assert story(HEALTHY, RestartOrdered(), Beat(None, None, generation=2), Beat("", 0.0, generation=2)) == ([], None)


def test_it_keeps_the_first_symptom_and_the_worst_status():
    _, present = story(HEALTHY, WEDGED, LeaseExpired(45), Beat("wedged", 0.9, "worse", generation=1))
    assert (present.symptom, present.detail, present.worst) == ("wedged", "stuck", Status.OFFLINE)
    assert present.opened_at == T0 + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("observations", "ended"),
    [
        ([WEDGED, HEALTHY], RESUMED),
        ([WEDGED, Beat(None, None, generation=2), Beat("", 0.0, generation=2)], "restart verified by generation 2"),
        ([LeaseExpired(45), HEALTHY], "beats returned"),
        ([LeaseExpired(45), WEDGED, HEALTHY], RESUMED),
        ([WEDGED, RemovalOrdered()], REMOVED),
        (
            [WEDGED, BudgetSpent("five", 1), GenerationVerified(2), Beat("", 0.0, generation=2)],
            "restart verified by generation 2",
        ),
        ([Beat("", 0.0, generation=1, stall="blocked"), Beat("", 0.0, generation=1, stall="")], RESUMED),
    ],
)
def test_how_it_ended(observations, ended):
    assert story(HEALTHY, *observations) == ([ended], None)


def test_a_new_generation_that_only_starts_ends_nothing():
    recoveries, present = story(HEALTHY, LeaseExpired(45), Beat(None, None, generation=2))
    assert recoveries == []
    assert present is not None


def test_a_second_trouble_is_a_second_incident():
    recoveries, present = story(HEALTHY, WEDGED, HEALTHY, LeaseExpired(45))
    assert (recoveries, present.symptom) == ([RESUMED], "silent")


def test_a_repair_in_place_is_told_also_when_its_report_comes_late():
    _, present = story(HEALTHY, WEDGED)
    assert recovery(replace(present, repaired=True), 1) == IN_PLACE
    assert recovery(replace(present, repaired=True, ordered_by="eve"), 2) == (
        "restart verified by generation 2, ordered by eve"
    )
