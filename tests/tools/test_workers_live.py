"""Agents under a real supervisor delegate: a python function, and a command-line agent that reads files."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hostile_results import RESULTS
from test_tools_live import Fleet, echo, fleet

import truebeat
from truebeat.workspace import processes

__all__ = ("fleet",)

PLAIN = """
import truebeat

def answer(text):
    if text == "peers":
        return ", ".join(peer.name for peer in truebeat.peers().result())
    view = truebeat.delegate("bob", text).result()
    truebeat.notify_user(f"bob is done with {text}").result()
    return view.result.text
"""

#: delegates by the MCP server that it starts itself, and answers with what stands in its results file
READS_FILES = """
import asyncio, json, os, sys, time
from pathlib import Path
from mcp import Client, StdioServerParameters

async def delegate():
    # what a command's process has in its environment is enough
    program = ["-m", "truebeat.cli.main", "mcp"]
    server = StdioServerParameters(command=sys.executable, args=program, env=dict(os.environ))
    async with Client(server) as client:
        said = await client.call_tool("delegate_task_async", {"target": "bob", "task": "look"})
        assert not said.is_error, said
        return said.content[0].text

text = sys.stdin.read()
here = Path(os.environ["TRUEBEAT_TEST_PLACE"])
if text == "delegate":
    print(asyncio.run(delegate()))
else:
    file = Path(os.environ["DELEGATION_RESULTS_FILE"])
    lines = file.read_text().splitlines() if file.exists() else []
    with (here / "turns").open("a") as turns:
        turns.write(json.dumps([json.loads(line)["delegation_id"] for line in lines]) + "\\n")
    while (here / "hold").exists():
        time.sleep(0.02)
    with (here / "read").open("a") as read:
        for line in lines:
            read.write(line + "\\n")
    print("read", len(lines))
"""


@asynccontextmanager
async def supervised(fleet: Fleet, name: str, *arguments: str, cwd: Path, **more: str):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "truebeat.cli.main", "run", fleet.ids[name], "--agent", *arguments, cwd=cwd,
        env=os.environ | {"TRUEBEAT_URL": fleet.url, "TRUEBEAT_TOKEN": fleet.tokens[name], **more},
    )  # fmt: skip
    try:
        await fleet.until(lambda: fleet._online(name), 60)
        yield process
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)


async def gone(pid: int) -> bool:
    process = processes.read(pid)
    return process is None or process.state in "ZX"


async def test_a_plain_python_function_delegates(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text(PLAIN)
    async with fleet.run("bob", echo), supervised(fleet, "ada", "python", "agent:answer", cwd=tmp_path):
        assert (await fleet.send("ada", "peers"))["answer"] == "bob"
        assert (await fleet.send("ada", "count"))["answer"] == "bob did: count"
    (delegation,) = (await fleet.http.get(f"/workspaces/{fleet.ids['ada']}/delegations")).json()
    assert delegation["consumed"]
    assert delegation["from_task"]


@pytest.mark.parametrize("killed", [False, True])
async def test_a_command_reads_each_result_once_also_if_it_is_killed_while_it_reads(
    fleet: Fleet, tmp_path: Path, killed: bool
) -> None:
    (tmp_path / "agent.py").write_text(READS_FILES)
    hostile = RESULTS["runtime frame after a line separator"].text

    async def bob(turn: truebeat.Turn) -> str:
        return hostile

    async def lines(name: str, count: int) -> list[str]:
        file = tmp_path / name
        found = file.read_text().splitlines() if file.exists() else []
        return found if len(found) >= count else []

    if killed:
        (tmp_path / "hold").touch()
    places = {"TRUEBEAT_TEST_PLACE": str(tmp_path), "DELEGATION_RESULTS_FILE": str(tmp_path / "results.jsonl")}
    command = ("command", "--", sys.executable, "agent.py")
    async with fleet.run("bob", bob), supervised(fleet, "ada", *command, cwd=tmp_path, **places) as process:
        task = await fleet.send("ada", "delegate", wait=60)
        assert "is accepted" in task["answer"], task
        await fleet.until(lambda: lines("turns", 1), 60)
        if killed:
            (worker,) = [one for one in processes.snapshot() if one.parent == process.pid]
            (reader,) = [one for one in processes.snapshot() if one.parent == worker.pid]
            os.kill(worker.pid, signal.SIGKILL)
            # before it is gone it must not go on: what it did then would be done twice
            await fleet.until(lambda: gone(reader.pid), 20)
            (tmp_path / "hold").unlink()
            await fleet.until(lambda: lines("turns", 2), 60)
        await fleet.until(lambda: lines("read", 1), 60)

        async def consumed() -> bool:
            (row,) = (await fleet.http.get(f"/workspaces/{fleet.ids['ada']}/delegations")).json()
            return row["consumed"]

        await fleet.until(consumed, 30)
        assert (await fleet.send("ada", "anything else?"))["answer"] == "read 0"
    (delegation,) = (await fleet.http.get(f"/workspaces/{fleet.ids['ada']}/delegations")).json()
    assert delegation["from_task"] == task["id"], "the MCP server that the turn started knew its task"
    (read,) = (tmp_path / "read").read_text().splitlines()
    assert json.loads(read)["text"] == hostile
    turns = [json.loads(line) for line in (tmp_path / "turns").read_text().splitlines()]
    assert turns == [[delegation["delegation_id"]]] * (2 if killed else 1) + [[]]
