"""`truebeat up` as a person starts it: nothing may stay behind, however it ends."""

from __future__ import annotations

import json
import signal
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from program_stand import DEADLINE, call, left, place, start, until

__all__ = ("place",)


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
