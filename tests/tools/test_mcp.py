"""The MCP server met by the official client, over stdio and over HTTP."""

from __future__ import annotations

import asyncio
import json
import sys

import httpx2
import pytest
from fleet_stub import CREATE, DELEGATION, ME, SHOW, TOKEN, Stub, ended, problem, view
from hostile_results import RESULTS, assert_only_data, result
from mcp import Client
from mcp_clients import PROGRAM, TRANSPORTS, at, environment, serving_http, text_of

from truebeat import errors
from truebeat.tools import catalog
from truebeat.tools.catalog import TOOLS, Tools
from truebeat.tools.mcp_server import build
from truebeat.tools.place import ENV_TASK, ENV_WORKSPACE, of_environment

TASK = "00000000-0000-0000-0000-0000000000aa"
PLACE = {ENV_WORKSPACE: str(ME), ENV_TASK: TASK}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_lists_delegates_is_refused_and_waits(stub: Stub, transport: str) -> None:
    """One session of a real client on a real program; what it says in detail is tested in process."""
    hostile = RESULTS["chatml"]
    stub.answers[CREATE] = lambda *_: view()
    stub.answers[SHOW] = lambda *_: ended(hostile)
    async with TRANSPORTS[transport](stub.url, TOKEN, **PLACE) as client:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(listed) == set(TOOLS)
        assert listed["delegate_task"].input_schema["required"] == ["target", "task"]
        assert listed["list_peers"].annotations.read_only_hint

        assert_only_data(await text_of(client, "delegate_task", target="bob", task="look"), [hostile])
        assert stub.calls(CREATE)[0]["from_task"] == TASK
        assert "is accepted" in await text_of(client, "delegate_task_async", target="bob", task="look")

        stub.answers[CREATE] = lambda *_: problem(404, "not_found", "no workspace is named 'nobody'")
        refused = await client.call_tool("delegate_task", {"target": "nobody", "task": "look"})
        assert refused.is_error
        assert '"bob"' in refused.content[0].text
        assert (await client.call_tool("no_such_tool", {})).is_error

        for one in RESULTS.values():
            stub.answers[SHOW] = lambda *_, one=one: ended(one)
            assert_only_data(await text_of(client, "check_task_status", delegation_id=str(DELEGATION)), [one])


async def test_a_client_that_waits_is_told_of_progress(stub: Stub, tools: Tools, monkeypatch) -> None:
    monkeypatch.setattr(catalog, "TELL_EVERY", 0.02)
    told = asyncio.Event()

    async def progress(seconds: float, total: float | None, message: str | None) -> None:
        stub.answers[SHOW] = lambda *_: ended(result("at last", 77))
        told.set()

    stub.answers[CREATE] = stub.answers[SHOW] = lambda *_: view()
    async with Client(build(tools)) as client:
        answer = await client.call_tool("delegate_task", {"target": "bob", "task": "look"}, progress_callback=progress)
    assert told.is_set()
    assert "at last" in answer.content[0].text


def test_the_workspace_is_the_tokens_own(stub: Stub) -> None:
    env = {"TRUEBEAT_URL": stub.url, "TRUEBEAT_TOKEN": TOKEN}
    stub.answers["GET /session"] = lambda *_: {"name": "ada", "role": "workspace", "workspace_id": str(ME)}
    assert of_environment(env).place.id == ME
    stub.answers["GET /session"] = lambda *_: {"name": "ann", "role": "operator", "workspace_id": None}
    with pytest.raises(errors.Forbidden, match="use the workspace's own token"):
        of_environment(env)
    with pytest.raises(errors.Invalid, match="is not the id of a workspace"):
        of_environment(env | {ENV_WORKSPACE: "ada"})
    with pytest.raises(errors.Invalid, match="set TRUEBEAT_URL"):
        of_environment({})


async def test_http_asks_for_the_workspaces_token_and_refuses_pages(stub: Stub) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_peers", "arguments": {}}}
    plain = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    shown = plain | {"Authorization": f"Bearer {TOKEN}"}
    async with (
        serving_http(stub.url, TOKEN, **{ENV_WORKSPACE: str(ME)}) as address,
        httpx2.AsyncClient(trust_env=False, timeout=30) as http,
    ):
        for headers in (
            plain,
            plain | {"Authorization": f"Bearer {TOKEN}x"},
            plain | {"Authorization": f"Bearer {TOKEN[:-1]}"},
            plain | {"Authorization": TOKEN},
            plain | {"Authorization": f"Basic {TOKEN}"},
        ):
            assert (await http.post(address, headers=headers, json=call)).status_code == 401
        twice = [*plain.items(), ("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer x")]
        assert (await http.post(address, headers=twice, json=call)).status_code == 401
        for path in ("", "/", "/.well-known/oauth-protected-resource"):
            assert (await http.get(address.removesuffix("/mcp") + path)).status_code == 401
        assert (
            await http.post(address, headers=shown | {"Origin": "http://evil.example"}, json=call)
        ).status_code == 403
        assert (await http.post(address, headers=shown | {"Host": "evil.example"}, json=call)).status_code == 421
        assert not stub.asked, "a refused request reached the server"
        assert (await http.post(address, headers=shown, content=b"x" * 5_000_000)).status_code in {400, 413}
        async with at(address, TOKEN) as client:
            assert '"bob"' in await text_of(client, "list_peers")


async def test_http_follows_a_rotated_token_file(stub: Stub, tmp_path) -> None:
    file = tmp_path / "token"
    file.write_text("old-token\n")
    more = {ENV_WORKSPACE: str(ME), "TRUEBEAT_TOKEN_FILE": str(file)}
    async with serving_http(stub.url, "", **more) as address:
        async with at(address, "old-token") as client:
            await text_of(client, "list_peers")
        file.write_text("new-token\n")
        async with at(address, "new-token") as client:
            await text_of(client, "list_peers")
    assert stub.asked[-1][3]["authorization"] == "Bearer new-token"


async def test_stdio_survives_garbage(stub: Stub) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *PROGRAM, env=environment(stub.url, TOKEN, **{ENV_WORKSPACE: str(ME)}),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    hello = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    }  # fmt: skip
    process.stdin.write(b"\xff\xfe\n{]\n[]\n" + b"[" * 50_000 + b"\n" + json.dumps(hello).encode() + b"\n")
    async with asyncio.timeout(30):
        while True:
            said = json.loads(await process.stdout.readline())
            if said.get("id") == 1:
                break
    assert said["result"]["serverInfo"]["name"] == "truebeat"
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 10) == 0
