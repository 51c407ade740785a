"""A message that was delivered, as the agent hears it.

The platform speaks to agents in lines that begin with [truebeat] and in blocks of results. What another workspace wrote
can't sound like that, whichever executor it goes to: the turn has it disarmed, and a report as data. Who wrote it is
what the server says. The task that the server keeps is unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from truebeat.clock import SystemClock
from truebeat.domain import envelope
from truebeat.protocol.delivery import ResultEnvelope
from truebeat.workspace.executors.base import Turn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from truebeat.protocol.delivery import Deliver

_REPORTS: Final = "[truebeat] A member of your team reports. Nobody waits for an answer: take it into account.\n\n"


def turn_of(order: Deliver) -> Turn:
    """The turn that the executor is given."""
    text, parts = order.text, tuple(order.parts)
    if order.sender.kind == "workspace":
        if any(_is_report(part) for part in parts):
            text = _REPORTS + envelope.render([_report(order)])
            parts = ({"text": text},)
        else:
            text = envelope.disarmed(text)
            parts = tuple(map(_disarmed, parts))
    return Turn(
        text,
        context_id=order.context_id,
        task_id=order.task_id,
        parts=parts,
        sender_kind=order.sender.kind,
        sender_name=order.sender.name,
        sender_id=order.sender.id,
        attempt=order.attempt,
        reply=order.reply,
        interrupted=order.interrupted,
        results=tuple(order.results),
    )


def _is_report(part: Mapping[str, Any]) -> bool:
    said = part.get("metadata")
    return isinstance(said, dict) and said.get(envelope.REPORT_PART) is True


def _report(order: Deliver) -> ResultEnvelope:
    said, truncated = envelope.cut(order.text, envelope.TEXT_LIMIT)
    return ResultEnvelope(
        delegation_id=order.task_id,
        from_id=order.sender.id,
        from_name=order.sender.name,
        asked="(a report, of its own accord)",
        state="completed",
        ended_at=SystemClock().now(),
        text=said,
        truncated=truncated,
        suspicious=envelope.suspicions(said),
    )


def _disarmed(part: dict[str, Any]) -> dict[str, Any]:
    text = part.get("text")
    return part | {"text": envelope.disarmed(text)} if isinstance(text, str) else part
