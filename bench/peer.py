"""Scripted agents in a process of their own: `python -m bench.peer PORT`, a line "ID TOKEN" on stdin for each.

Each holds its workspace's link and answers every task at once. Prints "ready" when all of them are taken as healthy.
They speak WebSocket by themselves, as cheaply as Python can: what they use is no part of the server, and they share a
core with PostgreSQL and the clients.
"""

from __future__ import annotations

import asyncio
import json
import sys

import msgspec
import uvloop

from bench.harness import healthy_beat

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class _Deliver(msgspec.Struct):
    task_id: str
    generation: int
    attempt: int


_decode = msgspec.json.Decoder(_Deliver).decode


def _frame(opcode: int, payload: bytes) -> bytes:
    """Masked, as every client's must be: with zeros, which leave the payload as it is."""
    size = len(payload)
    head = bytes((0x80 | opcode, 0x80 | size)) if size < 126 else bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2)
    return head + b"\0\0\0\0" + payload


class Agent(asyncio.Protocol):
    """One link. `ready` is done when the first beat was taken."""

    def __init__(self, port: int, workspace_id: str, token: str) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = (
            f"GET /workspaces/{workspace_id}/link HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Authorization: Bearer {token}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ).encode()
        self._buffer = b""
        self._open = False
        self._n = 0

    def connection_made(self, transport) -> None:
        self._transport = transport
        transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        sys.exit(f"a link was lost: {exc}")

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        if not self._open:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                sys.exit(f"refused: {head!r} {data!r}")
            self._open = True
            hello = {"type": "hello", "version": 2, "boot": 1, "agent": "bench", "pid": 1, "bounds": {}}
            for said in (hello, healthy_beat(1)):
                self._transport.write(_frame(_TEXT, json.dumps(said).encode()))
        answers: list[bytes] = []
        at = 0
        while len(data) - at >= 2:
            size, begin = data[at + 1], at + 2
            if size >= 126:
                begin += 2 if size == 126 else 8
                size = int.from_bytes(data[at + 2 : begin])
            if len(data) < begin + size:
                break
            self._take(data[at] & 15, data[begin : begin + size], answers)
            at = begin + size
        self._buffer = data[at:]
        if answers:
            self._transport.write(b"".join(answers))

    def _take(self, opcode: int, payload: bytes, answers: list[bytes]) -> None:
        if opcode == _PING:
            answers.append(_frame(_PONG, payload))
        elif opcode == _CLOSE:
            self._transport.close()
        elif payload.startswith(b'{"type":"deliver"'):
            task = _decode(payload)
            self._n += 1
            text = (
                f'{{"type":"finished","task_id":"{task.task_id}","generation":{task.generation},'
                f'"attempt":{task.attempt},"state":"completed","text":"hello yourself","n":{self._n}}}'
            )
            answers.append(_frame(_TEXT, text.encode()))
        elif payload.startswith(b'{"type":"ack"') and not self.ready.done():
            self.ready.set_result(None)


async def _run(port: int, lines: list[str]) -> None:
    loop = asyncio.get_running_loop()
    for line in lines:
        workspace_id, token = line.split()
        agent = Agent(port, workspace_id, token)
        await loop.create_connection(lambda agent=agent: agent, "127.0.0.1", port)
        await agent.ready
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_run(int(sys.argv[1]), sys.stdin.read().splitlines()))
