"""The availability extension: an agent that can't take work now says so, why, since when, and what happens about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from truebeat.protocol.tasks import Availability

URI: Final = "https://truebeat.dev/extensions/availability/v1"

DECLARATION: Final[dict[str, Any]] = {
    "uri": URI,
    "description": (
        "An answer to a message that can't start at once, and the end of a wait or stream whose agent became unable to "
        "take work, carry the facts in metadata under this URI. Send onUnavailable: reject there to get an error "
        "instead of a queued task."
    ),
    "required": False,
}


def facts(availability: Availability) -> dict[str, Any]:
    """As JSON; what is not known is left out. Durations are seconds, times RFC 3339."""
    known: dict[str, Any] = {
        "able": availability.able,
        "status": availability.status.value,
        "condition": None if availability.symptom is None else availability.symptom.value,
        "detail": availability.detail or None,
        "since": None if availability.since is None else availability.since.isoformat(),
        "restart": availability.restart,
        "linked": availability.linked,
        "queued": availability.queued,
        "queuePosition": availability.position,
        "retryAfter": availability.retry_after,
        "reason": availability.reason or None,
    }
    return {name: value for name, value in known.items() if value is not None}


def metadata(availability: Availability | None) -> dict[str, Any]:
    """Of a task whose agent can't take it now; nothing for one that can."""
    if availability is None or availability.able:
        return {}
    return {URI: facts(availability)}
