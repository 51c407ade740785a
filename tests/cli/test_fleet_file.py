from __future__ import annotations

import sys

import pytest

from truebeat import errors
from truebeat.cli.fleet import load


def test_a_fleet_becomes_command_lines(tmp_path):
    path = tmp_path / "fleet.toml"
    path.write_text(
        '[[workspace]]\nname = "a"\nagent = "command"\ntarget = ["python", "-m", "x"]\n'
        'options = { mode = "ndjson", probe_interval = 0.5, verbose = true }\n'
        '[[workspace]]\nname = "b"\nagent = "claude"\nrole = "writes"\n'
        'parent = "a"\nbounds = { waiting_model = 120 }\nsuspects = { in_tool = 2.5 }\n'
    )
    first, second = (member.command() for member in load(path).workspace)
    assert first[:3] == [sys.executable, "-m", "truebeat.cli.main"]
    assert first[3:] == [
        "run", "a", "--agent", "command", "--option", "mode=ndjson", "--option", "probe_interval=0.5",
        "--option", "verbose=true", "--", "python", "-m", "x",
    ]  # fmt: skip
    assert second[3:] == [
        "run", "b", "--agent", "claude", "--role", "writes", "--parent", "a", "--bound", "waiting_model=120",
        "--suspect", "in_tool=2.5",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense", "fleet.toml"),
        ('[[workspace]]\nagent = "command"', "name"),
        ('[[workspace]]\nname = "a"\nagent = "cow"', "cow|agent must be"),
        ('[[workspace]]\nname = "a"\nagent = "claude"\ncolour = "red"', "colour"),
        ('[[workspace]]\nname = "a"\nagent = "claude"\n' * 2, "two workspaces"),
        ('[[workspace]]\nname = "a"\nagent = "claude"\nparent = "a"', "own parent"),
    ],
)
def test_a_wrong_fleet_file_says_what_is_wrong(tmp_path, text, says):
    path = tmp_path / "fleet.toml"
    path.write_text(text)
    with pytest.raises(errors.Invalid, match=says):
        load(path)
