"""Tasks on their way to a worker and back, over a real link."""

import asyncio
import json
from uuid import uuid4

import pytest
import websockets
from task_stand import until

WEDGED = {"runtime_state": "wedged", "sample_error": "claude is stuck"}


@pytest.fixture
async def ada(stand):
    return await stand.workspace()


async def test_a_task_goes_to_the_worker_and_its_answer_comes_back(stand, ada):
    async with stand.dial(*ada) as link:
        assert await link.beat() == "online"
        task = await stand.send(ada[0], "what is up?", context_id="c1")
        assert task["state"] == "submitted"
        assert task["availability"]["able"] is True
        deliver = await link.receive("deliver")
        assert (deliver["text"], deliver["context_id"], deliver["attempt"], deliver["generation"]) == (
            "what is up?", "c1", 1, 1,
        )  # fmt: skip
        assert deliver["sender"]["kind"] == "person"
        await link.begin(deliver)
        assert (await stand.task(task["id"]))["state"] == "working"
        await link.finish(deliver, "all is well")
        done = await stand.task(task["id"])
    assert (done["state"], done["answer"], done["attempt"]) == ("completed", "all is well", 1)
    assert done["ended_at"] is not None
    for kind in ("TASK_SUBMITTED", "TASK_WORKING", "TASK_COMPLETED"):
        [event] = await stand.events(kind)
        assert event["payload"]["task_id"] == task["id"]


async def test_no_more_than_its_capacity_and_one_of_a_context(stand, ada):
    async with stand.dial(*ada) as link:
        first = [(await stand.send(ada[0], text, context_id="c1"))["id"] for text in ("1", "2")]
        other = await stand.send(ada[0], "3", context_id="c2")
        last = await stand.send(ada[0], "4", context_id="c3")
        await link.beat(capacity=2)
        held = [await link.receive("deliver") for _ in range(2)]
        assert [deliver["task_id"] for deliver in held] == [first[0], other["id"]]
        await link.finish(held[0])
        assert (await link.receive("deliver"))["task_id"] == first[1]
        await link.finish(held[1])
        assert (await link.receive("deliver"))["task_id"] == last["id"]


async def test_the_higher_priority_goes_first_but_never_within_a_context(stand, ada):
    async with stand.dial(*ada) as link:
        low = await stand.send(ada[0], "low", context_id="a")
        high = await stand.send(ada[0], "high", context_id="b", priority=5)
        urgent = await stand.send(ada[0], "behind low", context_id="a", priority=9)
        order = []
        await link.beat()
        for _ in range(3):
            deliver = await link.receive("deliver")
            order.append(deliver["task_id"])
            await link.finish(deliver)
    assert order == [high["id"], low["id"], urgent["id"]]


async def test_a_wedged_workspace_holds_its_mailbox_until_it_is_verified_healthy(stand, ada):
    async with stand.dial(*ada) as link:
        await link.beat()
        assert await link.beat(**WEDGED) == "degraded"
        task = await stand.send(ada[0])
        facts = task["availability"]
        assert (facts["able"], facts["status"], facts["symptom"], facts["position"]) == (False, "degraded", "wedged", 1)
        assert "claude is stuck" in facts["reason"]
        await link.beat(**WEDGED)
        assert (await stand.task(task["id"]))["attempt"] == 0
        assert await link.beat() == "online"
        assert (await link.receive("deliver"))["task_id"] == task["id"]


async def test_a_workspace_degraded_by_errors_still_gets_work(stand, ada):
    async with stand.dial(*ada) as link:
        assert await link.beat(error_rate=0.9) == "degraded"
        task = await stand.send(ada[0])
        assert task["availability"]["able"] is True
        assert (await link.receive("deliver"))["task_id"] == task["id"]


async def test_a_result_of_an_old_generation_is_refused_and_recorded(stand, ada):
    async with stand.dial(*ada) as link:
        await link.beat()
        task = await stand.send(ada[0])
        old = await link.receive("deliver")
        await link.begin(old)
        link.generation = 2
        await link.beat()
        new = await link.receive("deliver")
        assert (new["task_id"], new["generation"], new["attempt"], new["interrupted"]) == (task["id"], 2, 2, True)
        await link.finish(old, "too late")
        assert (await stand.task(task["id"]))["state"] == "submitted"
        await link.finish(new, "in time")
        done = await stand.task(task["id"])
    assert (done["state"], done["answer"]) == ("completed", "in time")
    [refused] = await stand.events("TASK_RESULT_REFUSED")
    assert "fenced" in refused["payload"]["reason"]
    [_] = await stand.events("TASK_REQUEUED")


