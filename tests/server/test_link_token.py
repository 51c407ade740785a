"""A link lives no longer than its token."""

import asyncio
import json

import httpx2
import pytest
import websockets

ADMIN = {"Authorization": "Bearer admin-token-for-tests"}


async def test_a_revoked_token_loses_its_link_at_once(live):
    async with httpx2.AsyncClient(base_url=live, headers=ADMIN) as http, asyncio.timeout(10):
        made = (await http.post("/workspaces", json={"name": "ada"})).raise_for_status().json()
        url = f"{live.replace('http', 'ws', 1)}/workspaces/{made['workspace']['id']}/link"
        bearer = {"Authorization": f"Bearer {made['token']}"}
        async with websockets.connect(url, additional_headers=bearer) as socket:
            await socket.send(json.dumps({"type": "hello", "version": 2, "boot": 1, "agent": "python", "pid": 1}))
            assert json.loads(await socket.recv())["type"] == "welcome"
            (token,) = [view for view in (await http.get("/tokens")).json() if view["workspace_id"]]
            (await http.delete(f"/tokens/{token['id']}")).raise_for_status()
            with pytest.raises(websockets.ConnectionClosed) as end:
                await socket.recv()
        assert end.value.rcvd.code == 4401
