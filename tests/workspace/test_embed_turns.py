"""The tasks of an embedded workspace in its own loop, without a link."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from truebeat.clock import ManualClock
from truebeat.domain.health import ERRORS_CLOSE_BELOW
from truebeat.protocol.delivery import Begun, Cancel, Deliver, Finished, HandedBack, Sender
from truebeat.workspace.embed_commands import Facts
from truebeat.workspace.embed_task import Task
from truebeat.workspace.embed_turns import Turns
from truebeat.workspace.turns import WINDOW_SECONDS

DEADLINE = 20.0


class Bench:
    """Turns without a handler, and consumers of them."""

    def __init__(self, capacity: int) -> None:
        self.clock = ManualClock()
        self.said: list[Any] = []
        self.turns = Turns(None, capacity, self.said.append, self.clock)
        self.consumers: list[asyncio.Task[None]] = []
        self.taken: list[Task] = []
        #: consumers that came to their end
        self.ended = 0

    def facts(self) -> Facts:
        self.turns.tell()
        told: list[Facts] = [one for one in self.said if isinstance(one, Facts)]
        return told[-1]

    def of(self, kind: type) -> list[str]:
        return [frame.task_id for frame in self.said if isinstance(frame, kind)]

    async def consume(self, count: int = 1) -> None:
        """Each takes a task, and stays with it until it is ended by the test."""

        async def consumer() -> None:
            async for task in self.turns.each():
                self.taken.append(task)
                await task.canceled.wait()
            self.ended += 1

        self.consumers += [asyncio.ensure_future(consumer()) for _ in range(count)]
        await settle()

    def free(self, task: Task) -> None:
        """Its taker asks for the next."""
        task.canceled.set()


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
async def make() -> AsyncIterator[Any]:
    made: list[Bench] = []

    def bench(capacity: int = 3) -> Bench:
        made.append(Bench(capacity))
        return made[-1]

    yield bench
    for one in made:
        for consumer in one.consumers:
            consumer.cancel()
        await asyncio.gather(*one.consumers, return_exceptions=True)


def order(task_id: str, **more: Any) -> Deliver:
    sender = Sender(kind="person", id="p")
    return Deliver(task_id=task_id, context_id="c", generation=1, attempt=1, sender=sender, text="do", **more)


async def test_only_as_many_places_as_consumers_wait(make) -> None:
    bench = make(capacity=3)
    assert bench.facts().capacity == 0, "nobody takes any"
    await bench.consume()
    assert bench.facts().capacity == 1
    bench.turns.begin(order("a"))
    assert bench.facts().capacity == 1, "the one that comes fills the only place"
    await settle()
    assert (bench.facts().capacity, bench.of(Begun)) == (1, ["a"])
    await bench.consume(3)
    assert bench.facts().capacity == 3, "no more than it was given"
    bench.taken[0].finish("ok")
    await settle()
    assert bench.facts().capacity == 3, "three wait; the first is still away"
    bench.free(bench.taken[0])
    await settle()
    assert bench.facts().capacity == 3


async def test_a_consumer_that_is_done_and_not_back_has_no_place(make) -> None:
    bench = make()
    await bench.consume()
    bench.turns.begin(order("a"))
    await settle()
    bench.taken[0].finish("ok")
    await settle()
    assert bench.facts().capacity == 0
    bench.free(bench.taken[0])
    await settle()
    assert bench.facts().capacity == 1


async def test_what_nobody_waits_for_goes_back_at_once(make) -> None:
    bench = make()
    await bench.consume()
    for task_id in ("a", "b"):
        bench.turns.begin(order(task_id))
    assert bench.of(HandedBack) == ["b"]
    await settle()
    assert bench.of(Begun) == ["a"]


async def test_a_consumer_that_leaves_as_its_task_comes_gives_it_back(make) -> None:
    bench = make()
    await bench.consume(1)
    bench.turns.begin(order("a"))
    bench.consumers[0].cancel()
    await settle()
    assert (bench.of(HandedBack), bench.of(Begun), bench.facts().capacity) == (["a"], [], 0)
    await bench.consume(1)
    bench.turns.begin(order("b"))
    await settle()
    assert bench.of(Begun) == ["b"]


async def test_a_task_that_nobody_began_is_canceled_at_once(make) -> None:
    bench = make()
    await bench.consume()
    bench.turns.begin(order("a"))
    bench.turns.interrupt(Cancel(task_id="a", generation=1, attempt=1))
    assert [frame.state for frame in bench.said if isinstance(frame, Finished)] == ["canceled"]
    await settle()
    assert (bench.of(Begun), bench.facts().capacity) == ([], 1)


async def test_every_consumer_ends_with_the_workspace(make) -> None:
    bench = make(capacity=4)
    await bench.consume(4)
    bench.turns.begin(order("a"))
    await settle()
    bench.turns.close()
    bench.free(bench.taken[0])
    await asyncio.wait(bench.consumers, timeout=DEADLINE)
    assert bench.ended == 4
    await bench.consume()
    assert bench.ended == 5, "and whoever comes later"


async def test_what_an_older_generation_ran_is_gone_when_its_taker_says_so(make) -> None:
    bench = make()
    await bench.consume()
    assert await bench.turns.gone(None), "there was none"
    bench.turns.begin(order("a"))
    await settle()
    task = bench.taken[0]
    task.canceled = asyncio.Event()  # its taker does not look
    bench.turns.renew()
    assert not await bench.turns.gone(0.01)
    task.finish("late")
    assert await bench.turns.gone(DEADLINE)
    assert bench.of(Finished) == []


async def test_a_task_whose_taker_asks_for_the_next_is_gone(make) -> None:
    bench = make()
    await bench.consume()
    bench.turns.begin(order("a"))
    await settle()
    bench.turns.renew()
    assert await asyncio.wait_for(bench.turns.gone(None), DEADLINE)


async def test_a_bad_minute_does_not_stay_for_ever(make) -> None:
    bench = make()
    for _ in range(2):
        bench.turns.count("failed", "net blip")
    assert (bench.facts().error_rate, bench.facts().sample_error) == (0.5, "net blip")
    bench.clock.advance(WINDOW_SECONDS - 1)
    assert bench.facts().error_rate == 0.5
    bench.turns.count("failed", "another")
    bench.clock.advance(2)
    assert (bench.facts().error_rate, bench.facts().sample_error) == (0.25, "another")
    bench.clock.advance(WINDOW_SECONDS)
    assert (bench.facts().error_rate, bench.facts().sample_error) == (0.0, "")
    assert bench.facts().error_rate < ERRORS_CLOSE_BELOW


async def test_a_rate_limit_is_nobodys_failure(make) -> None:
    bench = make()
    bench.turns.count("failed", "429 rate_limit_error")
    assert bench.facts().error_rate == 0.0


async def test_a_handlers_places_are_all_its_own(make) -> None:
    async def handler(turn: Any) -> str:
        return "x"

    bench = make()
    turns = Turns(handler, 3, bench.said.append, bench.clock)
    turns.tell()
    assert bench.said[-1].capacity == 3
