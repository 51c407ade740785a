"""Delegations over HTTP and links: given, answered, brought back once, canceled, bounded."""

import asyncio
import itertools
import json
from contextlib import AsyncExitStack

import pytest

from truebeat.domain.delegations import DEPTH_LIMIT, OPEN_LIMIT
from truebeat.server.store.database import connect


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


async def test_results_that_wait_together_come_together_and_one_wake_is_enough(agents):
    ada, bob, eve = await agents("ada"), await agents("bob"), await agents("eve")
    busy = await ada.stand.send(ada.id, "a long one")
    turn = await ada.take()
    assert turn["results"] == []
    for peer in (bob, eve):
        await ada.delegate(peer, from_task=busy["id"])
        await peer.link.finish(await peer.take(), f"from {peer.name}")
    await ada.link.finish(turn)
    wake = await given(ada)
    assert {result["text"] for result in wake["results"]} == {"from bob", "from eve"}
    await ada.link.finish(wake)
    await ada.idle()
    assert all(view["consumed"] for view in await ada.get(f"/workspaces/{ada.id}/delegations"))


async def test_any_turn_of_the_conversation_brings_the_results_and_its_wake_then_ends_undelivered(agents, stand):
    ada, bob = await agents("ada"), await agents("bob")
    first, second = [await stand.send(ada.id, text, context_id="same") for text in ("one", "two")]
    turn = await ada.take()
    await ada.delegate(bob)
    await bob.link.finish(await bob.take(), "done")
    await ada.link.finish(turn)
    turn = await ada.take()
    assert turn["task_id"] == second["id"]
    assert [result["text"] for result in turn["results"]] == ["done"]
    await ada.link.finish(turn)
    await ada.idle()
    [wake] = [task for task in await all_tasks(stand, ada) if task["sender"]["id"] == "truebeat"]
    assert wake["state"] == "canceled"
    assert "another turn" in wake["reason"]
    assert wake["attempt"] == 0
    assert first["id"] != second["id"]


async def all_tasks(stand, agent):
    return (await stand.http.get(f"/workspaces/{agent.id}/tasks", params={"limit": 200})).json()["tasks"]


async def test_an_interrupted_turn_leaves_its_results_waiting(agents):
    ada, bob = await agents("ada"), await agents("bob")
    await ada.delegate(bob)
    await bob.link.finish(await bob.take(), "seven")
    wake = await given(ada)
    n = await ada.link.say("handed_back", wake, begun=True, reason="its worker died")
    await ada.link.settled(n)
    await ada.link.beat(capacity=1)
    again = await given(ada)
    assert again["task_id"] == wake["task_id"]
    assert again["attempt"] == 2
    assert [result["text"] for result in again["results"]] == ["seven"]
    await ada.link.finish(again)
    [view] = await ada.get(f"/workspaces/{ada.id}/delegations")
    assert view["consumed"]


async def test_a_failed_turn_leaves_them_for_the_next(agents, stand):
    ada, bob = await agents("ada"), await agents("bob")
    await stand.send(ada.id, "go", context_id="same")
    turn = await ada.take()
    await ada.delegate(bob)
    await ada.link.finish(turn)
    await bob.link.finish(await bob.take(), "seven")
    await ada.link.finish(await given(ada), "the model failed", state="failed")
    [view] = await ada.get(f"/workspaces/{ada.id}/delegations")
    assert not view["consumed"]
    await stand.send(ada.id, "go on", context_id="same")
    turn = await ada.take()
    assert [result["text"] for result in turn["results"]] == ["seven"]


async def test_a_caller_that_waits_gets_it_directly_and_once(agents):
    ada, bob = await agents("ada"), await agents("bob")
    waiting = asyncio.create_task(ada.delegate(bob, wait_seconds=20))
    await bob.link.finish(await bob.take(), "at once")
    view = await waiting
    assert (view["status"], view["result"]["text"]) == ("completed", "at once")
    await ada.idle()
    confirmed = await ada.post(f"/delegations/{view['delegation_id']}/consumed")
    assert confirmed["consumed"]
    assert (await ada.post(f"/delegations/{view['delegation_id']}/consumed"))["consumed"]
    await ada.idle()


