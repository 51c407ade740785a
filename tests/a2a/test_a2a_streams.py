"""Streams of A2A 1.0: what comes, in which order, and when they end."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx2
import pytest
from scripted_agent import linked

from truebeat.server.serve import serve

HEADERS = {"A2A-Version": "1.0", "Authorization": "Bearer admin-token-for-tests"}


@pytest.fixture
def stream(live, base):
    """Opens a stream of a 1.0 method: yields a function that gives its next event, None at its end."""

    @asynccontextmanager
    async def stream(method, params):
        body = {"jsonrpc": "2.0", "id": 9, "method": method, "params": params}
        async with (
            httpx2.AsyncClient(timeout=20, headers=HEADERS) as client,
            client.stream("POST", base, json=body) as answer,
        ):
            assert answer.headers["content-type"].startswith("text/event-stream"), await answer.aread()
            lines = answer.aiter_lines()

            async def following():
                async for line in lines:
                    if line.startswith("data:"):
                        frame = json.loads(line[5:])
                        assert frame["id"] == 9
                        return frame.get("result") or frame["error"]
                return None

            yield following

    return stream


async def rest_of(following):
    found = []
    while (event := await following()) is not None:
        found.append(event)
    return found


def kinds(events):
    return [next(iter(event)) for event in events]


async def test_pieces_artifacts_and_the_end_come_in_order(agent, stream, message):
    async def write(agent, deliver):
        await agent.begin(deliver)
        await agent.text(deliver, 0, "one ")
        await agent.artifact(deliver, 1, "plan.json", [{"data": {"steps": 2}}])
        await agent.text(deliver, 2, "two")
        await agent.finish(deliver, "one two")

    agent.behave = write
    async with stream("SendStreamingMessage", {"message": message()}) as following:
        events = await rest_of(following)
    assert events[0]["task"]["status"]["state"] == "TASK_STATE_SUBMITTED"
    states = [event["statusUpdate"]["status"]["state"] for event in events if "statusUpdate" in event]
    assert states == ["TASK_STATE_WORKING", "TASK_STATE_COMPLETED"]
    artifacts = [event["artifactUpdate"] for event in events if "artifactUpdate" in event]
    assert [artifact["artifact"]["artifactId"] for artifact in artifacts] == ["answer", "plan.json", "answer"]
    assert [artifact.get("append", False) for artifact in artifacts] == [False, False, True]
    assert artifacts[1]["artifact"]["parts"] == [{"data": {"steps": 2}}]
    assert kinds(events)[-1] == "statusUpdate"
    assert {event[kind].get("taskId") for event in events[1:] for kind in event} == {events[0]["task"]["id"]}


async def test_a_result_that_was_not_streamed_comes_whole(agent, stream, message):
    async with stream("SendStreamingMessage", {"message": message("hi")}) as following:
        events = await rest_of(following)
    whole = [event["artifactUpdate"] for event in events if "artifactUpdate" in event]
    assert [one["artifact"]["parts"] for one in whole] == [[{"text": "you said hi"}]]
    assert whole[0]["lastChunk"]


async def test_a_dropped_stream_is_taken_up_again_without_a_gap(agent, stream, message):
    go = asyncio.Event()

    async def write(agent, deliver):
        await agent.begin(deliver)
        await agent.text(deliver, 0, "before ")
        await go.wait()
        await agent.text(deliver, 1, "after")
        await agent.finish(deliver, "before after")

    agent.behave = write
    async with stream("SendStreamingMessage", {"message": message()}) as following:
        task = (await following())["task"]
        while "artifactUpdate" not in await following():
            pass
    # the connection is gone; the task is not
    async with (
        stream("SubscribeToTask", {"id": task["id"]}) as first,
        stream("SubscribeToTask", {"id": task["id"]}) as second,
    ):
        for following in (first, second):
            assert (await following())["task"]["status"]["state"] == "TASK_STATE_WORKING"
            assert (await following())["artifactUpdate"]["artifact"]["parts"] == [{"text": "before "}]
        go.set()
        for following in (first, second):
            events = await rest_of(following)
            assert events[0]["artifactUpdate"]["artifact"]["parts"] == [{"text": "after"}]
            assert events[0]["artifactUpdate"]["append"]
            assert events[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_a_subscription_outlives_a_question(agent, stream, rpc, message):
    async def ask(agent, deliver):
        await agent.begin(deliver)
        if deliver["reply"]:
            await agent.finish(deliver, "thanks")
        else:
            await agent.finish(deliver, "what?", state="input-required")

    agent.behave = ask
    async with stream("SendStreamingMessage", {"message": message()}) as following:
        events = await rest_of(following)
    assert events[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    task_id = events[0]["task"]["id"]
    async with stream("SubscribeToTask", {"id": task_id}) as following:
        assert (await following())["task"]["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
        await rpc("SendMessage", {"message": message("that", taskId=task_id)})
        events = await rest_of(following)
    assert events[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
    ended = await rpc("SubscribeToTask", {"id": task_id})
    assert ended["error"]["code"] == -32004


async def test_a_stream_ends_when_the_agent_becomes_unable(agent, stream, message):
    agent.behave = never
    async with stream("SendStreamingMessage", {"message": message()}) as following:
        while "statusUpdate" not in await following():
            pass
        await agent.beat(runtime_state="wedged", sample_error="Control request timeout: initialize")
        events = await rest_of(following)
    update = events[-1]["statusUpdate"]
    (facts,) = update["metadata"].values()
    assert facts["able"] is False
    assert facts["status"] == "degraded"
    assert facts["condition"] == "wedged"
    assert facts["detail"] == "Control request timeout: initialize"
    assert update["status"]["state"] == "TASK_STATE_WORKING"


async def never(agent, deliver):
    await agent.begin(deliver)


async def test_a_client_that_goes_away_leaves_nothing_behind(agent, base, message, until):
    agent.behave = never
    before = len(asyncio.all_tasks())
    body = {"jsonrpc": "2.0", "id": 1, "params": {"message": message()}}
    async with httpx2.AsyncClient(timeout=20, headers=HEADERS) as client:
        for method in ("SendMessage", "SendStreamingMessage"):
            waiting = asyncio.ensure_future(client.post(base, json={**body, "method": method}))
            count = len(agent.delivered)

            async def delivered(count=count):
                return len(agent.delivered) > count

            await until(delivered)
            waiting.cancel()
            await asyncio.wait({waiting})

    async def settled():
        return not [task for task in asyncio.all_tasks() if task.get_name().startswith("a2a ")]

    await until(settled)
    assert len(asyncio.all_tasks()) <= before + 3


async def test_the_server_ends_waits_and_streams_when_it_stops(settings, message, until):
    ready = asyncio.get_running_loop().create_future()
    server = asyncio.ensure_future(serve(settings, "127.0.0.1", 0, ready=ready.set_result))
    url = await ready
    async with httpx2.AsyncClient(base_url=url, timeout=20, headers=HEADERS) as client:
        made = (await client.post("/workspaces", json={"name": "ada"})).json()
        workspace_id = made["workspace"]["id"]
        async with linked(url, workspace_id, made["token"]) as agent:
            agent.behave = never
            body = {"jsonrpc": "2.0", "id": 9, "params": {"message": message()}}
            waiting = [
                asyncio.ensure_future(client.post(f"/workspaces/{workspace_id}/a2a", json={**body, "method": method}))
                for method in ("SendMessage", "SendStreamingMessage")
            ]

            async def delivered():
                return len(agent.delivered) == 2

            await until(delivered)
            server.cancel()
            waited, streamed = await asyncio.gather(*waiting)
    assert waited.json()["result"]["task"]["status"]["state"] in {"TASK_STATE_WORKING", "TASK_STATE_SUBMITTED"}
    assert "error" not in streamed.text
    await asyncio.wait({server})
