"""Restarts what stays stuck although its own supervisor sees nothing: probes first, then orders a new generation.

Only what this server found itself counts: evidence that stands still while beats come, or deliveries that make no
progress. What a supervisor measures, it acts on itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from truebeat.domain.conditions import Status, Symptom, Witness
from truebeat.domain.health import BudgetSpent
from truebeat.domain.restart import RestartHistory, RestartPolicy, decide
from truebeat.errors import Conflict, Gone, NotFound, TruebeatError
from truebeat.server.background.tasks import spawn
from truebeat.server.services.health import PLATFORM, ordered_by_platform

if TYPE_CHECKING:
    from collections.abc import Callable

    from truebeat.clock import Clock
    from truebeat.domain.health import Announcement
    from truebeat.server.leases import Lease, Leases
    from truebeat.server.services.health import Health

log = structlog.get_logger(__name__)

#: seconds between looks
TICK: Final = 0.5


class _Case:
    """One stuck workspace. `seconds`: how long it has been seen stuck, not counting stops of this server."""

    __slots__ = ("ordered", "seconds", "symptom")

    def __init__(self, symptom: Symptom) -> None:
        self.symptom = symptom
        self.seconds = 0.0
        self.ordered = False


class StuckRestarter:
    """One a server. `restart_after` is in seconds; the budget is that of a supervisor: five in ten minutes."""

    def __init__(
        self,
        leases: Leases,
        judged: Health,
        probe: Callable[[Lease, str], None],
        clock: Clock,
        *,
        restart_after: float,
        policy: RestartPolicy | None = None,
    ) -> None:
        self._leases = leases
        self._health = judged
        self._probe = probe
        self._clock = clock
        self._restart_after = restart_after
        self._policy = policy or RestartPolicy()
        self._cases: dict[Lease, _Case] = {}
        #: those whose record may have something to look at
        self._suspects: set[Lease] = set()
        self._histories: dict[Lease, RestartHistory] = {}
        self._looked_at = clock.monotonic()
        judged.on_announced.append(self.hear)
        judged.on_restart.append(self.hear_order)

    def hear(self, lease: Lease, announcement: Announcement) -> None:
        """Each announcement: whether anything is open that this duty acts on."""
        if announcement.status is Status.REMOVED:
            self._suspects.discard(lease)
            self._cases.pop(lease, None)
            self._histories.pop(lease, None)
        elif any(condition.symptom in _STUCK for condition in announcement.conditions):
            self._suspects.add(lease)

    def hear_order(self, lease: Lease) -> None:
        """A person's order: from then on the budget is whole again."""
        if not ordered_by_platform(lease):
            self._histories.pop(lease, None)

    async def run(self) -> None:
        # A server that starts finds conditions that were announced before it.
        self._suspects.update(
            lease for lease in self._leases if any(condition.symptom in _STUCK for condition in lease.record.conditions)
        )
        self._looked_at = self._clock.monotonic()
        while True:
            await asyncio.sleep(TICK)
            for lease, why in self.look(self._clock.monotonic()):
                spawn(self.order(lease, why), name="restart what is stuck")

    def look(self, now: float) -> list[tuple[Lease, str]]:
        """One look at the suspects: which are to be restarted now, and why. `now` is monotonic."""
        passed, self._looked_at = min(now - self._looked_at, 2 * TICK), now
        due = []
        for lease in list(self._suspects):
            symptom = stuck(lease)
            if symptom is None:
                self._cases.pop(lease, None)
                if not any(condition.symptom in _STUCK for condition in lease.record.conditions):
                    self._suspects.discard(lease)
                continue
            case = self._cases.get(lease)
            if case is None or case.symptom is not symptom:
                case = self._cases[lease] = _Case(symptom)
                self._probe(lease, f"{symptom.value}: {_detail(lease, symptom)}")
                continue
            case.seconds += passed
            if case.seconds >= self._restart_after and not case.ordered:
                case.ordered = True
                due.append((lease, f"{symptom.value} for {case.seconds:.0f} s: {_detail(lease, symptom)}"))
        return due

    async def order(self, lease: Lease, why: str) -> None:
        """Order it, within the budget; once that is spent it is failed, until an operator or a new generation."""
        now = self._clock.monotonic()
        decision = decide(self._policy, self._histories.get(lease, RestartHistory()), now, 0.0)
        try:
            if decision.delay is None:
                reason = f"the platform restarted it {self._policy.limit} times in {self._policy.window:.0f} s; {why}"
                log.error("gave up restarting", workspace=lease.id, why=why)
                await self._health.observe(lease.id, BudgetSpent(reason, lease.record.generation), self._clock.now())
                return
            await self._health.order_restart(lease.id, PLATFORM, why)
        except (Conflict, NotFound, Gone) as error:
            log.info("not restarted", workspace=lease.id, reason=error.message)
        except TruebeatError as error:
            log.warning("a restart could not be ordered; trying again", workspace=lease.id, reason=error.message)
            if (case := self._cases.get(lease)) is not None:
                case.ordered = False
        else:
            self._histories[lease] = decision.history
            log.warning("ordered a restart", workspace=lease.id, why=why)


_STUCK: Final = frozenset({Symptom.STALLED, Symptom.UNRESPONSIVE})


def stuck(lease: Lease) -> Symptom | None:
    """The open symptom that this server itself found in a linked workspace that nobody restarts already."""
    record = lease.record
    if not lease.linked or lease.told is None or record.restart_pending:
        return None
    if record.status is not Status.DEGRADED:
        return None  # failed: it is given up; offline: no order would reach it
    if record.open(Symptom.STALLED) is not None and lease.told.still and not lease.told.beat_stall:
        return Symptom.STALLED
    unresponsive = record.open(Symptom.UNRESPONSIVE)
    if unresponsive is not None and unresponsive.witness is Witness.SENDER:
        return Symptom.UNRESPONSIVE
    return None


def _detail(lease: Lease, symptom: Symptom) -> str:
    condition = lease.record.open(symptom)
    return "" if condition is None else condition.detail[:300]
