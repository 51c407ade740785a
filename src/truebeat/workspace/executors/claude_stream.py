"""What the SDK's messages of one turn mean: outputs, phases, and whether the answer is complete. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from truebeat.workspace.executors.base import InPhase, Output, Progress, Text, ToolFinished, ToolStarted

if TYPE_CHECKING:
    from collections.abc import Iterator

#: seconds that a retry may take beyond its announced delay before it stands still
RETRY_SLACK: Final = 30.0


class Reader:
    """One turn. `read` gives the outputs of a message; a message that gives none is no progress."""

    def __init__(self, sdk: Any) -> None:
        self._sdk = sdk
        self._pieces: list[str] = []
        self._streamed = False
        self._tools: dict[str, str] = {}
        self._hooks = 0
        self._ended = False
        self.phase = ""
        self.session = ""
        #: the ResultMessage, once it came
        self.result: Any = None

    @property
    def text(self) -> str:
        """The answer as far as it came."""
        return "".join(self._pieces)

    @property
    def final(self) -> bool:
        """The model has ended its turn and nothing else runs: only the result is missing."""
        return self._ended and not self._tools and not self._hooks

    @property
    def in_tool(self) -> bool:
        return bool(self._tools)

    def enter(self, phase: str, bound: float | None = None) -> Iterator[Output]:
        """The phase, if it is another one or has a bound of its own."""
        if phase != self.phase or bound is not None:
            self.phase = phase
            yield InPhase(phase, bound)

    def read(self, message: Any) -> Iterator[Output]:
        sdk = self._sdk
        if isinstance(message, sdk.ResultMessage):
            self.result = message
            self.session = message.session_id or self.session
        elif getattr(message, "parent_tool_use_id", None) is not None:
            yield Progress("subagent")
        elif isinstance(message, sdk.types.StreamEvent):
            yield from self._event(message.event)
        elif isinstance(message, sdk.AssistantMessage):
            yield from self._assistant(message)
        elif isinstance(message, sdk.UserMessage):
            yield from self._tool_results(message)
        elif isinstance(message, sdk.types.HookEventMessage):
            self._hooks = max(0, self._hooks + (1 if message.subtype == "hook_started" else -1))
            yield Progress(f"{message.subtype} {message.hook_event_name}")
        elif isinstance(message, sdk.SystemMessage):
            yield from self._system(message.subtype, message.data)
        else:
            yield Progress(type(message).__name__)

    def _event(self, event: dict[str, Any]) -> Iterator[Output]:
        kind = str(event.get("type", "stream"))
        # an upstream that sends only pings does not move
        if kind == "ping":
            return
        delta = event.get("delta") or {}
        if kind == "message_start":
            self._ended = False
        elif kind == "message_delta" and delta.get("stop_reason") is not None:
            self._ended = delta["stop_reason"] == "end_turn"
        if not self._tools:
            yield from self.enter("waiting_model")
        if delta.get("type") == "text_delta" and delta.get("text"):
            self._streamed = True
            self._pieces.append(delta["text"])
            yield Text(delta["text"])
        else:
            yield Progress(kind)

    def _assistant(self, message: Any) -> Iterator[Output]:
        sdk = self._sdk
        if message.stop_reason is not None:
            self._ended = message.stop_reason == "end_turn"
        for block in message.content:
            if isinstance(block, sdk.TextBlock):
                if not self._streamed and message.error is None:
                    self._pieces.append(block.text)
                    yield Text(block.text)
                else:
                    yield Progress("text")
            elif isinstance(block, sdk.ToolUseBlock):
                self._tools[block.id] = block.name
                self.phase = "in_tool"
                yield ToolStarted(block.name)
            else:
                yield Progress(type(block).__name__)
        self._streamed = False

    def _tool_results(self, message: Any) -> Iterator[Output]:
        blocks = message.content if isinstance(message.content, list) else []
        for block in blocks:
            if isinstance(block, self._sdk.ToolResultBlock):
                name = self._tools.pop(block.tool_use_id, None)
                if name is not None:
                    yield ToolFinished(name)
        if not self._tools:
            yield from self.enter("waiting_model")

    def _system(self, subtype: str, data: dict[str, Any]) -> Iterator[Output]:
        self.session = str(data.get("session_id") or self.session)
        if subtype == "api_retry":
            delay = data.get("retry_delay_ms")
            seconds = max(0.0, float(delay)) / 1000 if isinstance(delay, int | float) else 0.0
            yield from self.enter("upstream_retry", seconds + RETRY_SLACK)
        elif subtype == "status" and data.get("status") == "compacting":
            yield from self.enter("compacting")
        elif subtype in {"status", "compact_boundary"} and not self._tools:
            yield from self.enter("waiting_model")
        yield Progress(subtype)
