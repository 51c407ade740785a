"""Incidents as supervisors report on them and as people read them. They open and close in `services/health.py`."""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

import msgspec

from truebeat.domain.access import Permission
from truebeat.domain.conditions import DETAIL_LIMIT, Status, Symptom, Witness
from truebeat.domain.incidents import CALM_KINDS, IN_PLACE, NEAR, OVER, REPAIRED, RESUMED
from truebeat.errors import Invalid, NotFound
from truebeat.protocol import link
from truebeat.protocol.incidents import IncidentDetail, IncidentPage, IncidentView, StepView
from truebeat.protocol.testimony import EvidenceView
from truebeat.server.leases import OpenIncident
from truebeat.server.store import events as event_store
from truebeat.server.store import incidents as incident_store
from truebeat.server.store.events import NewEvent
from truebeat.server.store.incidents import IncidentRow, LooseRow, ReportRow

if TYPE_CHECKING:
    from truebeat.clock import Clock
    from truebeat.domain.access import Principal
    from truebeat.server.leases import Lease
    from truebeat.server.services.events import EventLog
    from truebeat.server.store.database import Database

#: seconds ago that a report may claim to be of
OLDEST: Final = 7 * 86400.0
#: facts of one report, and characters of each name and value
FACTS_LIMIT: Final = 32
FACT_CHARACTERS: Final = 300


class Incidents:
    def __init__(self, database: Database, events: EventLog, clock: Clock) -> None:
        self._database = database
        self._events = events
        self._clock = clock

    # --- supervisors -------------------------------------------------------------------------------------------------

    async def accept_report(self, lease: Lease, report: link.Report) -> None:
        """What a supervisor saw and did. It is on disk when this returns: settle it then. The same (boot, n) counts
        once. Errors: Unavailable (do not settle; it is repeated).
        """
        row = _report_row(lease, report, self._clock.now())
        written = []
        async with self._database.transaction() as connection:
            stored, incident_id = await incident_store.attach(connection, row)
            if stored and incident_id is not None:
                if row.kind == REPAIRED:
                    await incident_store.repaired(connection, incident_id, RESUMED, IN_PLACE)
                written = await event_store.append(connection, [_updated(lease, row, incident_id, self._clock.now())])
        present = lease.incident
        if row.kind == REPAIRED and present is not None and present.id == incident_id:
            lease.incident = OpenIncident(present.id, replace(present.incident, repaired=True))
        self._events.publish(written)

    async def gather_loose(self) -> int:
        """Reports that no incident opened for become one of their own, closed already: a restart that nobody noticed
        is told nevertheless. Reports of nothing wrong are dropped. Returns how many incidents were made.
        """
        now = self._clock.now()
        before = now - timedelta(seconds=NEAR)
        new_events: list[NewEvent] = []
        async with self._database.transaction() as connection:
            found = await incident_store.loose(connection, before)
            for workspace_id, group in groupby(found, key=lambda row: row.workspace_id):
                if (incident := _unnoticed(list(group))) is None:
                    await incident_store.drop_loose(connection, workspace_id, before)
                    continue
                await incident_store.open_all(connection, [incident], adopt=None)
                await incident_store.give(connection, workspace_id, incident.id, before)
                new_events.extend(_told_late(incident, now))
            written = await event_store.append(connection, new_events)
        self._events.publish(written)
        return len(new_events) // 2

    # --- people ------------------------------------------------------------------------------------------------------

    async def page(
        self, after: str | None, limit: int, principal: Principal, *, open_: bool | None, workspace_id: UUID | None
    ) -> IncidentPage:
        """Newest first."""
        cursor = None if after is None else _parse_cursor(after)
        async with self._database.acquire() as connection:
            rows = await incident_store.page(
                connection, after=cursor, limit=limit, open_=open_, workspace_id=workspace_id
            )
        now = self._clock.now()
        return IncidentPage(
            incidents=[IncidentView(**_fields(row, now, details=_details(row, principal))) for row in rows],
            next=_cursor(rows[-1]) if len(rows) == limit else None,
        )

    async def show(self, incident_id: UUID, principal: Principal) -> IncidentDetail:
        """Errors: NotFound."""
        async with self._database.acquire() as connection:
            row = await incident_store.get(connection, incident_id)
            reports = [] if row is None else await incident_store.reports(connection, incident_id)
        if row is None:
            raise NotFound("no such incident; old ones are dropped with the events of their time")
        details = _details(row, principal)
        steps = [_step(row, told) for told in row.timeline] + [_report_step(row, report) for report in reports]
        steps.sort(key=lambda step: step.at)
        if not details:
            for step in steps:
                step.text = step.action = ""
                step.facts = {}
        last = [report for report in reports if details]
        return IncidentDetail(
            **_fields(row, self._clock.now(), details=details),
            timeline=steps,
            evidence=_evidence(row, details=details),
            stack=next((report.stack for report in reversed(last) if report.stack), ""),
            stderr_tail=next((report.stderr_tail for report in reversed(last) if report.stderr_tail), ""),
            left_out=row.left_out,
        )


