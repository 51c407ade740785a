"""Who a sender is: what its token keeps over rotations, and never its name alone."""

import pytest

from truebeat.domain.access import Role


@pytest.fixture
async def ada(api):
    return await api.workspace("ada")


async def named(api, name="ann", role=Role.MEMBER):
    issued = await api.app.tokens.issue(name, role)
    return issued.token, issued.view.id


async def send(api, ada, token, status=202, text="hello", key="", **fields):
    headers = [("Idempotency-Key", key)] if key else []
    answer = await api("POST", f"/workspaces/{ada[0]}/tasks", token, json={"text": text, **fields}, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_token_of_the_same_name_is_another_sender(api, ada):
    (first, _), (second, _) = await named(api), await named(api)
    task = await send(api, ada, first, key="k")
    other = await send(api, ada, second, key="k", text="something else")
    assert other["id"] != task["id"]
    assert task["sender"]["name"] == other["sender"]["name"] == "ann"
    assert task["sender"]["id"] != other["sender"]["id"]
    assert (await api("POST", f"/tasks/{task['id']}/cancel", second)).status_code == 403
    assert (await api("POST", f"/tasks/{task['id']}/cancel", first)).status_code == 200


async def test_a_token_named_like_anothers_id_is_not_the_other(api, ada):
    first, _ = await named(api)
    task = await send(api, ada, first)
    thief, _ = await named(api, task["sender"]["id"])
    assert (await api("POST", f"/tasks/{task['id']}/cancel", thief)).status_code == 403


async def test_a_rotated_token_is_the_same_sender(api, ada):
    token, token_id = await named(api)
    task = await send(api, ada, token, key="k")
    for _ in range(2):
        issued = await api.app.tokens.rotate(token_id)
        token, token_id = issued.token, issued.view.id
    assert (await send(api, ada, token, key="k"))["id"] == task["id"]
    assert (await send(api, ada, token))["sender"] == task["sender"]
    assert (await api("POST", f"/tasks/{task['id']}/cancel", token)).json()["state"] == "canceled"


async def test_a_session_is_its_tokens_sender(api, ada):
    token, _ = await named(api)
    task = await send(api, ada, token)
    answer = await api("POST", "/session", None, json={"token": token})
    cookie = answer.headers["set-cookie"].partition(";")[0]
    canceled = await api("POST", f"/tasks/{task['id']}/cancel", None, headers=[("Cookie", cookie)])
    assert canceled.json()["state"] == "canceled"


async def test_another_admin_token_in_the_setting_is_the_same_sender(api, ada):
    before = await send(api, ada, "admin-token-for-tests")
    await api.app.tokens.ensure_admin("the-next-admin-token")
    after = await send(api, ada, "the-next-admin-token")
    assert after["sender"] == before["sender"]
