from __future__ import annotations

import json
import subprocess
import sys

import pytest

from truebeat import errors
from truebeat.cli import connection
from truebeat.cli.exits import Exit, exit_for
from truebeat.cli.main import build, dispatch
from truebeat.cli.run import start_bound

COMMANDS = [
    "demo", "up", "serve", "run", "canvas", "ps", "watch", "show", "events", "incidents", "restart", "remove", "doctor",
    "send", "tasks", "cancel", "check",
    "token create", "token list", "token revoke", "token rotate", "migrate up", "migrate down", "migrate status",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch, tmp_path):
    """No server is known and nothing of this user's is read."""
    for name in ("TRUEBEAT_URL", "TRUEBEAT_TOKEN", "TRUEBEAT_TOKEN_FILE", "TRUEBEAT_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TRUEBEAT_DATA_DIR", str(tmp_path / "data"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(command, capsys):
    assert dispatch([*command.split(), "--help"]) == Exit.OK
    assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line",
    [
        ["nope"],
        ["ps", "--bogus"],
        ["show"],
        ["ps", "--status", "onlin"],
        ["up", "--port", "x"],
        ["up", "--fleet", "/does/not/exist"],
        ["run", "x"],
        ["run", "x", "--agent", "command"],
        ["run", "x", "--agent", "python", "no-colon"],
        ["run", "x", "--agent", "claude", "target"],
        ["run", "x", "--agent", "cow"],
        ["run", "x", "--agent", "python", "m:f", "--option", "novalue"],
        ["token", "create", "x", "--role", "king"],
        ["token", "create", "x", "--role", "viewer", "--expires", "soon"],
        ["serve"],
    ],
)
def test_a_wrong_command_line_is_one_line_and_code_2(line, capsys):
    assert dispatch(line) == Exit.USAGE
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("truebeat: ")
    assert told.err.count("\n") == 1


@pytest.mark.parametrize("line", [["ps"], ["ps", "--json"], ["show", "x"], ["token", "list"], ["events"], ["watch"]])
def test_without_a_server_the_line_says_how_to_get_one(line, capsys):
    assert dispatch(line) == Exit.UNAVAILABLE
    told = capsys.readouterr()
    assert told.out == ""
    assert "truebeat up" in told.err


def test_every_error_has_its_exit_code():
    kinds = errors.TruebeatError.__subclasses__()
    assert len(kinds) == 8
    assert exit_for(errors.Unauthenticated("")) == exit_for(errors.Forbidden("")) == Exit.REFUSED == 3
    assert exit_for(errors.NotFound("")) == exit_for(errors.Gone("")) == 4
    assert exit_for(errors.Conflict("")) == 5
    assert exit_for(errors.Unavailable("")) == 6
    assert exit_for(errors.Invalid("")) == exit_for(errors.TooLarge("")) == 2


def test_doctor_says_what_to_do_and_fails_on_a_problem(capsys):
    assert dispatch(["doctor", "--json"]) == Exit.FAILURE
    findings = json.loads(capsys.readouterr().out)
    server = next(finding for finding in findings if finding["check"] == "server")
    assert not server["ok"]
    assert "truebeat up" in server["advice"]
    assert all(finding["advice"] for finding in findings if not finding["ok"])


def test_doctor_sees_a_secret_that_others_may_read(tmp_path, capsys):
    directory = tmp_path / "data"
    connection.write(directory, connection.Connection(url="http://127.0.0.1:1", token="t", pid=1))
    assert (directory / "connection.json").stat().st_mode & 0o777 == 0o600
    (directory / "connection.json").chmod(0o644)
    dispatch(["doctor", "--json"])
    findings = {finding["check"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert not findings["data"]["ok"]
    assert "chmod 600" in findings["data"]["advice"]


def test_the_environment_wins_over_what_up_left(tmp_path, monkeypatch):
    directory = tmp_path / "data"
    connection.write(directory, connection.Connection(url="http://127.0.0.1:1", token="left", pid=1))
    url, token = connection.address()
    assert (url, token.current()) == ("http://127.0.0.1:1", "left")
    connection.write(directory, connection.Connection(url="http://127.0.0.1:1", token="newer", pid=1))
    assert token.refresh() == "newer"
    monkeypatch.setenv("TRUEBEAT_URL", "http://example.test")
    url, token = connection.address()
    assert (url, token.current()) == ("http://example.test", None), "one server's token is not shown to another"
    monkeypatch.setenv("TRUEBEAT_TOKEN", "mine")
    assert connection.address()[1].current() == "mine"


def test_another_up_s_connection_file_is_left_alone(tmp_path):
    connection.write(tmp_path, connection.Connection(url="http://x", token="t", pid=7))
    connection.forget(tmp_path, 8)
    assert connection.read(tmp_path) is not None
    connection.forget(tmp_path, 7)
    assert connection.read(tmp_path) is None


def test_help_imports_no_command():
    check = (
        "import sys; from truebeat.cli.main import build; build();"
        "heavy = ('truebeat.server', 'truebeat.workspace', 'truebeat.client');"
        "loaded = [m for m in sys.modules if m.startswith(heavy)];"
        "assert not loaded, loaded; assert 'httpx2' not in sys.modules and 'asyncpg' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


def test_the_table_names_every_command():
    app = build()
    for command in COMMANDS:
        assert command.split()[0] in app


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--bound", "waiting_model"], "PHASE=SECONDS"),
        (["--bound", "waiting_model=-1"], "PHASE=SECONDS"),
        (["--suspect", "=5"], "PHASE=SECONDS"),
        (["--suspect", "idle=nan"], "PHASE=SECONDS"),
        (["--loop-bound", "30", "--loop-kill", "20"], "--loop-kill"),
        (["--loop-bound", "0"], "--loop-bound"),
    ],
)
def test_bounds_that_mean_nothing_are_refused(capsys, words, says):
    assert dispatch(["run", "ada", "--agent", "python", *words, "m:f"]) != 0
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "seconds"), [({}, 120.0), ({"connect_timeout": "20"}, 120.0), ({"connect_timeout": "90"}, 360.0)]
)
def test_a_start_of_claude_may_take_as_long_as_its_connects(options, seconds):
    assert start_bound(options) == seconds
