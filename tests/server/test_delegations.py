"""Delegations over HTTP and links: given, answered, brought back once, canceled, bounded."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from truebeat.domain.delegations import DEPTH_LIMIT, OPEN_LIMIT

from task_stand import ADMIN, until


class Agent:
    """A workspace with a link driven by hand."""

    def __init__(self, stand, name, workspace_id, token):
        self.stand = stand
        self.name = name
        self.id = workspace_id
        self.auth = {"Authorization": f"Bearer {token}"}
        self.token = token
        self.link = None

    async def delegate(self, target, text="count the beans", status=202, headers=None, **fields):
        answer = await self.stand.http.post(
            f"/workspaces/{self.id}/delegations",
            json={"target": getattr(target, "id", target), "text": text, **fields},
            headers={**self.auth, **(headers or {})},
        )
        assert answer.status_code == status, answer.text
        return answer.json()

    async def get(self, path, status=200, **query):
        answer = await self.stand.http.get(path, params=query, headers=self.auth)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def post(self, path, status=200, **body):
        answer = await self.stand.http.post(path, json=body or None, headers=self.auth)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def take(self):
        """The next delivery, begun."""
        deliver = await self.link.receive("deliver")
        await self.link.begin(deliver)
        return deliver

    async def idle(self, **fields):
        """Nothing was delivered: a beat with room is answered first by whatever is delivered for it."""
        await self.link.beat(capacity=1, **fields)
        await self.link.beat(capacity=1, **fields)
        assert not self.link.came.get("deliver")


@pytest.fixture
async def agents(stand):
    """Makes workspaces that are linked and take work; all of them end with the test."""
    async with AsyncExitStack() as stack:

        async def make(name, parent=None, capacity=1, linked=True):
            body = {"name": name, **({} if parent is None else {"parent_id": parent.id})}
            made = (await stand.http.post("/workspaces", json=body)).raise_for_status().json()
            agent = Agent(stand, name, made["workspace"]["id"], made["token"])
            if linked:
                agent.link = await stack.enter_async_context(stand.dial(agent.id, agent.token))
                assert await agent.link.beat(capacity=capacity) == "online"
            return agent

        yield make


async def given(agent):
    """The wake that brings results."""
    deliver = await agent.take()
    assert deliver["sender"] == {"kind": "client", "id": "truebeat", "name": "truebeat"}
    return deliver


async def test_a_result_comes_back_with_the_next_turn_and_is_consumed_with_it(agents, stand):
    ada, bob = await agents("ada"), await agents("bob")
    delegation = await ada.delegate("bob")
    assert delegation["status"] == "pending"
    work = await bob.take()
    assert work["text"] == "count the beans"
    assert work["sender"]["id"] == ada.id
    await bob.link.finish(work, "seven beans")

    wake = await given(ada)
    assert "seven beans" not in wake["text"]
    assert delegation["delegation_id"] in wake["text"]
    [result] = wake["results"]
    assert (result["from_id"], result["from_name"], result["text"]) == (bob.id, "bob", "seven beans")
    assert (result["asked"], result["state"]) == ("count the beans", "completed")
    [before] = await ada.get(f"/workspaces/{ada.id}/delegations")
    assert not before["consumed"]
    await ada.link.finish(wake)
    [after] = await ada.get(f"/workspaces/{ada.id}/delegations")
    assert after["consumed"]
    assert (after["status"], after["response_preview"]) == ("completed", "seven beans")
    await ada.idle()
