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


@pytest.mark.parametrize(
    ("silent", "watched", "mass"), [(2, 3, False), (7, 7, False), (8, 10, True), (8, 100, False), (40, 100, True)]
)
def test_mass_silence_needs_a_share_and_a_number(silent, watched, mass):
    assert is_mass_silence(silent, watched) is mass
