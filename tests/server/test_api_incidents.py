"""GET /incidents and /incidents/{id}, and the witnesses of GET /workspaces/{id}."""

import pytest

from truebeat.domain.access import Role


@pytest.fixture
async def wedged(api):
    """(id, token) of one that admitted a wedge, over plain HTTP."""
    workspace_id, token = await api.workspace()
    await api.beat(workspace_id, token)
    await api.beat(workspace_id, token, runtime_state="wedged", sample_error="a secret reason")
    return workspace_id, token


async def test_list_filter_and_show(api, wedged):
    other, other_token = await api.workspace("bob")
    for state in ("", "wedged", ""):
        await api.beat(other, other_token, runtime_state=state)
    (newest, oldest) = (await api("GET", "/incidents")).json()["incidents"]
    assert (newest["name"], oldest["name"]) == ("bob", "ada")
    assert newest["recovery"] == "resumed by itself"
    for query, names in (
        ("open=true", ["ada"]),
        ("open=false", ["bob"]),
        (f"workspace_id={wedged[0]}", ["ada"]),
        ("limit=1", ["bob"]),
    ):
        page = (await api("GET", f"/incidents?{query}")).json()
        assert [one["name"] for one in page["incidents"]] == names, query
    first = (await api("GET", "/incidents?limit=1")).json()
    second = (await api("GET", f"/incidents?limit=1&after={first['next']}")).json()
    assert second["incidents"] == [oldest | {"seconds": second["incidents"][0]["seconds"]}]
    one = (await api("GET", f"/incidents/{oldest['id']}")).json()
    assert one["timeline"][0]["text"] == "wedged: a secret reason"
    assert one["evidence"] is None


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "open=maybe", "workspace_id=x", "after=x", "after=%00", "after=W10", "after=WzEsMl0"],
)
async def test_bad_queries_are_refused(api, query):
    assert (await api("GET", f"/incidents?{query}")).status_code == 422


@pytest.mark.parametrize("where", ["not-a-uuid", "00000000-0000-0000-0000-000000000000"])
async def test_unknown_ones(api, where):
    assert (await api("GET", f"/incidents/{where}")).status_code == 404


async def test_without_a_token_or_with_one_that_may_not(api):
    enrolment = await api.token(Role.ENROLMENT)
    for path in ("/incidents", "/incidents/00000000-0000-0000-0000-000000000000"):
        assert (await api("GET", path, None)).status_code == 401
        assert (await api("GET", path, enrolment)).status_code == 403


async def test_error_texts_only_for_those_who_may(api, wedged):
    viewer = await api.token(Role.VIEWER)
    stranger = (await api.workspace("eve"))[1]
    (view,) = (await api("GET", "/incidents")).json()["incidents"]
    for path in ("/incidents", f"/incidents/{view['id']}", f"/workspaces/{wedged[0]}", "/events"):
        for token in (viewer, stranger):
            answer = await api("GET", path, token)
            assert answer.status_code == 200
            assert "secret" not in answer.text, path
        assert "secret" in (await api("GET", path)).text, path
    assert "secret" in (await api("GET", f"/incidents/{view['id']}", wedged[1])).text


async def test_witnesses_side_by_side(api, wedged):
    seen = (await api("GET", f"/workspaces/{wedged[0]}")).json()
    witnesses = {one["witness"]: one for one in seen["witnesses"]}
    assert list(witnesses) == ["self", "evidence", "silence", "sender", "canary"]
    assert witnesses["self"]["says"] == "wedged"
    assert witnesses["self"]["healthy"] is False
    assert witnesses["self"]["detail"] == "a secret reason"
    assert witnesses["evidence"]["healthy"] is None
    assert 0 <= witnesses["silence"]["age"] < 60
    assert seen["evidence"] is None
    listed = (await api("GET", "/workspaces")).json()["workspaces"][0]
    assert listed["witnesses"] == []
    assert listed["incident_id"] == seen["incident_id"]