async def test_who_allows_no_second_attempt_gets_an_honest_failure(stand, ada):
    async with stand.dial(*ada) as link:
        await link.beat()
        task = await stand.send(ada[0], on_interrupt="fail")
        deliver = await link.receive("deliver")
        await link.begin(deliver)
        n = await link.say("handed_back", deliver, begun=True, reason="the worker was killed")
        await link.settled(n)
        done = await stand.task(task["id"])
    assert done["state"] == "failed"
    assert "the worker was killed" in done["reason"]


async def test_what_was_handed_back_waits_for_the_next_beat(stand, ada):
    """A worker that takes nothing this moment must not use up a task's hand-backs within milliseconds."""
    async with stand.dial(*ada) as link:
        await link.beat()
        task = await stand.send(ada[0])
        deliver = await link.receive("deliver")
        await link.settled(await link.say("handed_back", deliver, begun=False, reason="stopping"))
        waiting = await stand.send(ada[0], "another", context_id="c2")
        assert (await stand.task(task["id"]))["attempt"] == 1
        assert (await stand.task(waiting["id"]))["attempt"] == 0
        await link.beat(capacity=2)
        again = [await link.receive("deliver") for _ in range(2)]
        assert [(one["task_id"], one["attempt"]) for one in again] == [(task["id"], 2), (waiting["id"], 1)]


async def test_a_failed_workspace_refuses_what_is_new_and_keeps_what_waits(stand, ada):
    async with stand.dial(*ada) as link:
        await link.beat(capacity=0)
        kept = await stand.send(ada[0])
        assert await link.beat(capacity=0, runtime_state="wedged", quarantine="5 restarts within 10 min") == "failed"
        refused = await stand.send(ada[0], status=409)
        facts = refused["facts"]["availability"]
        assert (facts["status"], facts["restart"], facts["retry_after"]) == ("failed", "given_up", None)
        assert "operator" in facts["reason"]
        waited = await stand.task(kept["id"], wait=60)
        assert (waited["state"], waited["availability"]["status"]) == ("submitted", "failed")


async def test_a_repeated_frame_is_settled_and_changes_nothing(stand, ada):
    async with stand.dial(*ada) as link:
        await link.beat()
        task = await stand.send(ada[0])
        deliver = await link.receive("deliver")
        for index in (0, 1, 0, 1):
            await link.settled(await link.say("chunk", deliver, index=index, kind="text", text=f"<{index}>"))
        await link.finish(deliver, "once")
        await link.finish(deliver, "twice")
        assert (await stand.task(task["id"]))["answer"] == "once"
    async with stand.watch(task["id"]) as stream:
        frames = [json.loads(text) async for text in stream]
    assert "".join(frame["text"] for frame in frames if frame["kind"] == "text") == "<0><1>"
    assert [frame["seq"] for frame in frames] == list(range(1, len(frames) + 1))
    assert len(await stand.events("TASK_COMPLETED")) == 1
    assert await stand.events("TASK_RESULT_REFUSED") == []


async def test_a_lost_delivery_is_repeated_and_a_held_one_is_not(stand, ada):
    async with stand.dial(*ada) as link:
        await link.beat(capacity=2)
        lost = await stand.send(ada[0], "lost")
        kept = await stand.send(ada[0], "kept")
        delivers = {(frame := await link.receive("deliver"))["task_id"]: frame for _ in range(2)}
    async with stand.dial(*ada) as link:
        await link.beat(capacity=1, holding=[f"{kept['id']}/1"])
        again = await link.receive("deliver")
        assert (again["task_id"], again["attempt"]) == (lost["id"], 1)
        await link.finish(delivers[kept["id"]], "kept")
        await link.finish(again, "found")
    assert (await stand.task(kept["id"]))["answer"] == "kept"
    assert (await stand.task(lost["id"]))["answer"] == "found"