async def test_what_was_confirmed_within_a_turn_is_consumed_with_it(agents):
    ada, bob = await agents("ada"), await agents("bob")
    task = await ada.stand.send(ada.id, "ask bob")
    turn = await ada.take()
    waiting = asyncio.create_task(ada.delegate(bob, wait_seconds=20, from_task=task["id"]))
    await bob.link.finish(await bob.take(), "at once")
    delegation = (await waiting)["delegation_id"]
    assert not (await ada.post(f"/delegations/{delegation}/consumed"))["consumed"]
    # the turn that had it is lost: the next attempt finds it waiting
    n = await ada.link.say("handed_back", turn, begun=True, reason="its worker died")
    await ada.link.settled(n)
    await ada.link.beat(capacity=1)
    again = await ada.take()
    assert again["task_id"] == task["id"]
    assert [result["text"] for result in again["results"]] == ["at once"]
    await ada.link.finish(again)
    assert (await ada.get(f"/delegations/{delegation}"))["consumed"]


async def test_a_wedged_peer_is_told_at_once_and_the_delegation_lives_on(agents):
    ada, bob = await agents("ada"), await agents("bob")
    assert await bob.link.beat(runtime_state="wedged", sample_error="control request timeout") == "degraded"
    async with asyncio.timeout(5):
        view = await ada.delegate(bob, wait_seconds=60)
    assert view["status"] == "pending"
    assert not view["availability"]["able"]
    assert view["availability"]["symptom"] == "wedged"
    # an error text is the other agent's: people who may read details see it, a peer does not
    (peer,) = await ada.get(f"/workspaces/{ada.id}/peers")
    again = await ada.get(f"/delegations/{view['delegation_id']}")
    for told in (view, again, peer):
        assert "control request timeout" not in str(told["availability"]), told
    seen = (await ada.stand.http.get(f"/delegations/{view['delegation_id']}")).json()
    assert "control request timeout" in seen["availability"]["reason"]
    bob.link.generation = 2
    await bob.link.beat(generation=2)
    await bob.link.finish(await bob.take(), "after all")
    assert [result["text"] for result in (await given(ada))["results"]] == ["after all"]


async def test_a_hung_child_does_not_hold_up_its_sibling(agents):
    ada, bob, eve = await agents("ada"), await agents("bob"), await agents("eve")
    await ada.delegate(bob)
    await bob.take()
    await ada.delegate(eve)
    await eve.link.finish(await eve.take(), "quick")
    assert [result["text"] for result in (await given(ada))["results"]] == ["quick"]


async def test_a_question_comes_back_too_and_then_the_answer(agents):
    ada, bob = await agents("ada"), await agents("bob")
    view = await ada.delegate(bob)
    await bob.link.finish(await bob.take(), "which beans?", state="input-required")
    wake = await given(ada)
    assert [(one["state"], one["text"]) for one in wake["results"]] == [("input-required", "which beans?")]
    assert (await ada.get(f"/delegations/{view['delegation_id']}"))["status"] == "in_progress"
    await ada.post(f"/workspaces/{bob.id}/tasks", status=202, text="the red ones", task_id=view["delegation_id"])
    await ada.link.finish(wake)
    reply = await bob.take()
    assert reply["reply"]
    await bob.link.finish(reply, "four")
    assert [one["text"] for one in (await given(ada))["results"]] == ["four"]


# --- limits -----------------------------------------------------------------------------------------------------------


async def test_no_delegation_to_itself_or_back_up_the_chain(agents):
    ada, bob, eve = await agents("ada"), await agents("bob"), await agents("eve")
    refused = await ada.delegate("ada", status=409)
    assert "itself" in refused["detail"]
    await ada.delegate(bob)
    first = await bob.take()
    assert "do it yourself" in (await bob.delegate(ada, status=409))["detail"]
    # left out or named, the chain is the same
    assert "do it yourself" in (await bob.delegate(ada, status=409, from_task=first["task_id"]))["detail"]
    await bob.delegate(eve)
    await eve.take()
    for target in (ada, bob):
        await eve.delegate(target, status=409)


