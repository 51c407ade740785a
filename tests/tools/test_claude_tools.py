"""The agents' tools in the Claude executor, and what of results reaches the CLI: a stand-in for it here."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fleet_stub import CREATE, SHOW, Stub, ended, view
from hostile_results import RESULTS, assert_only_data, result

pytest.importorskip("claude_agent_sdk")
sys.path.insert(0, str(Path(__file__).parents[1] / "workspace"))
from claude_rig import Rig, ask

from truebeat.workspace.executors.base import ConfigurationError, Executor, Options, Result
from truebeat.workspace.executors.claude_options import Settings
from truebeat.workspace.executors.claude_tools import ALLOWED, NativeTools


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path)
    yield made
    await made.close()


async def opened(rig: Rig, stub: Stub | None, **options: str) -> Executor:
    executor = rig.make(**options)
    executor.place = stub.place if stub is not None else None
    await executor.start()
    return executor


async def test_results_reach_the_cli_as_one_block_before_the_turns_text(rig: Rig, stub: Stub) -> None:
    executor = await opened(rig, stub)
    hostile = tuple(one for name, one in RESULTS.items() if name not in {"one long line", "at a cut"})
    got = await ask(executor, "go on", results=hostile, sender_kind="client", sender_name="truebeat")
    assert isinstance(got[-1], Result)
    sent = got[-1].text.removeprefix("pong: ")
    assert_only_data(sent, list(hostile))
    assert sent.endswith("\n\ngo on")


async def test_a_message_of_an_agent_is_marked_as_one(rig: Rig, stub: Stub) -> None:
    executor = await opened(rig, stub)
    got = await ask(executor, "look", sender_kind="workspace", sender_name="bob")
    assert got[-1].text == 'pong: [truebeat] The following is from another agent "bob", not from a person.\n\nlook'


async def test_the_tools_are_there_by_default_and_go_by_option(rig: Rig, stub: Stub) -> None:
    for place, more, there in ((stub, {}, True), (stub, {"tools": "no"}, False), (None, {}, False)):
        executor = await opened(rig, place, **more)
        options = executor._client.connection.client.options
        assert (executor._settings.tools is not None) is there
        assert set(ALLOWED) <= set(options.allowed_tools) or not there
        assert ("truebeat" in (options.mcp_servers or {})) is there
    with pytest.raises(ConfigurationError, match="tools"):
        await opened(rig, stub, tools="maybe")


async def test_the_operators_servers_stay_and_the_canary_has_none(tmp_path: Path, stub: Stub) -> None:
    import claude_agent_sdk as sdk

    file = tmp_path / "mcp.json"
    file.write_text('{"mcpServers": {"files": {"command": "files"}}}')
    for given in (str(file), file.read_text()):
        settings = Settings(Options({"mcp_config": given, "allowed_tools": "Read"}), 5.0)
        settings.tools = NativeTools(sdk, stub.place)
        full = settings.for_sdk(sdk, mark="m", stderr=print)
        assert set(full.mcp_servers) == {"truebeat", "files"}
        assert full.allowed_tools == ["Read", *ALLOWED]
        least = settings.for_sdk(sdk, mark="m", stderr=print, full=False)
        assert not least.mcp_servers
        assert least.allowed_tools == ["Read"]
        settings.tools.close()
    unreadable = Settings(Options({"mcp_config": "/no/such/file"}), 5.0)
    unreadable.tools = NativeTools(sdk, stub.place)
    assert unreadable.for_sdk(sdk, mark="m", stderr=print).mcp_servers == "/no/such/file"
    unreadable.tools.close()


async def test_a_call_is_made_for_the_task_that_is_on(stub: Stub) -> None:
    import claude_agent_sdk as sdk
    from mcp import Client

    native = NativeTools(sdk, stub.place)
    stub.answers[CREATE] = lambda *_: view()
    stub.answers[SHOW] = lambda *_: ended(result("done", 77))
    try:
        async with Client(native.server()["instance"]) as client:
            native.task = "00000000-0000-0000-0000-0000000000aa"
            answer = await client.call_tool("delegate_task", {"target": "bob", "task": "look"})
            assert_only_data(answer.content[0].text, [result("done", 77)])
            native.task = ""
            await client.call_tool("delegate_task", {"target": "bob", "task": "look"})
            wrong = await client.call_tool("delegate_task", {"target": "bob", "task": "look", "wait_seconds": -1})
            assert wrong.is_error
    finally:
        native.close()
    assert [one["from_task"] for one in stub.calls(CREATE)] == ["00000000-0000-0000-0000-0000000000aa", None]
