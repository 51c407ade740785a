"""DELEGATION_RESULTS_FILE: each result is read by one turn that succeeded, wherever a crash comes."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "stands"))
import contextlib

from hostile_results import RESULTS, result

from truebeat.workspace.executors import results_file
from truebeat.workspace.executors.results_file import ResultsFile, line_of

ONE, TWO, THREE = (result(f"résumé {number} \N{PILE OF POO}\u2028", number) for number in (1, 2, 3))


@pytest.fixture
def file(tmp_path: Path) -> ResultsFile:
    return ResultsFile(tmp_path / "deep" / "results.jsonl")


def ids(path: Path) -> list[str]:
    return [json.loads(line)["delegation_id"] for line in path.read_bytes().splitlines()] if path.exists() else []


def wanted(*results) -> list[str]:
    return [one.delegation_id for one in results]


def test_given_read_consumed(file: ResultsFile) -> None:
    file.give("t", [ONE, TWO])
    assert ids(file.path) == wanted(ONE, TWO)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    file.consumed("t")
    assert not file.path.exists()
    assert ids(file.path.with_name("results.jsonl.consumed")) == wanted(ONE, TWO)


def test_a_turn_that_failed_leaves_them_and_the_next_does_not_double_them(file: ResultsFile) -> None:
    file.give("t1", [ONE])
    file.failed("t1")
    assert ids(file.path) == wanted(ONE)
    file.give("t2", [ONE, TWO])
    assert ids(file.path) == wanted(ONE, TWO)


def test_what_was_consumed_elsewhere_is_not_read_again(file: ResultsFile) -> None:
    file.give("t1", [ONE, TWO])
    file.failed("t1")
    file.give("t2", [TWO])
    assert ids(file.path) == wanted(TWO)
    file.failed("t2")
    file.give("t3", [])
    assert ids(file.path) == []


def test_turns_at_the_same_time_take_each_its_own(file: ResultsFile) -> None:
    file.give("t1", [ONE])
    file.give("t2", [TWO])
    assert ids(file.path) == wanted(ONE, TWO)
    file.consumed("t1")
    assert ids(file.path) == wanted(TWO)
    file.consumed("t2")
    assert not file.path.exists()


def test_a_restart_replays_nothing(file: ResultsFile) -> None:
    file.give("t1", [ONE])
    after = ResultsFile(file.path)
    after.start()
    assert not file.path.exists()
    assert ids(file.path.with_name("results.jsonl.left")) == wanted(ONE)
    after.give("t1", [ONE, TWO])
    assert ids(file.path) == wanted(ONE, TWO)


def test_an_agent_that_takes_the_file_itself_is_no_error(file: ResultsFile) -> None:
    file.give("t", [ONE])
    file.path.unlink()
    file.consumed("t")
    file.give("t2", [TWO])
    assert ids(file.path) == wanted(TWO)


@pytest.mark.parametrize("keep", range(0, len(line_of(TWO)), 7))
def test_a_torn_line_costs_nothing(file: ResultsFile, keep: int) -> None:
    file.path.parent.mkdir()
    file.path.write_bytes(line_of(ONE) + line_of(TWO)[:keep])
    file.give("t", [ONE, TWO])
    assert ids(file.path) == wanted(ONE, TWO)


@pytest.mark.parametrize("junk", [b"\xff\xfe\n", b"[]\n", b"{}\n", b'"x"\n', b"[" * 100_000 + b"\n", b"\n\n"])
def test_lines_of_others_are_dropped(file: ResultsFile, junk: bytes) -> None:
    file.path.parent.mkdir()
    file.path.write_bytes(junk + line_of(ONE) + junk)
    file.give("t", [ONE])
    assert ids(file.path) == wanted(ONE)


def test_a_link_in_its_place_is_not_followed(file: ResultsFile, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    file.path.parent.mkdir()
    file.path.symlink_to(victim)
    with contextlib.suppress(OSError):
        file.give("t", [ONE])
    assert victim.read_text() == "precious\n"


def test_hostile_results_are_lines_of_their_own(file: ResultsFile) -> None:
    file.give("t", list(RESULTS.values()))
    lines = file.path.read_text(encoding="ascii").splitlines()
    assert [json.loads(line)["text"] for line in lines] == [one.text for one in RESULTS.values()]


class Crash(BaseException):
    """The process is gone: nothing after it runs, what is on disk stays."""


STEPS = ("write", "fsync", "open", "replace")


@pytest.fixture
def crash_at(monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """Crashes before, within or after the nth of the steps that touch the disk."""

    def arm(place: int, when: str) -> list[int]:
        seen = [0]
        real = {name: getattr(os, name) for name in ("write", "fsync", "open")} | {"replace": Path.replace}

        def step(name: str, *arguments):
            if seen[0] > place >= 0:
                raise Crash
            seen[0] += 1
            if seen[0] - 1 != place:
                return real[name](*arguments)
            if when == "after":
                real[name](*arguments)
            elif when == "within" and name == "write":
                real["write"](arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
            raise Crash

        for name in ("write", "fsync", "open"):
            monkeypatch.setattr(results_file.os, name, lambda *given, _name=name, **more: step(_name, *given))
        monkeypatch.setattr(Path, "replace", lambda self, target: step("replace", self, target))
        return seen

    yield arm
    monkeypatch.undo()


@pytest.mark.parametrize("when", ["before", "within", "after"])
@pytest.mark.parametrize("place", range(24))
def test_a_crash_at_any_step_loses_nothing_and_doubles_nothing(
    tmp_path: Path, crash_at, monkeypatch, place: int, when: str
) -> None:
    """The ledger gives what no told turn consumed. A turn that is told has read each of its results exactly once."""
    path = tmp_path / "results.jsonl"
    waiting = {one.delegation_id: one for one in (ONE, TWO, THREE)}
    read: list[str] = []

    def turn(file: ResultsFile, number: int) -> None:
        given = list(waiting.values())
        file.give(f"t{number}", given)
        seen = ids(path)
        assert sorted(seen) == sorted(wanted(*given)), "the turn sees what it was given, once each"
        file.consumed(f"t{number}")
        # told: only now the ledger hears of it
        read.extend(seen)
        for one in given:
            del waiting[one.delegation_id]

    crash_at(place, when)
    try:
        file = ResultsFile(path)
        file.start()
        turn(file, 1)
        waiting[ONE.delegation_id + "b"] = result("later", 9)
        waiting = {one.delegation_id: one for one in waiting.values()}
        turn(file, 2)
    except Crash:
        pass
    monkeypatch.undo()
    again = ResultsFile(path)
    again.start()
    assert ids(path) == []
    turn(again, 3)
    assert not waiting
    assert len(read) == len(set(read))
    assert set(read) >= set(wanted(ONE, TWO, THREE))
