"""Blocking calls and streams by A2A: bounded for each token, and counted down however they end."""

import asyncio
import json

import pytest

from truebeat.server.services.waiters import Waiters

HEADERS = "A2A-Version: 1.0\r\nAuthorization: Bearer admin-token-for-tests\r\nContent-Type: application/json\r\n"


@pytest.fixture(autouse=True)
def waiters(monkeypatch):
    """Those of the server that is started after it."""
    made = Waiters()
    monkeypatch.setattr("truebeat.server.main.Waiters", lambda: made)
    monkeypatch.setattr("truebeat.server.services.waiters.WAITERS_LIMIT", 4)
    return made


@pytest.fixture
async def ask(base):
    """Begins a request; gives the writer of its connection, which ends with the test."""
    writers = []

    async def ask(content, below=""):
        place, _, path = base.removeprefix("http://").partition("/")
        host, port = place.split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        text = json.dumps(content)
        head = f"POST /{path}{below} HTTP/1.1\r\nHost: {place}\r\n{HEADERS}Content-Length: {len(text)}\r\n\r\n"
        writers.append(writer)
        writer.write((head + text).encode())
        await writer.drain()
        return writer

    yield ask
    for writer in writers:
        writer.transport.abort()
    await asyncio.sleep(0)


def call(method, params):
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


@pytest.fixture
def held(waiters, until):
    async def held(count):
        async def counted():
            return sum(waiters.held.values()) == count

        await until(counted, seconds=30)

    return held


async def test_calls_and_streams_of_a_token_are_bounded(agent, ask, rpc, message, held, until, http, made):
    async def never(agent, deliver):
        await agent.begin(deliver)

    agent.behave = never
    plain = call("SendMessage", {"message": message()})
    rich = call("SendMessage", {"message": message(metadata={"a": 1})})
    streamed = call("SendStreamingMessage", {"message": message()})
    calls = [await ask(plain), await ask(rich), await ask(streamed)]
    calls.append(await ask({"message": message()}, "/message:stream"))
    await held(4)

    async def accepted():
        page = (await http.get(f"/workspaces/{made[0]}/tasks")).json()
        return page if page["total"] == len(page["tasks"]) == 4 else None

    sent = await until(accepted, seconds=30)
    for method in ("SendMessage", "SendStreamingMessage"):
        for more in ({}, {"metadata": {"a": 1}}):
            refused = await rpc(method, {"message": message(**more)})
            assert refused["error"]["code"] == -32050, refused
            assert "end some of them" in refused["error"]["message"]
    refused = await rpc("SubscribeToTask", {"id": sent["tasks"][0]["id"]})
    assert refused["error"]["code"] == -32050
    rest = await http.post(
        f"/workspaces/{made[0]}/a2a/message:send", json={"message": message()}, headers={"A2A-Version": "1.0"}
    )
    assert rest.status_code == 503
    # nothing of that was accepted; whoever does not wait is served
    assert await accepted()
    at_once = {"message": message(), "configuration": {"returnImmediately": True}}
    assert "task" in (await rpc("SendMessage", at_once))["result"]
    for writer in calls:
        writer.transport.abort()
    await held(0)
    follow = await ask(call("SubscribeToTask", {"id": sent["tasks"][0]["id"]}))
    await held(1)
    follow.transport.abort()
    await held(0)


async def test_whoever_is_answered_waits_no_more(agent, rpc, message, held):
    for more in ({}, {"metadata": {"a": 1}}):
        for _ in range(6):
            assert "task" in (await rpc("SendMessage", {"message": message(**more)}))["result"]
    await held(0)
