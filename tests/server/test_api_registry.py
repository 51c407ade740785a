"""POST /registry/register: the rules of who may claim an identity."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from truebeat.clock import SystemClock
from truebeat.domain.access import Role
from truebeat.domain.health import created
from truebeat.server.store import workspaces as workspace_store
from truebeat.server.store.workspaces import WorkspaceRow


async def never_claimed(api, database) -> str:
    """A workspace that never had a token: from before tokens, or written by a migration."""
    now = SystemClock().now()
    row = WorkspaceRow(uuid4(), "old", "", None, None, None, now, None, created(now))
    async with database.transaction() as connection:
        await workspace_store.insert(connection, row)
    api.app.leases.add(row, SystemClock().monotonic())
    return str(row.id)


async def register(api, workspace_id: str, token: str | None = None, **more):
    return await api("POST", "/registry/register", token, json={"id": workspace_id, **more})


async def test_the_first_registration_gets_the_token_and_no_other(api, database):
    workspace_id = await never_claimed(api, database)
    first = await register(api, workspace_id, url="http://10.0.0.1/", agent_card={"name": "x"})
    assert first.json()["status"] == "registered"
    token = first.json()["auth_token"]
    assert (await api.beat(workspace_id, token)).json()["status"] == "online"
    assert (await register(api, workspace_id)).status_code == 401
    again = await register(api, workspace_id, token, url="http://10.0.0.2/")
    assert again.json() == {"status": "registered"}
    assert (await api("GET", f"/workspaces/{workspace_id}")).json()["registered"] is True


async def test_of_first_registrations_at_once_exactly_one_gets_a_token(api, database):
    workspace_id = await never_claimed(api, database)
    answers = await asyncio.gather(*(register(api, workspace_id) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200, *[401] * 7]
    tokens = [view for view in await api.app.tokens.listing() if view.workspace_id == UUID(workspace_id)]
    assert len(tokens) == 1


async def test_a_created_workspace_cannot_be_claimed_without_its_token(api):
    workspace_id, token = await api.workspace()
    assert (await register(api, workspace_id)).status_code == 401
    assert (await register(api, workspace_id, token)).json() == {"status": "registered"}


async def test_revoking_opens_no_window(api, database):
    workspace_id = await never_claimed(api, database)
    token = (await register(api, workspace_id)).json()["auth_token"]
    for view in await api.app.tokens.listing():
        if view.workspace_id == UUID(workspace_id):
            await api("DELETE", f"/tokens/{view.id}")
    assert (await register(api, workspace_id)).status_code == 401
    assert (await register(api, workspace_id, token)).status_code == 401
    assert (await api.beat(workspace_id, token)).status_code == 401


async def test_a_foreign_token_claims_nothing(api, database):
    workspace_id, _ = await api.workspace()
    for token in ((await api.workspace("b"))[1], await api.token(Role.VIEWER), await api.token(Role.MEMBER)):
        assert (await register(api, workspace_id, token, url="http://evil/")).status_code == 403
    assert (await register(api, await never_claimed(api, database), "tb_wrong")).status_code == 401


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ENROLMENT])
async def test_enrolling_creates_and_always_gives_a_token(api, unknown, role):
    bearer = await api.token(role)
    first = (await register(api, unknown, bearer, name="eve")).json()["auth_token"]
    second = (await register(api, unknown, bearer)).json()["auth_token"]
    assert first != second
    for token in (first, second):
        assert (await api.beat(unknown, token)).status_code == 200
    shown = (await api("GET", f"/workspaces/{unknown}")).json()
    assert (shown["name"], shown["registered"]) == ("eve", True)
    types = [e["type"] for e in (await api("GET", "/events")).json()["events"]]
    assert types == ["WORKSPACE_PROVISIONING", "WORKSPACE_ONLINE"]


async def test_enrolling_at_once_creates_once(api, unknown):
    bearer = await api.token(Role.ENROLMENT)
    answers = await asyncio.gather(*(register(api, unknown, bearer) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.json()["auth_token"] for answer in answers}) == 4
    assert len((await api("GET", "/events")).json()["events"]) == 1


async def test_an_unknown_id_without_credentials_is_not_found(api, unknown):
    assert (await register(api, unknown)).status_code == 404
    assert (await api("GET", "/workspaces")).json()["workspaces"] == []


async def test_registering_changes_no_status(api):
    workspace_id, token = await api.workspace()
    await api.beat(workspace_id, token, runtime_state="wedged", sample_error="stuck")
    await register(api, workspace_id, token)
    await register(api, workspace_id, await api.token(Role.OPERATOR))
    assert (await api("GET", f"/workspaces/{workspace_id}")).json()["status"] == "degraded"
