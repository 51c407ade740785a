"""Restart intensity."""

from truebeat.domain.restart import RestartHistory, RestartPolicy, decide

POLICY = RestartPolicy(limit=3, window=100, first_delay=1, max_delay=3, jitter=0.5)


def test_delays_grow_to_their_bound_then_the_budget_is_spent():
    history = RestartHistory()
    delays = []
    for now in (0, 1, 2):
        decision = decide(POLICY, history, now, chance=0)
        history = decision.history
        delays.append(decision.delay)
    assert delays == [1, 2, 3]
    assert decide(POLICY, history, 3, chance=0).delay is None


def test_the_window_slides():
    history = RestartHistory((0, 50, 60))
    assert decide(POLICY, history, 99.9, chance=0).delay is None
    decision = decide(POLICY, history, 100, chance=0)
    assert decision.delay == 3
    assert decision.history.times == (50, 60, 100)


def test_jitter_only_lengthens():
    assert decide(POLICY, RestartHistory(), 0, chance=1).delay == 1.5
