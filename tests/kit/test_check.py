"""`truebeat check`, end to end: real cases, and that it says so when a lie is missed or a healthy one is punished."""

from __future__ import annotations

import json
import os
import signal
import uuid
from pathlib import Path

import pytest

from truebeat.cli.check import check
from truebeat.cli.main import dispatch
from truebeat.kit import cases, runs, stage
from truebeat.kit.case import Case, Kind, Quiet, Recovery
from truebeat.kit.faults import outside

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="the kit finds processes in /proc")


def test_lies_are_found_and_a_hardship_is_left_alone(tmp_path: Path, capsys, monkeypatch):
    mark = uuid.uuid4().hex
    monkeypatch.setattr(stage.secrets, "token_hex", lambda _: mark)
    page = tmp_path / "scorecard.md"
    names = ["worker-killed", "pipe-closed", "runtime-killed", "worker-paused"]
    code = dispatch(["check", "--json", "--write", str(page), *(part for name in names for part in ("--only", name))])
    card = json.loads(capsys.readouterr().out)
    assert [one["case"] for one in card["outcomes"]] == names
    assert [one["verdict"] for one in card["outcomes"]] == ["found", "found", "found", "unharmed"], card["outcomes"]
    assert code == 0
    assert card["left_over"] == []
    for one in card["outcomes"][:3]:
        assert 0 <= one["found_after"] < 7
        assert one["recovered_after"] >= one["found_after"]
        assert one["witnesses"]
        assert one["recovery"] in {"restart verified", "in place"}
    assert "`worker-killed`" in page.read_text()
    assert not list(_marked(mark))


def _marked(mark: str):
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"{stage.MARKER}={mark}".encode() in (place / "environ").read_bytes() and place.name != str(os.getpid()):
                yield place
        except OSError:
            continue


UNSEEN = Case(
    name="unseen",
    kind=Kind.LIE,
    title="the loop is blocked, and the detection of that is off",
    run=runs.Run(
        agent="python",
        target="truebeat.kit.faults.functions:answer",
        worker=runs.module("worker"),
        loop_bound=600.0,
        loop_kill=600.0,
    ),
    how=outside.order_worker("block"),
    witnesses=frozenset({"evidence"}),
    quiet=Quiet(1.0, "nothing"),
    patience=0.5,
    recovery=frozenset({Recovery.RESTART}),
)


def restarted(subject):
    before = subject.view().generation
    outside.order_restart(subject)
    subject.stage.until(lambda: subject.view().generation > before and subject.view().runtime_state == "", 20)
    return subject.stage.clock.monotonic()


def punished(name, how):
    return Case(name=name, kind=Kind.HARDSHIP, title=name, run=runs.FUNCTIONS, how=how)


def test_a_lie_that_nobody_finds_and_a_healthy_one_that_is_punished_fail_the_check(monkeypatch, capsys):
    chosen = [UNSEEN, punished("restarted", restarted), punished("degraded", outside.signal_worker(signal.SIGKILL))]
    monkeypatch.setattr(cases, "own", lambda *_: chosen)
    code = check(json=True)
    outcomes = {one["case"]: one for one in json.loads(capsys.readouterr().out)["outcomes"]}
    assert code == 1
    assert outcomes["unseen"]["verdict"] == "missed", outcomes
    assert outcomes["unseen"]["found_after"] is None
    assert outcomes["restarted"]["verdict"] == "killed", outcomes
    assert outcomes["degraded"]["verdict"] == "flipped", outcomes
    assert outcomes["degraded"]["alarms"]


def test_a_target_of_ones_own_gets_the_cases_that_need_nothing_of_it(capsys):
    assert dispatch(["check", "--list", "--json", "--agent", "command", "--", "my-agent", "--flag"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {one["agent"] for one in listed} == {"command"}
    assert {"worker-stopped", "server-stalled"} <= {one["name"] for one in listed}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["my_agent:answer"], "say which executor"),
        (["--only", "nonsense"], "no case 'nonsense'"),
        (["--repeat", "0"], "at least 1"),
        (["--agent", "a2a"], "no cases of its own"),
    ],
)
def test_what_it_can_not_play_is_said(arguments, said, capsys):
    assert dispatch(["check", *arguments]) == 2
    assert said in capsys.readouterr().err
