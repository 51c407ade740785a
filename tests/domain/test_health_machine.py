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
    DeliveriesStuck,
    DeliverySucceeded,
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
    plain_changes_nothing,
    rejects_work,
    takes_work,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
beats = st.builds(
    Beat,
    runtime_state=st.sampled_from(["", "", "wedged", "pondering", None]),
    error_rate=st.one_of(st.none(), st.floats(0, 1)),
    sample_error=st.text(max_size=20),
    generation=st.one_of(st.none(), st.integers(0, 6)),
    stall=st.sampled_from([None, "", "", "no evidence for 46 s"]),
    canary_failures=st.sampled_from([None, 0, 0, 1, 2, 3]),
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
            plain = Beat(observation.runtime_state or "", observation.error_rate or 0.0)
            quickly = plain_changes_nothing(before, plain.runtime_state, plain.error_rate)
            assert quickly is changes_nothing(before, plain)
            if observation.runtime_state == "wedged" and not self.ever_removed:
                fenced = observation.generation is not None and observation.generation < before.generation
                assert fenced or after.open(Symptom.WEDGED)
            self.check_evidence(before, observation, after)
        self.record = after

    def check_evidence(self, before, beat, after):
        if self.ever_removed or (beat.generation is not None and beat.generation < before.generation):
            return
        both = after.open(Symptom.STALLED) and after.open(Symptom.UNRESPONSIVE)
        assert bool(after.open(Symptom.DISAGREEMENT)) == bool(beat.runtime_state == "" and both)
        if beat.stall:
            assert after.open(Symptom.STALLED)
        if (beat.canary_failures or 0) >= 2:
            assert after.open(Symptom.UNRESPONSIVE)
        pending = before.restart_pending and beat.generation is not None and beat.generation <= before.awaiting_above
        for symptom in (Symptom.STALLED, Symptom.UNRESPONSIVE, Symptom.WEDGED):
            assert not (pending and before.open(symptom) and after.open(symptom) is None)
        for symptom in (Symptom.STALLED, Symptom.UNRESPONSIVE):
            stuck = before.open(symptom)
            if stuck is not None and after.open(symptom) is None and beat.runtime_state != "":
                # only moving evidence of the very generation closes it without a claim of health
                assert symptom is Symptom.STALLED
                assert beat.generation == stuck.generation

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

    @rule(tasks=st.integers(0, 3), senders=st.integers(0, 3))
    def deliveries_are_stuck(self, tasks, senders):
        self.observe(DeliveriesStuck(tasks, senders))

    @rule()
    def a_delivery_succeeds(self):
        self.observe(DeliverySucceeded())

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
    def disagreement_is_between_two_others_and_the_claim(self):
        if self.record.open(Symptom.DISAGREEMENT) and not self.ever_removed:
            assert self.record.open(Symptom.STALLED)
            assert self.record.open(Symptom.UNRESPONSIVE)

    @invariant()
    def work_goes_only_where_it_will_be_done(self):
        record = self.record
        assert rejects_work(record) == (record.status in {Status.FAILED, Status.REMOVED})
        if takes_work(record):
            assert record.status in {Status.ONLINE, Status.DEGRADED}
            assert not record.restart_pending
            assert {condition.symptom for condition in record.conditions} <= {Symptom.ERRORS}
        if record.status is Status.ONLINE:
            assert takes_work(record)

    @invariant()
    def removed_is_final(self):
        assert (self.record.status is Status.REMOVED) == self.ever_removed


TestJudged = Judged.TestCase
TestJudged.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
