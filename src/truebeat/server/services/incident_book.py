"""What one batch of observations does to incidents: gathered while it is judged, written in its transaction."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

import msgspec

from truebeat.domain.conditions import Status, Symptom, Witness
from truebeat.domain.health import RestartOrdered
from truebeat.domain.incidents import Incident, Step, turn
from truebeat.server.leases import OpenIncident
from truebeat.server.services.testimony import evidence
from truebeat.server.store import incidents as incident_store
from truebeat.server.store.events import NewEvent
from truebeat.server.store.incidents import IncidentRow, OpenRow, Proceeding

if TYPE_CHECKING:
    from datetime import datetime

    from truebeat.clock import Clock
    from truebeat.domain.health import Observation, Verdict
    from truebeat.server.leases import Lease, Leases

#: characters of a condition's detail in a timeline; the incident and the events have the whole
STEP_TEXT: Final = 500


@dataclass(slots=True)
class _Draft:
    """One incident of this batch."""

    lease: Lease
    first: Incident
    incident: Incident
    new: bool
    steps: list[Step] = field(default_factory=list)
    evidence: dict[str, Any] | None = None
    closed_at: datetime | None = None
    recovery: str = ""


class IncidentBook:
    """`note` each verdict in order, `write` in the transaction, `settle` once it is committed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._drafts: dict[UUID, _Draft] = {}
        self._open: dict[Lease, OpenIncident | None] = {}

    def note(self, lease: Lease, observation: Observation, verdict: Verdict, now: datetime) -> list[NewEvent]:
        """The events that this change of a record adds to its announcement."""
        present = self._open.get(lease, lease.incident)
        if isinstance(observation, RestartOrdered) and present is not None:
            present = self._restart_ordered(lease, present, observation, verdict, now)
        if verdict.announcement is None:
            return []
        found = turn(present.incident if present else None, verdict.announcement, verdict.record.generation, now)
        if found.incident is not None:
            following = OpenIncident(present.id if present else uuid4(), found.incident)
            draft = self._draft(lease, following, new=found.opened)
            draft.incident = found.incident
            draft.steps.extend(found.steps)
            self._open[lease] = following
            return [_opened(lease, following, now)] if found.opened else []
        if present is None:
            return []
        draft = self._draft(lease, present, new=False)
        draft.steps.extend(found.steps)
        draft.closed_at, draft.recovery = now, found.recovery
        self._open[lease] = None
        return [_closed(lease, present, found.recovery, now)]

    def _restart_ordered(
        self, lease: Lease, present: OpenIncident, order: RestartOrdered, verdict: Verdict, now: datetime
    ) -> OpenIncident:
        following = OpenIncident(present.id, replace(present.incident, ordered_by=order.by))
        draft = self._draft(lease, following, new=False)
        draft.incident = following.incident
        draft.steps.append(Step(now, "restart_ordered", verdict.record.status, order.by, order.reason))
        self._open[lease] = following
        return following

    def _draft(self, lease: Lease, present: OpenIncident, *, new: bool) -> _Draft:
        draft = self._drafts.get(present.id)
        if draft is None:
            draft = self._drafts[present.id] = _Draft(lease, present.incident, present.incident, new)
            if new and (seen := evidence(lease, self._clock, details=True)) is not None:
                draft.evidence = msgspec.to_builtins(seen)
        return draft

    async def write(self, connection: Any) -> None:
        """Before the events, in the same transaction."""
        await incident_store.open_all(
            connection, [_row(incident_id, draft) for incident_id, draft in self._drafts.items() if draft.new]
        )
        await incident_store.proceed(
            connection,
            [
                Proceeding(
                    incident_id,
                    draft.incident.worst.value,
                    [told(step) for step in draft.steps],
                    draft.closed_at,
                    draft.recovery,
                )
                for incident_id, draft in self._drafts.items()
                if not draft.new
            ],
        )

    def settle(self) -> None:
        """What was written is what is known from now on."""
        for lease, present in self._open.items():
            before, lease.incident = lease.incident, present
            if present is not None and before is not None and before.incident.repaired:
                # The report of a repair may have come while this was being written.
                lease.incident = OpenIncident(present.id, replace(present.incident, repaired=True))


def _row(incident_id: UUID, draft: _Draft) -> IncidentRow:
    first = draft.first
    return IncidentRow(
        id=incident_id,
        workspace_id=UUID(draft.lease.id),
        opened_at=first.opened_at,
        closed_at=draft.closed_at,
        symptom=first.symptom.value,
        witness=first.witness.value,
        detail=first.detail,
        worst=draft.incident.worst.value,
        generation=first.generation,
        recovery=draft.recovery,
        evidence=draft.evidence,
        timeline=[told(step) for step in draft.steps],
    )


def told(step: Step) -> dict[str, Any]:
    """A step as the timeline on disk has it."""
    return {
        "at": step.at.isoformat(),
        "kind": step.kind,
        "status": step.status.value,
        "cause": step.cause,
        "text": step.text[:STEP_TEXT],
        "conditions": [
            {
                "symptom": condition.symptom.value,
                "witness": condition.witness.value,
                "detail": condition.detail[:STEP_TEXT],
                "generation": condition.generation,
            }
            for condition in step.conditions
        ],
    }


async def load(connection: Any, leases: Leases) -> None:
    """A starting server goes on with the incidents that are open."""
    for row in await incident_store.still_open(connection):
        if (lease := leases.get(str(row.workspace_id))) is not None:
            lease.incident = _found(row)


async def open_of(connection: Any, workspace_ids: list[UUID]) -> dict[UUID, OpenIncident]:
    """What is open of these workspaces on disk, by workspace."""
    rows = await incident_store.still_open(connection, workspace_ids)
    return {row.workspace_id: _found(row) for row in rows}


def _found(row: OpenRow) -> OpenIncident:
    seen = {condition["symptom"] for step in row.timeline for condition in step["conditions"]}
    orders = [step["cause"] for step in row.timeline if step["kind"] == "restart_ordered"]
    incident = Incident(
        Symptom(row.symptom),
        Witness(row.witness),
        row.detail,
        row.opened_at,
        row.generation,
        Status(row.worst),
        only_silence=seen <= {Symptom.SILENT.value, Symptom.AWAITING.value},
        repaired=row.repaired,
        ordered_by=orders[-1] if orders else "",
    )
    return OpenIncident(row.id, incident)


def _opened(lease: Lease, present: OpenIncident, now: datetime) -> NewEvent:
    incident = present.incident
    return NewEvent(
        at=now,
        type="INCIDENT_OPENED",
        workspace_id=UUID(lease.id),
        payload={
            "name": lease.name,
            "incident_id": str(present.id),
            "symptom": incident.symptom.value,
            "witness": incident.witness.value,
            "detail": incident.detail,
        },
        cause=incident.witness.value,
    )


def _closed(lease: Lease, present: OpenIncident, recovery: str, now: datetime) -> NewEvent:
    return NewEvent(
        at=now,
        type="INCIDENT_CLOSED",
        workspace_id=UUID(lease.id),
        payload={
            "name": lease.name,
            "incident_id": str(present.id),
            "symptom": present.incident.symptom.value,
            "recovery": recovery,
            "seconds": round(max((now - present.incident.opened_at).total_seconds(), 0.0), 3),
        },
        cause=present.incident.witness.value,
    )
