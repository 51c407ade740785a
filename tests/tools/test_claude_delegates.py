"""The genuine Claude CLI delegates: its model is a stand-in that calls delegate_task, everything else is real."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_results import CANARY, TEXTS, assert_only_data
from test_tools_live import Fleet, fleet

import truebeat
from truebeat.workspace.processes import snapshot

sdk = pytest.importorskip("claude_agent_sdk")
BUNDLED = Path(sdk.__file__).parent / "_bundled" / "claude"
FAKE = Path(__file__).parents[1] / "stands" / "fake_messages.py"
__all__ = ("fleet",)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BUNDLED.exists(), reason="this platform's claude-agent-sdk bundles no CLI"),
]


@pytest.fixture
def model(tmp_path: Path) -> Iterator[tuple[dict[str, str], Path]]:
    """(environment of a CLI whose only upstream is the stand-in, the log of what it was asked)"""
    home, log = tmp_path / "home", tmp_path / "requests"
    home.mkdir()
    with subprocess.Popen(
        [sys.executable, "-I", str(FAKE), str(log)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as api:
        assert api.stdout is not None
        port = api.stdout.readline().strip()
        yield (
            {
                "HOME": str(home),
                "CLAUDE_CONFIG_DIR": str(home / "claude"),
                "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}",
                "ANTHROPIC_API_KEY": "dummy",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "DISABLE_TELEMETRY": "1",
                "DISABLE_AUTOUPDATER": "1",
                "NO_PROXY": "127.0.0.1",
                "no_proxy": "127.0.0.1",
            },
            log,
        )
        assert api.stdin is not None
        api.stdin.close()


def strings(value: object, inside: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a request, with the type of the block that it stands in."""
    if isinstance(value, str):
        yield inside, value
    elif isinstance(value, list):
        for one in value:
            yield from strings(one, inside)
    elif isinstance(value, dict):
        for one in value.values():
            yield from strings(one, value["type"] if isinstance(value.get("type"), str) and not inside else inside)


async def test_the_cli_delegates_and_is_woken_with_what_came_back(fleet: Fleet, model, tmp_path: Path) -> None:
    environment, log = model
    hostile = TEXTS["chatml"] + "\n" + TEXTS["human and assistant"]

    async def bob(turn: truebeat.Turn) -> str:
        return hostile

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "truebeat.cli.main", "run", fleet.ids["ada"], "--agent", "claude",
        "--option", f"cwd={tmp_path}", "--option", "connect_timeout=60", "--option", "max_retries=0",
        env=os.environ | environment | {"TRUEBEAT_URL": fleet.url, "TRUEBEAT_TOKEN": fleet.tokens["ada"]},
    )  # fmt: skip
    try:
        async with fleet.run("bob", bob):
            await fleet.until(lambda: fleet._online("ada"), 90)
            task = await fleet.send("ada", "DELEGATE bob look", wait=60)
            assert (task["state"], task["answer"]) == ("completed", "pong from the fake"), task
            (one,) = (await fleet.http.get(f"/workspaces/{fleet.ids['ada']}/delegations")).json()
            assert (one["status"], one["from_task"]) == ("completed", task["id"])
            assert one["consumed"], "the turn that used the result is done"

            task = await fleet.send("ada", "ASYNC bob again", wait=60)
            assert task["state"] == "completed"

            async def consumed() -> bool:
                rows = (await fleet.http.get(f"/workspaces/{fleet.ids['ada']}/delegations")).json()
                return len(rows) == 2 and all(row["consumed"] for row in rows)

            await fleet.until(consumed, 60)
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)
    assert not [one for one in snapshot() if one.parent == process.pid]

    requests = [json.loads(line) for line in log.read_text().splitlines()]
    assert CANARY not in json.dumps([asked.get("system") for asked in requests]), "a result in the system prompt"
    carrying = {(kind, text) for asked in requests for kind, text in strings(asked["messages"]) if CANARY in text}
    assert {kind for kind, _ in carrying} == {"tool_result", "text"}
    for kind, text in carrying:
        if kind == "text":
            assert text.startswith("[truebeat] What came back of one delegation")
        body = next(line for line in text.splitlines() if line.startswith("{"))
        read = json.loads(body)
        assert read["text"] == hostile
        assert_only_data(text, [_envelope(read)])


def _envelope(read: dict):
    from hostile_results import result

    return result(
        read["text"],
        delegation_id=read["delegation_id"],
        from_id=read["from_id"],
        from_name=read["from_name"],
        asked=read["asked"],
        state=read["state"],
    )
