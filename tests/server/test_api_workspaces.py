"""POST, GET, DELETE /workspaces: who may do what, pages, and that nothing bad changes anything."""

from __future__ import annotations

import asyncio

import pytest

from truebeat.domain.access import Role


async def test_a_new_workspace_is_provisioning_with_a_token_and_one_event(api):
    created = (await api("POST", "/workspaces", json={"name": "ada", "role": "writer"})).json()
    assert created["workspace"]["status"] == "provisioning"
    assert created["workspace"]["role"] == "writer"
    assert created["token"].startswith("tb_")
    assert len(created["token"]) >= 40
    events = (await api("GET", "/events")).json()["events"]
    assert [(e["type"], e["workspace_id"]) for e in events] == [("WORKSPACE_PROVISIONING", created["workspace"]["id"])]
    beat = await api.beat(created["workspace"]["id"], created["token"])
    assert beat.json()["status"] == "online"
    shown = (await api("GET", f"/workspaces/{created['workspace']['id']}")).json()
    assert shown["status"] == "online"
    assert shown["last_beat_at"] is not None


async def test_an_id_is_taken_once(api):
    workspace_id, _ = await api.workspace()
    again = await api("POST", "/workspaces", json={"name": "other", "id": workspace_id})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert (await api("GET", f"/workspaces/{workspace_id}")).json()["name"] == "ada"
    assert len((await api("GET", "/events")).json()["events"]) == 1


async def test_a_parent_must_live(api, unknown):
    assert (await api("POST", "/workspaces", json={"name": "x", "parent_id": unknown})).status_code == 422
    parent, _ = await api.workspace("parent")
    child, _ = await api.workspace("child", parent_id=parent)
    assert (await api("GET", f"/workspaces/{child}")).json()["parent_id"] == parent
    await api("DELETE", f"/workspaces/{parent}")
    orphan = await api("POST", "/workspaces", json={"name": "x", "parent_id": parent})
    assert (orphan.status_code, orphan.json()["detail"].split(":")[0]) == (422, "parent_id")


@pytest.mark.parametrize("field", ["name", "role"])
@pytest.mark.parametrize(
    "text", ["ada\u202egood", "\u2066ada", "a\u200bda", "ada\ufeff", "ada\u061c", "ada\n", "a\u2028b", "a\x85"]
)
async def test_a_name_can_not_rewrite_the_sentence_it_stands_in(api, field, text):
    answer = await api("POST", "/workspaces", json={"name": "ada", field: text})
    assert answer.status_code == 422
    assert f"without control, invisible and direction-changing characters - at `$.{field}`" in answer.json()["detail"]


@pytest.mark.parametrize("text", ["Ада", "عادل", "艾达", "Zoë 🚀", "a.b/c_d"])
async def test_a_name_may_be_in_any_script(api, text):
    assert (await api("POST", "/workspaces", json={"name": text, "role": text})).is_success


async def test_pages_cover_all_once_in_order(api):
    made = {(await api.workspace(f"w{number % 4}"))[0] for number in range(11)}
    seen, names, after = [], [], None
    while True:
        query = {"limit": 3} if after is None else {"limit": 3, "after": after}
        page = (await api("GET", "/workspaces", params=query)).json()
        seen += [w["id"] for w in page["workspaces"]]
        names += [w["name"] for w in page["workspaces"]]
        assert page["seq"] == 11
        if (after := page["next"]) is None:
            break
    assert set(seen) == made
    assert len(seen) == 11
    assert names == sorted(names)


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0}, {"limit": 1001}, {"limit": "many"}, {"limit": "NaN"}, {"limit": "1e400"},
        {"status": "onlin"}, {"after": "nonsense"}, {"after": "\x00"}, {"after": "WyJcdTAwMDAiLCJ4Il0"},
        {"after": "WyJhXHUwMDAwIiwiMTIzNDU2NzgtMTIzNC0xMjM0LTEyMzQtMTIzNDU2Nzg5MDEyIl0"}, {"after": "é"},
    ],
)  # fmt: skip
async def test_bad_queries_are_refused(api, query):
    answer = await api("GET", "/workspaces", params=query)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert any(name in answer.json()["detail"] for name in ("limit", "status", "after", "query"))


