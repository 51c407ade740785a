"""What the messages of a turn mean: outputs, phases, and when only the result is missing."""

from __future__ import annotations

from typing import Any

import pytest

from truebeat.workspace.executors.base import InPhase, Output, Progress, Text, ToolFinished, ToolStarted
from truebeat.workspace.executors.claude_recovery import naming
from truebeat.workspace.executors.claude_stream import Reader

sdk = pytest.importorskip("claude_agent_sdk")
types = pytest.importorskip("claude_agent_sdk.types")


def event(kind: str, **fields: Any) -> Any:
    return types.StreamEvent(uuid="u", session_id="s", event={"type": kind, **fields})


def delta(text: str) -> Any:
    return event("content_block_delta", delta={"type": "text_delta", "text": text})


def says(*blocks: Any, stop: str | None = None, **fields: Any) -> Any:
    return sdk.AssistantMessage(content=list(blocks), model="m", stop_reason=stop, **fields)


def uses(identifier: str, name: str = "Bash") -> Any:
    return sdk.ToolUseBlock(id=identifier, name=name, input={})


def finished(identifier: str) -> Any:
    return sdk.UserMessage(content=[sdk.ToolResultBlock(tool_use_id=identifier, content="x")])


def system(subtype: str, **data: Any) -> Any:
    return sdk.SystemMessage(subtype=subtype, data={"subtype": subtype, **data})


def hook(subtype: str) -> Any:
    return types.HookEventMessage(subtype=subtype, hook_event_name="Stop", data={})


def read(reader: Reader, *messages: Any) -> list[Output]:
    return [output for message in messages for output in reader.read(message)]


END = event("message_delta", delta={"stop_reason": "end_turn"})


def test_text_is_given_once_streamed_or_whole() -> None:
    reader = Reader(sdk)
    got = read(reader, event("message_start"), delta("a"), delta("b"), END, says(sdk.TextBlock("ab")))
    assert [one.text for one in got if isinstance(one, Text)] == ["a", "b"]
    read(reader, says(sdk.TextBlock("c")))
    assert reader.text == "abc"


def test_an_error_text_is_no_answer() -> None:
    reader = Reader(sdk)
    read(reader, says(sdk.TextBlock("API Error: 529"), error="server_error"))
    assert reader.text == ""


@pytest.mark.parametrize("end", [END, says(stop="end_turn")])
def test_only_the_result_is_missing_once_the_model_ended_its_turn(end: Any) -> None:
    reader = Reader(sdk)
    read(reader, delta("a"))
    assert not reader.final
    read(reader, end)
    assert reader.final
    read(reader, event("message_start"))
    assert not reader.final, "the model goes on"


def test_a_tool_and_a_hook_may_take_as_long_as_they_like_before_the_result() -> None:
    reader = Reader(sdk)
    read(reader, END, hook("hook_started"))
    assert not reader.final
    read(reader, hook("hook_response"), hook("hook_response"))
    assert reader.final
    read(reader, says(uses("1"), stop="tool_use"))
    assert not reader.final
    assert reader.in_tool


def test_tools_begin_and_end_and_the_model_is_waited_for_again() -> None:
    reader = Reader(sdk)
    assert read(reader, says(uses("1"), uses("2", "Read"))) == [ToolStarted("Bash"), ToolStarted("Read")]
    assert read(reader, finished("1")) == [ToolFinished("Bash")]
    assert read(reader, finished("2")) == [ToolFinished("Read"), InPhase("waiting_model")]
    assert read(reader, finished("2"), finished("never begun")) == []


def test_what_a_subagent_does_is_progress_and_not_the_answer() -> None:
    reader = Reader(sdk)
    got = read(reader, says(sdk.TextBlock("inner"), uses("1"), parent_tool_use_id="t"), says(stop="end_turn"))
    assert got == [Progress("subagent")]
    assert reader.text == ""
    assert not reader.in_tool


def test_pings_are_no_progress() -> None:
    assert read(Reader(sdk), *[event("ping")] * 5) == []


@pytest.mark.parametrize(
    ("delay", "bound"), [(8000, 38.0), (0, 30.0), (1500.5, 31.5005), (-5, 30.0), (None, 30.0), ("x", 30.0)]
)
def test_an_announced_retry_has_its_own_bound(delay: object, bound: float) -> None:
    reader = Reader(sdk)
    (phase, _) = read(reader, system("api_retry", retry_delay_ms=delay))
    assert phase == InPhase("upstream_retry", pytest.approx(bound))
    assert InPhase("waiting_model") in read(reader, event("message_start"))


def test_compaction_is_a_phase_and_ends() -> None:
    reader = Reader(sdk)
    assert InPhase("compacting") in read(reader, system("status", status="compacting"))
    assert read(reader, system("status", status="compacting")) == [Progress("status")]
    assert InPhase("waiting_model") in read(reader, system("compact_boundary"))


def test_the_session_is_known_from_the_first_message() -> None:
    reader = Reader(sdk)
    read(reader, system("init", session_id="s1"))
    assert reader.session == "s1"
    read(reader, system("status"))
    assert reader.session == "s1"


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("API Error: 529 overloaded_error", "upstream"),
        ("Invalid API key", "credentials"),
        ("Control request timeout: initialize", None),
        ("the build broke", None),
    ],
)
def test_whose_matter_a_failed_turn_is(text: str, meaning: str | None) -> None:
    assert naming(text) == meaning
