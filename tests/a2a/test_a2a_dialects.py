"""REST, the 0.3 dialect with the bare shape of old clients, and the cards."""

import json

import pytest

V1 = {"A2A-Version": "1.0"}


def bare(text="hello", **params):
    return {
        "method": "message/send",
        "params": {"message": {"role": "user", "parts": [{"type": "text", "text": text}]}, **params},
    }


async def test_the_bare_old_shape_is_answered_with_a_message(agent, http, base):
    answer = (await http.post(base, json=bare("two"))).json()
    assert answer["jsonrpc"] == "2.0"
    assert answer["id"]
    result = answer["result"]
    assert result["kind"] == "message"
    assert result["role"] == "agent"
    assert result["parts"] == [{"kind": "text", "text": "you said two"}]
    assert result["taskId"]
    task = (await http.post(base, json={"method": "tasks/get", "params": {"id": result["taskId"]}})).json()["result"]
    assert task["status"]["state"] == "completed"
    assert task["artifacts"][0]["parts"] == [{"kind": "text", "text": "you said two"}]
    assert agent.delivered[0]["sender"]["kind"] == "person"


async def test_what_is_no_plain_text_is_a_task_in_that_dialect_too(agent, http, base):
    async def draw(agent, deliver):
        await agent.begin(deliver)
        await agent.artifact(deliver, 0, "plan", [{"data": {"a": 1}}])
        await agent.finish(deliver, "drawn")

    agent.behave = draw
    result = (await http.post(base, json=bare())).json()["result"]
    assert result["kind"] == "task"
    assert [artifact["name"] for artifact in result["artifacts"]] == ["plan", "answer"]


@pytest.mark.parametrize(
    "params",
    [None, [], {}, {"message": 7}, {"message": {}}, {"message": {"parts": []}}, {"message": {"parts": [7]}},
     {"message": {"parts": [{"type": "smell"}]}}, {"message": {"parts": [{"kind": "text"}]}},
     {"message": {"role": "king", "parts": [{"kind": "text", "text": "x"}]}},
     {"message": {"messageId": 7, "parts": [{"kind": "text", "text": "x"}]}}],
)  # fmt: skip
async def test_bad_parameters_of_that_dialect_are_told_so(http, base, params):
    answer = (await http.post(base, json={"method": "message/send", "params": params})).json()
    assert answer["error"]["code"] == -32602, answer
    assert "pydantic" not in json.dumps(answer)


async def test_a_name_of_one_dialect_is_none_of_the_other(http, base, message):
    newer = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message()}}
    assert (await http.post(f"{base}/v0.3", json=newer)).json()["error"]["code"] == -32009
    answer = (await http.post(base, json={**bare(), "id": "x"}, headers=V1)).json()
    assert (answer["id"], answer["error"]["code"]) == ("x", -32601)