async def test_removal_is_final(api):
    workspace_id, token = await api.workspace()
    await api.beat(workspace_id, token)
    assert (await api("DELETE", f"/workspaces/{workspace_id}")).status_code == 204
    beat = await api.beat(workspace_id, token)
    assert (beat.status_code, beat.json()["code"]) == (410, "gone")
    assert (await api("DELETE", f"/workspaces/{workspace_id}")).status_code == 410
    assert (await api("POST", f"/workspaces/{workspace_id}/restart")).status_code == 410
    register = await api("POST", "/registry/register", None, json={"id": workspace_id})
    assert register.status_code == 410
    assert (await api("POST", "/registry/register", json={"id": workspace_id})).status_code == 410
    assert (await api("GET", f"/workspaces/{workspace_id}")).json()["status"] == "removed"
    assert (await api("GET", "/workspaces")).json()["workspaces"] == []
    removed = (await api("GET", "/workspaces", params={"status": "removed"})).json()["workspaces"]
    assert [w["id"] for w in removed] == [workspace_id]
    types = [e["type"] for e in (await api("GET", "/events")).json()["events"]]
    assert types == ["WORKSPACE_PROVISIONING", "WORKSPACE_ONLINE", "WORKSPACE_REMOVED"]


async def test_removal_is_remembered_over_a_restart(start_server):
    async with start_server() as api:
        workspace_id, token = await api.workspace()
        await api("DELETE", f"/workspaces/{workspace_id}")
    async with start_server() as api:
        assert (await api.beat(workspace_id, token)).status_code == 410
        assert (await api("DELETE", f"/workspaces/{workspace_id}")).status_code == 410


async def test_two_removals_at_once_make_one_event(api):
    workspace_id, _ = await api.workspace()
    answers = await asyncio.gather(*(api("DELETE", f"/workspaces/{workspace_id}") for _ in range(4)))
    assert {answer.status_code for answer in answers} <= {204, 410}
    types = [e["type"] for e in (await api("GET", "/events")).json()["events"]]
    assert types.count("WORKSPACE_REMOVED") == 1


async def test_restart_needs_a_link(api):
    workspace_id, token = await api.workspace()
    await api.beat(workspace_id, token)
    answer = await api("POST", f"/workspaces/{workspace_id}/restart")
    assert (answer.status_code, "link" in answer.json()["detail"]) == (409, True)


async def test_restart_is_ordered_once_while_pending(api):
    workspace_id, token = await api.workspace()
    await api.beat(workspace_id, token)
    api.app.leases.get(workspace_id).linked = True
    answers = await asyncio.gather(*(api("POST", f"/workspaces/{workspace_id}/restart") for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409, 409]
    orders = [e for e in (await api("GET", "/events")).json()["events"] if e["type"] == "RESTART_ORDERED"]
    assert len(orders) == 1


async def test_error_texts_are_for_those_who_may_see_them(api):
    workspace_id, token = await api.workspace()
    other_id, other = await api.workspace("bob")
    await api.beat(workspace_id, token, runtime_state="wedged", sample_error="secret reason", current_task="secret job")
    sees = {
        await api.token(Role.OPERATOR): True,
        await api.token(Role.MEMBER): True,
        await api.token(Role.VIEWER): False,
        token: True,
        other: False,
    }
    for bearer, allowed in sees.items():
        for path in (f"/workspaces/{workspace_id}", "/workspaces"):
            answer = await api("GET", path, bearer)
            assert answer.status_code == 200
            assert ("secret reason" in answer.text, "secret job" in answer.text) == (allowed, allowed)
            assert "degraded" in answer.text
    assert "secret" not in (await api("GET", "/events", await api.token(Role.VIEWER))).text
    own = (await api("GET", "/events", other)).json()["events"]
    assert {e["workspace_id"] for e in own} == {other_id}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/workspaces"), ("DELETE", "/workspaces/{id}"), ("POST", "/workspaces/{id}/restart"),
        ("GET", "/tokens"), ("POST", "/tokens"), ("DELETE", "/tokens/{id}"), ("POST", "/tokens/{id}/rotate"),
    ],
)  # fmt: skip
async def test_only_operators_operate(api, method, path):
    workspace_id, token = await api.workspace()
    path = path.format(id=workspace_id)
    bearers = [token, *[await api.token(role) for role in (Role.MEMBER, Role.VIEWER, Role.ENROLMENT)]]
    before = (await api("GET", "/events")).json()["seq"]
    for bearer in bearers:
        answer = await api(method, path, bearer, json={"name": "x", "role": "operator"})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    nobody = await api(method, path, None, json={"name": "x", "role": "operator"})
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
    assert (await api("GET", "/events")).json()["seq"] == before
    assert (await api("GET", f"/workspaces/{workspace_id}")).json()["status"] == "provisioning"


@pytest.mark.parametrize(
    "bad", ["not-a-uuid", "%00", "..%2F..%2Fetc", "1" * 500, "{12345678-1234-1234-1234-123456789012}"]
)
async def test_an_id_that_is_no_uuid_is_not_found(api, bad):
    answer = await api("GET", f"/workspaces/{bad}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_unknown_ids(api, unknown):
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/restart")):
        answer = await api(method, f"/workspaces/{unknown}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
