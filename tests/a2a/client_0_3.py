"""Run with a2a-sdk 0.3.26: talks to the endpoint's 0.3 base by one transport. Fails by raising.

argv: URL of the base, token, transport. What the scripted agent does is in test_a2a_client_0_3.py.
"""

import asyncio
import sys
from uuid import uuid4

import httpx
from a2a.client import A2ACardResolver, A2AClientError, ClientConfig, ClientFactory
from a2a.types import Message, Part, Role, Task, TaskIdParams, TaskQueryParams, TextPart


def said(text, **more):
    return Message(message_id=str(uuid4()), role=Role.user, parts=[Part(root=TextPart(text=text))], **more)


async def events_of(stream):
    return [event async for event in stream]


async def main(base, token, transport):
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=30) as http:
        card = await A2ACardResolver(http, base).get_agent_card()
        assert card.protocol_version == "0.3.0"
        config = {"httpx_client": http, "supported_transports": [transport], "use_client_preference": True}
        waiting = ClientFactory(ClientConfig(streaming=False, **config)).create(card)
        streaming = ClientFactory(ClientConfig(streaming=True, **config)).create(card)

        (answer,) = await events_of(waiting.send_message(said("two")))
        if isinstance(answer, Message):
            assert answer.parts[0].root.text == "you said two", answer
            task_id = answer.task_id
        else:
            task, _ = answer
            assert task.status.state == "completed", task
            task_id = task.id
        task = await waiting.get_task(TaskQueryParams(id=task_id))
        assert task.status.state == "completed"
        assert task.artifacts[0].parts[0].root.text == "you said two"

        events = await events_of(streaming.send_message(said("by stream")))
        assert events[-1][0].status.state == "completed", events[-1]
        assert events[-1][0].artifacts[0].parts[0].root.text == "you said by stream"

        (asked,) = await events_of(waiting.send_message(said("ask")))
        asked = asked[0]
        assert isinstance(asked, Task)
        assert asked.status.state == "input-required", asked
        assert asked.status.message.parts[0].root.text == "what?"
        await events_of(waiting.send_message(said("that", task_id=asked.id, context_id=asked.context_id)))
        assert (await waiting.get_task(TaskQueryParams(id=asked.id))).status.state == "completed"

        stream = streaming.send_message(said("long"))
        first, _ = await anext(stream)
        await anext(stream)
        await stream.aclose()
        again = streaming.resubscribe(TaskIdParams(id=first.id))
        assert (await anext(again))[0].id == first.id
        await waiting.cancel_task(TaskIdParams(id=first.id))
        assert (await events_of(again))[-1][0].status.state == "canceled"

        try:
            await waiting.get_task(TaskQueryParams(id="nothing"))
        except A2AClientError:
            pass
        else:
            raise AssertionError("an unknown task was found")
    print("ok")


asyncio.run(main(*sys.argv[1:]))