async def test_a_chain_is_at_most_so_deep(agents):
    chain = [await agents(f"w{place}") for place in range(DEPTH_LIMIT + 2)]
    for source, target in itertools.pairwise(chain[:-1]):
        view = await source.delegate(target)
        await target.take()
    assert view["depth"] == DEPTH_LIMIT
    assert str(DEPTH_LIMIT) in (await chain[-2].delegate(chain[-1], status=409))["detail"]


async def test_a_source_has_at_most_so_many_open(agents):
    ada, bob = await agents("ada"), await agents("bob")
    made = await asyncio.gather(*(ada.delegate(bob) for _ in range(OPEN_LIMIT)))
    refused = await ada.delegate(bob, status=409, headers={"Idempotency-Key": "k"})
    assert refused["facts"] == {"open": OPEN_LIMIT, "limit": OPEN_LIMIT}
    await ada.post(f"/delegations/{made[-1]['delegation_id']}/cancel")
    # the key of what was refused is free
    view = await ada.delegate(bob, headers={"Idempotency-Key": "k"})
    assert (await ada.delegate(bob, headers={"Idempotency-Key": "k"}))["delegation_id"] == view["delegation_id"]


async def test_a_deadline_ends_it_and_bounds_what_is_below(agents):
    ada, bob, eve = await agents("ada"), await agents("bob"), await agents("eve")
    view = await ada.delegate(bob, deadline_seconds=1.5)
    await bob.take()
    below = await bob.delegate(eve, deadline_seconds=900)
    assert below["deadline_at"] == view["deadline_at"]
    await eve.take()
    wake = await given(ada)
    assert [(one["state"], one["text"]) for one in wake["results"]] == [("canceled", "its deadline has passed")]
    assert (await bob.link.receive("cancel"))["task_id"] == view["delegation_id"]
    assert (await eve.link.receive("cancel"))["task_id"] == below["delegation_id"]


async def test_cancel_reaches_the_whole_chain(agents, stand):
    ada, bob, eve, joe = [await agents(name) for name in ("ada", "bob", "eve", "joe")]
    top = await stand.send(ada.id, "a task of a person")
    chain = []
    for source, target in ((ada, bob), (bob, eve), (eve, joe)):
        if source is ada:
            await ada.take()
        chain.append(await source.delegate(target))
        if target is not joe:
            await target.take()
    await stand.cancel(top["id"])
    for agent, delegation in ((bob, chain[0]), (eve, chain[1]), (joe, chain[2])):
        order = await agent.link.receive("cancel")
        assert order["task_id"] == delegation["delegation_id"]
        await agent.link.finish(order, "", state="canceled")
    for delegation in chain:
        await stand.becomes(delegation["delegation_id"], "canceled")
    # nobody is woken for what nobody waits for
    assert not [task for agent in (ada, bob, eve) for task in await all_tasks(stand, agent) if task["metadata"]]


async def test_only_the_source_or_an_operator_cancels(agents, stand):
    ada, bob, eve = await agents("ada"), await agents("bob"), await agents("eve")
    view = await ada.delegate(bob)
    path = f"/delegations/{view['delegation_id']}/cancel"
    await bob.post(path, status=403)
    await eve.post(path, status=404)
    work = await bob.take()
    assert (await stand.http.post(path)).json()["state"] == "working"
    await bob.link.finish(work, "", state="canceled")
    canceled = await ada.get(f"/delegations/{view['delegation_id']}")
    assert (canceled["status"], canceled["state"]) == ("failed", "canceled")
    assert [one["state"] for one in (await given(ada))["results"]] == ["canceled"]


# --- who may ----------------------------------------------------------------------------------------------------------


