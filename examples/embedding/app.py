"""A Python program that is a workspace as well: it needs TRUEBEAT_URL and TRUEBEAT_TOKEN, or TRUEBEAT_TOKEN_FILE."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import truebeat
from truebeat.errors import Gone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def answer(turn: truebeat.Turn) -> AsyncIterator[str | truebeat.Output]:
    yield truebeat.Progress(f"reading what {turn.sender_name or 'somebody'} wrote")
    for word in turn.text.split():
        yield word[::-1] + " "


async def main() -> None:
    async with truebeat.Workspace("mirror", role="turns words round", handler=answer, capacity=4) as workspace:
        print(f"workspace {workspace.id} is up", flush=True)
        try:
            await workspace.serve()
        except Gone:
            print("an operator removed this workspace", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
