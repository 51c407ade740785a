"""Who may use an A2A endpoint, and what whoever asks an unable agent is told."""

import asyncio
from uuid import UUID

import httpx2
import pytest

from truebeat.errors import Invalid
from truebeat.server.serve import serve
from truebeat.server.settings import Settings

V1 = {"A2A-Version": "1.0"}
URI = "https://truebeat.dev/extensions/availability/v1"


def send(message, **more):
    return {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message, **more}}


async def as_bearer(http, token, base, body, **headers):
    return await http.post(base, json=body, headers={**V1, "Authorization": f"Bearer {token}", **headers})


async def test_without_a_good_token_nothing_is_answered(http, base, message, live, made):
    for header in ("", "Bearer nonsense"):
        answer = await http.post(base, json=send(message()), headers={**V1, "Authorization": header})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    missing = f"{live}/workspaces/{'0' * 8}-0000-4000-8000-{'0' * 12}/a2a"
    assert (await http.post(missing, json=send(message()), headers=V1)).status_code == 404
    assert (await http.post(f"{live}/workspaces/x/a2a", json=send(message()), headers=V1)).status_code == 404
    await http.delete(f"/workspaces/{made[0]}")
    assert (await http.post(base, json=send(message()), headers=V1)).status_code == 410


async def test_a_sending_workspace_is_believed_by_its_token_only(agent, http, base, message, live):
    other = (await http.post("/workspaces", json={"name": "bob"})).json()
    other_id, token = other["workspace"]["id"], other["token"]
    answer = await as_bearer(http, token, base, send(message()), **{"X-Workspace-ID": other_id})
    assert answer.status_code == 200
    assert agent.delivered[0]["sender"] == {"kind": "workspace", "id": other_id, "name": "bob"}
    for claimed in (agent.workspace_id, "nonsense"):
        answer = await as_bearer(http, token, base, send(message()), **{"X-Workspace-ID": claimed})
        assert answer.status_code == 403
    answer = await http.post(base, json=send(message()), headers={**V1, "X-Workspace-ID": other_id})
    assert answer.status_code == 403
    assert len(agent.delivered) == 1


async def test_a_viewer_may_not_send_and_sees_no_texts(agent, http, base, message):
    viewer = (await http.post("/tokens", json={"name": "v", "role": "viewer"})).json()["token"]
    error = (await as_bearer(http, viewer, base, send(message()))).json()["error"]
    assert error["code"] == -32051
    task = (await http.post(base, json=send(message("secret")), headers=V1)).json()["result"]["task"]
    seen = await as_bearer(http, viewer, base, {**send(message()), "method": "GetTask", "params": {"id": task["id"]}})
    assert seen.json()["result"]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert "secret" not in seen.text
    enrolment = (await http.post("/tokens", json={"name": "e", "role": "enrolment"})).json()["token"]
    assert (await as_bearer(http, enrolment, base, send(message()))).status_code == 403


async def test_an_unable_agent_answers_at_once_with_the_facts(agent, http, base, message, until):
    await agent.beat(runtime_state="wedged", sample_error="Control request timeout: initialize")

    async def degraded():
        return (await http.get(f"/workspaces/{agent.workspace_id}")).json()["status"] == "degraded"

    async def facts_of(body):
        async with asyncio.timeout(5):
            return (await http.post(base, json=body, headers=V1)).json()

    await until(degraded)
    task = (await facts_of(send(message("held"))))["result"]["task"]
    assert task["status"]["state"] == "TASK_STATE_SUBMITTED"
    facts = task["metadata"][URI]
    assert facts["able"] is False
    assert (facts["status"], facts["condition"]) == ("degraded", "wedged")
    assert facts["queuePosition"] >= 1
    assert facts["since"]
    assert facts["restart"] in {"none", "pending"}
    assert "wedged" in facts["reason"]
    for how in ({"metadata": {"onUnavailable": "reject"}}, {"metadata": {URI: {"onUnavailable": "reject"}}}):
        error = (await facts_of(send(message(), **how)))["error"]
        assert error["code"] == -32050
        assert error["data"][0]["reason"] == "AGENT_UNAVAILABLE"
        assert error["data"][0]["metadata"]["retry_after"]
        assert "wedged" in error["message"]
    error = (await facts_of(send(message(metadata={"onUnavailable": "reject"}))))["error"]
    assert error["code"] == -32050
    assert (await facts_of(send(message(metadata={"onUnavailable": "perhaps"}))))["error"]["code"] == -32602
    old = {"method": "message/send", "params": {"message": {"parts": [{"type": "text", "text": "x"}]}}}
    async with asyncio.timeout(5):
        result = (await http.post(base, json=old)).json()["result"]
    assert result["kind"] == "task"
    assert result["metadata"][URI]["condition"] == "wedged"


