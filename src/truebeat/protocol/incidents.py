"""Incidents over HTTP: from the first symptom to the verified recovery. Texts that agents wrote are "" for those who
may not see error texts.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct, field

from truebeat.domain.conditions import Status
from truebeat.protocol.testimony import EvidenceView


class IncidentView(Struct, kw_only=True):
    """One of GET /incidents. `symptom`, `witness` and `detail` are the first ones; `worst` is the worst status.

    recovery: how it ended ("restart verified by generation 4", "recovered in place", "resumed by itself",
    "beats returned", "removed by an operator"), "" while it is open. seconds: from opening to closing, or until now.
    """

    id: UUID
    workspace_id: UUID
    name: str
    opened_at: datetime
    closed_at: datetime | None
    seconds: float
    symptom: str
    witness: str
    detail: str
    worst: Status
    generation: int
    recovery: str


class StepView(Struct, kw_only=True):
    """One line of the timeline, oldest first.

    kind: "status" (text: the first open condition), "restart_ordered", or the kind of a supervisor's report.
    after: seconds since the incident opened, negative for what was reported of before. action: what the supervisor did.
    """

    at: datetime
    after: float
    kind: str
    by: str
    status: Status | None
    text: str
    action: str = ""
    generation: int | None = None
    facts: dict[str, str] = field(default_factory=dict)


class IncidentDetail(IncidentView, kw_only=True):
    """GET /incidents/{id}. `stack` (of every thread of the worker) and `stderr_tail` are the last that were reported.

    evidence: what the last beat had told when it opened, None for plain heartbeats.
    left_out: steps and reports that came after the bound.
    """

    timeline: list[StepView]
    evidence: EvidenceView | None
    stack: str
    stderr_tail: str
    left_out: int


class IncidentPage(Struct, kw_only=True):
    """GET /incidents: newest first; `next` is the `after` of the next page."""

    incidents: list[IncidentView]
    next: str | None = None
