"""Who may give whom work, how deep, until when; and the platform's own words."""

from datetime import UTC, datetime, timedelta

import pytest

from truebeat.domain.delegations import (
    DEPTH_LIMIT,
    Kin,
    Messaging,
    Step,
    deadline,
    may_message,
    refusal,
    relation,
    status,
    wake_text,
)
from truebeat.domain.delivery import State

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BOSS = Kin("boss", (), True)
LEFT, RIGHT = Kin("left", ("boss",), True), Kin("right", ("boss",))
LEAF = Kin("leaf", ("left", "boss"))
LONE, OTHER = Kin("lone"), Kin("other")


@pytest.mark.parametrize(
    ("source", "target", "is_"),
    [
        (LEFT, BOSS, "parent"), (BOSS, LEFT, "child"), (LEFT, RIGHT, "sibling"), (LEAF, BOSS, "ancestor"),
        (BOSS, LEAF, "descendant"), (LONE, OTHER, "peer"), (LEAF, RIGHT, ""), (LONE, BOSS, ""), (LEAF, LONE, ""),
        (LONE, LONE, ""),
    ],
)  # fmt: skip
def test_relations(source, target, is_):
    assert relation(source, target) == is_
    assert may_message(source, target, Messaging.HIERARCHY) is bool(is_)
    assert may_message(source, target, Messaging.ALL) is (source is not target)


def chain(*names, end=None):
    """From the delegation that is worked on now up."""
    return [Step(source, target, end) for source, target in zip(names[1:], names, strict=False)]


def test_a_chain_never_comes_back_to_who_waits():
    line = chain("c", "b", "a")
    assert refusal(line, "c", "d", NOW) == ""
    for target in ("a", "b"):
        assert "do it yourself" in refusal(line, "c", target, NOW)
    assert "itself" in refusal([], "a", "a", NOW)


def test_a_chain_ends_somewhere():
    line = chain(*(f"w{n}" for n in range(DEPTH_LIMIT)))
    assert len(line) == DEPTH_LIMIT - 1
    assert refusal(line, "w0", "x", NOW) == ""
    line = chain(*(f"w{n}" for n in range(DEPTH_LIMIT + 1)))
    assert str(DEPTH_LIMIT) in refusal(line, "w0", "x", NOW)


def test_the_earliest_deadline_of_the_chain_counts():
    soon, late = NOW + timedelta(seconds=5), NOW + timedelta(seconds=50)
    assert deadline([], None) is None
    assert deadline([], late) == late
    assert deadline(chain("b", "a", end=soon), late) == soon
    assert deadline(chain("b", "a", end=late), soon) == soon
    assert refusal(chain("b", "a", end=soon), "b", "c", NOW) == ""
    assert "deadline" in refusal(chain("b", "a", end=NOW), "b", "c", NOW)


def test_four_words_for_every_state():
    assert {state: status(state) for state in State} == {
        State.SUBMITTED: "pending", State.WORKING: "in_progress", State.INPUT_REQUIRED: "in_progress",
        State.AUTH_REQUIRED: "in_progress", State.COMPLETED: "completed", State.FAILED: "failed",
        State.CANCELED: "failed", State.REJECTED: "failed",
    }  # fmt: skip


def test_a_wake_says_where_to_report():
    assert "your parent, workspace p1" in wake_text("d1", State.COMPLETED, "p1")
    assert "tell the user" in wake_text("d1", State.FAILED, None)
    assert "asks" in wake_text("d1", State.INPUT_REQUIRED, None)
