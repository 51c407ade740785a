"""Python code inside a turn: a result counts as used only by who waited for it and has it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fleet_stub import CONSUMED, CREATE, DELEGATION, SHOW, Stub, ended, view
from hostile_results import result

import truebeat
from truebeat.tools.place import Here, enter

TASK = "00000000-0000-0000-0000-0000000000aa"
DEADLINE = 30.0


@pytest.fixture(autouse=True)
def turn(stub: Stub) -> Iterator[None]:
    """The test is code of a turn."""
    enter(Here(stub.place, TASK))
    yield
    enter(None)


@asynccontextmanager
async def begun_by(stub: Stub, route: str) -> AsyncIterator[threading.Event]:
    """The server answers `route` with a result once the event is set; entered when it was asked for the first time."""
    asked, free = threading.Event(), threading.Event()

    def answer(*_: Any) -> Any:
        asked.set()
        assert free.wait(DEADLINE)
        return ended(result("seven"))

    stub.answers[route] = answer
    yield free
    free.set()
    assert asked.is_set()


async def over(call: Any) -> None:
    """What it does is done, whoever awaits it."""
    async with asyncio.timeout(DEADLINE):
        while True:
            if call.done:
                return
            await asyncio.sleep(0.01)


def confirmed(stub: Stub) -> list[str]:
    """The paths of confirmations."""
    return [path for method, path, _, _ in stub.asked if method == "POST" and "/consumed" in path]


async def test_who_waits_and_has_it_confirms_for_their_turn(stub: Stub) -> None:
    stub.answers[CREATE] = lambda *_: view()
    stub.answers[SHOW] = lambda *_: ended(result("seven"))
    call = truebeat.delegate("bob", "count")
    assert (await call).result.text == "seven"
    assert (await call).result.text == "seven"
    assert confirmed(stub) == [f"/delegations/{DELEGATION}/consumed?by_task={TASK}"]


async def test_a_thread_confirms_too(stub: Stub) -> None:
    stub.answers[CREATE] = lambda *_: ended(result("seven"))
    found = await asyncio.to_thread(lambda: truebeat.delegate("bob", "count").result())
    assert found.result.text == "seven"
    assert len(stub.calls(CONSUMED)) == 1


async def test_who_does_not_wait_leaves_the_result_for_a_later_turn(stub: Stub) -> None:
    """A turn that is done again finds by its key that what it asks for has ended meanwhile."""
    stub.answers[CREATE] = lambda *_: ended(result("seven"))
    found = await truebeat.delegate("bob", "count", wait=False, key=TASK)
    assert found.ended_at is not None
    assert confirmed(stub) == []


async def test_a_call_that_nobody_awaits_uses_nothing(stub: Stub) -> None:
    async with begun_by(stub, CREATE) as free:
        call = truebeat.delegate("bob", "count")
        free.set()
        await over(call)
    assert confirmed(stub) == []


async def test_who_stopped_waiting_has_nothing_until_they_wait_again(stub: Stub) -> None:
    async with begun_by(stub, CREATE) as free:
        call = truebeat.delegate("bob", "count")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call, 0.01)
        free.set()
        await over(call)
        assert confirmed(stub) == []
        assert (await call).result.text == "seven"
    assert len(stub.calls(CONSUMED)) == 1


async def test_who_looks_has_it(stub: Stub) -> None:
    stub.answers[SHOW] = lambda *_: ended(result("seven"))
    assert (await truebeat.delegation(DELEGATION)).result.text == "seven"
    assert len(stub.calls(CONSUMED)) == 1


async def test_a_confirmation_that_fails_costs_the_turn_nothing(stub: Stub) -> None:
    stub.answers[SHOW] = lambda *_: ended(result("seven"))
    stub.answers[CONSUMED] = lambda *_: (503, {"code": "unavailable", "detail": "later", "status": 503, "facts": {}})
    assert (await truebeat.delegation(DELEGATION)).result.text == "seven"
