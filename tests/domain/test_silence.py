"""The deadline heap and the observer's doubt."""

import math
from dataclasses import dataclass

import pytest

from truebeat.domain.silence import Deadlines, Doubt, is_mass_silence


@dataclass(eq=False)
class Lease:
    stamped: float
    term: float = 10.0
    scheduled: float = math.inf


@pytest.fixture
def doubt():
    return Doubt()


@pytest.fixture
def deadlines(doubt):
    return Deadlines(doubt)


def test_due_once_at_its_deadline(deadlines):
    lease = Lease(stamped=0)
    deadlines.watch(lease)
    assert list(deadlines.due(9.99)) == []
    assert list(deadlines.due(10.0)) == [lease]
    assert list(deadlines.due(100)) == []
    deadlines.watch(lease)
    assert list(deadlines.due(100)) == [lease]


def test_a_stamp_postpones_without_touching_the_heap(deadlines):
    lease = Lease(stamped=0)
    deadlines.watch(lease)
    lease.stamped = 8
    assert list(deadlines.due(17.9)) == []
    assert lease.scheduled == 18
    assert list(deadlines.due(18)) == [lease]


def test_a_shortened_term_is_found_earlier_and_only_once(deadlines):
    lease = Lease(stamped=0)
    deadlines.watch(lease)
    lease.term = 2
    deadlines.watch(lease)
    assert list(deadlines.due(2)) == [lease]
    assert list(deadlines.due(50)) == []


def test_watching_twice_adds_nothing(deadlines):
    lease = Lease(stamped=0)
    for _ in range(5):
        deadlines.watch(lease)
    assert list(deadlines.due(10)) == [lease]


def test_a_late_tick_extends_every_lease_stamped_before_it(deadlines, doubt):
    old, fresh = Lease(stamped=0), Lease(stamped=12)
    deadlines.watch(old)
    assert doubt.tick(expected=1.0, now=11.0) == 10.0
    deadlines.watch(fresh)
    assert list(deadlines.due(19.9)) == []
    assert list(deadlines.due(20.0)) == [old]
    assert list(deadlines.due(22.0)) == [fresh]


def test_a_punctual_tick_extends_nothing(doubt):
    assert doubt.tick(expected=1.0, now=1.4) == 0
    assert doubt.allowance(0) == 0


def test_what_an_outage_hid_extends_the_lease_by_no_more_than_that(deadlines, doubt):
    before, within, after = Lease(stamped=0), Lease(stamped=50), Lease(stamped=500)
    doubt.works(2)
    for second in range(40, 400):
        doubt.lost(second)
    assert doubt.blind
    doubt.works(400)
    assert not doubt.blind
    for lease in (before, within, after):
        deadlines.watch(lease)
    assert list(deadlines.due(407)) == []
    assert list(deadlines.due(408)) == [before]
    assert list(deadlines.due(409)) == []
    assert list(deadlines.due(410)) == [within]
    assert list(deadlines.due(510)) == [after]


def test_hours_of_short_failures_are_not_forgotten_and_none_counts_twice(doubt):
    for second in range(1000):
        doubt.missed(1.0, second)
        doubt.missed(0.5, second)
    assert doubt.allowance(0) == pytest.approx(999)
    assert doubt.allowance(900) == pytest.approx(99)


def test_before_it_ever_worked_an_outage_begins_with_the_first_failure(doubt):
    doubt.lost(5)
    doubt.works(8)
    assert doubt.allowance(0) == 3


@pytest.mark.parametrize(
    ("silent", "watched", "mass"), [(2, 3, False), (7, 7, False), (8, 10, True), (8, 100, False), (40, 100, True)]
)
def test_mass_silence_needs_a_share_and_a_number(silent, watched, mass):
    assert is_mass_silence(silent, watched) is mass
