"""send, tasks and cancel, against a live server whose workspace a test plays."""

import asyncio
import importlib.util
import json
from pathlib import Path

import pytest

from truebeat.cli.exits import Exit
from truebeat.cli.main import dispatch

_spec = importlib.util.spec_from_file_location("task_stand", Path(__file__).parent.parent / "server" / "task_stand.py")
task_stand = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(task_stand)

WEDGED = {"runtime_state": "wedged", "sample_error": "claude is stuck"}


@pytest.fixture
async def stand(live, monkeypatch):
    monkeypatch.setenv("TRUEBEAT_URL", live)
    monkeypatch.setenv("TRUEBEAT_TOKEN", "admin-token-for-tests")
    async with task_stand.standing(live) as made:
        yield made


async def cli(*arguments):
    """The exit code of a command line that runs beside the test."""
    return await asyncio.to_thread(dispatch, arguments)


async def test_the_answer_is_printed_once_as_it_comes(stand, capsys):
    ada = await stand.workspace()
    async with stand.dial(*ada) as link:
        await link.beat()
        sent = asyncio.ensure_future(cli("send", "ada", "hello"))
        deliver = await link.receive("deliver")
        assert deliver["text"] == "hello"
        for index, text in enumerate(("all is ", "well\x1b[2J")):
            await link.settled(await link.say("chunk", deliver, index=index, kind="text", text=text))
        await link.finish(deliver, "all is well\x1b[2J")
        assert await sent == Exit.OK
    assert capsys.readouterr().out == "all is well\\x1b[2J\n"


async def test_a_workspace_that_can_not_take_it_is_told_of_at_once(stand, capsys):
    ada = await stand.workspace()
    async with stand.dial(*ada) as link:
        await link.beat()
        await link.beat(**WEDGED)
        assert await cli("send", "ada", "hello") == Exit.UNAVAILABLE
        told = capsys.readouterr()
        assert told.out == ""
        assert "degraded" in told.err
        assert "claude is stuck" in told.err
        assert await cli("send", "ada", "no", "--reject") == Exit.UNAVAILABLE
        await link.beat()
        assert (await link.receive("deliver"))["text"] == "hello"


async def test_the_flip_ends_the_wait_and_patience_does_not(stand, capsys):
    ada = await stand.workspace()
    async with stand.dial(*ada) as link:
        await link.beat()
        sent = asyncio.ensure_future(cli("send", "ada", "hello"))
        patient = asyncio.ensure_future(cli("send", "ada", "hello too", "--patient"))
        deliver = await link.receive("deliver")
        await link.begin(deliver)
        await link.beat(capacity=0, holding=[f"{deliver['task_id']}/1"], **WEDGED)
        assert await sent == Exit.UNAVAILABLE if deliver["text"] == "hello" else not patient.done()
        await link.beat(capacity=0, holding=[f"{deliver['task_id']}/1"])
        await link.finish(deliver, "first")
        await link.finish(await link.receive("deliver"), "second")
        assert await patient == Exit.OK
        await sent
    assert "claude is stuck" in capsys.readouterr().err


async def test_failures_questions_and_replies_have_their_own_exit_codes(stand, capsys):
    ada = await stand.workspace()
    async with stand.dial(*ada) as link:
        await link.beat()
        sent = asyncio.ensure_future(cli("send", "ada", "go"))
        await link.finish(await link.receive("deliver"), "it broke", state="failed")
        assert await sent == Exit.FAILURE
        assert "it broke" in capsys.readouterr().err
        sent = asyncio.ensure_future(cli("send", "ada", "go"))
        deliver = await link.receive("deliver")
        await link.finish(deliver, "where to?", state="input-required")
        assert await sent == Exit.ASKED
        assert capsys.readouterr().out == "where to?\n"
        sent = asyncio.ensure_future(cli("send", "ada", "home", "--task", deliver["task_id"]))
        await link.finish(await link.receive("deliver"), "gone")
        assert await sent == Exit.OK
        assert capsys.readouterr().out == "gone\n"


async def test_tasks_are_listed_shown_and_canceled(stand, capsys):
    await stand.workspace()
    assert await cli("send", "ada", "one [red]", "--no-wait", "--json") == Exit.OK
    task = json.loads(capsys.readouterr().out)
    assert await cli("tasks", "ada") == Exit.OK
    listed = capsys.readouterr().out
    assert task["id"] in listed
    assert "one [red]" in listed
    assert await cli("tasks") == Exit.OK
    listed = capsys.readouterr().out
    assert task["id"] in listed
    assert "to ada" in listed
    assert await cli("tasks", task["id"]) == Exit.OK
    assert "one [red]" in capsys.readouterr().out
    assert await cli("cancel", task["id"]) == Exit.OK
    assert await cli("cancel", task["id"]) == Exit.CONFLICT
    capsys.readouterr()
    assert await cli("tasks", "ada", "--state", "canceled", "--json") == Exit.OK
    assert [found["id"] for found in json.loads(capsys.readouterr().out)["tasks"]] == [task["id"]]


@pytest.mark.parametrize(
    "line", [["cancel", "x"], ["tasks", "ada", "--limit", "0"], ["send", "ada", "x", "--task", "y"]]
)
def test_wrong_values_are_code_2(line, capsys):
    assert dispatch(line) == Exit.USAGE
    assert capsys.readouterr().err.count("\n") == 1
