"""A result is used by the turn that has it, and by no other: not by one that is over, for instance."""

from __future__ import annotations

import asyncio

import pytest
from task_stand import until
from test_delegations import agents, given

__all__ = ("agents",)


async def ready(ada, bob, **fields):
    """The id of a delegation that has ended; a caller waited for its result, so nobody is woken for it yet."""
    waiting = asyncio.create_task(ada.delegate(bob, wait_seconds=20, **fields))
    await bob.link.finish(await bob.take(), "seven")
    view = await waiting
    assert view["result"]["text"] == "seven"
    return view["delegation_id"]


async def consumed(ada, delegation):
    return (await ada.get(f"/delegations/{delegation}"))["consumed"]


async def two_turns(ada, stand):
    for context in ("one", "two"):
        await stand.send(ada.id, context, context_id=context)
    return [await ada.take(), await ada.take()]


async def test_it_is_consumed_with_the_turn_that_says_so_and_not_with_the_one_that_asked(agents, stand):
    ada, bob = await agents("ada", capacity=2), await agents("bob")
    asked, has = await two_turns(ada, stand)
    delegation = await ready(ada, bob, from_task=asked["task_id"])
    await ada.post(f"/delegations/{delegation}/consumed?by_task={has['task_id']}")
    await ada.link.finish(asked)
    assert not await consumed(ada, delegation)
    n = await ada.link.say("handed_back", has, begun=True, reason="its worker died")
    await ada.link.settled(n)
    await ada.link.beat(capacity=2)
    again = await ada.take()
    assert (again["task_id"], again["attempt"], again["results"]) == (has["task_id"], 2, [])
    await ada.link.finish(again)
    assert not await consumed(ada, delegation)
    await ada.link.beat(capacity=2)
    wake = await given(ada)
    assert (wake["context_id"], [result["text"] for result in wake["results"]]) == ("one", ["seven"])
    await ada.link.finish(wake)
    assert await consumed(ada, delegation)


@pytest.mark.parametrize("end", ["failed", "canceled"])
async def test_a_turn_that_is_over_and_was_not_completed_has_used_nothing(agents, stand, end):
    """Its code went on, got the result, and nobody will ever see what it did with it."""
    ada, bob = await agents("ada", capacity=2), await agents("bob")
    over, other = await two_turns(ada, stand)
    delegation = await ready(ada, bob, from_task=other["task_id"])
    await ada.link.finish(over, state=end)
    await ada.post(f"/delegations/{delegation}/consumed?by_task={over['task_id']}")
    await ada.link.finish(other)
    assert not await consumed(ada, delegation)
    await ada.link.beat(capacity=2)
    wake = await given(ada)
    assert [result["text"] for result in wake["results"]] == ["seven"]


async def test_a_turn_that_was_completed_has_used_it_also_if_it_says_so_late(agents, stand):
    ada, bob = await agents("ada", capacity=2), await agents("bob")
    over, other = await two_turns(ada, stand)
    delegation = await ready(ada, bob, from_task=over["task_id"])
    await ada.link.finish(over)
    assert (await ada.post(f"/delegations/{delegation}/consumed?by_task={over['task_id']}"))["consumed"]
    await ada.link.finish(other)


async def test_another_workspaces_turn_uses_nothing(agents, stand):
    ada, bob, eve = await agents("ada", capacity=2), await agents("bob"), await agents("eve")
    foreign = await stand.send(eve.id, "theirs")
    await eve.link.finish(await eve.take())
    one, two = await two_turns(ada, stand)
    delegation = await ready(ada, bob, from_task=one["task_id"])
    await ada.post(f"/delegations/{delegation}/consumed?by_task={foreign['id']}")
    await ada.link.finish(one)
    await ada.link.finish(two)
    await ada.link.beat(capacity=2)
    wake = await given(ada)
    assert [result["text"] for result in wake["results"]] == ["seven"]
    answer = await stand.http.post(f"/delegations/{delegation}/consumed?by_task=nobody", headers=ada.auth)
    assert answer.status_code == 422


async def test_an_interrupted_wake_is_finished_and_what_it_delegated_stays_wanted(agents, stand):
    """Though another turn, which has nothing to do with it, came between."""
    ada, bob, eve = await agents("ada"), await agents("bob"), await agents("eve")
    await ada.delegate(bob)
    await bob.link.finish(await bob.take(), "seven")
    wake = await given(ada)
    further = await ada.delegate(eve, "and this", from_task=wake["task_id"])
    await stand.send(ada.id, "at once", priority=5)
    n = await ada.link.say("handed_back", wake, begun=True, reason="its worker died")
    await ada.link.settled(n)
    await ada.link.beat(capacity=1)
    urgent = await ada.take()
    assert (urgent["text"], [result["text"] for result in urgent["results"]]) == ("at once", [])
    await ada.link.finish(urgent)
    again = await ada.take()
    assert (again["task_id"], again["attempt"], again["interrupted"]) == (wake["task_id"], 2, True)
    assert [result["text"] for result in again["results"]] == ["seven"]
    await ada.link.finish(again)
    await eve.link.finish(await eve.take(), "eight")
    wake = await given(ada)
    assert [result["text"] for result in wake["results"]] == ["eight"]
    await ada.link.finish(wake)
    assert await until(lambda: consumed(ada, further["delegation_id"]))
