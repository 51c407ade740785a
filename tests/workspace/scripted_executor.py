"""An executor that does what a test says, and tasks to give it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from truebeat.protocol.delivery import Cancel, Deliver, Sender
from truebeat.workspace.executors.base import Executor, Options, Output, Result, Step, Text, Turn

Script = Callable[[Turn], AsyncGenerator[Output, None]]


async def echo(turn: Turn) -> AsyncGenerator[Output, None]:
    await asyncio.sleep(0)
    yield Text(turn.text)
    yield Result(turn.text)


class Scripted(Executor):
    """`failing`: what a probe raises (an exception), or an event it waits for; None passes."""

    def __init__(self, script: Script = echo, *, capacity: int = 1) -> None:
        super().__init__("", Options({}))
        self.script = script
        self.capacity = capacity
        self.turns: list[Turn] = []
        self.probes = 0
        self.failing: Exception | asyncio.Event | None = None

    async def start(self) -> None:
        return

    async def run(self, turn: Turn) -> AsyncGenerator[Output, None]:
        self.turns.append(turn)
        stream = self.script(turn)
        try:
            async for output in stream:
                yield output
        finally:
            await stream.aclose()

    async def probe(self) -> None:
        self.probes += 1
        if isinstance(self.failing, asyncio.Event):
            await self.failing.wait()
        elif self.failing is not None:
            raise self.failing


class Repairable(Scripted):
    """Its first `useless` steps don't help; the next one does, and mends the probe."""

    useless = 0
    abandoned = 0

    def abandon(self) -> None:
        self.abandoned += 1

    async def recover(self, reason: str) -> AsyncGenerator[Step, None]:
        self.reason = reason
        for number in range(self.useless):
            yield Step(f"try {number}", ok=False, detail="no use")
        self.failing = None
        yield Step("fresh", ok=True)


def order(task: str = "T1", text: str = "hi", attempt: int = 1, **more: object) -> Deliver:
    sender = Sender(kind="person", id="p", name="Ada")
    return Deliver(
        task_id=task, context_id="C", generation=3, attempt=attempt, sender=sender, text=text, **more  # type: ignore[arg-type]
    )  # fmt: skip


def cancel(task: str = "T1", attempt: int = 1) -> Cancel:
    return Cancel(task_id=task, generation=3, attempt=attempt)
