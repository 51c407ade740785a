"""The checker of histories finds each kind of broken promise, and nothing in a history that kept them all."""

from __future__ import annotations

import pytest

from bench.history_check import History, Seen, violations


def good() -> History:
    tasks = [Seen(f"t{n}", "c", f"text {n}", "completed", 1, f"text {n} attempt=1") for n in range(3)]
    return History(
        accepted=[("c", task.text, task.id) for task in tasks],
        ledger=tasks,
        completed=[task.id for task in tasks],
        journal=[(what, task.id, 1, "c") for task in tasks for what in ("begin", "end")],
    )


def lost(history: History) -> None:
    history.ledger.pop()


def invented(history: History) -> None:
    history.ledger.append(Seen("t9", "c", "text 9", "submitted", 0, ""))


def sent_once_became_two(history: History) -> None:
    history.accepted.append(("c", "text 0", "t9"))
    history.ledger.append(Seen("t9", "c", "text 0", "completed", 1, "text 0 attempt=1"))
    history.completed.append("t9")


def completed_twice(history: History) -> None:
    history.completed.append("t2")


def completed_untold(history: History) -> None:
    history.completed.pop()


def late_result_accepted(history: History) -> None:
    history.ledger[1].attempt = 2


def completed_out_of_order(history: History) -> None:
    history.completed.reverse()


def begun_out_of_order(history: History) -> None:
    history.journal = history.journal[2:] + history.journal[:2]


def test_a_history_that_kept_every_promise() -> None:
    assert violations(good()) == []


@pytest.mark.parametrize(
    ("breaks", "word"),
    [
        (lost, "lost"),
        (invented, "never accepted"),
        (sent_once_became_two, "became two tasks"),
        (completed_twice, "completed 2 times"),
        (completed_untold, "told completed 0 times"),
        (late_result_accepted, "another attempt"),
        (completed_out_of_order, "completed out of order"),
        (begun_out_of_order, "begun out of order"),
    ],
)
def test_a_broken_promise_is_found(breaks, word) -> None:
    history = good()
    breaks(history)
    assert any(word in text for text in violations(history)), violations(history)
