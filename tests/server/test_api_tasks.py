"""Who may send, read and cancel; bounds, keys, pages and streams; and what nobody should send."""

import asyncio
import json
from contextlib import contextmanager
from uuid import uuid4

import httpx2
import pytest
import websockets
from task_stand import ADMIN, until

from truebeat.domain.access import Role
from truebeat.server.services.notices import Notices


def bearer(token):
    return [("Authorization", f"Bearer {token}")]


@pytest.fixture
async def ada(api):
    return await api.workspace("ada")


@pytest.fixture
async def bob(api):
    return await api.workspace("bob")


async def send(api, workspace_id, token=None, *, key=None, status=202, **body):
    headers = [("Idempotency-Key", key)] if key else []
    more = {"token": token} if token else {}
    answer = await api(
        "POST", f"/workspaces/{workspace_id}/tasks", json={"text": "hi", **body}, headers=headers, **more
    )
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_roles(api, ada, bob):
    member, viewer, enrolment = [await api.token(role) for role in (Role.MEMBER, Role.VIEWER, Role.ENROLMENT)]
    task = await send(api, ada[0], member, text="secret plans")
    path = f"/tasks/{task['id']}"
    await send(api, ada[0], viewer, status=403)
    await send(api, ada[0], enrolment, status=403)
    await send(api, ada[0], "nonsense", status=401)
    seen = (await api("GET", path, viewer)).json()
    assert (seen["state"], seen["text"], seen["message"]) == ("submitted", "", None)
    assert "secret" not in (await api("GET", f"/workspaces/{ada[0]}/tasks", viewer)).text
    assert (await api("GET", path, enrolment)).status_code == 403
    assert (await api("POST", path + "/cancel", viewer)).status_code == 403
    assert (await api("GET", path, ada[1])).json()["text"] == "secret plans"
    assert (await api("GET", path, bob[1])).status_code == 404
    assert (await api("POST", path + "/cancel", bob[1])).status_code == 404
    assert (await api("POST", path + "/cancel", ada[1])).status_code == 403
    assert (await api("POST", path + "/cancel", member)).json()["state"] == "canceled"


async def test_another_member_neither_cancels_nor_replies(api, ada):
    member = await api.token(Role.MEMBER)
    task = await send(api, ada[0])
    assert (await api("POST", f"/tasks/{task['id']}/cancel", member)).status_code == 403
    await send(api, ada[0], member, task_id=task["id"], status=403)


async def test_workspaces_send_to_peers_and_not_to_themselves(api, ada, bob):
    task = await send(api, bob[0], ada[1], text="please")
    assert task["sender"] == {"kind": "workspace", "id": ada[0], "name": "ada"}
    await send(api, ada[0], ada[1], status=403)
    mine = (await api("GET", f"/workspaces/{bob[0]}/tasks", ada[1])).json()
    assert [found["id"] for found in mine["tasks"]] == [task["id"]]
    await send(api, bob[0], text="from a person")
    mine = (await api("GET", f"/workspaces/{bob[0]}/tasks", ada[1])).json()
    assert [found["id"] for found in mine["tasks"]] == [task["id"]], "it sees only what it sent"
    assert (await api("GET", f"/workspaces/{bob[0]}/tasks", bob[1])).json()["total"] == 2


async def test_a_key_means_one_task(api, ada, bob):
    member = await api.token(Role.MEMBER)
    first = await send(api, ada[0], key="k")
    assert (await send(api, ada[0], key="k"))["id"] == first["id"]
    await send(api, ada[0], key="k", text="another message", status=409)
    assert (await send(api, bob[0], key="k"))["id"] != first["id"]
    assert (await send(api, ada[0], member, key="k"))["id"] != first["id"]
    both = await asyncio.gather(*(send(api, ada[0], key="at once") for _ in range(8)))
    assert len({task["id"] for task in both}) == 1
    assert (await api("GET", f"/workspaces/{ada[0]}/tasks")).json()["total"] == 3


