"""The agent card of a workspace. It holds nothing that changes with its health, so that it can be cached."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from truebeat import __version__
from truebeat.server.a2a import availability

if TYPE_CHECKING:
    from collections.abc import Collection

    from truebeat.server.store.workspaces import WorkspaceRow

#: of an agent that registered none: the platform hands on whatever comes
_INPUT_MODES: Final = ("text/plain", "application/json", "*/*")
_OUTPUT_MODES: Final = ("text/plain", "application/json")
#: of a card that a workspace registered, what may be told to everybody
_SKILL_FIELDS: Final = ("id", "name", "description", "tags", "examples")
_SKILLS_SHOWN: Final = 50


def card(row: WorkspaceRow, base: str, *, push: bool, open_to_all: bool) -> dict[str, Any]:
    """A pure 1.0 card; `base` is the endpoint's URL without a slash at its end."""
    told = row.agent_card if isinstance(row.agent_card, dict) else {}
    described: dict[str, Any] = {
        "name": row.name,
        "description": _text(told.get("description")) or row.role or f"The agent {row.name}.",
        "version": _text(told.get("version")) or __version__,
        "supportedInterfaces": [
            {"url": base, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
            {"url": base, "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"},
        ],
        "capabilities": {
            "streaming": True,
            "pushNotifications": push,
            "extendedAgentCard": True,
            "extensions": [availability.DECLARATION],
        },
        "defaultInputModes": input_modes(row),
        "defaultOutputModes": list(_OUTPUT_MODES),
        "skills": _skills(told.get("skills"), row),
    }
    if not open_to_all:
        described["securitySchemes"] = {"bearer": {"httpAuthSecurityScheme": {"scheme": "Bearer"}}}
        described["securityRequirements"] = [{"schemes": {"bearer": {"list": []}}}]
    return described


def merged(pure: dict[str, Any]) -> dict[str, Any]:
    """The card with the fields of 0.3 beside those of 1.0: each client finds the ones it knows."""
    base = pure["supportedInterfaces"][0]["url"]
    old = f"{base}/v0.3"
    interfaces = [
        *pure["supportedInterfaces"],
        {"url": old, "protocolBinding": "JSONRPC", "protocolVersion": "0.3"},
        {"url": old, "protocolBinding": "HTTP+JSON", "protocolVersion": "0.3"},
    ]
    both = {
        **pure,
        "supportedInterfaces": interfaces,
        "protocolVersion": "0.3.0",
        "url": old,
        "preferredTransport": "JSONRPC",
        "additionalInterfaces": [{"url": old, "transport": "JSONRPC"}, {"url": old, "transport": "HTTP+JSON"}],
        "supportsAuthenticatedExtendedCard": True,
    }
    if "securitySchemes" in pure:
        scheme = {**pure["securitySchemes"]["bearer"], "type": "http", "scheme": "bearer"}
        both["securitySchemes"] = {"bearer": scheme}
        both["security"] = [{"bearer": []}]
    return both


def extended(pure: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """For those with a token: the same, and whether the agent can take work at this moment."""
    declaration = {**availability.DECLARATION, "params": facts}
    return {**pure, "capabilities": {**pure["capabilities"], "extensions": [declaration]}}


def encode(described: dict[str, Any]) -> tuple[bytes, str]:
    """(JSON, ETag)."""
    content = msgspec.json.encode(described)
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def input_modes(row: WorkspaceRow) -> list[str]:
    """The media types that the agent takes: those of the card it registered, else any."""
    told = row.agent_card.get("defaultInputModes") if isinstance(row.agent_card, dict) else None
    modes = [mode for mode in told if isinstance(mode, str) and "/" in mode] if isinstance(told, list) else []
    return modes[:_SKILLS_SHOWN] or list(_INPUT_MODES)


def accepts(modes: Collection[str], media_type: str) -> bool:
    """Whether a message part of this media type is taken; one that names none is."""
    plain = media_type.partition(";")[0].strip().lower()
    family = plain.partition("/")[0]
    return not plain or any(mode in modes for mode in (plain, f"{family}/*", "*/*"))


def _skills(told: Any, row: WorkspaceRow) -> list[dict[str, Any]]:
    skills = [_skill(skill) for skill in told[:_SKILLS_SHOWN]] if isinstance(told, list) else []
    found = [skill for skill in skills if skill]
    if found:
        return found
    return [{"id": "work", "name": row.name, "description": row.role or "Does what it is asked.", "tags": ["agent"]}]


def _skill(told: Any) -> dict[str, Any]:
    if not isinstance(told, dict) or not _text(told.get("id")) or not _text(told.get("name")):
        return {}
    skill = {name: _text(told.get(name)) for name in _SKILL_FIELDS[:3]}
    skill["description"] = skill["description"] or skill["name"]
    lists: dict[str, Any] = {}
    for name in _SKILL_FIELDS[3:]:
        given = told.get(name)
        lists[name] = [text for text in given if isinstance(text, str)] if isinstance(given, list) else []
    lists["tags"] = lists["tags"] or ["agent"]
    return {**skill, **{name: value for name, value in lists.items() if value}}


def _text(value: Any) -> str:
    return value[:2000] if isinstance(value, str) else ""
