"""Expires leases: finds the silent without polling, and doubts the observer before anybody else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from truebeat.domain.health import LeaseExpired, ProvisioningExpired, Symptom
from truebeat.domain.silence import is_mass_silence
from truebeat.errors import Gone, NotFound, TruebeatError, Unavailable
from truebeat.server.background.tasks import spawn
from truebeat.server.store.events import NewEvent

if TYPE_CHECKING:
    from truebeat.clock import Clock
    from truebeat.server.leases import Lease, Leases
    from truebeat.server.services.health import Health

log = structlog.get_logger(__name__)

#: seconds between looks at the heap
TICK = 0.025
#: seconds after which silence is believed although it is that of many, if others are heard meanwhile
SUSPEND_LIMIT = 600.0
#: seconds until a lease whose expiry was suspended, or could not be written, is looked at again
RETRY = 1.0


class SilenceWatch:
    """One a server. `suspended` is the reason expiry is suspended, or "" when it is not."""

    def __init__(self, leases: Leases, judged: Health, clock: Clock) -> None:
        self._leases = leases
        self._health = judged
        self._clock = clock
        self.suspended = ""
        self._suspended_at = 0.0
        #: monotonic time of the last look
        self.looked_at = clock.monotonic()

    def unsure(self) -> str:
        """Why no status may be believed now; "" normally."""
        if self._leases.doubt.blind:
            return "this server's database does not answer"
        return self.suspended

    async def run(self) -> None:
        self.looked_at = self._clock.monotonic()
        while True:
            await asyncio.sleep(TICK)
            now = self._clock.monotonic()
            if due := self.look(now):
                # Not awaited: a slow database must not make the next look late and pass for a stall of ours.
                spawn(self.expire(due, now), name="expire leases")

    def look(self, now: float) -> list[Lease]:
        """One look at the heap: whose lease is over. `now` is monotonic; a look that comes late extends every lease."""
        lag = self._leases.doubt.tick(self.looked_at + TICK, now)
        self.looked_at = now
        if lag:
            log.warning("the server was stopped or slow; every lease is extended", seconds=round(lag, 2))
        due = list(self._leases.deadlines.due(now))
        if self._leases.doubt.blind:
            self._again(due, now)
            return []
        if not due and not self.suspended:
            return []
        silent, watched = self._leases.silent_share(now)
        believed = bool(self.suspended) and silent < watched and now - self._suspended_at > SUSPEND_LIMIT
        if is_mass_silence(silent, watched) and not believed:
            self._suspend(silent, watched, now)
            self._again(due, now)
            return []
        if self.suspended and not believed:
            log.warning("mass silence is over; expiry goes on")
            self._tell("EXPIRY_RESUMED", {})
            self.suspended = ""
        return due

    async def expire(self, due: list[Lease], now: float) -> None:
        """Tell the judge. What can't be written is looked at again later."""
        await asyncio.gather(*(self._expire(lease, now) for lease in due))

    def _again(self, leases: list[Lease], now: float) -> None:
        for lease in leases:
            self._leases.deadlines.retry(lease, now + RETRY)

    def _suspend(self, silent: int, watched: int, now: float) -> None:
        began = not self.suspended
        self.suspended = f"{silent} of {watched} workspaces fell silent together; suspecting this server, not them"
        if began:
            self._suspended_at = now
            log.error("mass silence: expiry is suspended, suspect this server's network", silent=silent, of=watched)
            self._tell("EXPIRY_SUSPENDED", {"silent": silent, "watched": watched, "reason": self.suspended})

    def _tell(self, event_type: str, payload: dict[str, Any]) -> None:
        """Loudly: everybody who watches the fleet must know that silence is not being judged."""
        event = NewEvent(
            at=self._clock.now(), type=event_type, workspace_id=None, payload=payload, cause="silence_watch"
        )
        spawn(self._health.tell(event), name="tell of mass silence")

    async def _expire(self, lease: Lease, now: float) -> None:
        never_beat = lease.record.open(Symptom.AWAITING) is not None and lease.record.generation == 0
        observation = (
            ProvisioningExpired(self._leases.provisioning_deadline)
            if never_beat
            else LeaseExpired(max(now - lease.stamped, 0.0))
        )
        try:
            verdict = await self._health.observe(lease.id, observation, self._clock.now())
        except (NotFound, Gone):
            return
        except TruebeatError as error:
            log.warning("silence could not be written", workspace=lease.id, reason=error.message)
            if isinstance(error, Unavailable):
                self._leases.doubt.lost(self._clock.monotonic())
            self._again([lease], now)
            return
        if not verdict.changed and not self._leases.is_over(lease, self._clock.monotonic()):
            self._again([lease], now)