@pytest.mark.parametrize("begun", [False, True])
async def test_an_ending_that_is_being_written_is_neither_lost_nor_delivered_again(stand, ada, begun):
    """After a reconnect the ending races the comparison of who holds what."""
    count = 8
    async with stand.dial(*ada) as link:
        await link.beat(capacity=count)
        for number in range(count):
            await stand.send(ada[0], context_id=f"c{number}")
        delivers = [await link.receive("deliver") for _ in range(count)]
        if begun:
            for deliver in delivers:
                await link.begin(deliver)
    async with stand.dial(*ada) as link:
        holding = [f"{deliver['task_id']}/1" for deliver in delivers]
        beat = asyncio.ensure_future(link.beat(capacity=0, holding=holding))
        await asyncio.sleep(0)
        for deliver in delivers:
            await link.say("finished", deliver, state="completed", text="done")
        await beat
        for deliver in delivers:
            done = await stand.becomes(deliver["task_id"], "completed")
            assert (done["attempt"], done["answer"]) == (1, "done")
        await link.beat(capacity=count)
        fresh = await stand.send(ada[0], "fresh")
        assert (await link.receive("deliver"))["task_id"] == fresh["id"]
        assert not link.came.get("deliver")
    assert await stand.events("TASK_REQUEUED") == []


async def test_what_a_supervisor_holds_and_should_not_is_canceled(stand, ada):
    async with stand.dial(*ada) as link:
        await link.beat(capacity=0, holding=[f"{uuid4()}/7", "nonsense", "a/b/c"])
        cancel = await link.receive("cancel")
        assert cancel["attempt"] == 7


async def test_cancel_goes_through_the_worker_that_has_it(stand, ada):
    async with stand.dial(*ada) as link:
        await link.beat()
        task = await stand.send(ada[0])
        deliver = await link.receive("deliver")
        await link.begin(deliver)
        asked = await stand.cancel(task["id"])
        assert (asked["state"], asked["cancel_requested"]) == ("working", True)
        assert (await link.receive("cancel"))["task_id"] == task["id"]
        await link.finish(deliver, "", state="canceled")
        assert (await stand.task(task["id"]))["state"] == "canceled"
    await stand.cancel(task["id"], status=409)


async def test_cancel_of_a_queued_task_is_done_at_once(stand, ada):
    task = await stand.send(ada[0])
    assert (await stand.cancel(task["id"]))["state"] == "canceled"
    async with stand.dial(*ada) as link:
        await link.beat()
        second = await stand.send(ada[0])
        assert (await link.receive("deliver"))["task_id"] == second["id"]


async def test_a_cancellation_does_not_wait_for_a_worker_that_is_stuck(stand, ada):
    async with stand.dial(*ada) as link:
        await link.beat()
        task = await stand.send(ada[0])
        deliver = await link.receive("deliver")
        await link.begin(deliver)
        await stand.cancel(task["id"])
        await link.beat(**WEDGED)
        ended = await stand.becomes(task["id"], "canceled")
        assert "may still be working" in ended["reason"]
        await link.finish(deliver, "late")
        assert (await stand.task(task["id"]))["state"] == "canceled"
        [_] = await stand.events("TASK_RESULT_REFUSED")


async def test_a_question_and_its_reply_are_one_task(stand, ada):
    async with stand.dial(*ada) as link:
        await link.beat()
        task = await stand.send(ada[0], "book it", context_id="trip")
        deliver = await link.receive("deliver")
        await link.finish(deliver, "for which day?", state="input-required")
        asked = await stand.task(task["id"], wait=5)
        assert (asked["state"], asked["answer"]) == ("input-required", "for which day?")
        await stand.send(ada[0], "Monday", task_id=task["id"])
        reply = await link.receive("deliver")
        assert (reply["task_id"], reply["text"], reply["reply"], reply["attempt"]) == (task["id"], "Monday", True, 2)
        await link.finish(reply, "booked")
        done = await stand.task(task["id"])
    assert (done["state"], done["text"], done["answer"]) == ("completed", "book it", "booked")
    said = [(one["role"], one["text"]) for one in done["history"]]
    assert said == [("agent", "for which day?"), ("user", "Monday")]
    await stand.send(ada[0], "again", task_id=task["id"], status=409)


async def test_a_repeated_reply_is_not_the_answer_to_the_next_question(stand, ada):
    async with stand.dial(*ada) as link:
        await link.beat()
        task = await stand.send(ada[0], "book it")
        await link.finish(await link.receive("deliver"), "which day?", state="input-required")
        key = {"Idempotency-Key": "k"}
        await stand.send(ada[0], "Monday", task_id=task["id"], headers=key)
        await link.finish(await link.receive("deliver"), "which hotel?", state="input-required")
        again = await stand.send(ada[0], "Monday", task_id=task["id"], headers=key)
        assert (again["state"], again["answer"]) == ("input-required", "which hotel?")
        await stand.send(ada[0], "the cheap one", task_id=task["id"], headers={"Idempotency-Key": "k2"})
        assert (await link.receive("deliver"))["text"] == "the cheap one"


