"""Mailboxes under random sends, claims, crashes, late and repeated frames: the promises hold after every step."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from truebeat.domain.delivery import (
    UNFINISHED,
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

RESULTS = [State.COMPLETED, State.FAILED, State.CANCELED, State.REJECTED, State.INPUT_REQUIRED, State.AUTH_REQUIRED]


@dataclass
class Row:
    place: int
    context: str
    task: Task
    endings: int = 0
    #: leases that were given out, oldest first
    leases: list = field(default_factory=list)


class Mailbox(RuleBasedStateMachine):
    """One workspace's mailbox as the store keeps it, and workers that say anything about any lease they ever had."""

    rows = Bundle("rows")

    def __init__(self):
        super().__init__()
        self.all = []
        self.generation = 1
        self.places = 0
        #: the order in which tasks of each context were first delivered, or again after a reply
        self.delivered = {}

    def place(self):
        self.places += 1
        return self.places

    @rule(target=rows, context=st.sampled_from("abc"), on_interrupt=st.sampled_from(OnInterrupt))
    def send(self, context, on_interrupt):
        row = Row(self.place(), context, Task(on_interrupt=on_interrupt))
        self.all.append(row)
        return row

    @rule()
    def claim(self):
        """As the store's query: of each context only the oldest that is unfinished."""
        for row in sorted(self.all, key=lambda row: row.place):
            earlier = [
                other for other in self.all
                if other.context == row.context and other.place < row.place and other.task.state in UNFINISHED
            ]  # fmt: skip
            if row.task.state is State.SUBMITTED and not row.task.held and not earlier:
                before = row.task
                self.happen(row, Claimed(self.generation))
                assert row.task.attempt == before.attempt + 1
                row.leases.append((self.generation, row.task.attempt))
                self.delivered.setdefault(row.context, []).append(row.place)
                return

    @rule()
    def worker_restarts(self):
        """The old one may go on talking."""
        self.generation += 1

    @rule()
    def rescue(self):
        for row in self.all:
            if row.task.held and row.task.generation < self.generation:
                self.happen(row, LeaseExpired(row.task.generation, row.task.attempt, "replaced"))
                assert not row.task.held

    @rule(
        row=rows,
        which=st.integers(0, 5),
        what=st.sampled_from(["begun", "progress", "back", "lost"]),
        begun=st.booleans(),
    )
    def speak(self, row, which, what, begun):
        lease = self.some_lease(row, which)
        event = {
            "begun": Begun(*lease),
            "progress": Progressed(*lease),
            "back": HandedBack(*lease, begun=begun, reason="stopping"),
            "lost": LeaseExpired(*lease, reason="gone"),
        }[what]
        self.from_worker(row, lease, event)

    @rule(row=rows, which=st.integers(0, 5), state=st.sampled_from(RESULTS))
    def finish(self, row, which, state):
        lease = self.some_lease(row, which)
        self.from_worker(row, lease, Finished(*lease, state))

    @precondition(lambda self: any(row.task.held and len(row.leases) > 1 for row in self.all))
    @rule(data=st.data(), state=st.sampled_from(RESULTS))
    def finish_late(self, data, state):
        """An earlier attempt's worker, perhaps of the very same generation."""
        row = data.draw(st.sampled_from([row for row in self.all if row.task.held and len(row.leases) > 1]))
        lease = data.draw(st.sampled_from(row.leases[:-1]))
        self.from_worker(row, lease, Finished(*lease, state))

    @precondition(lambda self: any(row.task.held for row in self.all))
    @rule(data=st.data(), begun=st.booleans())
    def hand_back(self, data, begun):
        row = data.draw(st.sampled_from([row for row in self.all if row.task.held]))
        self.from_worker(row, row.leases[-1], HandedBack(*row.leases[-1], begun=begun, reason="stopping"))

    @rule(row=rows, reachable=st.booleans())
    def cancel(self, row, reachable):
        self.happen(row, CancelRequested(reachable, "sender"))

    @rule(row=rows)
    def reply(self, row):
        if not self.happen(row, Replied()).refused:
            row.place = self.place()

    @rule(row=rows)
    def reject(self, row):
        self.happen(row, Rejected("removed"))

    # --- what every event must keep ---

    def some_lease(self, row, which):
        return row.leases[-1 - which % len(row.leases)] if row.leases else (self.generation, 1)

    def from_worker(self, row, lease, event):
        holder = (row.task.generation, row.task.attempt)
        before = row.task
        outcome = self.happen(row, event)
        if not before.held or lease != holder:
            assert outcome.refused, "a lease that has ended still counts"

    def happen(self, row, event):
        before = row.task
        outcome = apply(before, event)
        if outcome.refused or before.state.final:
            assert outcome.refused
            assert outcome.task is before
        row.task = outcome.task
        if row.task.state.final and not before.state.final:
            row.endings += 1
        assert row.task.attempt >= before.attempt
        return outcome

    # --- the promises ---

    @invariant()
    def nothing_is_lost_and_nothing_ends_twice(self):
        for row in self.all:
            assert row.endings == int(row.task.state.final)
        ended = sum(row.task.state.final for row in self.all)
        waiting = sum(row.task.state in UNFINISHED or row.task.state.paused for row in self.all)
        assert ended + waiting == len(self.all)

    @invariant()
    def only_unfinished_tasks_are_held_and_a_working_one_is(self):
        for row in self.all:
            assert not row.task.held or row.task.state in UNFINISHED
            assert row.task.held or row.task.state is not State.WORKING

    @invariant()
    def a_context_has_one_worker_at_a_time_and_keeps_its_order(self):
        for context, places in self.delivered.items():
            held = [row for row in self.all if row.context == context and row.task.held]
            assert len(held) <= 1
            assert places == sorted(places)


TestMailbox = Mailbox.TestCase
TestMailbox.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