async def test_a_key_still_means_its_task_when_the_workspace_takes_nothing_new(api, ada, monkeypatch):
    first = await send(api, ada[0], key="k")
    monkeypatch.setattr("truebeat.server.services.mailbox.MAILBOX_LIMIT", 1)
    await send(api, ada[0], key="another", status=413)
    assert (await send(api, ada[0], key="k"))["id"] == first["id"]
    await send(api, ada[0], key="k", text="another message", status=413)


async def test_without_a_key_the_same_message_is_another_task(api, ada):
    message = {"messageId": "m1", "role": "user"}
    first, second = [await send(api, ada[0], message=message) for _ in range(2)]
    assert first["id"] != second["id"]
    assert (await api("GET", f"/tasks/{first['id']}")).json()["message"] == message


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"text": ""}, 422),
        ({"text": "x" * (1024 * 1024 + 1)}, 413),
        ({"text": "x", "parts": [{"text": "y" * (2 * 1024 * 1024)}]}, 413),
        ({"text": "x", "metadata": {"a": "b" * (2 * 1024 * 1024)}}, 413),
        ({"text": "x", "context_id": ""}, 422),
        ({"text": "x", "context_id": "c" * 65}, 422),
        ({"text": "x", "task_id": "nope"}, 422),
        ({"text": "x", "task_id": str(uuid4())}, 404),
        ({"text": "x", "priority": 101}, 422),
        ({"text": "x", "on_unavailable": "explode"}, 422),
        ({"text": "nul \x00"}, 422),
        ({"text": 5}, 422),
        ({"parts": "x"}, 422),
        ([], 422),
    ],
)
async def test_what_is_wrong_is_refused_by_name(api, ada, body, status):
    answer = await api("POST", f"/workspaces/{ada[0]}/tasks", json=body)
    assert answer.status_code == status, answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await api("GET", f"/workspaces/{ada[0]}/tasks")).json()["total"] == 0


async def test_a_message_of_the_full_size_is_taken(api, ada):
    text = "\u00e9" * (1024 * 1024)
    task = await send(api, ada[0], text=text)
    assert (await api("GET", f"/tasks/{task['id']}")).json()["text"] == text


BAD_QUERIES = [
    "state=nope", "limit=0", "limit=1000", "after=x", "updated_after=now", "updated_after=2026-01-01T00:00:00",
    "after=WyIyMDI2IiwgIngiXQ", "context_id=",
]  # fmt: skip


@pytest.mark.parametrize("query", BAD_QUERIES)
async def test_bad_queries_are_refused(api, ada, query):
    assert (await api("GET", f"/workspaces/{ada[0]}/tasks?{query}")).status_code == 422


async def test_unknown_things(api, unknown):
    await send(api, unknown, status=404)
    for method, path in (("GET", f"/tasks/{unknown}"), ("POST", f"/tasks/{unknown}/cancel"), ("GET", "/tasks/x")):
        assert (await api(method, path)).status_code == 404
    assert (await api("GET", f"/tasks/{unknown}?wait=-1")).status_code == 422


async def test_pages(api, ada):
    ids = [(await send(api, ada[0], context_id=f"c{n % 2}"))["id"] for n in range(7)]
    found, after = [], ""
    while after is not None:
        page = (await api("GET", f"/workspaces/{ada[0]}/tasks?limit=3&after={after}")).json()
        assert page["total"] == 7
        found += [task["id"] for task in page["tasks"]]
        after = page["next"]
    assert sorted(found) == sorted(ids)
    of_context = (await api("GET", f"/workspaces/{ada[0]}/tasks?context_id=c1")).json()
    assert of_context["total"] == 3
    await api("POST", f"/tasks/{ids[0]}/cancel")
    some = (await api("GET", f"/workspaces/{ada[0]}/tasks?state=canceled,completed")).json()
    assert [task["id"] for task in some["tasks"]] == [ids[0]]


