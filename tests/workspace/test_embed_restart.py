"""A restart of truebeat.Workspace: what has to be true before the new generation says that it is well."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from typing import Any

import pytest

import truebeat
from truebeat.workspace import embed_restart, wedge

_spec = importlib.util.spec_from_file_location("embed_stand", Path(__file__).with_name("embed_stand.py"))
assert _spec is not None
assert _spec.loader is not None
embed_stand = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(embed_stand)
DEADLINE, until, workspace = embed_stand.DEADLINE, embed_stand.until, embed_stand.workspace
other_loop, stand, no_wedge_is_left = embed_stand.other_loop, embed_stand.stand, embed_stand.no_wedge_is_left


class Again:
    """An `on_restart` that waits to be let through, and then fails if told to."""

    def __init__(self) -> None:
        self.calls = 0
        self.canceled = 0
        self.go = asyncio.Event()
        self.error: BaseException | None = None

    async def __call__(self) -> None:
        self.calls += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.canceled += 1
            raise
        if self.error is not None:
            raise self.error


def ordered(stand: Any, restart_id: str = "r", **more: Any) -> None:
    stand.send(type="restart", restart_id=restart_id, reason="by an operator", **more)


def claims(stand: Any, generation: int) -> set[Any]:
    """What the beats of a generation say of themselves, so far."""
    return {beat["runtime_state"] for beat in stand.of("beat", generation=generation)}


async def beats(stand: Any, more: int) -> None:
    """Wait for so many more."""
    wanted = len(stand.of("beat")) + more
    await until(lambda: len(stand.of("beat")) >= wanted)


async def test_an_ordered_restart_starts_over_as_another_generation(stand: Any) -> None:
    restarted = asyncio.Event()

    async def again() -> None:
        restarted.set()

    async def handler(turn: truebeat.Turn) -> str:
        await asyncio.Event().wait()
        return "never"

    async with workspace(stand, handler=handler, on_restart=again):
        await until(lambda: stand.of("beat", capacity=1))
        stand.deliver("t1")
        await until(lambda: stand.of("begun"))
        for _ in range(2):  # repeated by the server, obeyed once
            stand.send(type="restart", restart_id="r", reason="by an operator")
        (back,) = await until(lambda: stand.of("handed_back"))
        assert back["begun"]
        await restarted.wait()
        await until(lambda: stand.of("beat", generation=2, runtime_state="", capacity=1, holding=[]))
        assert stand.of("beat", generation=3) == []


async def test_health_is_claimed_only_after_on_restart_returned_and_a_probe_from_then_on_passed(stand: Any) -> None:
    again = Again()
    probes: list[bool] = []

    async def probe() -> None:
        probes.append(again.go.is_set())

    async with workspace(stand, handler=_forever, on_restart=again, probe=probe, probe_interval=0.02):
        await until(lambda: stand.of("beat", runtime_state="", capacity=1))
        ordered(stand)
        await until(lambda: again.calls)
        probes.clear()
        await until(lambda: len(probes) >= 5)
        await beats(stand, 3)
        assert claims(stand, 2) == {None}
        told = stand.of("beat", generation=2)
        assert {(beat["phase"], beat["capacity"], beat["canary"]) for beat in told} == {("starting", 0, None)}
        again.go.set()
        (first, *_) = await until(lambda: stand.of("beat", generation=2, runtime_state=""))
        assert True in probes
        assert (first["canary"]["failures"], first["phase"]) == (0, "idle")
        await until(lambda: stand.of("beat", generation=2, capacity=1))


async def test_a_probe_that_set_out_before_the_restart_was_done_says_nothing_of_it(stand: Any) -> None:
    hold, asked = asyncio.Event(), 0

    async def probe() -> None:
        nonlocal asked
        asked += 1
        if asked == 2:
            await hold.wait()
        elif asked > 2:
            raise OSError("connection refused")

    done = asyncio.Event()

    async def again() -> None:
        done.set()

    settings = {"probe": probe, "probe_interval": 0.02, "probe_timeout": DEADLINE, "on_restart": again}
    async with workspace(stand, handler=_forever, **settings):
        await until(lambda: asked == 2)
        ordered(stand)
        await done.wait()
        await beats(stand, 2)
        hold.set()
        told = await until(lambda: stand.of("beat", generation=2, canary=lambda one: one and one["failures"] >= 2))
        assert "connection refused" in told[0]["canary"]["detail"]
        assert claims(stand, 2) == {None}


async def test_a_first_start_whose_probe_fails_claims_nothing(stand: Any) -> None:
    async def probe() -> None:
        raise OSError("connection refused")

    async with workspace(stand, handler=_forever, probe=probe, probe_interval=0.02):
        await until(lambda: stand.of("beat", canary=lambda canary: canary and canary["failures"] >= 2))
        assert claims(stand, 1) == {None}
        assert stand.of("beat", capacity=1) == []


async def test_a_turn_that_outlives_the_restart_is_a_wedge_until_it_ends(
    stand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed_restart, "OLD_BOUND", 0.1)
    go = asyncio.Event()

    async def stubborn(turn: truebeat.Turn) -> str:
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue
        return ""

    async with workspace(stand, handler=stubborn, grace=0.05):
        await until(lambda: stand.of("beat", capacity=1))
        stand.deliver("t1")
        await until(lambda: stand.of("begun"))
        ordered(stand)
        (told, *_) = await until(lambda: stand.of("beat", generation=2, runtime_state="wedged"))
        assert told["sample_error"] == embed_restart.STAYS
        await beats(stand, 2)
        assert "" not in claims(stand, 2)
        go.set()
        await until(lambda: stand.of("beat", generation=2, runtime_state="", capacity=1))


@pytest.mark.parametrize("error", [OSError("no browser"), asyncio.CancelledError("no browser")])
async def test_a_restart_that_fails_is_a_wedge_until_one_works(stand: Any, error: BaseException) -> None:
    again = Again()
    again.go.set()
    again.error = error
    async with workspace(stand, handler=_forever, on_restart=again):
        await until(lambda: stand.of("beat", runtime_state=""))
        ordered(stand, "first")
        (told, *_) = await until(lambda: stand.of("beat", generation=2, runtime_state="wedged"))
        assert told["sample_error"] == "the restart failed: no browser"
        await until(lambda: stand.of("beat", generation=2, canary=lambda canary: canary and canary["failures"] == 0))
        assert "" not in claims(stand, 2)
        again.error = None
        ordered(stand, "second")
        await until(lambda: stand.of("beat", generation=3, runtime_state=""))


async def test_what_the_process_itself_marked_outlives_a_restart(stand: Any) -> None:
    again = Again()
    again.go.set()
    async with workspace(stand, handler=_forever, on_restart=again):
        await until(lambda: stand.of("beat", runtime_state=""))
        truebeat.mark_wedged("the browser hangs")
        ordered(stand)
        passed = {"generation": 2, "canary": lambda canary: canary and canary["failures"] == 0}
        await until(lambda: stand.of("beat", runtime_state="wedged", **passed))
        await beats(stand, 2)
        assert "" not in claims(stand, 2)
        assert wedge.wedge_reason() == "the browser hangs"


async def test_a_newer_order_takes_the_place_of_the_one_that_is_on(stand: Any) -> None:
    again = Again()
    async with workspace(stand, handler=_forever, on_restart=again):
        await until(lambda: stand.of("beat", runtime_state=""))
        ordered(stand, "first")
        await until(lambda: again.calls == 1)
        ordered(stand, "second")
        await until(lambda: again.calls == 2)
        assert again.canceled == 1
        again.go.set()
        await until(lambda: stand.of("beat", generation=3, runtime_state=""))
        assert claims(stand, 2) <= {None}


async def test_leaving_does_not_wait_for_a_restart_that_never_ends(stand: Any) -> None:
    go, on = asyncio.Event(), asyncio.Event()

    async def never() -> None:
        on.set()
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue

    ws = workspace(stand, handler=_forever, on_restart=never, grace=0.05)
    try:
        async with ws:
            await until(lambda: stand.of("beat", runtime_state=""))
            ordered(stand)
            await on.wait()
        assert stand.closes
    finally:
        go.set()


async def test_an_order_of_before_this_process_is_fulfilled_by_it(stand: Any) -> None:
    stand.generation = 4
    again = Again()
    again.go.set()
    async with workspace(stand, handler=_forever, on_restart=again):
        await until(lambda: stand.of("beat", generation=5, runtime_state=""))
        ordered(stand, "old", above=4)
        ordered(stand, "new", above=5)
        await until(lambda: stand.of("beat", generation=6, runtime_state=""))
        assert again.calls == 1


async def _forever(turn: truebeat.Turn) -> str:
    await asyncio.Event().wait()
    return "never"
