"""Waiting: answered when the task ends, or at once when nobody will; and nothing is lost whatever stops."""

import asyncio
import json
from uuid import UUID

import pytest

from truebeat.domain.access import Principal, Role
from truebeat.domain.delivery import State
from truebeat.protocol.tasks import NewTask

WEDGED = {"runtime_state": "wedged", "sample_error": "claude is stuck"}
EVE = Principal(Role.OPERATOR, "eve")


@pytest.fixture
async def ada(stand):
    return await stand.workspace()


async def test_a_wait_ends_with_the_answer(stand, ada):
    async with stand.dial(*ada) as link:
        await link.beat()
        task = await stand.send(ada[0])
        waiting = asyncio.ensure_future(stand.task(task["id"], wait=30))
        deliver = await link.receive("deliver")
        await link.begin(deliver)
        assert not waiting.done()
        await link.finish(deliver, "yes")
        assert (await waiting)["answer"] == "yes"
        assert (await stand.task(task["id"], wait=30))["answer"] == "yes"


async def test_a_wait_ends_on_the_flip_and_says_whether_it_had_begun(stand, ada):
    async with stand.dial(*ada) as link:
        await link.beat(capacity=2)
        begun, held = [await stand.send(ada[0], text) for text in ("a", "b")]
        delivers = [await link.receive("deliver") for _ in range(2)]
        await link.begin(next(one for one in delivers if one["task_id"] == begun["id"]))
        waiting = [asyncio.ensure_future(stand.task(task["id"], wait=60)) for task in (begun, held)]
        async with stand.watch(begun["id"]) as stream:
            while json.loads(await stream.recv())["state"] != "working":
                pass
            await link.beat(holding=[f"{task['id']}/1" for task in (begun, held)], **WEDGED)
            told = json.loads(await stream.recv())
            assert (told["kind"], told["availability"]["symptom"]) == ("unavailable", "wedged")
            first, second = [await one for one in waiting]
            await link.beat(holding=[f"{task['id']}/1" for task in (begun, held)])
            assert json.loads(await stream.recv())["kind"] == "available"
    assert (first["state"], first["begun"], first["availability"]["able"]) == ("working", True, False)
    assert (second["state"], second["begun"]) == ("submitted", False)
    assert "claude is stuck" in first["availability"]["reason"]


async def test_a_wait_in_vain_is_no_wait(stand, ada):
    async with stand.dial(*ada) as link:
        await link.beat()
        await link.beat(**WEDGED)
        task = await stand.send(ada[0])
        assert (await stand.task(task["id"], wait=60))["availability"]["able"] is False
        async with stand.watch(task["id"]) as stream:
            assert json.loads(await stream.recv())["kind"] == "status"
            assert json.loads(await stream.recv())["kind"] == "unavailable"


async def test_whoever_watches_what_waits_is_told_its_place_in_the_queue(stand, ada):
    async with stand.dial(*ada) as link:
        await link.beat()
        await link.beat(**WEDGED)
        tasks = [await stand.send(ada[0], text) for text in ("first", "second", "third")]
        for place, task in enumerate(tasks, start=1):
            async with stand.watch(task["id"]) as stream:
                while (told := json.loads(await stream.recv()))["kind"] != "unavailable":
                    pass
            assert told["availability"]["position"] == place


async def test_a_lost_link_ends_the_wait_when_it_counts_as_lost(start_server, settings):
    import dataclasses

    quick = dataclasses.replace(settings, link_grace=0.1)
    async with start_server(settings=quick) as api:
        workspace_id, _ = await api.workspace()
        lease = api.app.leases.get(workspace_id)
        from truebeat.domain.health import Beat, Status

        await api.app.health.observe(workspace_id, Beat("", 0.0, generation=1), api.clock.now())
        lease.linked = True
        task = await api.app.mailbox.send(UUID(workspace_id), NewTask(text="x"), EVE)
        waiting = asyncio.ensure_future(api.app.mailbox.wait(task.id, EVE))
        await asyncio.sleep(0)
        api.app.leases.link_lost(lease, api.clock.monotonic())
        view = await waiting
    assert (view.state, view.availability.status) == (State.SUBMITTED, Status.OFFLINE)


async def test_a_restarted_server_loses_nothing_and_a_worker_goes_on(start_server):
    async with start_server() as api:
        workspace_id, _ = await api.workspace()
        await api.app.health.observe(workspace_id, _beat(), api.clock.now())
        kept = [await api.app.mailbox.send(UUID(workspace_id), NewTask(text=str(n)), EVE) for n in range(3)]
    async with start_server() as api:
        assert api.app.ledger.queued == {UUID(workspace_id): 3}
        for task in kept:
            assert (await api.app.mailbox.get(task.id, EVE)).state is State.SUBMITTED


async def test_a_stopping_server_ends_streams_and_waits(start_server):
    async with start_server() as api:
        workspace_id, _ = await api.workspace()
        await api.app.health.observe(workspace_id, _beat(), api.clock.now())
        api.app.leases.get(workspace_id).linked = True
        task = await api.app.mailbox.send(UUID(workspace_id), NewTask(text="x"), EVE)
        stream = api.app.mailbox.updates(task.id, EVE)
        assert (await anext(stream)).state is State.SUBMITTED
        rest = asyncio.ensure_future(_all(stream))
        waiting = asyncio.ensure_future(api.app.mailbox.wait(task.id, EVE))
        await asyncio.sleep(0)
        await api.app.close_streams()
        assert await rest == []
        assert (await waiting).state is State.SUBMITTED


async def test_availability_is_told_without_waiting(start_server, unknown):
    from truebeat.errors import Gone, NotFound

    async with start_server() as api:
        workspace_id, _ = await api.workspace()
        facts = api.app.mailbox.availability(UUID(workspace_id))
        assert (facts.able, facts.symptom, facts.queued) == (False, "awaiting", 0)
        with pytest.raises(NotFound):
            api.app.mailbox.availability(UUID(unknown))
        await api("DELETE", f"/workspaces/{workspace_id}")
        with pytest.raises(Gone):
            api.app.mailbox.availability(UUID(workspace_id))


def _beat():
    from truebeat.domain.health import Beat

    return Beat("", 0.0, generation=1)


async def _all(stream):
    return [update async for update in stream]
