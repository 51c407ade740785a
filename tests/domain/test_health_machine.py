"""Random observations against the judge's invariants."""

from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from truebeat.domain.health import (
    PRECEDENCE,
    RULES,
    Beat,
    BudgetSpent,
    GenerationVerified,
    LeaseExpired,
    ProvisioningExpired,
    RemovalOrdered,
    RestartOrdered,
    Status,
    Symptom,
    changes_nothing,
    created,
    judge,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
beats = st.builds(
    Beat,
    runtime_state=st.sampled_from(["", "", "wedged", "pondering", None]),
    error_rate=st.one_of(st.none(), st.floats(0, 1)),
    sample_error=st.text(max_size=20),
    generation=st.one_of(st.none(), st.integers(0, 6)),
)


class Judged(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.record = created(START)
        self.now = START
        self.ever_removed = False

    def observe(self, observation):
        before = self.record
        self.now += timedelta(seconds=1)
        verdict = judge(before, observation, self.now)
        after = verdict.record
        self.ever_removed = self.ever_removed or isinstance(observation, RemovalOrdered)
        opened = {c.symptom for c in after.conditions} - {c.symptom for c in before.conditions}
        # an event exactly when the conditions changed, and it says what happened
        assert (verdict.announcement is not None) == (before.conditions != after.conditions)
        if verdict.announcement is not None:
            assert verdict.announcement.cause
            assert verdict.announcement.status is after.status
            assert verdict.announcement.previous is before.status
            assert verdict.announcement.conditions == after.conditions
        if after == before:
            assert after is before
        for condition in after.conditions:
            if condition.symptom in opened:
                assert condition.since == self.now
            else:
                assert condition in before.conditions  # first reason and first time stay
        assert after.generation >= before.generation
        if isinstance(observation, Beat):
            if changes_nothing(before, observation):
                assert after is before
            if observation.runtime_state == "wedged" and not self.ever_removed:
                fenced = observation.generation is not None and observation.generation < before.generation
                assert fenced or after.open(Symptom.WEDGED)
        self.record = after

    @rule(beat=beats)
    def beat(self, beat):
        self.observe(beat)

    @rule(silence=st.floats(0, 100))
    def lease_expires(self, silence):
        self.observe(LeaseExpired(silence))

    @rule()
    def provisioning_expires(self):
        self.observe(ProvisioningExpired(120))

    @rule(generation=st.integers(0, 6))
    def budget_is_spent(self, generation):
        self.observe(BudgetSpent("why", generation))

    @rule(generation=st.integers(0, 6))
    def generation_is_verified(self, generation):
        self.observe(GenerationVerified(generation))

    @rule()
    def restart_is_ordered(self):
        self.observe(RestartOrdered())

    @rule()
    def removal_is_ordered(self):
        self.observe(RemovalOrdered())

    @invariant()
    def status_is_the_derivation(self):
        worst = min(
            (RULES[condition.symptom].status for condition in self.record.conditions),
            key=PRECEDENCE.index,
            default=Status.ONLINE,
        )
        assert self.record.status is worst

    @invariant()
    def conditions_are_ordered_and_unique(self):
        places = [list(RULES).index(condition.symptom) for condition in self.record.conditions]
        assert places == sorted(set(places))

    @invariant()
    def removed_is_final(self):
        assert (self.record.status is Status.REMOVED) == self.ever_removed


TestJudged = Judged.TestCase
TestJudged.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