def _report_row(lease: Lease, report: link.Report, now: datetime) -> ReportRow:
    facts = list(report.facts.items())[:FACTS_LIMIT]
    return ReportRow(
        workspace_id=UUID(lease.id),
        boot=0 if lease.told is None else lease.told.boot,
        n=report.n,
        at=now - timedelta(seconds=min(report.age, OLDEST)),
        generation=report.generation,
        kind=report.kind,
        detail=report.detail[:DETAIL_LIMIT],
        action=report.action[:DETAIL_LIMIT],
        stack=report.stack[: link.STACK_LIMIT],
        stderr_tail=report.stderr_tail[-link.STDERR_LIMIT :],
        facts={name[:FACT_CHARACTERS]: value[:FACT_CHARACTERS] for name, value in facts},
    )


def _updated(lease: Lease, row: ReportRow, incident_id: UUID, now: datetime) -> NewEvent:
    return NewEvent(
        at=now,
        type="INCIDENT_UPDATED",
        workspace_id=row.workspace_id,
        payload={
            "name": lease.name,
            "incident_id": str(incident_id),
            "kind": row.kind,
            "detail": row.detail,
            "action": row.action,
            "generation": row.generation,
        },
        cause="report",
    )


def _unnoticed(rows: list[LooseRow]) -> IncidentRow | None:
    """An incident of their own for these reports of one workspace; None if they tell of nothing wrong."""
    first = next((row for row in rows if row.kind not in CALM_KINDS), None)
    if first is None:
        return None
    return IncidentRow(
        id=uuid4(),
        workspace_id=first.workspace_id,
        opened_at=rows[0].at,
        closed_at=rows[-1].at,
        symptom=Symptom.WEDGED.value,
        witness=Witness.SUPERVISOR.value,
        detail=first.detail or first.kind,
        worst=Status.ONLINE.value,
        generation=first.generation,
        recovery=OVER,
        name=first.name,
    )


def _told_late(incident: IncidentRow, now: datetime) -> list[NewEvent]:
    facts = {"name": incident.name, "incident_id": str(incident.id), "symptom": incident.symptom}
    closed_at = incident.closed_at or incident.opened_at
    seconds = round((closed_at - incident.opened_at).total_seconds(), 3)
    opened = {**facts, "witness": incident.witness, "detail": incident.detail}
    return [
        NewEvent(now, "INCIDENT_OPENED", incident.workspace_id, opened, "report"),
        NewEvent(
            now, "INCIDENT_CLOSED", incident.workspace_id, {**facts, "recovery": OVER, "seconds": seconds}, "report"
        ),
    ]


def _details(row: IncidentRow, principal: Principal) -> bool:
    return principal.may_see_details(str(row.workspace_id)) or principal.may(Permission.SEE_DETAILS)


def _fields(row: IncidentRow, now: datetime, *, details: bool) -> dict[str, Any]:
    """What IncidentView and IncidentDetail have in common."""
    return {
        "id": row.id,
        "workspace_id": row.workspace_id,
        "name": row.name,
        "opened_at": row.opened_at,
        "closed_at": row.closed_at,
        "seconds": round(max(((row.closed_at or now) - row.opened_at).total_seconds(), 0.0), 3),
        "symptom": row.symptom,
        "witness": row.witness,
        "detail": row.detail if details else "",
        "worst": Status(row.worst),
        "generation": row.generation,
        "recovery": row.recovery,
    }


def _step(row: IncidentRow, told: dict[str, Any]) -> StepView:
    at = datetime.fromisoformat(told["at"])
    conditions = told["conditions"]
    text = told["text"] or (f"{conditions[0]['symptom']}: {conditions[0]['detail']}" if conditions else "")
    return StepView(
        at=at,
        after=round((at - row.opened_at).total_seconds(), 3),
        kind=told["kind"],
        by=conditions[0]["witness"] if conditions and told["kind"] == "status" else told["cause"],
        status=Status(told["status"]),
        text=text,
    )


def _report_step(row: IncidentRow, report: ReportRow) -> StepView:
    return StepView(
        at=report.at,
        after=round((report.at - row.opened_at).total_seconds(), 3),
        kind=report.kind,
        by=Witness.SUPERVISOR.value,
        status=None,
        text=report.detail,
        action=report.action,
        generation=report.generation,
        facts=report.facts,
    )


def _evidence(row: IncidentRow, *, details: bool) -> EvidenceView | None:
    """None also for what another version of truebeat stored in a shape of its own."""
    if row.evidence is None:
        return None
    try:
        seen = msgspec.convert(row.evidence, EvidenceView)
    except msgspec.ValidationError:
        return None
    if not details:
        seen.stall = seen.note = ""
        seen.holding = []
        if seen.canary is not None:
            seen.canary.detail = ""
    return seen


def _cursor(row: IncidentRow) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((row.opened_at, row.id))).decode().rstrip("=")


def _parse_cursor(text: str) -> tuple[datetime, UUID]:
    try:
        content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        opened_at, incident_id = msgspec.json.decode(content, type=tuple[datetime, UUID])
    except (ValueError, binascii.Error, msgspec.DecodeError, UnicodeError):
        raise Invalid("after: use the `next` of the page before") from None
    if opened_at.tzinfo is None:
        raise Invalid("after: use the `next` of the page before")
    return opened_at, incident_id
