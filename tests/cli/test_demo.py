"""The demo: what it tells is so, on any terminal, and nothing of it stays behind, whenever it is interrupted."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import sys
import termios
from pathlib import Path

import httpx2
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from program_stand import DEADLINE, call, left, place, start, until

__all__ = ("place",)

LONG = 150.0


def nothing_left(place: Path) -> None:
    assert not left(place)
    assert not list(place.iterdir())


def test_its_numbers_tell_of_work_that_survived(place):
    code, out, err = call(place, "demo", "--json", limit=LONG)
    assert (code, err) == (0, "")
    times = json.loads(out)
    assert 0 < times["degraded_seen"] < times["online_again"] < times["delegation_ended"] <= times["result_used"]
    assert times["beats_unmoved"] >= 1, "beats go on while the runtime is dead"
    assert "did not answer" in times["reason"]
    assert times["attempts"] >= 2, "the work was on when its runtime was stopped"
    assert re.fullmatch(r"There are ([\d,]+) primes below ([\d,]+)\.", times["answer"])
    known = {"1,000,000": "78,498", "2,000,000": "148,933", "4,000,000": "283,146"}
    below, found = times["answer"].split()[-1].rstrip("."), times["answer"].split()[2]
    assert known[below] == found, "nothing was counted twice, nothing lost"
    assert "grace became degraded (unresponsive)" in times["asker_said"], "the asker has the facts"
    assert "did not answer" not in times["asker_said"], "and a peer's error texts are not for it"
    assert 0 <= times["asker_told"] < times["delegation_ended"] - times["degraded_seen"], "and had them before the end"
    assert (times["generation_after"] > times["generation_before"]) == (times["restarted"] > 0)
    nothing_left(place)


def test_piped_each_thing_is_one_line_and_none_has_colour(place):
    code, out, err = call(place, "demo", limit=LONG)
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    told = [
        "starting a server",
        "server up",
        "online: ada, grace, linus",
        "you ask ada: how many primes",
        "SIGSTOP",
        "degraded: grace admits it: 2 canaries",
        "online: grace:",
        "grace's half is completed",
        'tells you: "There are ',
        "Who asked whom",
        "Measured",
        "Next",
    ]
    places = [out.find(line) for line in told]
    assert -1 not in places, told[places.index(-1)]
    assert places == sorted(places)
    tree = out[out.index("Who asked whom") :].splitlines()
    assert tree[1].startswith("ada for ")
    assert [line for line in tree if re.match(r"[├└]─ grace  completed  .*attempt 2.*count the primes", line)]
    assert [line for line in tree if re.match(r"[├└]─ linus  completed  .*count the primes", line)]
    nothing_left(place)


def in_terminal(place: Path, columns: int, *arguments: str, **env: str) -> tuple[int, str]:
    """The exit code, and what was shown."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with start(place, *arguments, stdout=theirs, stdin=theirs, **env) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how a terminal says that nobody writes any more
            while data := os.read(ours, 65536):
                shown += data
        os.close(ours)
    return process.returncode, re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown.decode()).replace("\r\n", "\n")


def test_a_narrow_terminal_without_unicode_shows_it_all(place):
    code, shown = in_terminal(place, 50, "demo", TERM="xterm", PYTHONIOENCODING="ascii")
    assert code == 0, shown
    commands = re.compile(r"truebeat \w+")
    wide = [line for line in shown.splitlines() if len(line) > 50 and not commands.search(line)]
    assert not wide
    assert re.search(r"^ {11}\S", shown, re.MULTILINE), "what is wrapped stands beside the times"
    assert re.search(r"^[|`]- grace  completed", shown, re.MULTILINE)
    nothing_left(place)


@pytest.mark.parametrize("moment", ["starting a server", "you ask", "degraded"])
def test_ctrl_c_ends_it_cleanly_at_any_moment(place, moment):
    with start(place, "demo") as demo:
        for line in demo.stdout:
            if moment in line:
                break
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does
        _, err = demo.communicate(timeout=DEADLINE)
    assert (demo.returncode, err) == (130, "")
    nothing_left(place)


def test_kept_it_can_be_looked_at_until_ctrl_c(place):
    with start(place, "demo", "--keep") as demo:
        links, exported = [], ""
        for line in demo.stdout:
            links += re.findall(r"http://\S+", line)
            exported = exported or line.strip().partition("export TRUEBEAT_DATA_DIR=")[2]
            if "Ctrl-C" in line:
                break
        for link in links:
            url, _, code = link.partition("#login=")
            with httpx2.Client(base_url=url.partition("?")[0]) as browser:
                origin = {"Origin": url.partition("/?")[0].rstrip("/")}
                assert browser.post("/session", json={"code": code}, headers=origin).is_success, "a browser gets in"
                assert browser.get("/workspaces").json()["workspaces"]
        assert "tab=tasks" in links[-1]
        with start(place, "ps", TRUEBEAT_DATA_DIR=exported) as ps:
            out, _ = ps.communicate(timeout=DEADLINE)
        assert ps.returncode == 0
        assert "grace" in out
        os.killpg(demo.pid, signal.SIGINT)
        _, err = demo.communicate(timeout=DEADLINE)
    assert (demo.returncode, err) == (130, "")
    nothing_left(place)


def test_a_reader_that_has_seen_enough_ends_it(place):
    with start(place, "demo") as demo:
        demo.stdout.readline()
        demo.stdout.close()
        err = demo.stderr.read()
    assert "Traceback" not in err
    until(lambda: not left(place), "processes outlived a demo whose reader went away")
    nothing_left(place)


def test_a_killed_demo_leaves_no_process(place):
    with start(place, "demo") as demo:
        for line in demo.stdout:
            if "SIGSTOP" in line:
                break
        demo.kill()
        demo.communicate(timeout=DEADLINE)
    until(lambda: not left(place), "processes outlived a killed demo")
