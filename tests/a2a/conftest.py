"""A live server with a scripted workspace."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import httpx2
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from scripted_agent import linked

ADMIN = {"Authorization": "Bearer admin-token-for-tests"}


@pytest.fixture
async def http(live):
    async with httpx2.AsyncClient(base_url=live, headers=ADMIN, timeout=30) as client:
        yield client


@pytest.fixture
async def made(http):
    """(id, token) of a new workspace."""
    answer = (await http.post("/workspaces", json={"name": "ada", "role": "adds"})).raise_for_status().json()
    return answer["workspace"]["id"], answer["token"]


@pytest.fixture
async def agent(live, made):
    """A workspace that is online and takes work."""
    async with linked(live, *made) as agent:
        yield agent


@pytest.fixture
def base(live, made):
    return f"{live}/workspaces/{made[0]}/a2a"


@pytest.fixture
def rpc(http, base):
    """Calls a 1.0 method; gives the whole JSON-RPC answer."""

    async def call(method, params, **headers):
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        answer = await http.post(base, json=body, headers={"A2A-Version": "1.0", **headers})
        assert answer.status_code == 200, answer.text
        return answer.json()

    return call


@pytest.fixture
def message():
    def message(text="hello", **more):
        return {"messageId": "m-1", "role": "ROLE_USER", "parts": [{"text": text}], **more}

    return message


@pytest.fixture
def until():
    async def until(check, seconds=10.0):
        async with asyncio.timeout(seconds):
            while not (found := await check()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            return found

    return until
