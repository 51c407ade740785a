"""A2A 1.0 by JSON-RPC, as bytes on the wire."""

import asyncio
import json

import pytest


async def test_a_message_is_answered_with_its_ended_task(agent, rpc, message):
    answer = await rpc("SendMessage", {"message": message("two and two")})
    task = answer["result"]["task"]
    assert answer["id"] == 7
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert task["artifacts"] == [
        {"artifactId": "answer", "name": "answer", "parts": [{"text": "you said two and two"}]}
    ]
    assert [said["parts"] for said in task["history"]] == [[{"text": "two and two"}]]
    assert task["history"][0]["messageId"] == "m-1"
    assert agent.delivered[0]["sender"]["kind"] == "client"
    got = await rpc("GetTask", {"id": task["id"], "historyLength": 0})
    assert "history" not in got["result"]
    assert got["result"]["contextId"] == task["contextId"]


async def test_the_same_message_id_is_another_task(agent, rpc, message):
    first = await rpc("SendMessage", {"message": message()})
    second = await rpc("SendMessage", {"message": message()})
    assert first["result"]["task"]["id"] != second["result"]["task"]["id"]


async def test_an_idempotency_key_makes_it_the_same(agent, rpc, message):
    first = await rpc("SendMessage", {"message": message()}, **{"Idempotency-Key": "k"})
    second = await rpc("SendMessage", {"message": message()}, **{"Idempotency-Key": "k"})
    assert first["result"]["task"]["id"] == second["result"]["task"]["id"]
    assert len(agent.delivered) == 1


async def test_it_returns_at_once_if_asked_to(agent, rpc, message):
    go = asyncio.Event()

    async def later(agent, deliver):
        await agent.begin(deliver)
        await go.wait()
        await agent.finish(deliver, "done")

    agent.behave = later
    params = {"message": message(), "configuration": {"returnImmediately": True}}
    task = (await rpc("SendMessage", params))["result"]["task"]
    assert task["status"]["state"] == "TASK_STATE_SUBMITTED"
    assert "metadata" not in task
    go.set()


async def test_a_question_and_its_reply_are_one_task(agent, rpc, message):
    async def ask(agent, deliver):
        await agent.begin(deliver)
        if deliver["reply"]:
            await agent.finish(deliver, f"then {deliver['text']}")
        else:
            await agent.finish(deliver, "which one?", state="input-required")

    agent.behave = ask
    asked = (await rpc("SendMessage", {"message": message("one of them")}))["result"]["task"]
    assert asked["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    assert asked["status"]["message"]["parts"] == [{"text": "which one?"}]
    wrong = message("the first", taskId=asked["id"], contextId="another")
    assert (await rpc("SendMessage", {"message": wrong}))["error"]["code"] == -32602
    # without contextId: the task's context is kept
    ended = (await rpc("SendMessage", {"message": message("the first", taskId=asked["id"])}))["result"]["task"]
    assert ended["id"] == asked["id"]
    assert ended["contextId"] == asked["contextId"]
    assert ended["status"]["state"] == "TASK_STATE_COMPLETED"
    said = [(one["role"], one["parts"][0]["text"]) for one in ended["history"]]
    assert said == [("ROLE_USER", "one of them"), ("ROLE_AGENT", "which one?"), ("ROLE_USER", "the first")]
    again = await rpc("SendMessage", {"message": message("more", taskId=asked["id"])})
    assert again["error"]["code"] == -32004


async def test_an_error_of_the_agent_is_a_failed_task(agent, rpc, message):
    async def fail(agent, deliver):
        await agent.begin(deliver)
        await agent.finish(deliver, "no such file", state="failed")

    agent.behave = fail
    task = (await rpc("SendMessage", {"message": message()}))["result"]["task"]
    assert task["status"]["state"] == "TASK_STATE_FAILED"
    assert task["status"]["message"]["parts"] == [{"text": "no such file"}]
    assert "artifacts" not in task


async def test_a_task_that_waits_is_canceled_at_once_and_a_held_one_by_its_worker(agent, rpc, message, until):
    async def stop(agent, deliver):
        await agent.begin(deliver)
        await agent.canceled.get()
        await agent.finish(deliver, "", state="canceled")

    agent.behave = stop
    params = {"message": message(), "configuration": {"returnImmediately": True}}
    task = (await rpc("SendMessage", params))["result"]["task"]

    async def working():
        return (await rpc("GetTask", {"id": task["id"]}))["result"]["status"]["state"] == "TASK_STATE_WORKING"

    await until(working)
    answer = await rpc("CancelTask", {"id": task["id"]})
    assert answer["result"]["status"]["state"] in {"TASK_STATE_WORKING", "TASK_STATE_CANCELED"}

    async def canceled():
        return (await rpc("GetTask", {"id": task["id"]}))["result"]["status"]["state"] == "TASK_STATE_CANCELED"

    await until(canceled)
    error = (await rpc("CancelTask", {"id": task["id"]}))["error"]
    assert error["code"] == -32002
    assert error["data"][0]["reason"] == "TASK_NOT_CANCELABLE"


async def test_lists_come_in_pages_with_filters(agent, rpc, message):
    ids = []
    for number in range(5):
        sent = await rpc("SendMessage", {"message": message(str(number), contextId="odd" if number % 2 else "even")})
        ids.append(sent["result"]["task"]["id"])
    first = (await rpc("ListTasks", {"pageSize": 2}))["result"]
    assert [task["id"] for task in first["tasks"]] == [ids[4], ids[3]]
    assert (first["totalSize"], first["pageSize"]) == (5, 2)
    assert "artifacts" not in first["tasks"][0]
    seen, token = [task["id"] for task in first["tasks"]], first["nextPageToken"]
    while token:
        page = (await rpc("ListTasks", {"pageSize": 2, "pageToken": token}))["result"]
        seen += [task["id"] for task in page["tasks"]]
        token = page["nextPageToken"]
    assert seen == ids[::-1]
    odd = (await rpc("ListTasks", {"contextId": "odd", "includeArtifacts": True, "historyLength": 1}))["result"]
    assert [task["id"] for task in odd["tasks"]] == [ids[3], ids[1]]
    assert odd["tasks"][0]["artifacts"][0]["parts"][0]["text"] == "you said 3"
    assert odd["tasks"][0]["history"][0]["parts"][0]["text"] == "3"
    assert (await rpc("ListTasks", {"status": "TASK_STATE_WORKING"}))["result"]["tasks"] == []
    for bad in ({"pageSize": 0}, {"pageSize": 101}, {"pageToken": "x"}, {"historyLength": -1}):
        assert (await rpc("ListTasks", bad))["error"]["code"] == -32602, bad


async def test_the_task_of_another_agent_is_not_found(agent, rpc, message, http, live):
    task = (await rpc("SendMessage", {"message": message()}))["result"]["task"]
    other = (await http.post("/workspaces", json={"name": "bob"})).json()["workspace"]["id"]
    body = {"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": task["id"]}}
    answer = await http.post(f"/workspaces/{other}/a2a", json=body, headers={"A2A-Version": "1.0"})
    assert answer.json()["error"]["code"] == -32001


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b"7", -32600),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "GetTask"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "Nothing"}', -32601),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": 7}}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {}}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "\\u0000"}}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "x"}}', -32001),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "CreateTaskPushNotificationConfig", "params": {}}', -32003),
    ],
)
async def test_hostile_bodies_get_the_protocols_errors(http, base, made, body, code):
    headers = {"A2A-Version": "1.0", "Content-Type": "application/json"}
    for url in (base, base + "/"):
        answer = await http.post(url, content=body, headers=headers)
        assert answer.status_code == 200
        assert answer.json()["error"]["code"] == code, answer.text
        assert "Traceback" not in answer.text
        assert "truebeat/" not in answer.text


