"""The short way of a plain SendMessage: what takes it, and that its answers are those of the SDK's way."""

import asyncio
import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given
from hypothesis import strategies as st

from truebeat.domain.delivery import State
from truebeat.protocol.delivery import Sender
from truebeat.protocol.tasks import Artifact, TaskView
from truebeat.server.a2a import direct, requests, views

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
PLAIN = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hi"}]}
TIMES = st.datetimes(timezones=st.just(UTC)) | st.sampled_from(
    [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, microsecond=120_000, tzinfo=UTC)]
)


def call(message, **more):
    return {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}, **more}


def read(body):
    return direct.read(json.dumps(body).encode())


@given(TEXT.filter(bool), st.lists(TEXT, min_size=1), st.sampled_from(["", "c", "x" * 64]))
def test_it_asks_the_mailbox_for_the_same(message_id, texts, context):
    message = {"messageId": message_id, "role": "ROLE_USER", "parts": [{"text": text} for text in texts]}
    if context:
        message["contextId"] = context
    parsed = ParseDict({"message": message}, pb.SendMessageRequest())
    taken = read(call(message))
    assert taken is not None or "\\u0000" in json.dumps(message)
    if taken is not None:
        assert direct.new_task(taken) == requests.new_task(parsed)


def view(**more):
    now = more.get("updated_at", datetime(2026, 1, 1, 12, 0, 0, 120_000, tzinfo=UTC))
    facts = {
        "id": uuid4(), "workspace_id": uuid4(), "context_id": "c", "state": State.COMPLETED, "sender": Sender(
            kind="client", id="x", name="x"), "text": "hi", "parts": [{"text": "hi"}], "message": dict(PLAIN),
        "metadata": {}, "priority": 0, "on_interrupt": "retry", "attempt": 1, "begun": False,
        "cancel_requested": False, "answer": "there", "answer_parts": [], "reason": "", "updates": 3,
        "created_at": now, "updated_at": now, "ended_at": now,
    }  # fmt: skip
    return TaskView(**{**facts, **more})


@given(TEXT, TEXT, st.text("abc", min_size=1, max_size=64), TIMES)
def test_it_tells_the_same(asked, answer, context, at):
    told = view(answer=answer, context_id=context, updated_at=at, message={**PLAIN, "parts": [{"text": asked}]})
    content = direct.answer(told, read(call(PLAIN, id="seven")))
    expected = MessageToDict(pb.SendMessageResponse(task=views.task(told)))
    assert json.loads(content) == {"jsonrpc": "2.0", "id": "seven", "result": expected}


@pytest.mark.parametrize(
    "more",
    [
        {"state": State.FAILED}, {"state": State.SUBMITTED}, {"answer_parts": [{"data": {"a": 1}}]},
        {"artifacts": [Artifact(name="f", parts=[])]}, {"metadata": {"a": 1}}, {"message": None},
    ],
)  # fmt: skip
def test_any_other_answer_is_the_sdks(more):
    assert direct.answer(view(**more), read(call(PLAIN))) is None


@pytest.mark.parametrize(
    "body",
    [
        call({**PLAIN, "taskId": str(uuid4())}),
        call({**PLAIN, "metadata": {}}),
        call({**PLAIN, "role": "ROLE_AGENT"}),
        call({**PLAIN, "parts": []}),
        call({**PLAIN, "parts": [{"text": "a", "mediaType": "text/plain"}]}),
        call({**PLAIN, "parts": [{"data": {"a": 1}}]}),
        call({**PLAIN, "contextId": "x" * 65}),
        call({**PLAIN, "messageId": ""}),
        call({**PLAIN, "messageId": 3}),
        call({**PLAIN, "parts": [{"text": "a\x00b"}]}),
        call(PLAIN, method="SendStreamingMessage"),
        call(PLAIN, method="message/send"),
        call(PLAIN, jsonrpc="1.0"),
        call(PLAIN, id=True),
        call(PLAIN, id=None),
        call(PLAIN, id=1.5),
        call(PLAIN, more=1),
        call(PLAIN, params={"message": PLAIN, "configuration": {"historyLength": 0}}),
        call(PLAIN, params={"message": PLAIN, "metadata": {"priority": 3}}),
        call(PLAIN, params={"message": PLAIN, "tenant": "t"}),
        [call(PLAIN)],
        "text",
    ],
)
def test_whatever_is_not_exactly_plain_goes_the_sdks_way(body):
    assert read(body) is None


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b'{"jsonrpc": "2.0", "id": "\\ud800"}'])
def test_what_is_no_json_goes_the_sdks_way(content):
    assert direct.read(content) is None


async def test_one_that_takes_long_is_answered_when_it_ends(agent, rpc, message, monkeypatch):
    monkeypatch.setattr("truebeat.server.a2a.endpoint.QUICK", 0.01)
    came, go = asyncio.Event(), asyncio.Event()

    async def later(agent, deliver):
        await agent.begin(deliver)
        came.set()
        await go.wait()
        await agent.finish(deliver, "late")

    agent.behave = later
    asked = asyncio.ensure_future(rpc("SendMessage", {"message": message()}))
    await came.wait()
    await asyncio.sleep(0.05)  # the short way is over by then, mostly; the answer is the same if it is not
    go.set()
    assert (await asked)["result"]["task"]["artifacts"][0]["parts"] == [{"text": "late"}]


@pytest.mark.parametrize("more", [{}, {"metadata": {"x": 1}}])
async def test_errors_and_other_answers_are_the_same_both_ways(agent, rpc, message, more):
    """With metadata it goes the SDK's way."""

    async def fail(agent, deliver):
        await agent.begin(deliver)
        await agent.finish(deliver, "no", state="failed")

    agent.behave = fail
    task = (await rpc("SendMessage", {"message": message(**more)}))["result"]["task"]
    assert task["status"]["state"] == "TASK_STATE_FAILED"
    assert task["status"]["message"]["parts"] == [{"text": "no"}]
    headers = {"Idempotency-Key": "k"}
    await rpc("SendMessage", {"message": message("one", **more)}, **headers)
    refused = await rpc("SendMessage", {"message": message("two", **more)}, **headers)
    assert refused["error"]["code"] == -32004
    assert "idempotency" in refused["error"]["message"]
