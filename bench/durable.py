"""Durable messages a second, and how fast a sender learns that nobody will answer.

    uv run --with "sqlalchemy[asyncio]" python -m bench.durable

A message counts when its task has ended and that is on disk. truebeat: POST /workspaces/{id}/tasks, delivered over the
links of 8 workspaces whose workers answer at once. a2a-sdk: SendMessage to a DefaultRequestHandler with a
DatabaseTaskStore on the same PostgreSQL, and an executor that answers at once. Each server has one core, the clients
the other; the rounds alternate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from contextlib import AsyncExitStack

import httpx2
import msgspec
import websockets

from bench.harness import ADMIN, free_port, healthy_beat, median_of, new_id, percentile, scratch_postgres, server

WORKSPACES = 8
CONNECTIONS = 64


class Raw:
    """One keep-alive HTTP connection; the client must cost as little as it can."""

    @classmethod
    async def open(cls, port: int, token: str | None = None) -> Raw:
        self = cls()
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        self.head = f"Host: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        if token:
            self.head += f"Authorization: Bearer {token}\r\n"
        return self

    async def ask(self, method: str, path: str, body: bytes = b"", more: str = "") -> bytes:
        head = f"{method} {path} HTTP/1.1\r\n{self.head}{more}Content-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        content = await self.reader.readexactly(length)
        if not answer.startswith(b"HTTP/1.1 20"):
            raise SystemExit(f"refused: {answer[:100]!r} {content[:300]!r}")
        return content


class Worker:
    """A link that answers each task at once."""

    def __init__(self, port: int, workspace_id: str, token: str) -> None:
        self.url = f"ws://127.0.0.1:{port}/workspaces/{workspace_id}/link"
        self.token = token
        self.settled = 0
        self.seq = 0
        self.n = 0
        self.asked: asyncio.Queue[dict] = asyncio.Queue()
        self.hold = False

    async def beat(self, **fields) -> None:
        self.seq += 1
        await self.socket.send(json.dumps(healthy_beat(self.seq, **fields)))

    async def finish(self, deliver: dict) -> None:
        self.n += 1
        lease = {name: deliver[name] for name in ("task_id", "generation", "attempt")}
        finished = {"type": "finished", **lease, "state": "completed", "text": "hello yourself", "n": self.n}
        await self.socket.send(msgspec.json.encode(finished), text=True)

    async def run(self, ready: asyncio.Event) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with websockets.connect(self.url, additional_headers=headers, max_size=None) as self.socket:
            await self.socket.send(
                json.dumps({"type": "hello", "version": 2, "boot": 1, "agent": "bench", "pid": 1, "bounds": {}})
            )
            await self.beat()
            async for text in self.socket:
                frame = msgspec.json.decode(text)
                match frame["type"]:
                    case "deliver" if self.hold:
                        self.asked.put_nowait(frame)
                    case "deliver":
                        await self.finish(frame)
                    case "settled":
                        self.settled += 1
                    case "ack":
                        ready.set()


async def fleet(stack: AsyncExitStack, port: int, count: int) -> tuple[list[str], list[Worker]]:
    group = await stack.enter_async_context(asyncio.TaskGroup())
    ids, workers = [], []
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {ADMIN}"}
    ) as http:
        for n in range(count):
            made = (await http.post("/workspaces", json={"name": f"w{n}"})).raise_for_status().json()
            ids.append(made["workspace"]["id"])
            workers.append(Worker(port, ids[-1], made["token"]))
    for worker in workers:
        ready = asyncio.Event()
        task = group.create_task(worker.run(ready))
        stack.callback(task.cancel)
        await ready.wait()
    return ids, workers


async def durable_truebeat(port: int, seconds: float) -> float:
    async with AsyncExitStack() as stack:
        ids, workers = await fleet(stack, port, WORKSPACES)
        end = time.monotonic() + seconds
        accepted = 0

        async def sender(workspace_id: str) -> None:
            nonlocal accepted
            raw = await Raw.open(port, ADMIN)
            body = json.dumps({"text": "hello"}).encode()
            while time.monotonic() < end:
                await raw.ask("POST", f"/workspaces/{workspace_id}/tasks", body)
                accepted += 1

        begun = time.monotonic()
        await asyncio.gather(*(sender(ids[n % WORKSPACES]) for n in range(CONNECTIONS)))
        while sum(worker.settled for worker in workers) < accepted:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return accepted / (time.monotonic() - begun)


async def durable_a2a(port: int, seconds: float) -> float:
    done = 0

    async def sender(end: float) -> None:
        nonlocal done
        raw = await Raw.open(port)
        while time.monotonic() < end:
            message = {"messageId": new_id(), "role": "ROLE_USER", "parts": [{"text": "hello"}]}
            call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
            answer = await raw.ask("POST", "/", json.dumps(call).encode(), "A2A-Version: 1.0\r\n")
            if b"TASK_STATE_COMPLETED" not in answer:
                raise SystemExit(f"a2a-sdk: {answer[:300]!r}")
            done += 1

    await sender(time.monotonic() + 0.1)  # its store makes its table with the first message
    begun, done = time.monotonic(), 0
    await asyncio.gather(*(sender(begun + seconds) for _ in range(CONNECTIONS)))
    return done / (time.monotonic() - begun)


async def honest(port: int, times: int) -> tuple[list[float], list[float]]:
    """(seconds from a wedge's beat to the answer of whoever waits, seconds of a send to a degraded workspace)."""
    flips, sends = [], []
    async with AsyncExitStack() as stack:
        [workspace_id], [worker] = await fleet(stack, port, 1)
        worker.hold = True
        raw = await Raw.open(port, ADMIN)
        body = json.dumps({"text": "hello"}).encode()
        wedged = {"runtime_state": "wedged", "sample_error": "stuck", "capacity": 0}
        for _ in range(times):
            task = json.loads(await raw.ask("POST", f"/workspaces/{workspace_id}/tasks", body))
            deliver = await worker.asked.get()
            waiting = asyncio.ensure_future(raw.ask("GET", f"/tasks/{task['id']}?wait=60"))
            await asyncio.sleep(0.02)
            begun = time.perf_counter()
            await worker.beat(holding=[f"{task['id']}/1"], **wedged)
            answer = json.loads(await waiting)
            flips.append(time.perf_counter() - begun)
            if answer["availability"]["able"] or answer["state"] == "completed":
                raise SystemExit("the wait did not end on the flip")
            for _ in range(5):
                begun = time.perf_counter()
                answer = json.loads(await raw.ask("POST", f"/workspaces/{workspace_id}/tasks", body))
                sends.append(time.perf_counter() - begun)
                await raw.ask("POST", f"/tasks/{answer['id']}/cancel")
            await worker.finish(deliver)
            await worker.beat()
    return flips, sends


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=float, default=5)
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--flips", type=int, default=100)
    given = asked.parse_args()
    os.sched_setaffinity(0, {1})
    ours, theirs = [], []
    with scratch_postgres() as url:
        environment = {"TRUEBEAT_DATABASE_URL": url, "TRUEBEAT_ADMIN_TOKEN": ADMIN}
        for _ in range(given.rounds):
            port = free_port()
            with server("truebeat", port, 0, environment):
                ours.append(asyncio.run(durable_truebeat(port, given.seconds)))
            port = free_port()
            with server("a2a", port, 0, environment):
                theirs.append(asyncio.run(durable_a2a(port, given.seconds)))
            print(f"truebeat {ours[-1]:8.0f}/s   a2a-sdk {theirs[-1]:8.0f}/s", flush=True)
        port = free_port()
        with server("truebeat", port, 0, environment):
            flips, sends = asyncio.run(honest(port, given.flips))
    print(f"durable messages: truebeat {median_of(ours):.0f}/s, a2a-sdk DatabaseTaskStore {median_of(theirs):.0f}/s, "
          f"factor {median_of(ours) / median_of(theirs):.1f} (goal 10)")  # fmt: skip
    for name, values, goal in (("flip to answered", flips, 100), ("send to degraded", sends, 20)):
        print(
            f"{name}: p50 {percentile(values, 0.5) * 1000:.1f} ms, p99 {percentile(values, 0.99) * 1000:.1f} ms "
            f"(goal {goal}, {len(values)} times)"
        )


if __name__ == "__main__":
    main()
