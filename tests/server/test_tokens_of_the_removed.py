"""A removed workspace gets no token and no entry, even if it is removed while one is being made."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from truebeat.clock import SystemClock
from truebeat.domain.access import Role
from truebeat.domain.health import RemovalOrdered, judge
from truebeat.errors import Gone
from truebeat.server.services.tokens import new_token
from truebeat.server.store import tokens as token_store
from truebeat.server.store import workspaces as workspace_store


async def waits_for(database, connection) -> bool:
    """Whether some other transaction waits for a lock of this one."""
    holder = await connection.fetchval("SELECT pg_backend_pid()")
    async with database.acquire() as other:
        return await other.fetchval(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)))", holder
        )


async def issue(api, workspace_id: str, _token: str) -> int:
    body = {"name": "late", "role": "workspace", "workspace_id": workspace_id}
    return (await api("POST", "/tokens", json=body)).status_code


async def rotate(api, workspace_id: str, _token: str) -> int:
    views = (await api("GET", "/tokens")).json()
    token_id = next(view["id"] for view in views if view["workspace_id"] == workspace_id)
    return (await api("POST", f"/tokens/{token_id}/rotate")).status_code


async def enrol(api, workspace_id: str, _token: str) -> int:
    return (await api("POST", "/registry/register", json={"id": workspace_id, "url": "http://late/"})).status_code


async def register_itself(api, workspace_id: str, token: str) -> int:
    body = {"id": workspace_id, "url": "http://late/"}
    return (await api("POST", "/registry/register", token, json=body)).status_code


@pytest.mark.parametrize("act", [issue, rotate, enrol, register_itself])
async def test_a_removal_that_commits_meanwhile_wins(api, database, act):
    workspace_id, token = await api.workspace()
    assert (await api("GET", "/workspaces", token)).status_code == 200  # known from here on
    key, now = UUID(workspace_id), SystemClock().now()
    async with database.transaction() as removing:
        row = await workspace_store.get(removing, key)
        removed = judge(row.record, RemovalOrdered(), now).record
        assert await workspace_store.save_records(removing, [(key, row.version, removed)])
        await token_store.revoke_workspace(removing, key, now)
        acting = asyncio.ensure_future(act(api, workspace_id, token))
        async with asyncio.timeout(20):
            while not await waits_for(database, removing):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert await acting == 410
    async with database.acquire() as connection:
        rows = [row for row in await token_store.listing(connection) if row.workspace_id == key]
        assert all(row.revoked_at is not None for row in rows)
        assert (await workspace_store.get(connection, key)).url is None


@pytest.mark.parametrize("act", ["hold", "register"])
async def test_a_removal_waits_for_whoever_makes_a_token(api, database, act):
    workspace_id, _ = await api.workspace()
    key, now = UUID(workspace_id), SystemClock().now()
    async with database.transaction() as making:
        if act == "hold":
            await workspace_store.hold(making, key)
        else:
            await workspace_store.register(making, key, url=None, agent_card=None, now=now)
        removing = asyncio.ensure_future(api("DELETE", f"/workspaces/{workspace_id}"))
        async with asyncio.timeout(20):
            while not await waits_for(database, making):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        secret, row = new_token("late", Role.WORKSPACE, key, now)
        await token_store.insert(making, row)
    assert (await removing).status_code in {200, 204}
    async with database.acquire() as connection:
        assert (await token_store.get(connection, row.id)).revoked_at is not None
    assert (await api.beat(workspace_id, secret)).status_code == 410


async def test_a_token_that_was_never_revoked_is_refused_with_its_workspace(api, database):
    workspace_id, _ = await api.workspace()
    assert (await api("DELETE", f"/workspaces/{workspace_id}")).status_code in {200, 204}
    secret, row = new_token("late", Role.WORKSPACE, UUID(workspace_id), SystemClock().now())
    async with database.transaction() as connection:
        await token_store.insert(connection, row)
    with pytest.raises(Gone):
        await api.app.tokens.authenticate(f"Bearer {secret}".encode())
