"""What is said to a remote A2A agent and what its answers mean, pure: wire versions 1.0 and 0.3, JSON-RPC."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from truebeat.workspace.executors.base import ConfigurationError, TurnError

#: what a method is called in 0.3
_OLD: Final = {
    "SendStreamingMessage": "message/stream",
    "GetTask": "tasks/get",
    "CancelTask": "tasks/cancel",
}
#: the field of a 1.0 result that holds it; and what `kind` says in 0.3
_KINDS: Final = {"task": "task", "message": "message", "statusUpdate": "status", "artifactUpdate": "artifact"}
_OLD_KINDS: Final = {"task": "task", "message": "message", "status-update": "status", "artifact-update": "artifact"}
FINAL: Final = frozenset({"completed", "failed", "canceled", "rejected"})
ASKING: Final = frozenset({"input-required", "auth-required"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where the agent answers JSON-RPC, and in which version."""

    url: str
    old: bool

    def body(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """One call."""
        return {"jsonrpc": "2.0", "id": 1, "method": _OLD[method] if self.old else method, "params": params}

    def message(
        self, message_id: str, parts: list[dict[str, Any]], context_id: str | None, task_id: str | None
    ) -> dict[str, Any]:
        """The parameters of a send. Parts come in the shape of 1.0."""
        message: dict[str, Any] = {"messageId": message_id, "role": "user" if self.old else "ROLE_USER"}
        if self.old:
            message["kind"] = "message"
        message["parts"] = [_old_part(part) if self.old else part for part in parts]
        if context_id:
            message["contextId"] = context_id
        if task_id:
            message["taskId"] = task_id
        return {"message": message}

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.old else {"A2A-Version": "1.0"}


def place_of(card: Any, base: str, version: str = "newest") -> Place:
    """From the agent's card: the version wanted ("1.0", "0.3"), or 1.0 if it speaks that, else 0.3. It must be on the
    host that was asked for the card, so that no card can send the token elsewhere.
    """
    if not isinstance(card, dict):
        raise ConfigurationError(f"{base} gave no agent card")
    offers = [one for one in _list(card.get("supportedInterfaces")) if one.get("protocolBinding") == "JSONRPC"]
    for old in [old for old in (False, True) if version in {"newest", "0.3" if old else "1.0"}]:
        for offer in offers:
            if str(offer.get("protocolVersion", "")).startswith("0.") == old:
                return Place(_same_host(offer.get("url"), base), old)
    urls = [card] if card.get("preferredTransport", "JSONRPC") == "JSONRPC" else []
    urls += [one for one in _list(card.get("additionalInterfaces")) if one.get("transport") == "JSONRPC"]
    for one in urls:
        if one.get("url") and version != "1.0":
            return Place(_same_host(one["url"], base), old=True)
    raise ConfigurationError(f"the agent at {base} offers no JSON-RPC interface of version {version}")


@dataclass(slots=True)
class Answer:
    """What is known of the remote task, from each result that came."""

    task_id: str = ""
    context_id: str = ""
    state: str = "submitted"
    #: of the last status: the answer, the question, the error or a note
    said: str = ""
    #: text of the artifacts, by id, in the order they came
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The whole answer: the artifacts' text, else what the status says."""
        return "\n".join(text for text in self.texts.values() if text) or self.said

    def hear(self, result: Any) -> list[tuple[str, str, list[dict[str, Any]]]]:
        """One result of a stream, or a task: what is new in it, as (kind "text", "note" or "artifact", text, parts)."""
        kind, body = _unwrap(result)
        match kind:
            case "message":
                self.context_id = _text(body.get("contextId")) or self.context_id
                self.state, self.said = "completed", _texts(body.get("parts"))
                return []
            case "task":
                self.task_id = _text(body.get("id")) or self.task_id
                self.context_id = _text(body.get("contextId")) or self.context_id
                self._status(body.get("status"))
                return [
                    new for artifact in _list(body.get("artifacts")) for new in self._artifact(artifact, whole=True)
                ]
            case "status":
                self.task_id = _text(body.get("taskId")) or self.task_id
                self.context_id = _text(body.get("contextId")) or self.context_id
                self._status(body.get("status"))
                return [("note", self.said, [])] if self.said and self.state not in FINAL | ASKING else []
            case _:
                return self._artifact(body.get("artifact"), whole=not body.get("append"))

    def _status(self, status: Any) -> None:
        if isinstance(status, dict):
            self.state = _text(status.get("state")).lower().removeprefix("task_state_").replace("_", "-") or self.state
            message = status.get("message")
            self.said = _texts(message.get("parts")) if isinstance(message, dict) else ""

    def _artifact(self, artifact: Any, *, whole: bool) -> list[tuple[str, str, list[dict[str, Any]]]]:
        if not isinstance(artifact, dict):
            return []
        name = _text(artifact.get("artifactId")) or _text(artifact.get("name"))
        parts = _list(artifact.get("parts"))
        text, before = _texts(parts), self.texts.get(name, "")
        self.texts[name] = text if whole else before + text
        others = [part for part in parts if not _text(part.get("text"))]
        new: list[tuple[str, str, list[dict[str, Any]]]] = []
        added = text.removeprefix(before) if whole and text.startswith(before) else text
        if added:
            new.append(("text", added, []))
        if others:
            new.append(("artifact", _text(artifact.get("name")) or name, others))
        return new


def result_of(answer: Any) -> Any:
    """The result of a JSON-RPC answer; raises TurnError with the remote's own words."""
    if not isinstance(answer, dict) or ("result" not in answer and "error" not in answer):
        raise TurnError("the remote agent's answer is no JSON-RPC")
    if (error := answer.get("error")) is not None:
        said = error.get("message") if isinstance(error, dict) else error
        raise TurnError(f"the remote agent refuses: {said}")
    return answer["result"]


def _unwrap(result: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(result, dict):
        for kind, name in (
            ("task", "task"),
            ("message", "message"),
            ("status", "statusUpdate"),
            ("artifact", "artifactUpdate"),
        ):
            if isinstance(result.get(name), dict) and "kind" not in result:
                return kind, result[name]
        old = {"task": "task", "message": "message", "status-update": "status", "artifact-update": "artifact"}
        if result.get("kind") in old:
            return old[result["kind"]], result
        if isinstance(result.get("status"), dict) and "id" in result:
            return "task", result
    raise TurnError("the remote agent's answer is neither a task, a message nor an update")


def _same_host(url: Any, base: str) -> str:
    there, here = urlsplit(_text(url)), urlsplit(base)
    if there.scheme not in {"http", "https"} or there.hostname != here.hostname:
        raise ConfigurationError(f"the card of {base} names an address on another host: {url!r}")
    return _text(url)


def _old_part(part: dict[str, Any]) -> dict[str, Any]:
    if "text" in part:
        return {"kind": "text", "text": part["text"]}
    if "data" in part:
        return {"kind": "data", "data": part["data"]}
    raise TurnError("the remote agent speaks A2A 0.3, to which only text and data are bridged")


def _texts(parts: Any) -> str:
    return "".join(_text(part.get("text")) for part in _list(parts))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
