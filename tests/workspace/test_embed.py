"""truebeat.Workspace in this process, against a server that speaks only the link, in another thread."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import truebeat
from truebeat import errors
from truebeat.protocol.delivery import RESULT_LIMIT
from truebeat.workspace import embed, embed_turns

_spec = importlib.util.spec_from_file_location("embed_stand", Path(__file__).with_name("embed_stand.py"))
assert _spec is not None
assert _spec.loader is not None
embed_stand = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(embed_stand)
DEADLINE, until, workspace = embed_stand.DEADLINE, embed_stand.until, embed_stand.workspace
other_loop, stand, no_wedge_is_left = embed_stand.other_loop, embed_stand.stand, embed_stand.no_wedge_is_left


def block_until(condition: Callable[[], Any]) -> Any:
    """The same, and the event loop stands."""
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return value


async def echo(turn: truebeat.Turn) -> str:
    return f"you said {turn.text}"


async def test_it_is_healthy_and_says_all_there_is(stand: Any) -> None:
    async with workspace(stand, handler=echo, capacity=3) as ws:
        assert ws.linked
        beat = await until(lambda: stand.of("beat", runtime_state="", capacity=3, phase="idle"))
        assert beat[-1]["generation"] == 1
        assert beat[-1]["stall"] == ""
        assert stand.hellos[-1]["agent"] == "embedded"
        await until(lambda: stand.of("beat", canary=lambda canary: canary and canary["failures"] == 0))


async def test_leaving_closes_the_link_and_claims_nothing_more(stand: Any) -> None:
    async with workspace(stand, handler=echo):
        await until(lambda: stand.of("beat", runtime_state=""))
    await until(lambda: stand.closes)
    assert stand.closes == [1000]
    assert (stand.seen[-1]["runtime_state"], stand.seen[-1]["phase"], stand.seen[-1]["capacity"]) == (
        None,
        "draining",
        0,
    )
    assert [thread.name for thread in threading.enumerate() if thread.name == "truebeat"] == []


async def test_a_blocked_loop_is_stalled_while_beats_go_on_and_clears_when_it_moves(stand: Any) -> None:
    async with workspace(stand, handler=echo, loop_bound=0.6):
        await until(lambda: stand.of("beat", runtime_state=""))
        block_until(lambda: len(stand.of("beat", stall=lambda stall: "blocked" in stall)) >= 3)
        stalled = stand.of("beat", stall=lambda stall: "blocked" in stall)
        assert stalled[-1]["tick_age"] > 0.5
        (told,) = stand.of("report", kind="blocked")
        assert "test_a_blocked_loop" in told["stack"], "the stack shows who blocks"
        assert "MainThread" in told["stack"]
        await until(lambda: stand.seen[-1]["type"] == "beat" and stand.seen[-1]["stall"] == "")
        assert len(stand.of("report")) == 1


async def test_a_wedge_is_told_at_once_even_by_a_loop_that_then_blocks(stand: Any) -> None:
    stand.beat_interval = 60.0
    async with workspace(stand, handler=echo):
        await until(lambda: stand.of("beat", runtime_state="", phase="idle"))
        truebeat.mark_wedged("the browser hangs")
        block_until(lambda: stand.of("beat", runtime_state="wedged"))
        assert stand.of("beat", runtime_state="wedged")[0]["sample_error"] == "the browser hangs"
        truebeat.clear_wedge()
        await until(lambda: stand.seen[-1].get("runtime_state") == "")


async def test_a_task_is_answered(stand: Any) -> None:
    async with workspace(stand, handler=echo):
        await until(lambda: stand.of("beat", capacity=1))
        stand.deliver("t1", "hello")
        (done,) = await until(lambda: stand.of("finished"))
        assert (done["task_id"], done["state"], done["text"]) == ("t1", "completed", "you said hello")
        kinds = [frame["type"] for frame in stand.seen if frame["type"] != "beat"]
        assert kinds == ["begun", "finished"]
        beat = await until(lambda: stand.of("beat", holding=[], capacity=1, counters=lambda c: c["turns_finished"]))
        assert beat[-1]["counters"]["turns_started"] == 1


async def test_a_generator_streams(stand: Any) -> None:
    async def handler(turn: truebeat.Turn) -> AsyncIterator[Any]:
        yield truebeat.Progress("thinking")
        yield truebeat.ToolStarted("search")
        yield truebeat.ToolFinished("search")
        yield "a"
        yield truebeat.Text("b")
        yield truebeat.Artifact("doc", ({"text": "x"},))

    async with workspace(stand, handler=handler):
        await until(lambda: stand.of("beat", capacity=1))
        stand.deliver("t1")
        (done,) = await until(lambda: stand.of("finished"))
        assert (done["state"], done["text"]) == ("completed", "ab")
        chunks = [(frame["index"], frame["kind"], frame["text"], frame["name"]) for frame in stand.of("chunk")]
        assert chunks == [
            (0, "progress", "thinking", ""),
            (1, "text", "ab", ""),
            (2, "artifact", "", "doc"),
        ]
        await until(lambda: stand.of("beat", counters=lambda c: c["tools_finished"] == 1 and c["frames"] >= 4))


async def test_a_result_that_is_too_large_is_an_honest_failure(stand: Any) -> None:
    async def handler(turn: truebeat.Turn) -> str:
        return "x" * (RESULT_LIMIT + 1)

    async def streams(turn: truebeat.Turn) -> AsyncIterator[Any]:
        for _ in range(40):
            yield "x" * (RESULT_LIMIT // 32)

    for each in (handler, streams):
        async with workspace(stand, handler=each):
            await until(lambda: stand.of("beat", generation=stand.generation, capacity=1))
            stand.deliver(each.__name__)
            (done,) = await until(lambda each=each: stand.of("finished", task_id=each.__name__))
            assert done["state"] == "failed"
            assert str(RESULT_LIMIT) in done["text"]


async def test_how_turns_end(stand: Any) -> None:
    async def handler(turn: truebeat.Turn) -> Any:
        match turn.text:
            case "boom":
                raise RuntimeError("no such model")
            case "odd":
                return 7
        return ""

    async def asks(turn: truebeat.Turn) -> AsyncIterator[Any]:
        yield truebeat.InputRequired("which one?")

    async with workspace(stand, handler=handler):
        await until(lambda: stand.of("beat", capacity=1))
        for text in ("boom", "odd"):
            stand.deliver(text, text)
            await until(lambda text=text: stand.of("finished", task_id=text))
        assert stand.of("finished", task_id="boom")[0]["text"] == "no such model"
        assert "not text" in stand.of("finished", task_id="odd")[0]["text"]
        await until(lambda: stand.of("beat", error_rate=0.5))
    async with workspace(stand, handler=asks):
        await until(lambda: stand.of("beat", generation=stand.generation, capacity=1))
        stand.deliver("q")
        (done,) = await until(lambda: stand.of("finished", task_id="q"))
        assert (done["state"], done["text"]) == ("input-required", "which one?")


async def test_a_handler_that_knows_better_says_that_it_is_wedged(stand: Any) -> None:
    async def handler(turn: truebeat.Turn) -> str:
        if turn.text == "t2":
            truebeat.mark_wedged("the client does not answer")
        raise RuntimeError("Control request timeout: initialize")

    async with workspace(stand, handler=handler):
        await until(lambda: stand.of("beat", capacity=1))
        stand.deliver("t1", "t1")
        await until(lambda: stand.of("finished", task_id="t1"))
        # whoever sent it may have had the handler quote such a text
        assert not truebeat.is_wedged()
        stand.deliver("t2", "t2")
        await until(lambda: stand.of("beat", runtime_state="wedged"))
        assert truebeat.is_wedged()


async def test_a_cancel_ends_the_turn(stand: Any) -> None:
    async def handler(turn: truebeat.Turn) -> str:
        await asyncio.Event().wait()
        return "never"

    async with workspace(stand, handler=handler):
        await until(lambda: stand.of("beat", capacity=1))
        stand.deliver("t1")
        await until(lambda: stand.of("begun"))
        stand.send(type="cancel", task_id="t1", generation=stand.generation, attempt=1)
        (done,) = await until(lambda: stand.of("finished"))
        assert done["state"] == "canceled"


async def test_a_cancel_is_told_to_whoever_took_the_task(stand: Any) -> None:
    async with workspace(stand) as ws:
        tasks = ws.tasks()
        coming = asyncio.ensure_future(anext(tasks))
        await until(lambda: stand.of("beat", capacity=1))
        stand.deliver("t1")
        task = await coming
        stand.send(type="cancel", task_id="t1", generation=stand.generation, attempt=1)
        await asyncio.wait_for(task.canceled.wait(), DEADLINE)
        assert not task.ended, "whoever has it says how it ends"
        await tasks.aclose()


async def test_a_turn_that_ignores_its_cancel_is_a_wedge_until_it_ends(
    stand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed_turns, "CANCEL_BOUND", 0.1)
    go = asyncio.Event()

    async def handler(turn: truebeat.Turn) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await go.wait()
        return ""

    async with workspace(stand, handler=handler):
        await until(lambda: stand.of("beat", capacity=1))
        stand.deliver("t1")
        await until(lambda: stand.of("begun"))
        stand.send(type="cancel", task_id="t1", generation=stand.generation, attempt=1)
        beats = await until(lambda: stand.of("beat", runtime_state="wedged"))
        assert "task t1 was canceled" in beats[0]["sample_error"]
        go.set()
        await until(lambda: stand.seen[-1].get("runtime_state") == "")


async def test_leaving_hands_back_what_runs(stand: Any) -> None:
    async def handler(turn: truebeat.Turn) -> str:
        await asyncio.Event().wait()
        return "never"

    async with workspace(stand, handler=handler, grace=0.05):
        await until(lambda: stand.of("beat", capacity=1))
        stand.deliver("t1")
        await until(lambda: stand.of("begun"))
    (back,) = stand.of("handed_back")
    assert (back["task_id"], back["begun"]) == ("t1", True)


async def test_tasks_one_by_one(stand: Any) -> None:
    async with workspace(stand) as ws:
        await until(lambda: stand.of("beat", capacity=0, phase="idle"))
        tasks = ws.tasks()
        coming = asyncio.ensure_future(anext(tasks))
        await until(lambda: stand.of("beat", capacity=1))
        stand.deliver("t1", "hello")
        task = await coming
        assert task.text == "hello"
        task.say("one ")
        task.say("two")
        task.finish()
        task.fail("too late")
        (done,) = await until(lambda: stand.of("finished"))
        assert (done["state"], done["text"]) == ("completed", "one two")
        await tasks.aclose()


async def test_what_is_of_another_generation_is_given_back(stand: Any) -> None:
    async with workspace(stand, handler=echo):
        await until(lambda: stand.of("beat", capacity=1))
        stand.deliver("old", generation=99)
        (back,) = await until(lambda: stand.of("handed_back"))
        assert (back["begun"], back["reason"], back["generation"]) == (False, "fenced", 99)
        assert stand.of("begun") == []


async def test_the_server_goes_and_comes_back_and_gets_what_it_missed(stand: Any, other_loop: Any) -> None:
    go = asyncio.Event()

    async def handler(turn: truebeat.Turn) -> str:
        await go.wait()
        return "done"

    async with workspace(stand, handler=handler):
        await until(lambda: stand.of("beat", capacity=1))
        stand.deliver("t1")
        await until(lambda: stand.of("begun"))
        asyncio.run_coroutine_threadsafe(stand.stop(), other_loop).result(DEADLINE)
        go.set()
        await asyncio.sleep(0)
        asyncio.run_coroutine_threadsafe(stand.start(), other_loop).result(DEADLINE)
        (done,) = await until(lambda: stand.of("finished"))
        assert done["text"] == "done"
        assert len(stand.hellos) == 2
        assert stand.hellos[0]["boot"] == stand.hellos[1]["boot"]
        assert stand.seen[-1]["generation"] == 1
        beats = stand.of("beat")
        assert [beat["seq"] for beat in beats] == sorted(beat["seq"] for beat in beats)


async def test_what_is_not_settled_is_repeated_after_a_reconnect(stand: Any) -> None:
    stand.settle = False
    async with workspace(stand, handler=echo):
        await until(lambda: stand.of("beat", capacity=1))
        stand.deliver("t1", "x")
        await until(lambda: stand.of("finished"))
        await until(lambda: stand.of("beat", holding=["t1/1"], capacity=1))
        stand.settle = True
        await_close = stand.connections[-1].close(1012)
        asyncio.run_coroutine_threadsafe(await_close, stand._loop)
        await until(lambda: len(stand.of("finished")) == 2)
        await until(lambda: stand.seen[-1].get("holding") == [])
        assert [frame["n"] for frame in stand.of("finished")] == [2, 2]


async def test_a_removed_workspace_ends(stand: Any) -> None:
    async with workspace(stand, handler=echo) as ws:
        serving = asyncio.ensure_future(ws.serve())
        stand.send(type="retire", reason="the workspace was removed")
        with pytest.raises(errors.Gone, match="removed"):
            await serving
        with pytest.raises(errors.Gone):
            async for _ in ws.tasks():
                pass


@pytest.mark.parametrize(
    ("status", "error"),
    [(403, errors.Forbidden), (404, errors.NotFound), (410, errors.Gone), (401, errors.Unauthenticated)],
)
async def test_a_refusal_is_raised_when_entering(stand: Any, status: int, error: type[Exception]) -> None:
    stand.refuse = status
    with pytest.raises(error):
        async with workspace(stand):
            pytest.fail("entered")


async def test_a_probe_that_fails_is_told(stand: Any) -> None:
    works = True

    async def probe() -> None:
        if not works:
            raise OSError("connection refused")

    async with workspace(stand, handler=echo, probe=probe, probe_interval=0.05):
        await until(lambda: stand.of("beat", canary=lambda canary: canary and canary["failures"] == 0))
        works = False
        bad = await until(lambda: stand.of("beat", canary=lambda canary: canary and canary["failures"] >= 2))
        assert "connection refused" in bad[0]["canary"]["detail"]
        works = True
        await until(lambda: stand.seen[-1]["type"] == "beat" and stand.seen[-1]["canary"]["failures"] == 0)


async def test_a_server_that_is_away_keeps_nobody_from_starting(
    stand: Any, other_loop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "FIRST_ACK", 0.05)
    asyncio.run_coroutine_threadsafe(stand.stop(), other_loop).result(DEADLINE)
    late = workspace(stand, handler=echo)
    async with late:
        asyncio.run_coroutine_threadsafe(stand.start(), other_loop).result(DEADLINE)
        await until(lambda: stand.of("beat", runtime_state=""))


async def test_garbage_from_the_server_ends_nothing(stand: Any) -> None:
    async with workspace(stand, handler=echo):
        await until(lambda: stand.of("beat", runtime_state=""))
        stand.send(type="confetti")
        stand.send(type="settled", n=10**6)
        stand.send(type="cancel", task_id="nobody", generation=1, attempt=1)
        stand.send(type="deliver", task_id=7)
        await until(lambda: len(stand.hellos) == 2)
        stand.deliver("t1", "still here")
        await until(lambda: stand.of("finished"))


def test_a_capacity_of_nothing_is_refused() -> None:
    with pytest.raises(errors.Invalid):
        truebeat.Workspace("ada", url="http://a", capacity=0)


def test_an_unknown_server_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRUEBEAT_URL", raising=False)
    with pytest.raises(errors.Invalid, match="TRUEBEAT_URL"):
        truebeat.Workspace("ada")


@pytest.mark.parametrize(
    ("interval", "bounds", "probed"), [(600.0, {}, 22.5), (5.0, {}, 5.0), (600.0, {"idle": 90.0}, 45.0)]
)
def test_an_idle_workspace_is_probed_before_it_stands_still(interval, bounds, probed) -> None:
    workspace = truebeat.Workspace(
        "ada", url="http://127.0.0.1:9", token="secret", probe_interval=interval, bounds=bounds
    )
    assert workspace._probe_interval == probed
