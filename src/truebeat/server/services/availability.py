"""What the platform knows about whether a workspace can take work, as facts and as one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from truebeat.domain.health import Status, Symptom, rejects_work, takes_work
from truebeat.protocol.tasks import Availability

if TYPE_CHECKING:
    from datetime import datetime

    from truebeat.server.leases import Lease

#: seconds after which asking again makes sense, by what keeps it from working
RETRY_AFTER: Final = {Status.PROVISIONING: 5.0, Status.DEGRADED: 10.0, Status.OFFLINE: 30.0}


def of_lease(lease: Lease, queued: int, now: datetime, *, details: bool) -> Availability:
    """Of a living workspace, this moment. Never waits, never guesses."""
    record = lease.record
    able = takes_work(record) and lease.linked
    found = Availability(able=able, status=record.status, linked=lease.linked, queued=queued)
    if record.open(Symptom.QUARANTINED) or record.open(Symptom.OVERDUE):
        found.restart = "given_up"
    elif record.restart_pending or (record.open(Symptom.AWAITING) and record.generation > 0):
        found.restart = "pending"
    if record.conditions:
        first = record.conditions[0]
        found.symptom, found.since = first.symptom, first.since
        found.detail = first.detail if details else ""
    if not able and not rejects_work(record):
        found.retry_after = RETRY_AFTER.get(record.status, 5.0)
    found.reason = _sentence(lease, found, now)
    return found


def in_vain(lease: Lease) -> bool:
    """Whether waiting makes no sense now. A link that was lost a moment ago may be back before it counts as lost."""
    unsupervised = lease.record.generation == 0 or lease.plain
    return not takes_work(lease.record) or (not lease.linked and unsupervised)


def _sentence(lease: Lease, found: Availability, now: datetime) -> str:
    if found.able:
        return f"{lease.name} takes work"
    if found.symptom is None:
        return (
            f"{lease.name} has no open link that work could be carried over; its messages are kept until it has"
            if lease.record.generation == 0 or lease.plain
            else f"{lease.name} has lost its link; its messages are kept until it is back"
        )
    why = f": {found.detail}" if found.detail else ""
    if found.status is Status.FAILED:
        after = "an operator must restart it"
    elif found.restart == "pending":
        after = "a restart is under way; its messages are kept until it is verified healthy"
    else:
        after = "its messages are kept until it is healthy again"
    seconds = None if found.since is None else (now - found.since).total_seconds()
    if seconds is not None and seconds < 1:
        return f"{lease.name} became {found.status} ({found.symptom}) just now{why}; {after}"
    since = "" if seconds is None else f" for {_span(seconds)}"
    return f"{lease.name} is {found.status} ({found.symptom}){since}{why}; {after}"


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
