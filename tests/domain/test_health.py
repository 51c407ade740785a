"""The judge's rules, one by one."""

from datetime import UTC, datetime, timedelta

import pytest

from truebeat.domain.health import (
    Beat,
    BudgetSpent,
    GenerationVerified,
    LeaseExpired,
    ProvisioningExpired,
    Record,
    RemovalOrdered,
    RestartOrdered,
    Status,
    Symptom,
    created,
    judge,
)

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HEALTHY = Beat("", 0.0)
WEDGED = Beat("wedged", 0.0, "Control request timeout: initialize")


def run(record: Record, *observations) -> Record:
    for number, observation in enumerate(observations):
        record = judge(record, observation, T0 + timedelta(seconds=number)).record
    return record


ONLINE = run(created(T0), HEALTHY)


def symptoms(record: Record) -> list[str]:
    return [condition.symptom.value for condition in record.conditions]


def test_first_beat_ends_provisioning():
    assert created(T0).status is Status.PROVISIONING
    verdict = judge(created(T0), HEALTHY, T0)
    assert verdict.record.status is Status.ONLINE
    assert verdict.announcement.event_type == "WORKSPACE_ONLINE"
    assert verdict.announcement.previous is Status.PROVISIONING
    assert verdict.announcement.cause == "beat"


def test_a_wedge_degrades_with_its_reason_and_the_first_reason_stays():
    record = run(ONLINE, WEDGED, Beat("wedged", 0.0, "a later reason"))
    assert record.status is Status.DEGRADED
    assert record.open(Symptom.WEDGED).detail == "Control request timeout: initialize"


def test_the_wedge_is_looked_at_before_the_error_rate():
    verdict = judge(ONLINE, Beat("wedged", 0.9, "stuck"), T0)
    assert symptoms(verdict.record) == ["wedged", "errors"]
    assert verdict.announcement.conditions[0].detail == "stuck"


def test_recovery_needs_wedge_and_errors_both_cleared():
    both = run(ONLINE, Beat("wedged", 0.9, "stuck"))
    assert run(both, Beat("", 0.9)).status is Status.DEGRADED
    assert run(both, Beat("wedged", 0.0)).status is Status.DEGRADED
    assert run(both, Beat("", 0.0)).status is Status.ONLINE


@pytest.mark.parametrize(("rate", "opens"), [(0.49999, False), (0.5, True), (1.0, True)])
def test_errors_open_at_half(rate, opens):
    assert (run(ONLINE, Beat("", rate)).status is Status.DEGRADED) is opens


@pytest.mark.parametrize(("rate", "closes"), [(0.1, False), (0.4, False), (0.0999, True), (0.0, True)])
def test_errors_close_below_a_tenth(rate, closes):
    assert (run(ONLINE, Beat("", 0.5), Beat("", rate)).status is Status.ONLINE) is closes


@pytest.mark.parametrize("before", [ONLINE, run(ONLINE, WEDGED)])
@pytest.mark.parametrize("state", ["pondering", "WEDGED", " wedged", "wedged\x00"])
def test_an_unknown_state_changes_nothing(before, state):
    verdict = judge(before, Beat(state, 0.0), T0)
    assert verdict.record is before
    assert verdict.announcement is None


def test_unknown_is_never_healthy():
    wedged = run(ONLINE, Beat("wedged", 0.9, "stuck"))
    assert run(wedged, Beat(None, None)) == wedged


def test_a_generation_that_is_still_starting_is_not_online():
    """A supervisor beats from its first moment; only its worker's word ends the waiting."""
    starting = run(created(T0), Beat(None, None, generation=1))
    assert starting.status is Status.PROVISIONING
    assert run(starting, Beat("", 0.0, generation=1)).status is Status.ONLINE
    assert run(starting, Beat("wedged", 0.0, "no answer", generation=1)).status is Status.DEGRADED
    back = run(ONLINE, Beat("", 0.0, generation=1), LeaseExpired(45), Beat(None, None, generation=2))
    assert back.status is Status.PROVISIONING
    assert back.conditions[0].detail == "generation 2 is starting"
    assert run(back, Beat("", 0.0, generation=2)).status is Status.ONLINE