async def test_artifacts_are_shown_with_their_task(stand, ada):
    async with stand.dial(*ada) as link:
        await link.beat()
        task = await stand.send(ada[0])
        deliver = await link.receive("deliver")
        part = {"kind": "text", "text": "x = 1"}
        await link.say("chunk", deliver, index=0, kind="artifact", name="code.py", parts=[part])
        await link.finish(deliver)
        assert (await stand.task(task["id"]))["artifacts"] == [{"name": "code.py", "parts": [part], "text": ""}]


async def test_a_result_over_the_bound_ends_the_task_with_the_truth(stand, ada):
    async with stand.dial(*ada) as link:
        await link.beat()
        task = await stand.send(ada[0])
        await link.finish(await link.receive("deliver"), "x" * (10 * 1024 * 1024 + 1))
        done = await stand.task(task["id"])
    assert (done["state"], done["answer"]) == ("failed", "")
    assert "larger than" in done["reason"]


async def test_frames_about_tasks_that_are_not_there_are_settled(stand, ada):
    async with stand.dial(*ada) as link:
        await link.beat()
        for task_id in (str(uuid4()), "no id at all"):
            nobody = {"task_id": task_id, "generation": 1, "attempt": 1}
            await link.settled(await link.say("begun", nobody))
            await link.finish(nobody)
        assert await link.beat() == "online"


async def test_another_workspaces_task_can_not_be_ended_by_guessing(stand, ada):
    bob, bobs_token = await stand.workspace("bob")
    async with stand.dial(*ada) as link, stand.dial(bob, bobs_token) as thief:
        await link.beat()
        await thief.beat()
        task = await stand.send(ada[0])
        deliver = await link.receive("deliver")
        await thief.finish(deliver, "mine now")
        assert (await stand.task(task["id"]))["state"] == "submitted"
        await link.finish(deliver, "ada's")
        assert (await stand.task(task["id"]))["answer"] == "ada's"


async def test_removal_rejects_what_waits_and_fails_what_was_begun(stand, ada):
    async with stand.dial(*ada) as link:
        await link.beat()
        begun = await stand.send(ada[0], "a")
        await link.begin(await link.receive("deliver"))
        queued = await stand.send(ada[0], "b")
        waiting = asyncio.ensure_future(stand.task(queued["id"], wait=30))
        (await stand.http.delete(f"/workspaces/{ada[0]}")).raise_for_status()
        assert (await waiting)["state"] == "rejected"
        failed = await stand.becomes(begun["id"], "failed")
    assert "removed" in failed["reason"]
    await stand.send(ada[0], status=410)


async def degraded(link, delivers, **fields):
    """One more beat of a supervisor whose worker was given these."""
    holding = [f"{deliver['task_id']}/{deliver['attempt']}" for deliver in delivers]
    return await link.beat(holding=holding, **fields) == "degraded"


async def test_a_worker_that_begins_nothing_is_unresponsive_by_its_senders(stand, ada, monkeypatch):
    monkeypatch.setattr("truebeat.server.services.stuck.BEGIN_WITHIN", 1)
    async with stand.dial(*ada) as link:
        await link.beat(capacity=2)
        await stand.send(ada[0], "a")
        await stand.send(ada[0], "b")
        delivers = [await link.receive("deliver") for _ in range(2)]
        await until(lambda: degraded(link, delivers, capacity=0))
        view = (await stand.http.get(f"/workspaces/{ada[0]}")).json()
        assert [(c["symptom"], c["witness"]) for c in view["conditions"]] == [("unresponsive", "sender")]
        await link.finish(delivers[0], "it does answer")

        async def online():
            return (await stand.http.get(f"/workspaces/{ada[0]}")).json()["status"] == "online"

        await until(online)


async def test_a_second_hello_ends_the_link(stand, ada):
    async with stand.dial(*ada) as link:
        await link.send({"type": "hello", "version": 2, "boot": 1, "agent": "python", "pid": 1})
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await link.receive("never")
        assert closed.value.rcvd.code == 4422
