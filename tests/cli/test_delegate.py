"""delegate and trace, against a live server whose workspaces a test plays."""

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


@pytest.fixture
async def stand(live, monkeypatch):
    monkeypatch.setenv("TRUEBEAT_URL", live)
    monkeypatch.setenv("TRUEBEAT_TOKEN", "admin-token-for-tests")
    async with task_stand.standing(live) as made:
        yield made


async def cli(*arguments):
    """The exit code of a command line that runs beside the test."""
    return await asyncio.to_thread(dispatch, arguments)


async def test_the_answer_is_printed_and_the_result_is_still_the_sources(stand, capsys):
    ada, bob = await stand.workspace("ada"), await stand.workspace("bob")
    async with stand.dial(*ada) as source, stand.dial(*bob) as target:
        await source.beat()
        await target.beat()
        asked = asyncio.ensure_future(cli("delegate", "ada", "bob", "count", "--wait", "20"))
        work = await target.receive("deliver")
        assert (work["text"], work["sender"]["id"]) == ("count", ada[0])
        await target.finish(work, "seven\x1b[2J")
        assert await asked == Exit.OK
        assert capsys.readouterr().out == "seven\\x1b[2J\n"
        wake = await source.receive("deliver")
        assert [result["text"] for result in wake["results"]] == ["seven\x1b[2J"]


async def test_a_trace_shows_the_tree(stand, capsys):
    ada, bob = await stand.workspace("ada"), await stand.workspace("bob")
    async with stand.dial(*ada) as source, stand.dial(*bob) as target:
        await source.beat()
        await target.beat()
        await stand.send(ada[0], "the [bold]whole[/]\x1b[2J")
        turn = await source.receive("deliver")
        await source.begin(turn)
        body = {"target": "bob", "text": "a part"}
        headers = {"Authorization": f"Bearer {ada[1]}"}
        made = (await stand.http.post(f"/workspaces/{ada[0]}/delegations", json=body, headers=headers)).json()
        await target.finish(await target.receive("deliver"), "it broke", state="failed")
        assert await cli("trace", made["delegation_id"]) == Exit.OK
        first, second, *_ = capsys.readouterr().out.splitlines()
        assert first.startswith("ada for ")
        assert "  working  " in first
        assert "the [bold]whole[/]\\x1b[2J" in first
        assert second.startswith(("└─ bob  failed", "├─ bob  failed"))
        assert "a part" in second
        assert await cli("trace", turn["task_id"], "--json") == Exit.OK
        assert json.loads(capsys.readouterr().out)["children"][0]["depth"] == 1


async def test_what_is_wrong_is_said(stand, capsys):
    await stand.workspace("ada")
    assert await cli("delegate", "ada", "nobody", "x") == Exit.NOT_FOUND
    assert await cli("delegate", "ada", "ada", "x") != Exit.OK
    assert "itself" in capsys.readouterr().err
    assert await cli("trace", "x") != Exit.OK
    bob = await stand.workspace("bob")
    assert await cli("delegate", "ada", "bob", "x", "--wait", "5") == Exit.UNAVAILABLE
    assert "kept" in capsys.readouterr().err
    assert bob


async def test_a_question_and_an_unfinished_one_are_told_apart(stand, capsys):
    ada, bob = await stand.workspace("ada"), await stand.workspace("bob")
    async with stand.dial(*ada) as source, stand.dial(*bob) as target:
        await source.beat()
        await target.beat()
        asked = asyncio.ensure_future(cli("delegate", "ada", "bob", "x", "--wait", "20"))
        await target.finish(await target.receive("deliver"), "which [one]?", state="input-required")
        assert await asked == Exit.ASKED
        assert "bob asks ada, who is woken with the question: which [one]?" in capsys.readouterr().err
        assert await cli("delegate", "ada", "bob", "y", "--wait", "0.2") == Exit.UNAVAILABLE
        out, err = capsys.readouterr()
        assert out == ""
        assert "bob has not ended it (" in err
        assert "truebeat trace " in err
        assert await cli("delegate", "ada", "bob", "z", "--wait", "0.2", "--json") == Exit.UNAVAILABLE
        assert json.loads(capsys.readouterr().out)["status"] in {"pending", "in_progress"}


@pytest.mark.parametrize(
    "option", [("--wait", "-1"), ("--wait", "99999"), ("--wait", "nan"), ("--deadline", "0"), ("--deadline", "inf")]
)
async def test_a_time_that_can_t_be_is_refused_before_anything_is_delegated(stand, capsys, option):
    ada, _ = await stand.workspace("ada"), await stand.workspace("bob")
    assert await cli("delegate", "ada", "bob", "x", *option) == Exit.USAGE
    assert f"{option[0]} is in seconds" in capsys.readouterr().err
    headers = {"Authorization": f"Bearer {ada[1]}"}
    assert (await stand.http.get(f"/workspaces/{ada[0]}/delegations", headers=headers)).json() == []


async def test_why_it_waits_is_told_as_it_was_written(stand, capsys):
    await stand.workspace("ada")
    await stand.workspace("[bold]bob[/]")
    assert await cli("delegate", "ada", "[bold]bob[/]", "x") == Exit.OK
    out, err = capsys.readouterr()
    assert len(out.strip()) == 36
    assert "[bold]bob[/]" in err
    assert "\\[" not in err
