"""The bridge to a remote A2A agent; the remote is a workspace of a whole server, in both wire versions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

import truebeat
from truebeat import AnsweredError, ConfigurationError, InputRequired, Result, Text, Turn, TurnError
from truebeat.protocol.delivery import ResultEnvelope
from truebeat.workspace import executors
from truebeat.workspace.executors.a2a_wire import Answer, place_of, result_of

ADMIN = "admin-token-for-tests"
DEADLINE = 30.0
NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def remote(turn: Turn) -> AsyncIterator[Any]:
    """The agent at the other end."""
    match turn.text:
        case "fail":
            raise RuntimeError("no such file")
        case "ask":
            yield InputRequired("which one?")
        case "hang":
            hanging.set()
            try:
                await asyncio.Event().wait()
            finally:
                hanging.clear()
        case "context":
            yield turn.context_id
        case _:
            yield f"you said {turn.text}"
            if turn.reply:
                yield ", in reply"


hanging = asyncio.Event()


def returned(text: str) -> ResultEnvelope:
    """What came back of a delegation."""
    return ResultEnvelope(
        delegation_id="d", from_id="b", from_name="bob", asked="count", state="completed", ended_at=NOW, text=text
    )


@asynccontextmanager
async def bridged(url: str, monkeypatch: pytest.MonkeyPatch, version: str) -> AsyncIterator[Any]:
    monkeypatch.setenv("REMOTE_TOKEN", ADMIN)
    async with truebeat.Workspace("remote", url=url, token=ADMIN, handler=remote, capacity=5) as ws:
        base = f"{url}/workspaces/{ws.id}/a2a" + ("/v0.3" if version == "0.3" else "")
        options = {"token_env": "REMOTE_TOKEN", "poll_interval": "0.05", "version": version}
        executor = executors.create("a2a", base, options)
        try:
            await executor.start()
            yield executor
        finally:
            await executor.close()


async def outputs(executor: Any, text: str, **more: Any) -> list[Any]:
    async with asyncio.timeout(DEADLINE), aclosing(executor.run(Turn(text, **more))) as run:
        return [output async for output in run]


versions = pytest.mark.parametrize("version", ["1.0", "0.3"])


@versions
async def test_a_turn_is_done_by_the_remote_agent(live, monkeypatch, version):
    async with bridged(live, monkeypatch, version) as executor:
        assert executor._place.old == (version == "0.3")
        found = await outputs(executor, "hello", task_id="t", context_id="c")
        assert found[-1] == Result("you said hello")
        assert "".join(output.text for output in found if isinstance(output, Text)) in {"", "you said hello"}
        await executor.probe()


@versions
async def test_what_came_back_of_its_delegations_reaches_the_remote_agent_as_data(live, monkeypatch, version):
    async with bridged(live, monkeypatch, version) as executor:
        found = await outputs(executor, "go on", task_id="t", context_id="c", results=(returned("seven"),))
        assert "BEGIN DELEGATION RESULTS" in found[-1].text
        assert '"text": "seven"' in found[-1].text
        assert found[-1].text.endswith("go on")


@versions
async def test_a_question_and_its_reply_are_one_remote_task(live, monkeypatch, version):
    async with bridged(live, monkeypatch, version) as executor:
        found = await outputs(executor, "ask", task_id="t", context_id="c")
        assert found[-1] == InputRequired("which one?")
        found = await outputs(executor, "the red one", task_id="t", context_id="c", reply=True)
        assert found[-1] == Result("you said the red one, in reply")


@versions
async def test_a_conversation_stays_one(live, monkeypatch, version):
    async with bridged(live, monkeypatch, version) as executor:
        first, second, other = [
            (await outputs(executor, "context", task_id=f"t{index}", context_id=context))[-1].text
            for index, context in enumerate(("a", "a", "b"))
        ]
        assert first == second != other


async def test_a_remote_failure_is_an_answer(live, monkeypatch):
    async with bridged(live, monkeypatch, "newest") as executor:
        with pytest.raises(AnsweredError, match="no such file"):
            await outputs(executor, "fail", task_id="t", context_id="c")


async def test_a_canceled_turn_is_canceled_there_too(live, monkeypatch):
    hanging.clear()
    async with bridged(live, monkeypatch, "newest") as executor:
        run = asyncio.ensure_future(outputs(executor, "hang", task_id="t", context_id="c"))
        await asyncio.wait_for(hanging.wait(), DEADLINE)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        async with asyncio.timeout(DEADLINE):
            while hanging.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def test_a_stream_that_falls_silent_is_given_up_and_the_task_asked_for(live, monkeypatch):
    monkeypatch.setenv("REMOTE_TOKEN", ADMIN)
    go = asyncio.Event()

    async def slow(turn: Turn) -> str:
        await go.wait()
        return "at last"

    async with truebeat.Workspace("remote", url=live, token=ADMIN, handler=slow) as ws:
        options = {"token_env": "REMOTE_TOKEN", "poll_interval": "0.05", "stream_idle": "0.3"}
        executor = executors.create("a2a", f"{live}/workspaces/{ws.id}/a2a", options)
        asked = asyncio.Event()
        call = executor._call

        async def counted(method: str, params: Any) -> Any:
            if method == "GetTask" and not params["id"].startswith("00000000"):
                asked.set()
            return await call(method, params)

        executor._call = counted
        await executor.start()
        run = asyncio.ensure_future(outputs(executor, "hello", task_id="t", context_id="c"))
        await asyncio.wait_for(asked.wait(), DEADLINE)
        go.set()
        assert (await run)[-1] == Result("at last")
        await executor.close()


async def test_where_there_is_no_agent(live, unused_port, monkeypatch):
    async def started(target: str, **options: str) -> None:
        executor = executors.create("a2a", target, options)
        try:
            await executor.start()
        finally:
            await executor.close()

    with pytest.raises(ConfigurationError, match="not the URL"):
        await started("nonsense")
    with pytest.raises(ConfigurationError, match="404"):
        await started(f"{live}/nowhere")
    with pytest.raises(ConfigurationError, match="NOT_THERE"):
        await started(live, token_env="NOT_THERE")
    with pytest.raises(TurnError, match="can't be reached"):
        await started(f"http://127.0.0.1:{unused_port}")


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_card_can_not_send_the_token_elsewhere():
    interface = {"protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    card = {"supportedInterfaces": [{**interface, "url": "http://evil.example/a2a"}]}
    with pytest.raises(ConfigurationError, match="another host"):
        place_of(card, "http://good.example")
    with pytest.raises(ConfigurationError, match="another host"):
        place_of({"url": "file:///etc/passwd"}, "http://good.example")
    assert not place_of({"supportedInterfaces": [{**interface, "url": "http://h/x"}]}, "http://h").old


@pytest.mark.parametrize("card", [None, [], {}, {"supportedInterfaces": 7}, {"supportedInterfaces": [3, None]}])
def test_hostile_cards(card: Any):
    with pytest.raises(ConfigurationError):
        place_of(card, "http://h")


@pytest.mark.parametrize("answer", [None, 7, [], {}, {"id": 1}, {"error": {"message": "no"}}, {"error": 7}])
def test_hostile_answers(answer: Any):
    with pytest.raises(TurnError):
        result_of(answer)


@pytest.mark.parametrize("result", [None, 7, {}, {"kind": "other"}, {"task": 3}])
def test_hostile_results(result: Any):
    with pytest.raises(TurnError):
        Answer().hear(result)


def test_results_with_wrong_types_mean_nothing():
    answer = Answer()
    assert answer.hear({"task": {"id": 7, "status": {"state": 3, "message": []}, "artifacts": [{"parts": 3}, 4]}}) == []
    assert answer.hear({"artifactUpdate": {"artifact": None}}) == []
    assert (answer.task_id, answer.state, answer.text) == ("", "submitted", "")


def test_artifacts_that_grow_are_told_once():
    answer = Answer()
    piece = {"artifactUpdate": {"artifact": {"artifactId": "a", "parts": [{"text": "one "}]}}}
    more = {"artifactUpdate": {"artifact": {"artifactId": "a", "parts": [{"text": "two"}]}, "append": True}}
    whole = {
        "task": {"id": "t", "artifacts": [{"artifactId": "a", "parts": [{"text": "one two"}, {"data": {"x": 1}}]}]}
    }
    heard = [new for result in (piece, more, whole) for new in answer.hear(result)]
    assert heard == [("text", "one ", []), ("text", "two", []), ("artifact", "a", [{"data": {"x": 1}}])]
    assert answer.text == "one two"
