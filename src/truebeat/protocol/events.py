"""The event log's entries: an append-only log, gap-free per reader, pruned by age."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct


class Event(Struct, kw_only=True):
    """One entry.

    type: WORKSPACE_PROVISIONING, _ONLINE, _OFFLINE, _DEGRADED, _FAILED, _REMOVED: the judged status, with
    payload {name, status, previous, conditions, sample_error}; RESTART_ORDERED with payload {restart_id, by, detail}.
    INCIDENT_OPENED {name, incident_id, symptom, witness, detail}, INCIDENT_UPDATED (a supervisor's report) {name,
    incident_id, kind, detail, action, generation}, INCIDENT_CLOSED {name, incident_id, symptom, recovery, seconds}.
    DELEGATION_CREATED, _COMPLETED, _FAILED, _CANCELED, _REJECTED, _INPUT_REQUIRED, _AUTH_REQUIRED, _GIVEN (to a turn
    of its source), of the source: {name, delegation_id, source_id, source_name, target_id, target_name, root_id,
    depth}, the ends also {state, reason}; DELEGATION_CONSUMED {name, delegation_id}. NOTIFICATION {name,
    notification_id, delegation_id, type, message, link}; NOTIFICATION_READ, of no workspace: {notification_id, older},
    with `older` all before it too. TASK_RESULT_REFUSED: a result that counts for nothing.
    EXPIRY_SUSPENDED and EXPIRY_RESUMED, of no workspace: so many are silent together that the server suspects itself;
    payload {silent, watched, reason}. WATCH_BEGAN, of no workspace: a server began to watch, and from `unwatched_since`
    (ISO 8601), the last sign that one did, until then nobody watched.
    cause: the observation that did it (beat, lease_expired, ...), or who ordered it.
    """

    seq: int
    at: datetime
    type: str
    workspace_id: UUID | None
    payload: dict[str, Any]
    cause: str


class Pulse(Struct, kw_only=True, tag="pulse"):
    """A frame of a stream that asked for it (`pulse`): all up to the event `seq` was sent, and the server is alive.

    at: by the server's clock. unsure: why no status may be believed now; "" normally.
    """

    at: datetime
    seq: int
    unsure: str


class EventPage(Struct, kw_only=True):
    """GET /events?since=SEQ: events after SEQ, oldest first; `seq` is the last event there is."""

    events: list[Event]
    seq: int
