"""The checker of histories of delegations finds each kind of broken promise, and nothing where all were kept."""

from __future__ import annotations

import pytest

from bench.delegation_history_check import DelegationHistory, Done, Given, violations


def good() -> DelegationHistory:
    """A task hands work on; the result comes with a wake, whose first turn was interrupted."""
    kinds = ("DELEGATION_CREATED", "DELEGATION_COMPLETED", "DELEGATION_CONSUMED")
    return DelegationHistory(
        delegations=[Given("d", "root", "completed", consumed=True)],
        tasks={
            "root": Done("completed", 1, wanted=True),
            "d": Done("completed", 1),
            "wake": Done("completed", 2),
            "idle": Done("canceled", 0),
        },
        journal=[("root", 1, []), ("d", 1, []), ("wake", 1, ["d"]), ("wake", 2, ["d"])],
        told=[(kind, "d") for kind in kinds],
    )


def lost_before_it_was_made(history: DelegationHistory) -> None:
    history.delegations.clear()
    history.told.clear()
    history.journal = history.journal[:2]


def made_twice(history: DelegationHistory) -> None:
    history.delegations.append(Given("e", "root", "completed", consumed=True))
    history.told += [(kind, "e") for kind, _ in history.told]
    history.journal[-1] = ("wake", 2, ["d", "e"])


def never_ended(history: DelegationHistory) -> None:
    history.delegations[0].state = "working"


def task_never_ended(history: DelegationHistory) -> None:
    history.tasks["idle"].state = "submitted"


def ended_twice(history: DelegationHistory) -> None:
    history.told.append(("DELEGATION_COMPLETED", "d"))


def ended_in_two_ways(history: DelegationHistory) -> None:
    history.told.append(("DELEGATION_FAILED", "d"))


def consumed_untold(history: DelegationHistory) -> None:
    history.told.pop()


def never_used(history: DelegationHistory) -> None:
    history.delegations[0].consumed = False


def shown_to_no_turn_that_counts(history: DelegationHistory) -> None:
    history.journal[-1] = ("wake", 2, [])


def used_twice(history: DelegationHistory) -> None:
    history.journal.append(("root", 1, ["d"]))


def invented(history: DelegationHistory) -> None:
    history.journal[-1] = ("wake", 2, ["d", "x"])


def test_a_history_that_kept_every_promise() -> None:
    assert violations(good()) == []


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        (lost_before_it_was_made, "is lost"),
        (made_twice, "became 2 delegations"),
        (never_ended, "d is working"),
        (task_never_ended, "idle is submitted"),
        (ended_twice, "told 2 times"),
        (ended_in_two_ways, "was told"),
        (consumed_untold, "told 0 times: DELEGATION_CONSUMED"),
        (never_used, "nobody used"),
        (shown_to_no_turn_that_counts, "used by 0 turns"),
        (used_twice, "used by 2 turns"),
        (invented, "not of any delegation"),
    ],
)
def test_each_broken_promise_is_found(breaks, words) -> None:
    history = good()
    breaks(history)
    assert any(words in found for found in violations(history)), violations(history)