async def test_the_hierarchy_says_who_may_message_whom(agents):
    boss = await agents("boss")
    left, right = await agents("left", boss), await agents("right", boss)
    leaf = await agents("leaf", left)
    lone, other = await agents("lone"), await agents("other")
    peers = {peer["name"]: peer["relation"] for peer in await left.get(f"/workspaces/{left.id}/peers")}
    assert peers == {"boss": "parent", "leaf": "child", "right": "sibling"}
    assert all(peer["availability"]["able"] for peer in await left.get(f"/workspaces/{left.id}/peers"))
    for source, target in ((leaf, boss), (left, leaf), (left, right), (lone, other)):
        await source.delegate(target)
    for source, target in ((leaf, right), (lone, boss), (left, lone)):
        assert "hierarchy" in (await source.delegate(target, status=403))["detail"]
        await source.post(f"/workspaces/{target.id}/tasks", status=403, text="hello")
    await left.get(f"/workspaces/{right.id}/peers", status=403)


async def test_a_parent_is_named_in_the_wake_where_there_is_one(agents):
    boss = await agents("boss")
    left, right = await agents("left", boss), await agents("right", boss)
    await left.delegate(right)
    await right.link.finish(await right.take())
    assert f"report to your parent, workspace {boss.id}" in (await given(left))["text"]
    await boss.delegate(left)


async def test_nobody_delegates_for_another_workspace(agents, stand):
    ada, bob, eve = await agents("ada"), await agents("bob"), await agents("eve")
    body = {"target": eve.id, "text": "in the name of bob"}
    answer = await stand.http.post(f"/workspaces/{bob.id}/delegations", json=body, headers=ada.auth)
    assert answer.status_code == 403
    await ada.get(f"/workspaces/{bob.id}/delegations", status=403)
    by_operator = await stand.http.post(f"/workspaces/{bob.id}/delegations", json=body)
    assert by_operator.json()["source_id"] == bob.id
    await ada.get(f"/delegations/{by_operator.json()['delegation_id']}", status=404)
    await eve.post(f"/delegations/{by_operator.json()['delegation_id']}/consumed", status=403)
    foreign = await stand.send(ada.id, "a task of ada")
    await bob.delegate(eve, status=422, from_task=foreign["id"])


async def test_a_result_of_a_workspace_that_was_not_asked_counts_for_nothing_and_is_shown(agents, stand):
    ada, bob, eve = await agents("ada"), await agents("bob"), await agents("eve")
    view = await ada.delegate(bob)
    work = await bob.take()
    await eve.link.finish(work, "forged")
    assert (await ada.get(f"/delegations/{view['delegation_id']}"))["state"] == "working"
    [event] = await stand.events("TASK_RESULT_REFUSED")
    assert event["workspace_id"] == eve.id
    await bob.link.finish(work, "genuine")
    assert [one["text"] for one in (await given(ada))["results"]] == ["genuine"]


# --- what people and older clients see --------------------------------------------------------------------------------


async def test_the_list_is_what_older_clients_poll(agents):
    ada, bob, eve = await agents("ada"), await agents("bob"), await agents("eve")
    await ada.delegate(bob, "one")
    await bob.link.finish(await bob.take(), "it broke", state="failed")
    await ada.delegate(eve, "two")
    await eve.take()
    await ada.delegate(bob, "three")
    found = await ada.get(f"/workspaces/{ada.id}/delegations")
    assert [(one["summary"], one["status"]) for one in found] == [
        ("three", "pending"), ("two", "in_progress"), ("one", "failed"),
    ]  # fmt: skip
    assert (found[2]["error"], found[2]["response_preview"]) == ("it broke", "")
    assert all(one["source_id"] == ada.id for one in found)
    assert [one["summary"] for one in await bob.get(f"/workspaces/{bob.id}/delegations", **{"as": "target"})] == [
        "three",
        "one",
    ]
    assert await bob.get(f"/workspaces/{bob.id}/delegations") == []


