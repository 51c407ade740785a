"""How many of one token's calls wait: bounded, told clearly, and counted down however they end."""

import asyncio
import json

import pytest
import websockets
from task_stand import ADMIN, until

from truebeat.server.services.waiters import Waiters


@pytest.fixture(autouse=True)
def waiters(monkeypatch):
    """Those of the server that is started after it."""
    made = Waiters()
    monkeypatch.setattr("truebeat.server.main.Waiters", lambda: made)
    monkeypatch.setattr("truebeat.server.services.waiters.WAITERS_LIMIT", 3)
    return made


async def ask(url, path, token="admin-token-for-tests", body=None):
    """A request whose answer is not waited for: (reader, writer) of its connection."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    content = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    writer.write(head.encode() + content)
    await writer.drain()
    return reader, writer


async def held(waiters, count):
    async def counted():
        return sum(waiters.held.values()) == count

    await until(counted, seconds=30)


@pytest.fixture
async def begun(stand):
    """(link, delivery, path) of a task that is worked on."""
    ada = await stand.workspace()
    async with stand.dial(*ada) as link:
        await link.beat()
        task = await stand.send(ada[0])
        deliver = await link.receive("deliver")
        await link.begin(deliver)
        yield link, deliver, f"/tasks/{task['id']}"


async def test_a_token_that_waits_too_often_is_told_so_and_others_wait(waiters, stand, begun):
    link, deliver, path = begun
    calls = [await ask(stand.url, f"{path}?wait=600") for _ in range(3)]
    await held(waiters, 3)
    refused = await stand.http.get(path, params={"wait": 5})
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert refused.json()["facts"]["limit"] == 3
    assert "end some of them" in refused.json()["detail"]
    assert refused.headers["retry-after"] == "1"
    assert (await stand.http.get(path)).status_code == 200
    # a token of the same name is another one
    for _ in range(2):
        made = (await stand.http.post("/tokens", json={"name": "ann", "role": "member"})).raise_for_status().json()
        others = {"Authorization": f"Bearer {made['token']}"}
        assert (await stand.http.get(path, params={"wait": 0.01}, headers=others)).status_code == 200
    for _, writer in calls[:2]:
        writer.transport.abort()
    await held(waiters, 1)
    assert (await stand.http.get(path, params={"wait": 0.01})).status_code == 200
    await link.finish(deliver)
    assert (await calls[2][0].readline()).startswith(b"HTTP/1.1 200")
    calls[2][1].close()
    await held(waiters, 0)


async def test_streams_of_updates_count_until_they_are_gone(waiters, stand, begun):
    _, _, path = begun
    address = f"{stand.url.replace('http', 'ws', 1)}{path}/updates"
    sockets = [await websockets.connect(address, additional_headers=ADMIN) for _ in range(3)]
    await held(waiters, 3)
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(address, additional_headers=ADMIN)
    assert refused.value.response.status_code == 503
    sockets[0].transport.abort()
    await sockets[1].close()
    await held(waiters, 1)
    with pytest.raises(websockets.InvalidStatus):  # refused for another reason, and counted no more
        await websockets.connect(address.replace("/tasks/", "/tasks/0"), additional_headers=ADMIN)
    await held(waiters, 1)
    sockets[2].transport.abort()
    await held(waiters, 0)
    for socket in sockets:
        await socket.wait_closed()


async def test_who_delegates_and_goes_away_waits_no_more(waiters, stand):
    ada, bob = await stand.workspace("ada"), await stand.workspace("bob")
    path = f"/workspaces/{ada[0]}/delegations"
    async with stand.dial(*bob) as link:
        await link.beat(capacity=4)
        calls = [
            await ask(stand.url, path, ada[1], {"target": bob[0], "text": f"{n}", "wait_seconds": 600})
            for n in range(3)
        ]
        await held(waiters, 3)
        delivers = [await link.receive("deliver") for _ in range(3)]
        reader, writer = await ask(stand.url, path, ada[1], {"target": bob[0], "text": "4", "wait_seconds": 600})
        assert b" 503 " in await reader.readline()
        refused = await stand.http.post(
            path,
            json={"target": bob[0], "text": "5", "wait_seconds": 600},
            headers={"Authorization": f"Bearer {ada[1]}"},
        )
        assert refused.status_code == 503
        for _, one in (*calls, (None, writer)):
            one.transport.abort()
        await held(waiters, 0)
        # what was accepted lives on, what was refused was not accepted
        assert len((await stand.http.get(path)).json()) == 3
        await link.finish(delivers[0], "an answer")
        await stand.becomes(delivers[0]["task_id"], "completed")