async def test_bounds_content_types_and_versions(http, base, made, message):
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message()}}
    content = json.dumps(body).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = await http.post(base, content=content, headers={"A2A-Version": "1.0", "Content-Type": kind})
        assert answer.json()["error"]["code"] == -32005, kind
        assert answer.json()["error"]["data"][0]["reason"] == "CONTENT_TYPE_NOT_SUPPORTED"
    answer = await http.post(base, content=b" " * (1024 * 1024 + 1), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    for version in ("99.0", "0.3", "x"):
        answer = await http.post(base, json=body, headers={"A2A-Version": version})
        assert answer.json()["error"]["code"] == -32009
    assert (await http.post(base, json=body)).json()["error"]["code"] == -32009
    assert "result" in (await http.post(f"{base}?A2A-Version=1.0", json=body)).json()
    assert (await http.get(base)).status_code == 405


async def test_an_agent_that_names_its_media_types_is_sent_no_others(agent, http, rpc, message, made):
    part = {"raw": "dGNr", "mediaType": "application/x-strange"}
    assert "result" in await rpc("SendMessage", {"message": message(parts=[part])})
    told = {"id": made[0], "agent_card": {"defaultInputModes": ["text/*", "application/json", 7]}}
    answer = await http.post("/registry/register", json=told, headers={"Authorization": f"Bearer {made[1]}"})
    assert answer.status_code == 200
    error = (await rpc("SendMessage", {"message": message(parts=[part])}))["error"]
    assert error["code"] == -32005
    assert "text/*, application/json" in error["message"]
    plain = {"text": "x", "mediaType": "text/markdown; charset=utf-8"}
    assert "result" in await rpc("SendMessage", {"message": message(parts=[plain])})


async def test_what_a_message_says_beside_its_parts_goes_with_the_first(agent, rpc, message):
    await rpc("SendMessage", {"message": message(metadata={"a": 1}, referenceTaskIds=["t"])})
    beside = agent.delivered[0]["parts"][0]["metadata"]["https://truebeat.dev/a2a/message"]
    assert beside == {"messageId": "m-1", "metadata": {"a": 1}, "referenceTaskIds": ["t"]}


async def test_an_agent_may_answer_with_a_message(agent, rpc, message):
    async def reply(agent, deliver):
        await agent.begin(deliver)
        await agent.artifact(deliver, 0, "https://truebeat.dev/a2a/message", [{"text": "hi"}])
        await agent.finish(deliver, "")

    agent.behave = reply
    said = (await rpc("SendMessage", {"message": message()}))["result"]["message"]
    assert said["role"] == "ROLE_AGENT"
    assert said["parts"] == [{"text": "hi"}]
    assert said["taskId"]


async def test_what_a_message_lacks_is_named(rpc, agent):
    error = (await rpc("SendMessage", {"message": {"messageId": "m"}}))["error"]
    assert error["code"] == -32602
    fields = [violation["field"] for violation in error["data"][1]["fieldViolations"]]
    assert fields == ["message.role", "message.parts"]


async def test_a_client_that_asks_for_the_extension_is_told_that_it_is_in_use(http, base, agent, message):
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message()}}
    uri = "https://truebeat.dev/extensions/availability/v1"
    headers = {"A2A-Version": "1.0", "A2A-Extensions": f"https://example.com/other, {uri}"}
    assert (await http.post(base, json=body, headers=headers)).headers["a2a-extensions"] == uri
    answer = await http.post(base, json=body, headers={"A2A-Version": "1.0"})
    assert "a2a-extensions" not in answer.headers
