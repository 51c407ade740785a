"""Opens claude executors on the stand-in for the CLI, and proves that none of their processes is left behind."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

from truebeat.workspace import executors, processes
from truebeat.workspace.executors import claude_cli
from truebeat.workspace.executors.base import Executor, Output, Result, Step, Turn

STUB = Path(__file__).parents[1] / "stands" / "stub_claude.py"


class Rig:
    """`fault` may be changed between two starts of the CLI: it is read from a file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._fault = directory / "fault"
        self.cli = directory / "claude"
        self.cli.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I "{STUB}" "$(cat "{self._fault}")" "$@"\n')
        self.cli.chmod(0o755)
        self.executors: list[Executor] = []
        self.notes: list[str] = []

    def set(self, fault: str) -> None:
        self._fault.write_text(fault)

    def once(self, fault: str) -> str:
        """That fault, made by the first that comes to it; from then on the CLI is sound."""
        return f"{fault}@{self._directory / 'made'}"

    def make(self, fault: str = "ok", **options: str) -> Executor:
        self.set(fault)
        executor = executors.create("claude", "", {"cli_path": str(self.cli), **options})
        executor.note = self.notes.append
        self.executors.append(executor)
        return executor

    async def open(self, fault: str = "ok", **options: str) -> Executor:
        executor = self.make(fault, **options)
        await executor.start()
        return executor

    async def close(self) -> None:
        for executor in self.executors:
            await executor.close()
        await gone(lambda: [one.pid for one in mine()], "a CLI was left behind")


def mine() -> list[processes.Process]:
    """Living processes that a client of this process started, in whatever way they were detached."""
    here = f"/{processes.identity(os.getpid())}/"
    return [
        one
        for one in processes.snapshot()
        if one.pid != os.getpid()
        and one.state not in "ZX"
        and here in processes.environment(one.pid).get(claude_cli.MARK, "")
    ]


async def gone(left: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Polls until nothing is left."""
    deadline = time.monotonic() + seconds
    while found := left():
        assert time.monotonic() < deadline, f"{what}: {found}"
        await asyncio.sleep(0.02)


async def ask(executor: Executor, text: str, **fields: object) -> list[Output]:
    """One turn, to its end; as the worker does, nothing is asked for after the last output."""
    got: list[Output] = []
    async with aclosing(executor.run(Turn(text, **fields))) as stream:
        async for output in stream:
            got.append(output)
            if isinstance(output, Result):
                break
    return got


async def recovered(executor: Executor, reason: str = "why") -> list[Step]:
    async with aclosing(executor.recover(reason)) as steps:
        return [step async for step in steps]


class Running:
    """A turn that is on: `kinds` and `outputs` as far as they came; `stop` closes it as the worker does."""

    def __init__(self, executor: Executor, text: str, **fields: object) -> None:
        self.outputs: list[Output] = []
        self._executor = executor
        self._moved = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self._run(Turn(text, **fields)))

    async def _run(self, turn: Turn) -> None:
        async with aclosing(self._executor.run(turn)) as stream:
            async for output in stream:
                self.outputs.append(output)
                self._moved.set()

    async def seen(self, wanted: Callable[[Output], bool], seconds: float = 20.0) -> Output:
        """The first output that is wanted, however long ago it came."""
        async with asyncio.timeout(seconds):
            while True:
                self._moved.clear()
                for output in self.outputs:
                    if wanted(output):
                        return output
                await self._moved.wait()

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})
