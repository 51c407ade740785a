"""The dialect of 0.3 clients, in its bare shapes too: completed to what the SDK's adapter takes."""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

from truebeat.server.a2a.wire import invalid_params, no_such_method

METHODS: Final = frozenset(
    {
        "message/send",
        "message/stream",
        "tasks/get",
        "tasks/cancel",
        "tasks/resubscribe",
        "tasks/pushNotificationConfig/set",
        "tasks/pushNotificationConfig/get",
        "tasks/pushNotificationConfig/list",
        "tasks/pushNotificationConfig/delete",
        "agent/getAuthenticatedExtendedCard",
    }
)
_SENDS: Final = frozenset({"message/send", "message/stream"})


def is_legacy(body: Any) -> bool:
    """By a method name of 0.3."""
    method = body.get("method") if isinstance(body, dict) else None
    return isinstance(method, str) and method in METHODS


def complete(body: dict[str, Any], version: str) -> dict[str, Any]:
    """The same request with whatever its shape left out.

    Errors: RefusedError: the parameters are no use, or the request says that it is of another version.
    """
    if version and not version.startswith("0."):
        raise no_such_method(f"a method of A2A 0.3, which A2A-Version {version[:20]} does not have")
    completed = {**body, "jsonrpc": body.get("jsonrpc", "2.0"), "id": body.get("id") or str(uuid4())}
    if body["method"] not in _SENDS:
        return completed
    params = body.get("params")
    if not isinstance(params, dict) or not isinstance(params.get("message"), dict):
        raise invalid_params("params.message: an object is needed")
    message = params["message"]
    parts = message.get("parts")
    if not isinstance(parts, list) or not parts:
        raise invalid_params("params.message.parts: a list with at least one part is needed")
    whole = {
        **message,
        "kind": "message",
        "role": message.get("role", "user"),
        "messageId": message.get("messageId") or str(uuid4()),
        "parts": [_part(part, place) for place, part in enumerate(parts)],
    }
    return {**completed, "params": {**params, "message": whole}}


def _part(part: Any, place: int) -> dict[str, Any]:
    if not isinstance(part, dict):
        raise invalid_params(f"params.message.parts[{place}]: an object is needed")
    if "kind" in part:
        return part
    kind = part.get("type") or next((name for name in ("text", "file", "data") if name in part), None)
    if kind not in {"text", "file", "data"}:
        raise invalid_params(f"params.message.parts[{place}].kind: one of text, file, data")
    return {**{name: value for name, value in part.items() if name != "type"}, "kind": kind}
