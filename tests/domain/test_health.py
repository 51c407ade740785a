"""The judge's rules, one by one."""

from datetime import UTC, datetime, timedelta

import pytest

from truebeat.domain.health import (
    Beat,
    BudgetSpent,
    DeliveriesStuck,
    DeliverySucceeded,
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
    rejects_work,
    takes_work,
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


# --- evidence, canary, senders ------------------------------------------------------------------------------------


def beat(state="", *, generation=1, **more):
    return Beat(state, None if state is None else 0.0, generation=generation, **more)


SUPERVISED = run(created(T0), beat())
STALLED = run(SUPERVISED, beat(stall="the event loop has been blocked for 2.1 s"))
DEAF = run(SUPERVISED, beat(canary_failures=2, canary_detail="no answer within 5 s"))


def test_evidence_that_stands_still_degrades_although_it_claims_health():
    assert STALLED.status is Status.DEGRADED
    assert STALLED.conditions[0].witness == "evidence"
    assert run(STALLED, beat(stall="")).status is Status.ONLINE


@pytest.mark.parametrize("later", [beat(stall=None), beat(None, stall=None), Beat(None, None)])
def test_a_beat_without_evidence_ends_no_stall(later):
    assert run(STALLED, later).open(Symptom.STALLED)


def test_two_failed_canaries_in_a_row_mean_unresponsive_and_one_does_not():
    assert run(SUPERVISED, beat(canary_failures=1)).status is Status.ONLINE
    found = DEAF.open(Symptom.UNRESPONSIVE)
    assert (found.witness, found.detail) == ("canary", "2 canaries in a row failed: no answer within 5 s")
    assert run(DEAF, beat(canary_failures=None)).open(Symptom.UNRESPONSIVE)
    assert run(DEAF, beat(canary_failures=1)).open(Symptom.UNRESPONSIVE)
    assert run(DEAF, beat(canary_failures=0)).status is Status.ONLINE


def test_a_passed_canary_of_one_that_admits_a_wedge_closes_nothing():
    assert run(DEAF, beat("wedged", canary_failures=0)).open(Symptom.UNRESPONSIVE)


@pytest.mark.parametrize("record", [STALLED, DEAF])
def test_a_new_generation_closes_what_the_old_left_only_once_verified(record):
    starting = run(record, beat(None, generation=2, stall="", canary_failures=None))
    assert starting.status is Status.DEGRADED
    assert run(starting, beat(None, generation=2, stall="", canary_failures=0)).status is Status.DEGRADED
    assert run(starting, beat("", generation=2, stall="")).status is Status.ONLINE


def test_a_condition_belongs_to_the_generation_that_has_it():
    """Otherwise the next beat of the same generation would pass for a verified newer one."""
    stuck = run(SUPERVISED, beat(generation=2, canary_failures=2))
    assert run(stuck, beat(generation=2, canary_failures=None)).open(Symptom.UNRESPONSIVE)


@pytest.mark.parametrize(("tasks", "senders", "opens"), [(1, 1, False), (2, 1, True), (1, 2, True), (2, 2, True)])
def test_deliveries_that_do_not_begin(tasks, senders, opens):
    stuck = run(SUPERVISED, DeliveriesStuck(tasks, senders))
    assert (stuck.open(Symptom.UNRESPONSIVE) is not None) is opens
    if opens:
        assert stuck.conditions[0].witness == "sender"
        assert run(stuck, beat(canary_failures=0)).status is Status.DEGRADED  # the canary does not see what senders see
        assert run(stuck, DeliverySucceeded()).status is Status.ONLINE
        assert run(stuck, beat(generation=2)).status is Status.ONLINE


@pytest.mark.parametrize(("room", "opens"), [(0, False), (1, True), (2, False)])
def test_a_single_delivery_is_enough_where_there_is_room_for_one(room, opens):
    stuck = run(SUPERVISED, DeliveriesStuck(1, 1, room=room))
    assert (stuck.open(Symptom.UNRESPONSIVE) is not None) is opens


def test_disagreement_needs_two_other_witnesses_and_a_claim_of_health():
    both = run(STALLED, beat(stall="still", canary_failures=2))
    assert symptoms(both) == ["stalled", "unresponsive", "disagreement"]
    assert "evidence (stalled) and canary (unresponsive)" in both.open(Symptom.DISAGREEMENT).detail
    admitted = run(both, beat("wedged", stall="still", canary_failures=2))
    assert symptoms(admitted) == ["wedged", "stalled", "unresponsive"]
    assert symptoms(run(both, beat(stall="", canary_failures=2))) == ["unresponsive"]
    assert symptoms(run(both, DeliverySucceeded())) == ["stalled"]


def test_an_old_generations_testimony_is_fenced():
    new = run(SUPERVISED, beat(generation=2))
    for old in (beat(stall="still"), beat(canary_failures=9), beat("wedged")):
        assert judge(new, old, T0).record is new


def test_once_its_supervisor_is_silent_a_plain_beat_is_all_there_is():
    both = run(STALLED, beat(stall="still", canary_failures=2), LeaseExpired(45))
    assert run(both, HEALTHY).status is Status.ONLINE
    assert run(both, WEDGED).status is Status.DEGRADED


def test_an_ordered_restart_closes_nothing_until_its_generation_is_verified():
    ordered = run(STALLED, RestartOrdered())
    assert ordered.status is Status.DEGRADED
    assert ordered.restart_pending
    assert run(ordered, beat(None, generation=2, stall="")).status is Status.DEGRADED
    assert run(ordered, beat(generation=2, stall="")).status is Status.ONLINE


@pytest.mark.parametrize("record", [STALLED, DEAF, run(SUPERVISED, beat("wedged"))])
def test_while_a_restart_is_pending_the_old_generation_closes_nothing(record):
    """Its supervisor already ends it: a beat that claims health on the way out is no recovery."""
    ordered = run(record, RestartOrdered())
    assert run(ordered, beat(stall="", canary_failures=0)).conditions == record.conditions
    assert run(ordered, beat(generation=2, stall="", canary_failures=0)).status is Status.ONLINE


def test_who_takes_work_and_who_is_refused_any():
    errors = run(SUPERVISED, Beat("", 0.9, generation=1))
    for record in (SUPERVISED, errors):
        assert takes_work(record)
    for record in (created(T0), STALLED, DEAF, run(errors, RestartOrdered()), run(SUPERVISED, LeaseExpired(45))):
        assert not takes_work(record)
        assert not rejects_work(record)
    for record in (run(SUPERVISED, BudgetSpent("five", 1)), run(SUPERVISED, RemovalOrdered())):
        assert rejects_work(record)
        assert not takes_work(record)
    begun = run(errors, Beat(None, None, generation=2))  # a start is awaited also where errors are open
    assert not takes_work(begun)
    assert takes_work(run(begun, Beat("", None, generation=2)))