@pytest.mark.parametrize("state", [None, "stalled", "pondering"])
def test_only_an_answer_of_a_supervised_worker_ends_the_waiting(state):
    assert run(created(T0), Beat(state, None, generation=1)).status is Status.PROVISIONING


def test_a_start_that_never_ends_fails_and_recovers_when_it_does():
    hung = run(created(T0), Beat(None, None, generation=1), ProvisioningExpired(120))
    assert hung.status is Status.FAILED
    assert "did not start" in hung.open(Symptom.OVERDUE).detail
    assert run(hung, Beat("", 0.0, generation=1)).status is Status.ONLINE


def test_silence_and_the_beat_that_ends_it_keep_the_wedge():
    silent = run(ONLINE, WEDGED, LeaseExpired(45))
    assert silent.status is Status.OFFLINE
    assert run(silent, WEDGED).status is Status.DEGRADED
    assert run(silent, HEALTHY).status is Status.ONLINE


def test_one_that_never_beat_is_awaited_not_silent():
    assert run(created(T0), LeaseExpired(45)).status is Status.PROVISIONING


def test_a_late_first_beat_recovers_from_the_provisioning_deadline():
    overdue = run(created(T0), ProvisioningExpired(120))
    assert overdue.status is Status.FAILED
    assert run(overdue, HEALTHY).status is Status.ONLINE


def test_the_provisioning_deadline_means_nothing_after_the_first_beat():
    assert judge(ONLINE, ProvisioningExpired(120), T0).record is ONLINE


def test_an_old_generation_is_fenced():
    record = run(ONLINE, Beat("wedged", 0.0, "stuck", generation=4))
    verdict = judge(record, Beat("", 0.0, generation=3), T0)
    assert verdict.record is record


def test_quarantine_is_closed_by_a_verified_newer_generation_only():
    quarantined = run(ONLINE, Beat("wedged", 0.0, generation=3), BudgetSpent("five restarts", 3))
    assert quarantined.status is Status.FAILED
    assert run(quarantined, Beat("", 0.0, generation=3)).status is Status.FAILED
    assert run(quarantined, GenerationVerified(3)).status is Status.FAILED
    begun = run(quarantined, Beat(None, None, generation=4))
    assert begun.status is Status.FAILED
    assert run(begun, GenerationVerified(4), Beat("", 0.0, generation=4)).status is Status.ONLINE


def test_an_operators_restart_of_a_failed_one_waits_for_a_newer_generation():
    quarantined = run(ONLINE, Beat("", 0.0, generation=3), BudgetSpent("five restarts", 3))
    ordered = run(quarantined, RestartOrdered())
    assert ordered.status is Status.PROVISIONING
    assert ordered.restart_pending
    # what the old generation's supervisor still says overrules nothing
    assert run(ordered, BudgetSpent("five restarts", 3), Beat("", 0.0, generation=3)).status is Status.PROVISIONING
    done = run(ordered, Beat("", 0.0, generation=4))
    assert done.status is Status.ONLINE
    assert not done.restart_pending


def test_a_restart_of_a_wedged_one_stays_degraded_until_the_new_generation_is_healthy():
    ordered = run(ONLINE, Beat("wedged", 0.0, "stuck", generation=3), RestartOrdered())
    assert ordered.status is Status.DEGRADED
    begun = run(ordered, Beat(None, None, generation=4))
    assert begun.status is Status.DEGRADED
    assert not begun.restart_pending
    assert run(begun, Beat("", 0.0, generation=4)).status is Status.ONLINE


@pytest.mark.parametrize(
    "late", [HEALTHY, WEDGED, LeaseExpired(1), RestartOrdered(), BudgetSpent("x", 9), RemovalOrdered()]
)
def test_removed_is_final(late):
    removed = run(ONLINE, RemovalOrdered())
    assert removed.status is Status.REMOVED
    verdict = judge(removed, late, T0)
    assert verdict.record is removed
    assert verdict.announcement is None


def test_a_huge_reason_is_cut():
    record = run(ONLINE, Beat("wedged", 0.0, "x" * 1_000_000))
    assert len(record.open(Symptom.WEDGED).detail) == 2000