async def test_pages_of_the_whole_fleet(api, ada, bob):
    viewer = await api.token(Role.VIEWER)
    ids = [(await send(api, whose[0], text="secret plans"))["id"] for whose in (ada, bob, ada, bob, ada)]
    await api("POST", f"/tasks/{ids[1]}/cancel")
    found, after = [], ""
    while after is not None:
        page = (await api("GET", f"/tasks?limit=2&after={after}")).json()
        assert page["total"] == 5
        found += [task["id"] for task in page["tasks"]]
        after = page["next"]
    assert found[0] == ids[1]
    assert sorted(found) == sorted(ids)
    some = (await api("GET", "/tasks?state=canceled,failed")).json()
    assert ([task["id"] for task in some["tasks"]], some["total"]) == ([ids[1]], 1)
    changed = some["tasks"][0]["updated_at"]
    assert (await api("GET", f"/tasks?updated_after={changed}")).json()["total"] == 0
    seen = await api("GET", "/tasks", viewer)
    assert (seen.json()["total"], "secret" in seen.text) == (5, False)
    assert {task["workspace_id"] for task in (await api("GET", "/tasks", bob[1])).json()["tasks"]} == {bob[0]}
    assert (await api("GET", "/tasks", await api.token(Role.ENROLMENT))).status_code == 403


async def test_a_full_mailbox_says_so_and_drops_nothing(api, ada, monkeypatch):
    monkeypatch.setattr("truebeat.server.services.mailbox.MAILBOX_LIMIT", 2)
    first = await send(api, ada[0])
    await send(api, ada[0])
    refused = await send(api, ada[0], status=413)
    assert refused["facts"]["limit"] == 2
    await api("POST", f"/tasks/{first['id']}/cancel")
    await send(api, ada[0])


async def test_rejecting_senders_get_the_facts(api, ada):
    refused = await send(api, ada[0], on_unavailable="reject", status=503)
    facts = refused["facts"]
    assert facts["retry_after"] > 0
    assert (facts["availability"]["able"], facts["availability"]["status"]) == (False, "provisioning")
    assert (await api("GET", f"/workspaces/{ada[0]}/tasks")).json()["total"] == 0


async def test_a_workspace_without_a_link_keeps_its_messages(api, ada):
    await api.beat(*ada)
    task = await send(api, ada[0])
    assert (task["availability"]["status"], task["availability"]["able"]) == ("online", False)
    assert "no open link" in task["availability"]["reason"]
    waited = (await api("GET", f"/tasks/{task['id']}?wait=30")).json()
    assert waited["state"] == "submitted"


async def test_events_tell_of_tasks_without_their_texts(api, ada):
    await send(api, ada[0], text="a secret")
    events = (await api("GET", "/events?limit=1000")).json()["events"]
    [event] = [event for event in events if event["type"] == "TASK_SUBMITTED"]
    assert event["payload"]["name"] == "ada"
    assert "secret" not in json.dumps(events)


async def test_the_stream_goes_on_where_it_was_and_ends_at_the_end(stand):
    ada = await stand.workspace()
    async with stand.dial(*ada) as link:
        await link.beat()
        task = await stand.send(ada[0])
        async with stand.watch(task["id"]) as stream:
            assert json.loads(await stream.recv())["state"] == "submitted"
            deliver = await link.receive("deliver")
            await link.settled(await link.say("chunk", deliver, index=0, kind="text", text="one "))
            frames = [json.loads(await stream.recv()) for _ in range(2)]
            assert [(frame["seq"], frame["kind"]) for frame in frames] == [(2, "status"), (3, "text")]
        await link.settled(await link.say("chunk", deliver, index=1, kind="text", text="two"))
        async with stand.watch(task["id"], after=3) as stream:
            assert json.loads(await stream.recv())["text"] == "two"
            await link.finish(deliver, "one two")
            last = json.loads(await stream.recv())
            assert (last["state"], last["text"], last["final"]) == ("completed", "one two", True)
            with pytest.raises(websockets.ConnectionClosedOK):
                await stream.recv()
    async with stand.watch(task["id"], after=last["seq"]) as stream:
        with pytest.raises(websockets.ConnectionClosedOK):
            await stream.recv()


async def test_streams_are_refused_before_they_open(stand):
    ada = await stand.workspace()
    task = await stand.send(ada[0])
    bob = await stand.workspace("bob")
    for task_id, token, status in ((str(uuid4()), None, 404), (task["id"], "wrong", 401), (task["id"], bob[1], 404)):
        more = {} if token is None else {"token": token}
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with stand.watch(task_id, **more):
                pass
        assert refused.value.response.status_code == status


