"""The program itself as a person starts it, and what it leaves behind."""

from __future__ import annotations

import contextlib
import os
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


def start(
    place: Path, *arguments: str, stdout: int = subprocess.PIPE, stdin: int | None = None, **env: str
) -> subprocess.Popen[str]:
    # readline gives pytest's workers a terminal's size, which is not that of the terminal the program gets
    size = {"COLUMNS", "LINES"}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TRUEBEAT_") and key not in size}
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        env={**kept, "TMPDIR": str(place), "PYTHONUNBUFFERED": "1", "TRUEBEAT_DATA_DIR": str(place / "data"), **env},
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def call(place: Path, *arguments: str, limit: float = DEADLINE) -> tuple[int, str, str]:
    with start(place, *arguments) as process:
        out, err = process.communicate(timeout=limit)
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
