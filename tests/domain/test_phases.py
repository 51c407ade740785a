"""Evidence: what counts as movement, and what as standing still."""

from dataclasses import replace

import pytest

from truebeat.domain.phases import PHASES, UNKNOWN, Evidence, bounds_of, follow, stall

IDLE = Evidence(3, 5, 5, 100, 2, 2, 9, "idle")


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 4, "frames": 0},
        {"phase": "working"},
        {"turns_started": 6},
        {"turns_finished": 6},
        {"frames": 101},
        {"tools_started": 3},
        {"tools_finished": 3},
        {"canaries_passed": 10},
    ],
)
def test_what_only_having_done_something_can_say_moves(change):
    assert replace(IDLE, **change).proves_more_than(IDLE)


@pytest.mark.parametrize("change", [{}, {"frames": 99}, {"canaries_passed": 0}, {"bound": 3.0}])
def test_a_lower_counter_or_another_bound_moves_nothing(change):
    assert not replace(IDLE, **change).proves_more_than(IDLE)


def test_it_stands_still_after_the_bound_of_its_phase_and_not_before():
    standing = follow(follow(None, IDLE, 0), IDLE, 45)
    assert stall(standing, {}, 45) == ""
    assert "phase idle (bound 45 s)" in stall(standing, {}, 45.1)
    moved = follow(standing, replace(IDLE, canaries_passed=10), 50)
    assert stall(moved, {}, 90) == ""


def test_declared_bounds_replace_the_tables_and_the_present_phases_own_replaces_both():
    standing = follow(None, replace(IDLE, phase="in_tool"), 0)
    assert stall(standing, {"in_tool": 2.0}, 3)
    assert not stall(standing, {"in_tool": 1800.0}, 1799)
    assert not stall(follow(None, replace(IDLE, phase="in_tool", bound=3600.0), 0), {"in_tool": 2.0}, 3000)
    assert stall(follow(None, replace(IDLE, phase="my_own"), 0), {}, UNKNOWN.still_after + 1)


def test_a_phase_without_a_bound_may_last():
    assert stall(follow(None, replace(IDLE, phase="quarantined"), 0), {}, 1e9) is None
    assert stall(follow(None, replace(IDLE, phase="quarantined"), 0), {"quarantined": 5.0}, 6)


@pytest.mark.parametrize("phase", ["waiting", "draining", "restarting", "quarantined"])
def test_a_phase_that_the_supervisor_sets_proves_nothing_of_the_worker(phase):
    assert not replace(IDLE, phase=phase).proves_more_than(IDLE)
    assert replace(IDLE, phase=phase, generation=4).proves_more_than(IDLE)


def test_time_the_observer_did_not_see_counts_against_nobody():
    standing = follow(follow(None, IDLE, 0), IDLE, 60, unseen=58)
    assert stall(standing, {}, 60) == ""
    assert stall(standing, {}, 110)
    assert follow(standing, IDLE, 61, unseen=1e9).moved_at == 61  # never in the future


def test_every_phase_that_is_probed_has_both_bounds():
    for phase, bounds in PHASES.items():
        if bounds.probed:
            assert bounds.suspect_after, phase
            assert bounds.still_after, phase
            assert bounds.suspect_after < bounds.still_after, phase
    assert bounds_of("never heard of") is UNKNOWN
