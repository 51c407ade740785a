"""SendMessage a second, and what a call through the platform costs over a direct one.

    uv run --group bench python -m bench.sends

Blocking SendMessage calls over A2A 1.0 JSON-RPC whose answer is the ended task, with an agent that answers at once.
truebeat: the server has one core; 8 agents behind links live in a second process and share the other core with the
clients; the task is on disk before it is delivered, and its end before it is told. a2a-sdk: DefaultRequestHandler with
an InMemoryTaskStore, its agent inside the same server process, one core; nothing is kept. The rounds alternate. The
latency is of one caller that calls again and again: "direct" is the same a2a-sdk server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import httpx2

from bench.durable import CONNECTIONS, WORKSPACES, Raw
from bench.harness import (
    ADMIN,
    free_port,
    load,
    median_of,
    new_id,
    percentile,
    postgres_seconds,
    processor_seconds,
    scratch_postgres,
    server,
)

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = "A2A-Version: 1.0\r\n"


def call() -> bytes:
    message = {"messageId": new_id(), "role": "ROLE_USER", "parts": [{"text": "hello"}]}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}).encode()


async def ask(raw: Raw, path: str) -> None:
    answer = await raw.ask("POST", path, call(), VERSION)
    if b"TASK_STATE_COMPLETED" not in answer or b"hello yourself" not in answer:
        raise SystemExit(f"{path}: {answer[:500]!r}")


def rate(
    port: int, used: dict[str, Callable[[], float]], paths: list[str], token: str | None, seconds: float
) -> tuple[float, dict[str, float]]:
    """(calls a second, milliseconds of processor that each of `used` used for one)."""
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    requests = []
    for n in range(CONNECTIONS):
        body = call()
        head = (
            f"POST {paths[n % len(paths)]} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{VERSION}{bearer}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    completed = b"TASK_STATE_COMPLETED"
    load(port, requests[:1], 0.5, 1, completed)  # imports, plans
    before = {name: seconds_of() for name, seconds_of in used.items()}
    each_second, count = load(port, requests, seconds, 1, completed)
    return each_second, {name: (seconds_of() - before[name]) / count * 1000 for name, seconds_of in used.items()}


async def latencies(port: int, path: str, token: str | None, times: int) -> list[float]:
    raw = await Raw.open(port, token)
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        await ask(raw, path)
        taken.append(time.perf_counter() - begun)
    return taken


async def created(port: int, count: int) -> list[tuple[str, str]]:
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {ADMIN}"}
    ) as http:
        made = [(await http.post("/workspaces", json={"name": f"w{new_id()}"})).json() for _ in range(count)]
    return [(one["workspace"]["id"], one["token"]) for one in made]


@contextmanager
def peers(port: int, workspaces: list[tuple[str, str]]):
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.peer", str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        os.sched_setaffinity(process.pid, {1})
        process.stdin.write("\n".join(" ".join(one) for one in workspaces).encode())
        process.stdin.close()
        if process.stdout.readline() != b"ready\n":
            raise SystemExit("the agents did not start")
        yield process.pid
    finally:
        process.kill()
        process.wait()


def told(spent: dict[str, float]) -> str:
    return f"({', '.join(f'{who} {each:.2f}' for who, each in spent.items())})"


def compare(what: str, unit: str, values: list[list[float]], factors: list[float]) -> None:
    mine, its = (median_of(one) for one in values)
    print(f"{what}: truebeat {mine:.2f}{unit}, a2a-sdk in memory {its:.2f}{unit}, factor "
          f"{min(factors):.1f} to {max(factors):.1f}, median {median_of(factors):.1f} (goal 4)")  # fmt: skip


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=float, default=5)
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--calls", type=int, default=200, help="in each round, for the latency")
    given = asked.parse_args()
    os.sched_setaffinity(0, {1})
    ours, theirs, through, direct = [], [], [], []
    both = (("truebeat", ours), ("a2a-sdk", theirs))
    with scratch_postgres() as url:
        environment = {"TRUEBEAT_DATABASE_URL": url, "TRUEBEAT_ADMIN_TOKEN": ADMIN}
        for _ in range(given.rounds):
            port = free_port()
            with server("truebeat", port, 0, environment) as process:
                workspaces = asyncio.run(created(port, WORKSPACES))
                paths = [f"/workspaces/{workspace_id}/a2a" for workspace_id, _ in workspaces]
                with peers(port, workspaces) as agents:
                    used = {
                        "server": partial(processor_seconds, process.pid),
                        "PostgreSQL": partial(postgres_seconds, url),
                        "agents": partial(processor_seconds, agents),
                        "clients": time.process_time,
                    }
                    ours.append(rate(port, used, paths, ADMIN, given.seconds))
                    through += asyncio.run(latencies(port, paths[0], ADMIN, given.calls))
            port = free_port()
            with server("a2a-memory", port, 0, environment) as process:
                used = {"server": partial(processor_seconds, process.pid), "clients": time.process_time}
                theirs.append(rate(port, used, ["/"], None, given.seconds))
                direct += asyncio.run(latencies(port, "/", None, given.calls))
            rounds = [f"{name} {them[-1][0]:5.0f}/s {told(them[-1][1])}" for name, them in both]
            print("   ".join(rounds), f"  load {os.getloadavg()[0]:.1f}", flush=True)
    rates = [[one[0] for one in them] for them in (ours, theirs)]
    spent = [[one[1]["server"] for one in them] for them in (ours, theirs)]
    compare("SendMessage a second", "", rates, [a / b for a, b in zip(*rates, strict=True)])
    compare("processor of the server for one", " ms", spent, [b / a for a, b in zip(*spent, strict=True)])
    for name, them in both:
        middle = {who: median_of([one[1][who] for one in them]) for who in them[0][1]}
        print(f"{name}, milliseconds of processor for one: {told(middle)}")
    for name, values in (("through the platform", through), ("direct", direct)):
        print(f"{name}: p50 {percentile(values, 0.5) * 1000:.1f} ms, p99 {percentile(values, 0.99) * 1000:.1f} ms")
    added = [(percentile(through, share) - percentile(direct, share)) * 1000 for share in (0.5, 0.99)]
    print(f"added: p50 {added[0]:.1f} ms, p99 {added[1]:.1f} ms ({len(through)} calls each)")


if __name__ == "__main__":
    main()