async def test_streams_and_rest_of_the_0_3_base(agent, http, base):
    body = {**bare("by stream"), "method": "message/stream"}
    lines = [
        line for line in (await http.post(f"{base}/v0.3", json=body)).text.splitlines() if line.startswith("data:")
    ]
    events = [json.loads(line[5:])["result"] for line in lines]
    assert events[0]["kind"] == "task"
    assert events[-1] == {**events[-1], "kind": "status-update", "final": True}
    assert events[-1]["status"]["state"] == "completed"
    sent = {"message": {"messageId": "m", "role": "ROLE_USER", "content": [{"text": "by rest"}]}}
    answer = (await http.post(f"{base}/v0.3/v1/message:send", json=sent)).json()
    assert answer["task"]["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_rest(agent, http, base, message):
    sent = await http.post(f"{base}/message:send", json={"message": message("by rest")}, headers=V1)
    task = sent.json()["task"]
    assert task["artifacts"][0]["parts"] == [{"text": "you said by rest"}]
    url = f"{base}/tasks/{task['id']}"
    assert (await http.get(url, headers=V1)).json()["id"] == task["id"]
    assert (await http.get(f"{base}/tasks?pageSize=1", headers=V1)).json()["tasks"][0]["id"] == task["id"]
    streamed = await http.post(f"{base}/message:stream", json={"message": message("x")}, headers=V1)
    assert streamed.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[5:]) for line in streamed.text.splitlines() if line.startswith("data:")]
    assert events[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
    for answer, status, reason in (
        (await http.post(f"{url}:cancel", headers=V1), 400, "TASK_NOT_CANCELABLE"),
        (await http.get(f"{base}/tasks/nothing", headers=V1), 404, "TASK_NOT_FOUND"),
        (await http.get(url, headers={"A2A-Version": "99.0"}), 400, "VERSION_NOT_SUPPORTED"),
        (await http.post(f"{base}/message:send", json={}, headers=V1), 400, "INVALID_PARAMS"),
        (await http.post(f"{base}/message:send", content=b"{", headers={**V1, "content-type": "application/json"}), 400,
         "INVALID_REQUEST"),
        (await http.post(f"{base}/message:send", content=b"{}", headers={**V1, "content-type": "text/plain"}), 415,
         "CONTENT_TYPE_NOT_SUPPORTED"),
        (await http.get(f"{base}/nothing", headers=V1), 404, "METHOD_NOT_FOUND"),
        (await http.delete(url, headers=V1), 405, "METHOD_NOT_FOUND"),
        (await http.get(f"{url}/pushNotificationConfigs", headers=V1), 400, "PUSH_NOTIFICATION_NOT_SUPPORTED"),
    ):  # fmt: skip
        error = answer.json()["error"]
        assert (answer.status_code, error["details"][0]["reason"]) == (status, reason), answer.text
        assert error["code"] == status
        assert answer.headers["content-type"] == "application/json"


async def test_the_card_is_pure_1_0_and_can_be_revalidated(http, base, live, made):
    url = f"{base}/.well-known/agent-card.json"
    answer = await http.get(url, headers={"Authorization": ""})
    card = answer.json()
    assert card["name"] == "ada"
    assert {face["protocolBinding"] for face in card["supportedInterfaces"]} == {"JSONRPC", "HTTP+JSON"}
    assert {face["url"] for face in card["supportedInterfaces"]} == {base}
    assert "url" not in card
    assert "protocolVersion" not in card
    assert card["capabilities"]["extensions"][0]["uri"].endswith("/availability/v1")
    assert card["securitySchemes"]["bearer"] == {"httpAuthSecurityScheme": {"scheme": "Bearer"}}
    assert "max-age" in answer.headers["cache-control"]
    etag, changed = answer.headers["etag"], answer.headers["last-modified"]
    for headers, status in (
        ({"If-None-Match": etag}, 304),
        ({"If-None-Match": f'"x", W/{etag}'}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-None-Match": '"x"', "If-Modified-Since": changed}, 200),
        ({"If-Modified-Since": changed}, 304),
        ({"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
    ):
        assert (await http.get(url, headers=headers)).status_code == status, headers
    assert (await http.get(url, headers={"If-None-Match": etag})).content == b""
    both = (await http.get(f"{base}/v0.3/.well-known/agent-card.json")).json()
    assert both["protocolVersion"] == "0.3.0"
    assert both["url"] == f"{base}/v0.3"
    assert both["supportedInterfaces"][0]["protocolVersion"] == "1.0"
    await http.delete(f"/workspaces/{made[0]}")
    assert (await http.get(url)).status_code == 410


async def test_a_registered_card_tells_its_skills_and_nothing_harmful(http, live, made):
    told = {"description": "draws", "version": "7", "url": "http://evil", "supportedInterfaces": [{"url": "http://evil"}],
            "skills": [{"id": "draw", "name": "Draw", "tags": ["art", 7], "x": 1}, 7, {"id": 1}]}  # fmt: skip
    body = {"id": made[0], "agent_card": told}
    await http.post("/registry/register", json=body, headers={"Authorization": f"Bearer {made[1]}"})
    answer = await http.get(f"/workspaces/{made[0]}/a2a/.well-known/agent-card.json")
    card = answer.json()
    assert (card["description"], card["version"]) == ("draws", "7")
    assert card["skills"] == [{"id": "draw", "name": "Draw", "description": "Draw", "tags": ["art"]}]
    assert "evil" not in answer.text


async def test_the_extended_card_has_the_facts_of_this_moment(agent, http, base):
    answer = (await http.get(f"{base}/extendedAgentCard", headers=V1)).json()
    assert answer["capabilities"]["extensions"][0]["params"]["able"] is True
    assert (await http.get(f"{base}/extendedAgentCard", headers={**V1, "Authorization": ""})).status_code == 401


@pytest.mark.parametrize(
    "path",
    ["/tasks?contextId=%00", "/tasks/%00", "/tasks?pageToken=%00", "/tasks?pageSize=1e30", "/tasks?status=99",
     "/tasks?statusTimestampAfter=never", "/tasks?historyLength=x", "/tasks/x/pushNotificationConfigs/%00",
     "/%2e%2e/%2e%2e", "/tasks/a/b/c", "/v0.3/v1/nothing", "/v0.3/tasks", "/%f0%9f%92%a9", "/tenant/tasks"],
)  # fmt: skip
async def test_hostile_paths_are_answered_with_the_clients_fault(http, base, path):
    for headers in (V1, {}):
        answer = await http.get(base + path, headers=headers)
        assert 400 <= answer.status_code < 500, answer.text
        assert answer.json()["error"]["code"] == answer.status_code


@pytest.mark.parametrize(
    "text",
    ['"\\ud800"', '"\\u0000"', '"\\\\u0000"', "7", '{"a": ' * 90 + "1" + "}" * 90, "1e999", "null",
     '"' + "x" * 900_000 + '"'],
    ids=range(8),
)  # fmt: skip
async def test_hostile_values_never_fail_the_server(agent, http, base, text):
    part, data = f'{{"text": {text}}}', f'{{"data": {text}}}'
    fields = f'"role": "ROLE_USER", "parts": [{part}], "metadata": {{"x": {text}}}'
    call = '{"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": '
    more = f'"role": "ROLE_USER", "parts": [{data}], "contextId": {text}'
    for version, content in (
        ("1.0", f'{call}{{"messageId": "m", {fields}}}}}}}'),
        ("1.0", f'{call}{{"messageId": {text}, {more}}}}}}}'),
        ("", f'{{"method": "message/send", "params": {{"message": {{"parts": [{part}], "contextId": {text}}}}}}}'),
        ("1.0", f'{{"method": {text}, "id": {text}}}'),
    ):  # fmt: skip
        headers = {"content-type": "application/json", "A2A-Version": version}
        answer = await http.post(base, content=content.encode(), headers=headers)
        assert answer.status_code in {200, 413}, answer.text
        assert answer.json().get("error", {}).get("code") != -32603, answer.text
