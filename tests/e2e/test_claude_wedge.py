"""The story, end to end: the real SDK, a CLI that never answers initialize, the real server, supervisor and worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from truebeat.client.credentials import FixedToken
from truebeat.client.http import Client

pytest.importorskip("claude_agent_sdk")

STUB = Path(__file__).parents[1] / "stands" / "stub_claude.py"
TRUEBEAT = [sys.executable, "-m", "truebeat.cli.main"]
REASON = "Control request timeout: initialize"


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Not pytest's own: as root PostgreSQL runs as another user, whom pytest shuts out of it at each start."""
    with tempfile.TemporaryDirectory(prefix="truebeat-test-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.fixture
def fleet(scratch: Path):
    """A server of this test's own; call it to start another truebeat command beside it."""
    environment = {
        **os.environ,
        "TRUEBEAT_DATA_DIR": str(scratch / "data"),
        "TRUEBEAT_BEAT_INTERVAL": "1",
        "TRUEBEAT_LEASE": "20",
    }
    for name in ("TRUEBEAT_URL", "TRUEBEAT_TOKEN", "TRUEBEAT_TOKEN_FILE", "TRUEBEAT_DATABASE_URL"):
        environment.pop(name, None)
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        log = (scratch / f"{arguments[0]}-{len(started)}.log").open("wb")
        with log:
            process = subprocess.Popen([*TRUEBEAT, *arguments], env=environment, stdout=log, stderr=log)
        started.append(process)
        return process

    start.environment = environment
    start("up", "--port", "0")
    start.connection = _wait(lambda: _connection(scratch / "data" / "connection.json"), "the server to come up")
    yield start
    for process in reversed(started):
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) is not None
    assert [each.returncode for each in started] == [0] * len(started)


def _connection(path: Path):
    return json.loads(path.read_text()) if path.exists() else None


def _wait(check, what: str, seconds: float = 40.0):
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
    return found


def test_a_wedge_is_admitted_seen_with_its_reason_and_healed_by_a_restart(fleet, scratch: Path):
    mode = scratch / "mode"
    mode.write_text("no-initialize")
    cli = scratch / "claude"
    cli.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I "{STUB}" $(cat "{mode}") "$@"\n')
    cli.chmod(0o755)
    fleet("run", "claudia", "--agent", "claude", "--option", f"cli_path={cli}", "--option", "connect_timeout=1")
    types: list[str] = []
    degraded = None
    with (
        Client(fleet.connection["url"], FixedToken(fleet.connection["token"])) as client,
        client.events.stream(since=0) as events,
    ):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            event = events.next(timeout=1)
            if event is None:
                continue
            types.append(event.type)
            if event.type == "WORKSPACE_DEGRADED" and degraded is None:
                degraded = event
                assert client.workspaces.get(event.workspace_id).status == "degraded"
                mode.write_text("ok")
            if event.type == "WORKSPACE_ONLINE":
                seen = client.workspaces.get(event.workspace_id)
                break
    assert degraded is not None
    assert degraded.payload["sample_error"].startswith(REASON)
    assert degraded.payload["conditions"][0]["symptom"] == "wedged"
    assert degraded.cause == "beat"
    # It was never shown as online before it could work, and the restart brought it back.
    assert types.index("WORKSPACE_DEGRADED") < types.index("WORKSPACE_ONLINE")
    assert seen.status == "online"
    assert seen.generation >= 2
    assert seen.conditions == []
    told = subprocess.run([*TRUEBEAT, "ps", "--json"], env=fleet.environment, capture_output=True, check=True)
    assert b'"online"' in told.stdout
