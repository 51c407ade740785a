"""What an endpoint has accepted it never answers with an error, however deep or late the rest of it."""

import json

from truebeat.errors import Unavailable
from truebeat.server.store import tasks as task_store

NOW = {"returnImmediately": True}


def nested(levels):
    return {"a": nested(levels - 1)} if levels else 1


async def test_a_read_that_fails_after_the_accept_is_no_error(agent, rpc, message, monkeypatch):
    real = task_store.get

    async def down(*_):
        raise Unavailable("the database does not answer", retry_after=1)

    async def silent(agent, deliver):
        """Waits on, and is unable then: the endpoint looks at the database."""
        await agent.begin(deliver)
        monkeypatch.setattr(task_store, "get", down)
        await agent.beat(runtime_state="wedged", sample_error="stuck")

    agent.behave = silent
    plain = await rpc("SendMessage", {"message": message()})
    monkeypatch.setattr(task_store, "get", real)
    assert plain["result"]["task"]["id"] == agent.delivered[0]["task_id"]


async def test_the_same_by_the_sdk(agent, rpc, message, monkeypatch):
    async def down(*_):
        raise Unavailable("the database does not answer", retry_after=1)

    with monkeypatch.context() as patch:
        patch.setattr(task_store, "get", down)
        answer = await rpc("SendMessage", {"message": message(), "metadata": {"x": 1}})
    assert answer["result"]["task"]["id"]


async def test_data_that_is_too_deep_for_protobuf_is_refused_at_the_door(rpc, message, agent):
    for levels in (40, 45, 60, 900):
        refused = await rpc("SendMessage", {"message": message(parts=[{"data": nested(levels)}]), "configuration": NOW})
        assert refused["error"]["code"] in {-32602, -32700}, levels
    for deep in (20, 26, 27):
        sent = message(parts=[{"data": nested(deep)}])
        answer = await rpc("SendMessage", {"message": sent, "configuration": NOW})
        assert answer["result"]["task"]["history"][0]["parts"] == [{"data": nested(deep)}]
    listed = await rpc("ListTasks", {"historyLength": 1})
    assert len(listed["result"]["tasks"]) == 3


async def test_what_came_another_way_and_is_too_deep_is_shown_as_text(rpc, message, agent, http):
    for levels in (27, 30, 45, 120, 900):
        body = {"text": "hi", "parts": [{"data": nested(levels)}], "metadata": {"deep": nested(levels)}}
        (await http.post(f"/workspaces/{agent.workspace_id}/tasks", json=body)).raise_for_status()
    listed = await rpc("ListTasks", {"historyLength": 1, "includeArtifacts": True})
    assert len(listed["result"]["tasks"]) == 5
    # the newest change comes first, and the agent answers them in an order of its own
    shown = [task["history"][0]["parts"][1] for task in listed["result"]["tasks"]]
    deepest = max((part["text"] for part in shown if "text" in part), key=len)
    assert json.loads(deepest) == {"data": nested(900)}

    async def deep(agent, deliver):
        await agent.begin(deliver)
        await agent.artifact(deliver, 0, "x", [{"data": nested(45)}])
        await agent.finish(deliver, "ok")

    agent.behave = deep
    task = (await rpc("SendMessage", {"message": message()}))["result"]["task"]
    assert task["artifacts"][0]["name"] == "x"
    assert json.loads(task["artifacts"][0]["parts"][0]["text"]) == {"data": nested(45)}


async def test_a_repeated_reply_is_the_same_reply(rpc, message, agent):
    async def ask_once(agent, deliver):
        await agent.begin(deliver)
        state, text = ("completed", "ok") if deliver["reply"] else ("input-required", "when?")
        await agent.finish(deliver, text, state=state)

    agent.behave = ask_once
    task = (await rpc("SendMessage", {"message": message()}))["result"]["task"]
    for _ in range(2):
        reply = {"message": message("now", taskId=task["id"])}
        answer = await rpc("SendMessage", reply, **{"Idempotency-Key": "k"})
        assert answer["result"]["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert len(agent.delivered) == 2
    refused = await rpc("SendMessage", {"message": message("now", taskId=task["id"])})
    assert refused["error"]["code"] == -32004
