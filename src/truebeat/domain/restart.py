"""When a dead or wedged worker is started again, and when no more.

At most `limit` restarts within `window` seconds; each waits longer than the last; then quarantine.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Seconds throughout. `jitter` is the share by which a delay is stretched at most."""

    limit: int = 5
    window: float = 600.0
    first_delay: float = 0.2
    max_delay: float = 30.0
    jitter: float = 0.2


@dataclass(frozen=True, slots=True)
class RestartHistory:
    """When the restarts within the window were, oldest first (monotonic seconds)."""

    times: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class RestartDecision:
    """`delay` seconds until the next start, or None: the budget is spent."""

    history: RestartHistory
    delay: float | None


def decide(policy: RestartPolicy, history: RestartHistory, now: float, chance: float) -> RestartDecision:
    """May the worker be started again? `chance` in 0..1 is the jitter's dice."""
    recent = tuple(at for at in history.times if now - at < policy.window)
    if len(recent) >= policy.limit:
        return RestartDecision(RestartHistory(recent), None)
    delay = min(policy.first_delay * 2 ** len(recent), policy.max_delay) * (1 + policy.jitter * chance)
    return RestartDecision(RestartHistory((*recent, now)), delay)
