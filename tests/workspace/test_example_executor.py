"""The worked example of docs/executors.md, installed beside the project and run by a real supervisor and worker."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from truebeat.workspace import config

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "executor"
DEADLINE = 30.0
_spec = importlib.util.spec_from_file_location("embed_stand", Path(__file__).with_name("embed_stand.py"))
assert _spec is not None
assert _spec.loader is not None
embed_stand = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(embed_stand)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the example as pip leaves it: the package, and its metadata with the entry point."""
    uv = shutil.which("uv")
    assert uv, "uv runs this project's tests; see README"
    place = tmp_path_factory.mktemp("site")
    environment = {key: value for key, value in os.environ.items() if key not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    done = subprocess.run(
        [uv, "pip", "install", "--quiet", "--no-deps", "--python", sys.executable, "--target", place, EXAMPLE],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
async def stand() -> AsyncIterator[Any]:
    made = await embed_stand.Stand().start()
    yield made
    await made.stop()


@pytest.fixture
async def service(unused_port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, EXAMPLE / "service.py", str(unused_port))
    yield process
    if process.returncode is None:
        process.kill()
    await process.wait()


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def until(condition: Callable[[], Any]) -> Any:
    async with asyncio.timeout(DEADLINE):
        while not (value := condition()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return value


@asynccontextmanager
async def running(stand: Any, site: Path, agent: str, target: str, **more: Any) -> AsyncIterator[None]:
    """`truebeat run`'s second half, with that directory on the path."""
    run = config.RunConfig(
        name="probe", workspace_id="w", url=stand.url, agent=agent, target=target, stop_grace=2.0, **more
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "truebeat.workspace.supervisor",
        config.encode(run),
        env={**os.environ, "TRUEBEAT_TOKEN": stand.token, "PYTHONPATH": str(site)},
        stdin=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        async with asyncio.timeout(DEADLINE):
            await process.wait()


def test_it_is_found_by_its_entry_point(installed: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from truebeat.workspace.executors import names; print(*names())"],
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "tcp" in done.stdout.split()


async def test_it_answers_a_task_and_its_probe_finds_a_service_that_hangs(
    installed: Path, stand: Any, service: Any, unused_port: int
) -> None:
    options = {"probe_interval": "0.3", "probe_timeout": "0.3"}
    restart = config.RestartLimits(limit=50, first_delay=0.05)
    await until_listening(unused_port)
    async with running(stand, installed, "tcp", f"127.0.0.1:{unused_port}", options=options, restart=restart):
        await until(lambda: stand.of("beat", runtime_state="", capacity=1))
        await deliver(stand, "t1", "hello there")
        (done,) = await until(lambda: stand.of("finished"))
        assert (done["state"], done["text"]) == ("completed", "hello there")
        assert [chunk["text"] for chunk in stand.of("chunk")] == ["hello ", "there "]
        service.send_signal(signal.SIGSTOP)
        await until(lambda: stand.of("beat", canary=lambda canary: canary and canary["failures"] >= 2))
        service.send_signal(signal.SIGCONT)
        so_far = len(stand.seen)
        await until(
            lambda: [
                frame
                for frame in stand.seen[so_far:]
                if frame["type"] == "beat" and frame["runtime_state"] == "" and frame["canary"]["failures"] == 0
            ]
        )


async def test_a_wrong_target_is_quarantined_with_the_executors_own_words(installed: Path, stand: Any) -> None:
    async with running(stand, installed, "tcp", "nonsense"):
        beat = await until(lambda: stand.of("beat", quarantine=bool))
        assert "'nonsense' is not HOST:PORT" in beat[-1]["quarantine"]
        assert stand.of("beat", runtime_state="") == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import not_installed_anywhere", "not_installed_anywhere"),
        ("raise SystemExit('no licence')", "no licence"),
        ("class Other: pass", "has no attribute 'BrokenExecutor'"),
        ("class BrokenExecutor:\n    def __init__(self, target, options): pass", "not an Executor"),
    ],
)
async def test_one_that_can_not_be_imported_is_unavailable_and_never_healthy(
    stand: Any, tmp_path: Path, source: str, said: str
) -> None:
    (tmp_path / "broken_executor.py").write_text(source)
    metadata = tmp_path / "broken-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[truebeat.executors]\nbroken = broken_executor:BrokenExecutor\n")
    async with running(stand, tmp_path, "broken", "x"):
        beat = await until(lambda: stand.of("beat", quarantine=bool))
        assert "executor 'broken'" in beat[-1]["quarantine"]
        assert said in beat[-1]["quarantine"]
        assert stand.of("beat", runtime_state="") == []


async def deliver(stand: Any, task_id: str, text: str) -> None:
    await asyncio.to_thread(stand.deliver, task_id, text)


async def until_listening(port: int) -> None:
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
