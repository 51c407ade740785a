"""Scripted agents in a process of their own: `python -m bench.peer PORT`, a line "ID TOKEN" on stdin for each.

Each holds its workspace's link and answers every task at once. Prints "ready" when all of them are taken as healthy.
"""

from __future__ import annotations

import asyncio
import sys

from bench.durable import Worker


async def _run(port: int, lines: list[str]) -> None:
    async with asyncio.TaskGroup() as group:
        for line in lines:
            workspace_id, token = line.split()
            ready = asyncio.Event()
            group.create_task(Worker(port, workspace_id, token).run(ready))
            await ready.wait()
        print("ready", flush=True)


if __name__ == "__main__":
    asyncio.run(_run(int(sys.argv[1]), sys.stdin.read().splitlines()))
