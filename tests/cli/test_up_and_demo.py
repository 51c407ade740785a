"""The programs themselves, as a person starts them: nothing may stay behind, whenever they are interrupted."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

DEADLINE = 60.0
PROGRAM = [sys.executable, "-m", "truebeat.cli.main"]


@pytest.fixture
def place():
    """A directory that marks every process started under it: it is their TMPDIR."""
    with tempfile.TemporaryDirectory(prefix="truebeat-test-") as made:
        yield Path(made).resolve()


def start(place: Path, *arguments: str, **env: str) -> subprocess.Popen[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TRUEBEAT_")}
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        env={**kept, "TMPDIR": str(place), "PYTHONUNBUFFERED": "1", "TRUEBEAT_DATA_DIR": str(place / "data"), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def call(place: Path, *arguments: str) -> tuple[int, str, str]:
    with start(place, *arguments) as process:
        out, err = process.communicate(timeout=DEADLINE)
    return process.returncode, out, err


def left(place: Path) -> list[str]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get("TMPDIR") == str(place) or str(place) in process.cwd():
                found.append(f"{process.pid} {process.name()} {process.cmdline()}")
    return found


def until(condition, what: str):
    deadline = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def fleet(place: Path) -> str:
    path = place / "fleet.toml"
    command = json.dumps([sys.executable, "-m", "truebeat.kit.agent"])
    path.write_text(
        f'[[workspace]]\nname = "ada"\nagent = "command"\ntarget = {command}\noptions = {{ mode = "ndjson" }}\n'
    )
    return str(path)


def online(place: Path, name: str) -> dict | None:
    code, out, _ = call(place, "show", name, "--json")
    view = json.loads(out) if code == 0 else {}
    return view if view.get("status") == "online" else None


def test_up_serves_a_fleet_and_every_command_finds_it(place):
    with start(place, "up", "--port", "0", "--fleet", fleet(place), "--json") as up:
        ready = json.loads(up.stdout.readline())
        view = until(lambda: online(place, "ada"), "ada is not online")

        code, out, err = call(place, "ps", "--json")
        assert (code, err) == (0, "")
        assert [one["name"] for one in json.loads(out)["workspaces"]] == ["ada"]
        code, out, _ = call(place, "ps")
        assert code == 0
        assert "online" in out

        code, out, _ = call(place, "restart", "ada", "--wait", "30", "--json")
        assert code == 0
        assert json.loads(out)["generation"] > view["generation"]

        code, out, _ = call(place, "events", "--json")
        types = [json.loads(line)["type"] for line in out.splitlines()]
        assert types[:2] == ["WORKSPACE_PROVISIONING", "WORKSPACE_ONLINE"]
        assert "RESTART_ORDERED" in types

        assert call(place, "show", "nobody")[0] == 4
        assert call(place, "remove", "ada")[0] == 2, "nobody to ask, and no --yes"
        port = ready["url"].rpartition(":")[2]
        code, _, err = call(place, "up", "--port", port, "--data-dir", str(place / "other"))
        assert code == 5
        assert "--port" in err
        code, _, err = call(place, "up", "--port", "0")
        assert code == 5
        assert "data-dir" in err

        code, out, _ = call(place, "token", "create", "t", "--role", "viewer", "--json")
        secret = json.loads(out)["token"]
        with start(place, "remove", "ada", "--yes", TRUEBEAT_TOKEN=secret) as process:
            process.communicate(timeout=DEADLINE)
        assert process.returncode == 3
        with start(place, "ps", TRUEBEAT_TOKEN="nonsense") as process:
            process.communicate(timeout=DEADLINE)
        assert process.returncode == 3
        assert call(place, "doctor")[0] == 0
        assert call(place, "remove", "ada", "--yes")[0] == 0

        up.send_signal(signal.SIGTERM)
        out, err = up.communicate(timeout=DEADLINE)
    assert (up.returncode, out, err) == (0, "", "")
    assert not left(place)
    assert call(place, "ps")[0] == 6


def test_a_killed_up_takes_its_fleet_along_and_the_next_one_carries_on(place):
    with start(place, "up", "--port", "0", "--fleet", fleet(place), "--json") as up:
        up.stdout.readline()
        before = until(lambda: online(place, "ada"), "ada is not online")
        up.kill()
        up.communicate(timeout=DEADLINE)
    until(lambda: not [line for line in left(place) if "postgres" not in line], "the fleet outlived its up")
    with start(place, "up", "--port", "0", "--fleet", fleet(place), "--json") as up:
        up.stdout.readline()
        after = until(lambda: online(place, "ada"), "ada is not online again")
        assert after["id"] == before["id"], "the same workspace, taken over"
        up.send_signal(signal.SIGINT)
        up.communicate(timeout=DEADLINE)
    assert up.returncode == 0
    assert not left(place)


def test_a_port_in_use_is_said_before_anything_is_started(place):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, out, err = call(place, "up", "--port", str(taken.getsockname()[1]))
    assert (code, out) == (5, "")
    assert "choose another --port" in err
    assert not (place / "data").exists()


def test_the_demo_tells_the_truth_in_numbers(place):
    code, out, err = call(place, "demo", "--json")
    assert (code, err) == (0, "")
    times = json.loads(out)
    assert 0 < times["degraded_seen"] < 7
    assert times["degraded_seen"] < times["online_again"]
    assert times["generation_after"] >= times["generation_before"]
    assert (times["generation_after"] > times["generation_before"]) == (times["restarted"] > 0)
    assert 0 < times["sender_told"] < 5, "nobody waits for an answer that is known not to come"
    assert times["sender_told"] < times["message_answered"]
    assert times["beats_unmoved"] >= 1, "beats go on while the runtime is dead"
    assert "did not answer" in times["reason"]
    assert times["total"] < 60
    assert not left(place)
    assert not list(place.iterdir())


@pytest.mark.parametrize("moment", ["starting a server", "is stopped with SIGSTOP", "Measured"])
def test_ctrl_c_ends_the_demo_cleanly_at_any_moment(place, moment):
    with start(place, "demo", "--keep") as demo:
        for line in demo.stdout:
            if moment in line:
                break
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does
        _, err = demo.communicate(timeout=DEADLINE)
    assert (demo.returncode, err) == (130, "")
    assert not left(place)
    assert not list(place.iterdir())


def test_a_killed_demo_leaves_no_process(place):
    with start(place, "demo") as demo:
        for line in demo.stdout:
            if "online" in line:
                break
        demo.kill()
        demo.communicate(timeout=DEADLINE)
    until(lambda: not left(place), "processes outlived a killed demo")
