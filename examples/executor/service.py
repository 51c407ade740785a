"""A service for the example: answers each line word by word. `ping` is answered like any other line."""

from __future__ import annotations

import asyncio
import sys


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        for word in line.decode().split():
            writer.write(f"{word}\n".encode())
            await writer.drain()
        writer.write(b".\n")
    writer.close()


async def main(port: int) -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