async def test_a_wait_ends_on_the_flip(agent, http, base, message):
    async def never(agent, deliver):
        await agent.begin(deliver)
        await agent.beat(runtime_state="wedged", sample_error="stuck")

    agent.behave = never
    async with asyncio.timeout(10):
        task = (await http.post(base, json=send(message()), headers=V1)).json()["result"]["task"]
    assert task["metadata"][URI]["condition"] == "wedged"
    assert task["status"]["state"] in {"TASK_STATE_WORKING", "TASK_STATE_SUBMITTED"}


async def test_one_workspace_can_be_opened_on_loopback(settings, message):
    from dataclasses import replace

    from scripted_agent import linked

    ready = asyncio.get_running_loop().create_future()
    opened = replace(settings, open_workspace="ada")
    server = asyncio.ensure_future(serve(opened, "127.0.0.1", 0, ready=ready.set_result))
    url = await ready
    admin = {"Authorization": "Bearer admin-token-for-tests"}
    async with httpx2.AsyncClient(base_url=url, timeout=20) as client:
        made = {}
        for name in ("ada", "bob"):
            made[name] = (await client.post("/workspaces", json={"name": name}, headers=admin)).json()
        bases = {name: f"/workspaces/{one['workspace']['id']}/a2a" for name, one in made.items()}
        async with linked(url, made["ada"]["workspace"]["id"], made["ada"]["token"]):
            answer = await client.post(bases["ada"], json=send(message()), headers=V1)
            task = answer.json()["result"]["task"]
            assert task["status"]["state"] == "TASK_STATE_COMPLETED"
            assert "securitySchemes" not in (await client.get(bases["ada"] + "/.well-known/agent-card.json")).json()
            assert (await client.post(bases["bob"], json=send(message()), headers=V1)).status_code == 401
            rebound = {**V1, "Host": "evil.example"}
            assert (await client.post(bases["ada"], json=send(message()), headers=rebound)).status_code == 403
            wrong = {**V1, "Authorization": "Bearer nonsense"}
            assert (await client.post(bases["ada"], json=send(message()), headers=wrong)).status_code == 401
    server.cancel()
    await asyncio.wait({server})


async def test_an_open_workspace_needs_loopback(settings):
    from dataclasses import replace

    for host in ("0.0.0.0", "::", "192.168.0.1", "example.com"):
        with pytest.raises(Invalid, match="loopback"):
            await serve(replace(settings, open_workspace="ada"), host, 0)


@pytest.mark.parametrize(
    "env",
    [{"TRUEBEAT_PUBLIC_URL": "ftp://x"}, {"TRUEBEAT_PUBLIC_URL": "http://x/path"}, {"TRUEBEAT_PUSH_HOSTS": "x"},
     {"TRUEBEAT_PUSH_HOSTS": "x", "TRUEBEAT_PUSH_SECRET": "short"}],
)  # fmt: skip
def test_bad_settings_are_refused_by_name(env):
    with pytest.raises(Invalid, match="TRUEBEAT_PU"):
        Settings.from_env(env)


async def test_a_workspace_whose_id_begins_like_the_endpoint(http, message, live, monkeypatch):
    monkeypatch.setattr(
        "truebeat.server.services.workspaces.uuid4", lambda: UUID("a2a6f885-f2b1-4950-bb09-1c5c8b8f936e")
    )
    made = (await http.post("/workspaces", json={"name": "bob"})).raise_for_status().json()["workspace"]["id"]
    base = f"{live}/workspaces/{made}/a2a"
    for below in ("/.well-known/agent-card.json", "/tasks", "/v0.3/.well-known/agent-card.json"):
        assert (await http.get(base + below, headers=V1)).status_code == 200, below
    answer = await http.post(base, json=send(message(), configuration={"returnImmediately": True}), headers=V1)
    assert "error" not in answer.json()
