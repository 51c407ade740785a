"""The protocol's own client, of both bindings, against a live server."""

import asyncio

import httpx
import pytest
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import TaskNotCancelableError, TaskNotFoundError, UnsupportedOperationError

TOKEN = "admin-token-for-tests"


@pytest.fixture(params=["JSONRPC", "HTTP+JSON"])
def binding(request):
    return request.param


@pytest.fixture
async def client_of(base, binding):
    """Makes a client from the card that it resolves itself."""
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20) as http:
        card = await A2ACardResolver(http, base).get_agent_card()

        def client_of(*, streaming):
            config = ClientConfig(streaming=streaming, httpx_client=http, supported_protocol_bindings=[binding])
            return ClientFactory(config).create(card)

        yield client_of


def request(text, **more):
    message = pb.Message(message_id="the same for all", role=pb.ROLE_USER, parts=[pb.Part(text=text)], **more)
    return pb.SendMessageRequest(message=message)


async def events_of(stream):
    return [event async for event in stream]


async def test_a_blocking_send(agent, client_of):
    (answer,) = await events_of(client_of(streaming=False).send_message(request("two")))
    assert answer.task.status.state == pb.TASK_STATE_COMPLETED
    assert answer.task.artifacts[0].parts[0].text == "you said two"


async def test_a_stream_a_dropped_connection_and_a_subscription(agent, client_of):
    go = asyncio.Event()

    async def write(agent, deliver):
        await agent.begin(deliver)
        await agent.text(deliver, 0, "one ")
        await go.wait()
        await agent.text(deliver, 1, "two")
        await agent.finish(deliver, "one two")

    agent.behave = write
    stream = client_of(streaming=True).send_message(request("go"))
    task_id = ""
    async for event in stream:
        task_id = task_id or event.task.id
        if event.HasField("artifact_update"):
            break
    await stream.aclose()
    again = client_of(streaming=True).subscribe(pb.SubscribeToTaskRequest(id=task_id))
    assert (await anext(again)).task.status.state == pb.TASK_STATE_WORKING
    go.set()
    events = await events_of(again)
    pieces = [event.artifact_update.artifact.parts[0].text for event in events if event.HasField("artifact_update")]
    assert pieces == ["one ", "two"]
    assert events[-1].status_update.status.state == pb.TASK_STATE_COMPLETED
    with pytest.raises(UnsupportedOperationError):
        await anext(client_of(streaming=True).subscribe(pb.SubscribeToTaskRequest(id=task_id)))


async def test_turns_of_a_conversation_and_a_question(agent, client_of):
    async def ask(agent, deliver):
        await agent.begin(deliver)
        if deliver["text"] == "which?" or deliver["reply"]:
            await agent.finish(deliver, f"{deliver['context_id']} {deliver['text']}")
        else:
            await agent.finish(deliver, "of what?", state="input-required")

    agent.behave = ask
    client = client_of(streaming=False)
    (asked,) = await events_of(client.send_message(request("one")))
    assert asked.task.status.state == pb.TASK_STATE_INPUT_REQUIRED
    assert asked.task.status.message.parts[0].text == "of what?"
    (ended,) = await events_of(client.send_message(request("cake", task_id=asked.task.id)))
    context = asked.task.context_id
    assert (ended.task.id, ended.task.context_id) == (asked.task.id, context)
    assert ended.task.artifacts[0].parts[0].text == f"{context} cake"
    (next_turn,) = await events_of(client.send_message(request("which?", context_id=context)))
    assert next_turn.task.id != asked.task.id
    assert next_turn.task.context_id == context


async def test_get_cancel_and_list_in_pages(agent, client_of):
    client = client_of(streaming=False)
    ids = []
    for number in range(3):
        (answer,) = await events_of(client.send_message(request(str(number))))
        ids.append(answer.task.id)
    seen, token = [], ""
    while True:
        page = await client.list_tasks(pb.ListTasksRequest(page_size=2, page_token=token))
        seen += [task.id for task in page.tasks]
        token = page.next_page_token
        if not token:
            break
    assert seen == ids[::-1]
    got = await client.get_task(pb.GetTaskRequest(id=ids[0], history_length=1))
    assert got.history[0].parts[0].text == "0"
    with pytest.raises(TaskNotFoundError):
        await client.get_task(pb.GetTaskRequest(id="nothing"))
    with pytest.raises(TaskNotCancelableError):
        await client.cancel_task(pb.CancelTaskRequest(id=ids[0]))

    async def stop(agent, deliver):
        await agent.begin(deliver)
        await agent.canceled.get()
        await agent.finish(deliver, "", state="canceled")

    agent.behave = stop
    stream = client_of(streaming=True).send_message(request("long"))
    task_id = (await anext(stream)).task.id
    await anext(stream)
    await client.cancel_task(pb.CancelTaskRequest(id=task_id))
    assert (await events_of(stream))[-1].status_update.status.state == pb.TASK_STATE_CANCELED


async def test_the_extended_card(agent, client_of):
    card = await client_of(streaming=False).get_extended_agent_card(pb.GetExtendedAgentCardRequest())
    assert card.capabilities.extensions[0].params["able"] is True