async def test_a_workspace_wakes_itself_in_the_bare_old_shape(agents, stand):
    ada = await agents("ada")
    body = {
        "method": "message/send",
        "params": {"message": {"role": "user", "parts": [{"type": "text", "text": "results came"}]}},
    }
    path = f"/workspaces/{ada.id}/a2a"
    answer = await stand.http.post(path, json=body, headers={**ada.auth, "X-Workspace-ID": ada.id})
    assert answer.status_code == 200
    assert "error" not in answer.json()
    turn = await ada.take()
    assert (turn["sender"]["kind"], turn["sender"]["id"], turn["text"]) == ("workspace", ada.id, "results came")
    without = await stand.http.post(path, json=body, headers=ada.auth)
    assert "error" in without.json()


async def test_an_older_runtime_polls_keeps_its_file_and_wakes_itself(agents, stand, tmp_path):
    """By the old contract alone: the list, its own file of results, a bare message to itself with X-Workspace-ID."""
    ada, bob = await agents("ada"), await agents("bob")
    file, seen = tmp_path / "results.jsonl", set()

    async def poll():
        new = [
            one
            for one in await ada.get(f"/workspaces/{ada.id}/delegations")
            if one["status"] in {"completed", "failed"} and one["delegation_id"] not in seen
        ]
        seen.update(one["delegation_id"] for one in new)
        with file.open("a") as out:
            out.writelines(json.dumps(one) + "\n" for one in new if one["source_id"] == ada.id)
        if new:
            part = {"type": "text", "text": f"{len(new)} results"}
            body = {"method": "message/send", "params": {"message": {"role": "user", "parts": [part]}}}
            headers = {**ada.auth, "X-Workspace-ID": ada.id}
            answer = await stand.http.post(f"/workspaces/{ada.id}/a2a", json=body, headers=headers)
            assert "error" not in answer.json()
        return len(new)

    for text in ("one", "two"):
        await ada.delegate(bob, text)
        await bob.link.finish(await bob.take(), f"answer to {text}")
    assert await poll() == 2
    assert await poll() == 0
    kept = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["response_preview"] for one in kept] == ["answer to two", "answer to one"]
    texts = []
    for _ in range(2):
        turn = await ada.take()
        texts.append((turn["sender"]["kind"], turn["text"]))
        await ada.link.finish(turn)
    assert ("workspace", "2 results") in texts
    assert (await ada.get(f"/workspaces/{ada.id}"))["parent_id"] is None


async def test_people_are_told_and_what_was_read_is_read(agents, stand):
    ada, bob = await agents("ada"), await agents("bob")
    await ada.post(f"/workspaces/{ada.id}/notify", status=201, message="look here", type="alert", link="/x")
    await bob.post(f"/workspaces/{ada.id}/notify", status=403, message="in another's name")
    view = await ada.delegate(bob)
    await bob.link.finish(await bob.take(), "secret text")
    page = (await stand.http.get("/notifications")).json()
    assert page["unread"] == 2
    ended, own = page["notifications"]
    assert (ended["delegation_id"], ended["type"]) == (view["delegation_id"], "delegation")
    assert "secret text" not in ended["message"]
    assert (own["message"], own["type"], own["link"], own["workspace_name"]) == ("look here", "alert", "/x", "ada")
    assert (await stand.http.post(f"/notifications/{own['id']}/read")).json()["read_at"]
    page = (await stand.http.get("/notifications", params={"unread": "true"})).json()
    assert [one["id"] for one in page["notifications"]] == [ended["id"]]
    assert page["unread"] == 1
    await ada.get("/notifications", status=403)
    events = await stand.events("NOTIFICATION")
    assert [event["payload"]["notification_id"] for event in events] == [own["id"], ended["id"]]


async def test_each_step_is_an_event(agents, stand):
    ada, bob = await agents("ada"), await agents("bob")
    view = await ada.delegate(bob)
    await bob.link.finish(await bob.take(), "done")
    await ada.link.finish(await given(ada))
    page = (await stand.http.get("/events", params={"limit": 1000})).json()["events"]
    told = [event for event in page if event["type"].startswith("DELEGATION_")]
    assert [event["type"] for event in told] == [
        "DELEGATION_CREATED", "DELEGATION_COMPLETED", "DELEGATION_GIVEN", "DELEGATION_CONSUMED",
    ]  # fmt: skip
    assert {event["payload"]["delegation_id"] for event in told} == {view["delegation_id"]}
    assert told[0]["payload"]["target_name"] == "bob"


