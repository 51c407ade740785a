"""What a message may be, and what tells one from another."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from truebeat.errors import Invalid, TooLarge
from truebeat.protocol.delivery import MESSAGE_LIMIT
from truebeat.protocol.tasks import KEY_LIMIT

if TYPE_CHECKING:
    from truebeat.protocol.tasks import NewTask

#: characters of a message's parts with its text, and bytes of the whole A2A message with its metadata, as JSON
ENVELOPE_LIMIT: Final = 2 * MESSAGE_LIMIT


def check_size(new: NewTask, key: str) -> None:
    """Errors: Invalid, TooLarge."""
    if not new.text and not new.parts:
        raise Invalid("text: a message needs a text or parts")
    if len(key) > KEY_LIMIT:
        raise Invalid(f"Idempotency-Key: at most {KEY_LIMIT} characters")
    size = len(new.text) + (len(msgspec.json.encode(new.parts)) if new.parts else 0)
    if len(new.text) > MESSAGE_LIMIT or size > ENVELOPE_LIMIT:
        raise TooLarge(f"a message is at most {MESSAGE_LIMIT} characters", limit=MESSAGE_LIMIT)
    rest: list[Any] = [thing for thing in (new.message, new.metadata) if thing]
    if rest and len(msgspec.json.encode(rest)) > ENVELOPE_LIMIT:
        raise TooLarge(f"a message with its metadata is at most {ENVELOPE_LIMIT} bytes", limit=ENVELOPE_LIMIT)


def fingerprint(new: NewTask) -> bytes:
    """Equal for messages that mean the same."""
    said = (new.text, new.parts, new.context_id, new.task_id, new.on_unavailable, new.on_interrupt, new.priority)
    return hashlib.sha256(msgspec.json.encode(said)).digest()
