"""A target for the A2A technology compatibility kit: does what the start of a message's id asks for.

    truebeat run tck --agent python --option capacity=8 tck_agent:answer

docs/a2a.md says how to run the kit against it. `TCK_STREAMING_TIMEOUT` (seconds) is the kit's own setting.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from truebeat import Artifact, InputRequired, Result, TurnError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from truebeat import Output, Turn

_FILE = {"filename": "output.txt", "mediaType": "text/plain"}
#: by what the id starts with: the artifacts that the turn puts out. The longest start that fits counts.
ARTIFACTS = {
    "tck-artifact-text": [{"text": "Generated text content"}],
    "tck-artifact-file": [{"raw": "dGNr", **_FILE}],
    "tck-artifact-file-url": [{"url": "https://example.com/output.txt", **_FILE}],
    "tck-artifact-data": [{"data": {"key": "value", "count": 42}}],
    "tck-stream-001": [{"text": "Stream hello from TCK"}],
    "tck-stream-003": [{"text": "Stream task lifecycle"}],
    "tck-stream-ordering-001": [{"text": "Ordered output"}],
    "tck-stream-artifact-text": [{"text": "Streamed text content"}],
    "tck-stream-artifact-file": [{"raw": "dGNr", **_FILE}],
    "tck-stream-artifact-chunked": [{"text": "chunk-1 "}, {"text": "chunk-2"}],
}
#: an artifact of this name is the answer as a message instead of a task, and the key of the message's own fields
MESSAGE = "https://truebeat.dev/a2a/message"
ANSWERS = {"tck-complete-task": "Hello from TCK"}
LONG = "test-resubscribe-message-id"


async def answer(_text: str, turn: Turn) -> AsyncIterator[Output]:
    """One turn."""
    message_id = turn.parts[0]["metadata"][MESSAGE]["messageId"]
    if message_id.startswith("tck-input-required"):
        yield InputRequired("More, please")
        return
    if message_id.startswith("tck-reject-task"):
        raise TurnError("rejected")
    if message_id.startswith(LONG):
        await asyncio.sleep(2 * float(os.environ.get("TCK_STREAMING_TIMEOUT", "2")))
    if message_id.startswith("tck-message-response"):
        yield Artifact(MESSAGE, ({"text": "Direct message response"},))
    for part in _of(ARTIFACTS, message_id, []):
        yield Artifact("output", (part,))
    yield Result(_of(ANSWERS, message_id, ""))


def _of(table: dict[str, Any], message_id: str, otherwise: Any) -> Any:
    fitting = [start for start in table if message_id.startswith(start)]
    return table[max(fitting, key=len)] if fitting else otherwise
