"""The table of a task's life: what is taken, what is refused, and what an interruption means."""

from dataclasses import replace

import pytest

from truebeat.domain.delivery import (
    ATTEMPT_LIMIT,
    BEGUN_LIMIT,
    RETURNED_LIMIT,
    TAKES,
    Begun,
    CancelRequested,
    Claimed,
    Finished,
    HandedBack,
    LeaseExpired,
    OnInterrupt,
    Progressed,
    Rejected,
    Replied,
    State,
    Task,
    apply,
)

EVENTS = [
    Claimed(1),
    Begun(1, 1),
    Progressed(1, 1),
    Finished(1, 1, State.COMPLETED),
    HandedBack(1, 1, begun=True, reason="x"),
    LeaseExpired(1, 1, "x"),
    CancelRequested(reachable=True, reason="x"),
    Replied(),
    Rejected("x"),
]
HELD = apply(Task(), Claimed(1)).task
WORKING = apply(HELD, Begun(1, 1)).task


def ended(state):
    return replace(Task(), state=state)


@pytest.mark.parametrize("state", [state for state in State if state.final])
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_what_has_ended_never_changes(state, event):
    outcome = apply(ended(state), event)
    assert outcome.refused
    assert outcome.task == ended(state)


def test_the_table_names_every_state():
    assert set(TAKES) == set(State)
    assert {kind for kinds in TAKES.values() for kind in kinds} == {type(event) for event in EVENTS}


@pytest.mark.parametrize("event", [
    Begun(2, 1), Begun(1, 2), Progressed(2, 1), Finished(2, 1, State.COMPLETED), Finished(1, 2, State.COMPLETED),
    HandedBack(2, 1, begun=True, reason=""), LeaseExpired(1, 2, ""),
])  # fmt: skip
def test_another_lease_is_fenced(event):
    for task in (HELD, WORKING):
        outcome = apply(task, event)
        assert "fenced" in outcome.refused
        assert outcome.task is task


@pytest.mark.parametrize("event", [Begun(1, 1), Finished(1, 1, State.COMPLETED), LeaseExpired(1, 1, "")])
def test_nobody_speaks_for_what_nobody_holds(event):
    assert apply(Task(attempt=1), event).refused


def test_a_result_before_its_begin_counts():
    assert apply(HELD, Finished(1, 1, State.COMPLETED)).task.state is State.COMPLETED


def test_it_is_held_once():
    assert apply(HELD, Claimed(2)).refused
    assert apply(WORKING, Claimed(2)).refused


def test_progress_is_a_begin():
    task = apply(HELD, Progressed(1, 1)).task
    assert (task.state, task.begun) == (State.WORKING, 1)


def test_a_retry_says_that_it_was_interrupted_and_ends_after_so_many():
    task = Task()
    for attempt in range(1, BEGUN_LIMIT + 1):
        task = apply(task, Claimed(attempt)).task
        task = apply(task, Begun(attempt, attempt)).task
        outcome = apply(task, HandedBack(attempt, attempt, begun=True, reason="killed"))
        task = outcome.task
        if attempt < BEGUN_LIMIT:
            assert (task.state, task.interrupted, task.held, outcome.requeued) == (State.SUBMITTED, True, False, True)
    assert task.state is State.FAILED
    assert "killed" in task.reason


def test_what_had_not_begun_goes_back_whatever_its_policy_but_not_for_ever():
    task = Task(on_interrupt=OnInterrupt.FAIL)
    for attempt in range(1, RETURNED_LIMIT + 1):
        task = apply(task, Claimed(1)).task
        task = apply(task, HandedBack(1, attempt, begun=False, reason="no room")).task
        assert task.state is (State.SUBMITTED if attempt < RETURNED_LIMIT else State.FAILED)
    assert (task.begun, task.interrupted) == (0, False)


def test_who_wants_no_second_attempt_gets_none():
    task = apply(Task(on_interrupt=OnInterrupt.FAIL), Claimed(1)).task
    unknown = apply(task, LeaseExpired(1, 1, "gone")).task
    assert unknown.state is State.FAILED
    assert "not known" in unknown.reason
    begun = apply(apply(task, Begun(1, 1)).task, LeaseExpired(1, 1, "gone")).task
    assert begun.state is State.FAILED
    assert "not known" not in begun.reason


def test_cancel():
    reachable, unreachable = CancelRequested(reachable=True, reason="r"), CancelRequested(reachable=False, reason="u")
    assert apply(Task(), reachable).task.state is State.CANCELED
    asked = apply(WORKING, reachable)
    assert (asked.cancel, asked.task.state, asked.task.cancel_requested) == (True, State.WORKING, True)
    assert apply(WORKING, unreachable).task.state is State.CANCELED
    assert apply(asked.task, LeaseExpired(1, 1, "")).task.state is State.CANCELED
    assert apply(asked.task, Finished(1, 1, State.INPUT_REQUIRED)).task.state is State.CANCELED
    assert apply(asked.task, Finished(1, 1, State.COMPLETED)).task.state is State.COMPLETED


def test_a_question_waits_for_its_reply_and_begins_anew():
    interrupted = replace(WORKING, begun=2, interrupted=True)
    asked = apply(interrupted, Finished(1, 1, State.INPUT_REQUIRED)).task
    assert (asked.held, asked.begun) == (False, 0)
    assert apply(asked, Claimed(1)).refused
    outcome = apply(asked, Replied())
    assert (outcome.task.state, outcome.task.reply, outcome.task.interrupted, outcome.requeued) == (
        State.SUBMITTED, True, False, True,
    )  # fmt: skip
    assert apply(replace(asked, attempt=ATTEMPT_LIMIT), Replied()).refused
    assert apply(WORKING, Replied()).refused


def test_removal_tells_the_begun_from_the_rest():
    assert apply(Task(), Rejected("removed")).task.state is State.REJECTED
    assert apply(HELD, Rejected("removed")).task.state is State.REJECTED
    assert apply(WORKING, Rejected("removed")).task.state is State.FAILED


@pytest.mark.parametrize("state", [State.SUBMITTED, State.WORKING])
def test_an_attempt_ends_only_in_an_end_or_a_question(state):
    assert apply(WORKING, Finished(1, 1, state)).refused