async def test_a_trace_is_the_tree_of_who_asked_whom(agents, stand):
    ada, bob, eve = await agents("ada"), await agents("bob"), await agents("eve")
    top = await stand.send(ada.id, "the whole")
    turn = await ada.take()
    first = await ada.delegate(bob, "a part")
    part = await bob.take()
    second = await bob.delegate(eve, "a part of the part")
    await eve.link.finish(await eve.take(), "x")
    await bob.link.finish(part, "waiting for eve")
    await bob.link.finish(await given(bob), "y")
    await ada.link.finish(turn)
    for task_id in (top["id"], second["delegation_id"]):
        root = (await stand.http.get(f"/tasks/{task_id}/trace")).json()
        assert (root["task_id"], root["workspace_name"], root["depth"]) == (top["id"], "ada", 0)
        assert {child["wake"] for child in root["children"]} == {False, True}
        [below] = [child for child in root["children"] if not child["wake"]]
        assert (below["task_id"], below["depth"], below["summary"]) == (first["delegation_id"], 1, "a part")
        assert below["begun_at"] is not None
        assert [child["task_id"] for child in below["children"] if not child["wake"]] == [second["delegation_id"]]
        assert [child["state"] for child in below["children"] if child["wake"]] == ["completed"]
    missing = await stand.http.get("/tasks/00000000-0000-4000-8000-000000000000/trace")
    assert missing.status_code == 404


async def test_a_viewer_sees_no_texts(agents, stand):
    ada, bob = await agents("ada"), await agents("bob")
    view = await ada.delegate(bob, "secret question")
    await bob.link.finish(await bob.take(), "secret answer")
    body = {"name": "screen", "role": "viewer"}
    token = (await stand.http.post("/tokens", json=body)).json()["token"]
    viewer = {"Authorization": f"Bearer {token}"}
    for path in (
        f"/delegations/{view['delegation_id']}", f"/workspaces/{ada.id}/delegations",
        f"/tasks/{view['delegation_id']}/trace", "/events?limit=1000",
    ):  # fmt: skip
        answer = await stand.http.get(path, headers=viewer)
        assert answer.status_code == 200
        assert "secret" not in answer.text
    assert (await stand.http.get("/notifications", headers=viewer)).status_code == 403


async def test_an_unconfirmed_answer_comes_with_the_next_turn(agents, database_url):
    """The caller died: what was kept for it is nobody's after a while."""
    ada, bob = await agents("ada"), await agents("bob")
    waiting = asyncio.create_task(ada.delegate(bob, wait_seconds=20))
    await bob.link.finish(await bob.take(), "at once")
    await waiting
    await ada.idle()
    connection = await connect(database_url)
    await connection.execute("UPDATE delegations SET held_until = now() - interval '1 s'")
    await connection.close()
    assert [result["text"] for result in (await given(ada))["results"]] == ["at once"]


async def test_hostile_requests_are_refused(agents):
    ada = await agents("ada")
    for body in (
        {"target": ""}, {"target": "bob", "wait_seconds": -1}, {"target": "bob", "wait_seconds": "NaN"},
        {"target": "bob", "deadline_seconds": 0}, {"target": "bob", "from_task": "x"}, {"target": 7}, [], "x",
        {"target": "a" * 300, "text": "x"}, {"target": "ada\u0000", "text": "x"},
    ):  # fmt: skip
        answer = await ada.stand.http.post(f"/workspaces/{ada.id}/delegations", json=body, headers=ada.auth)
        assert answer.status_code == 422, body
    await ada.delegate("nobody", status=404)
    await ada.delegate("00000000-0000-4000-8000-000000000000", status=404)
    await ada.get("/delegations/00000000-0000-4000-8000-000000000000", status=404)
    await ada.get("/delegations/x", status=404)
