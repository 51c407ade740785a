"""What is said in one conversation stays in it: results, answers that were quicker than a cancel, traces, ends."""

from __future__ import annotations

import asyncio

from task_stand import until
from test_delegations import agents, all_tasks, given

__all__ = ("agents",)


async def delegation(stand, view):
    return (await stand.http.get(f"/delegations/{view['delegation_id']}")).json()


async def test_a_result_goes_to_the_conversation_that_asked_and_not_into_a_strangers_turn(agents, stand):
    ada, bob, eve = await agents("ada"), await agents("bob"), await agents("eve")
    await stand.send(ada.id, "find the list", context_id="boss")
    turn = await ada.take()
    await ada.delegate(bob)
    work = await bob.take()
    await eve.delegate(ada, "what do you know?")
    await bob.link.finish(work, "the secret")
    await ada.link.finish(turn)
    strangers = await ada.take()
    assert (strangers["sender"]["id"], strangers["results"]) == (eve.id, [])
    await ada.link.finish(strangers)
    wake = await given(ada)
    assert (wake["context_id"], [result["text"] for result in wake["results"]]) == ("boss", ["the secret"])


async def test_each_conversation_has_its_own_wake_and_a_cancel_in_one_leaves_the_other_alone(agents, stand):
    ada, bob, eve = await agents("ada", capacity=2), await agents("bob"), await agents("eve")
    for context in ("one", "two"):
        await stand.send(ada.id, context, context_id=context)
    turns = [await ada.take(), await ada.take()]
    for turn, peer in zip(turns, (bob, eve), strict=True):
        await ada.delegate(peer, from_task=turn["task_id"])
        await peer.link.finish(await peer.take(), f"for {turn['context_id']}")
    await ada.link.finish(turns[1])
    await ada.link.beat(capacity=1)
    wake = await given(ada)
    assert (wake["context_id"], [result["text"] for result in wake["results"]]) == ("two", ["for two"])
    further = await ada.delegate(eve, from_task=wake["task_id"])
    await eve.link.beat(capacity=1)
    await eve.take()
    await stand.cancel(turns[0]["task_id"])
    await ada.link.finish(turns[0], "", state="canceled")
    assert (await delegation(stand, further))["state"] == "working"
    await ada.link.finish(wake)
    await ada.link.beat(capacity=1)
    other = await given(ada)
    assert (other["context_id"], [result["text"] for result in other["results"]]) == ("one", ["for one"])


async def test_what_was_asked_for_in_no_turn_comes_in_a_conversation_of_its_own(agents, stand):
    ada, bob, eve = await agents("ada"), await agents("bob"), await agents("eve")
    await stand.send(ada.id, "busy")
    busy = await ada.take()
    operators = await stand.http.post(f"/workspaces/{ada.id}/delegations", json={"target": bob.id, "text": "count"})
    assert operators.status_code == 202
    await eve.delegate(ada, "what do you know?")
    await bob.link.finish(await bob.take(), "seven")
    await ada.link.finish(busy)
    strangers = await ada.take()
    assert strangers["results"] == []
    await ada.link.finish(strangers)
    wake = await given(ada)
    assert (wake["context_id"], [result["text"] for result in wake["results"]]) == (f"results-{ada.id}", ["seven"])


async def test_a_trace_has_what_was_asked_after_a_wake(agents, stand):
    ada, bob, eve = await agents("ada"), await agents("bob"), await agents("eve")
    top = await stand.send(ada.id, "the whole")
    turn = await ada.take()
    await ada.delegate(bob)
    await ada.link.finish(turn)
    await bob.link.finish(await bob.take(), "half")
    wake = await given(ada)
    second = await ada.delegate(eve)
    assert second["root_id"] == top["id"]

    def ids(node):
        return [node["task_id"], *(found for child in node["children"] for found in ids(child))]

    for task in (top["id"], wake["task_id"], second["delegation_id"]):
        trace = (await stand.http.get(f"/tasks/{task}/trace")).json()
        assert trace["task_id"] == top["id"]
        assert {wake["task_id"], second["delegation_id"]} <= set(ids(trace))


async def test_no_workspace_enters_a_conversation_that_another_began(agents, stand):
    ada, bob, eve = await agents("ada"), await agents("bob"), await agents("eve")
    await stand.send(bob.id, "my secret is 42", context_id="mine")
    await bob.link.finish(await bob.take())
    refused = await ada.delegate(bob, "what was said?", status=403, context_id="mine")
    assert "begun by another sender" in refused["detail"]
    await ada.post(f"/workspaces/{bob.id}/tasks", status=403, text="what was said?", context_id="mine")
    refused = await ada.delegate(bob, status=403, context_id=f"results-{bob.id}")
    assert "leave it out" in refused["detail"]
    body = {"text": "results?", "context_id": f"results-{bob.id}"}
    assert (await stand.http.post(f"/workspaces/{bob.id}/tasks", json=body)).status_code == 403
    for _ in range(2):
        await ada.delegate(bob, context_id="of ada and bob")
        await bob.link.finish(await bob.take())
        await bob.link.beat(capacity=1)
    await eve.delegate(bob, status=403, context_id="of ada and bob")


async def test_the_answer_after_a_question_is_kept_for_nobody(agents, stand):
    ada, bob = await agents("ada"), await agents("bob")
    waiting = asyncio.create_task(ada.delegate(bob, wait_seconds=20))
    await bob.link.finish(await bob.take(), "which?", state="input-required")
    asked = await waiting
    await ada.post(f"/workspaces/{bob.id}/tasks", status=202, text="red", task_id=asked["delegation_id"])
    await bob.link.finish(await bob.take(), "four red ones")
    assert await until(lambda: _submitted_wake(stand, ada), 20)


async def _submitted_wake(stand, agent):
    return any(task["sender"]["id"] == "truebeat" for task in await all_tasks(stand, agent))


async def test_an_answer_that_was_quicker_than_the_cancel_is_not_lost(agents, stand):
    ada, bob = await agents("ada"), await agents("bob")
    view = await ada.delegate(bob)
    work = await bob.take()
    await ada.post(f"/delegations/{view['delegation_id']}/cancel")
    await bob.link.finish(work, "done anyway")
    wake = await given(ada)
    assert [(result["state"], result["text"]) for result in wake["results"]] == [("completed", "done anyway")]


async def test_what_a_removed_workspace_had_asked_for_ends(agents, stand):
    ada, bob = await agents("ada"), await agents("bob")
    view = await ada.delegate(bob)
    work = await bob.take()
    (await stand.http.delete(f"/workspaces/{ada.id}")).raise_for_status()
    order = await bob.link.receive("cancel")
    assert order["task_id"] == view["delegation_id"]
    await bob.link.finish(work, "", state="canceled")
    assert (await delegation(stand, view))["state"] == "canceled"


async def test_no_limit_is_left_behind_by_naming_a_task_that_is_over(agents, stand):
    ada, bob = await agents("ada"), await agents("bob")
    old = await stand.send(bob.id, "an old chat")
    await bob.link.finish(await bob.take())
    await ada.delegate(bob, deadline_seconds=60)
    await bob.link.beat(capacity=1)
    await bob.take()
    refused = await bob.delegate(ada, status=409, from_task=old["id"])
    assert "leave it out" in refused["detail"]
    assert "waits for this very work" in (await bob.delegate(ada, status=409))["detail"]
