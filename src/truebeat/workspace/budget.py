"""How many restarts there were and may still be, pure; and that there are no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from truebeat.domain.restart import RestartHistory, RestartPolicy, decide

if TYPE_CHECKING:
    from truebeat.workspace.desk import Desk


class Budget:
    """One supervisor's. The rule is domain/restart.py."""

    def __init__(self, policy: RestartPolicy, desk: Desk) -> None:
        self._policy = policy
        self._desk = desk
        self._history = RestartHistory()
        #: of the next start, in monotonic seconds
        self.start_at = 0.0
        #: workers that were started to replace another one
        self.restarts = 0
        #: why no more restarts; "" while there is budget
        self.quarantine = ""

    def plan(self, why: str) -> str:
        """One more, or quarantine. Returns what is done, for people."""
        now, policy = self._desk.now, self._policy
        decision = decide(policy, self._history, now, self._desk.chance)
        self._history = decision.history
        if decision.delay is None:
            self.give_up(f"{policy.limit} restarts within {policy.window:.0f} s did not help; last: {why}")
            return "the process tree is ended; no restart: the budget is spent"
        self.start_at = now + decision.delay
        self.restarts += 1
        return f"the process tree is ended and another worker started after {decision.delay:.1f} s"

    def give_up(self, reason: str) -> None:
        """No more restarts. The first reason stays."""
        self.quarantine = self.quarantine or reason

    def renew(self) -> None:
        """An operator wants one more, at once: everything before is forgotten."""
        self._history = RestartHistory()
        self.quarantine = ""
        self.start_at = self._desk.now
        self.restarts += 1