async def test_the_stream_tells_a_viewer_no_texts(stand):
    ada = await stand.workspace()
    answer = await stand.http.post("/tokens", json={"name": "v", "role": "viewer"})
    viewer = answer.json()["token"]
    async with stand.dial(*ada) as link:
        await link.beat()
        task = await stand.send(ada[0], "a secret")
        deliver = await link.receive("deliver")
        await link.settled(await link.say("chunk", deliver, index=0, kind="text", text="a secret"))
        await link.finish(deliver, "a secret", parts=[{"text": "a secret"}])
    async with stand.watch(task["id"], token=viewer) as stream:
        told = [text async for text in stream]
    assert json.loads(told[-1])["state"] == "completed"
    assert "secret" not in "".join(told)
    async with httpx2.AsyncClient(base_url=stand.url, headers=bearer(viewer)) as http:
        assert "secret" not in (await http.get(f"/tasks/{task['id']}")).text


async def test_what_an_agents_error_says_is_no_business_of_its_peers(api, ada, bob):
    await api.beat(*ada, runtime_state="wedged", sample_error="key-123 in a stack trace")
    refused = await send(api, ada[0], bob[1], on_unavailable="reject", status=503)
    assert "key-123" not in str(refused)
    held = await send(api, ada[0], bob[1])
    assert held["availability"]["symptom"] == "wedged"
    assert "key-123" not in str(held)
    own = (await api("GET", f"/tasks/{held['id']}", ada[1])).json()
    assert "key-123" in own["availability"]["detail"]


async def test_a_wait_ends_with_its_client(stand, monkeypatch):
    held = []
    real = Notices.listen

    @contextmanager
    def listen(self, *asked):
        with real(self, *asked) as listener:
            held.append(listener)
            try:
                yield listener
            finally:
                held.remove(listener)

    monkeypatch.setattr(Notices, "listen", listen)
    ada = await stand.workspace()
    async with stand.dial(*ada) as link:
        await link.beat(capacity=0)
        task = await stand.send(ada[0])

        async def waiting():
            return len(held) == 3

        async def none():
            return not held

        async def ask():
            async with httpx2.AsyncClient(base_url=stand.url, headers=ADMIN, timeout=30) as client:
                await client.get(f"/tasks/{task['id']}", params={"wait": 3600})

        async with asyncio.TaskGroup() as clients:
            asked = [clients.create_task(ask()) for _ in range(3)]
            await until(waiting)
            for client in asked:
                client.cancel()
        await until(none)


async def test_a_replys_key_means_that_reply_alone(stand):
    ada = await stand.workspace()
    async with stand.dial(*ada) as link:
        await link.beat()
        task = await stand.send(ada[0], "book it")
        await link.finish(await link.receive("deliver"), "which day?", state="input-required")

        async def reply(text):
            body = {"text": text, "task_id": task["id"]}
            answer = await stand.http.post(f"/workspaces/{ada[0]}/tasks", json=body, headers={"Idempotency-Key": "k"})
            return answer.status_code

        assert await asyncio.gather(*(reply("Monday") for _ in range(4))) == [202] * 4
        await link.finish(await link.receive("deliver"), "which hotel?", state="input-required")
        assert await reply("Monday") == 202
        assert (await stand.task(task["id"]))["state"] == "input-required"
        assert await reply("Ritz") == 409
        assert (await stand.task(task["id"]))["state"] == "input-required"
        assert [said["text"] for said in (await stand.task(task["id"]))["history"] if said["role"] == "user"] == [
            "Monday"
        ]


async def test_a_refused_reply_keeps_no_key(stand):
    ada = await stand.workspace()
    async with stand.dial(*ada) as link:
        await link.beat(capacity=0)
        task = await stand.send(ada[0], "book it")
        body = {"text": "Monday", "task_id": task["id"]}
        path, headers = f"/workspaces/{ada[0]}/tasks", {"Idempotency-Key": "k"}
        assert (await stand.http.post(path, json=body, headers=headers)).status_code == 409
        await link.beat(capacity=1)
        await link.finish(await link.receive("deliver"), "which day?", state="input-required")
        assert (await stand.http.post(path, json=body, headers=headers)).status_code == 202
        assert (await link.receive("deliver"))["reply"]
