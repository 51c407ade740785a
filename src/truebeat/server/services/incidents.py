"""Incidents as supervisors report on them and as people read them. They open and close in `services/health.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from truebeat.clock import Clock
    from truebeat.protocol import link
    from truebeat.server.leases import Lease, Leases
    from truebeat.server.services.events import EventLog
    from truebeat.server.store.database import Database


class Incidents:
    def __init__(self, database: Database, leases: Leases, events: EventLog, clock: Clock) -> None:
        self._database = database
        self._leases = leases
        self._events = events
        self._clock = clock

    async def accept_report(self, lease: Lease, report: link.Report) -> None:
        """What a supervisor saw and did. It is on disk when this returns: settle it then. The same (boot, n) counts
        once. Errors: Unavailable (do not settle; it is repeated).
        """
