"""The round trip of a delegation against a direct call of the same agent by a2a-sdk alone.

    uv run --with "sqlalchemy[asyncio]" python -m bench.delegation

One at a time. Waited: POST delegations with wait_seconds until its answer has the result. Woken: POST delegations until
the source's link delivers the turn that brings the result. Direct: SendMessage to a2a-sdk's DefaultRequestHandler with
an executor that answers at once, in memory and, where SQLAlchemy is there, with its DatabaseTaskStore. A delegation is
on disk before it is answered, and so are its end and the wake; the rounds alternate. Each server has one core, the
clients the other.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import time
from contextlib import AsyncExitStack

from bench.durable import Raw, fleet
from bench.harness import ADMIN, free_port, new_id, percentile, scratch_postgres, server

ROUNDS = 3


async def delegations(port: int, times: int) -> tuple[list[float], list[float]]:
    """(seconds of each that was waited for, seconds of each whose source was woken)."""
    waited, woken = [], []
    async with AsyncExitStack() as stack:
        [source_id, target_id], [source, _] = await fleet(stack, port, 2)
        raw = await Raw.open(port, source.token)
        path = f"/workspaces/{source_id}/delegations"
        for _ in range(times):
            body = json.dumps({"target": target_id, "text": "hello", "wait_seconds": 10}).encode()
            begun = time.perf_counter()
            answer = json.loads(await raw.ask("POST", path, body))
            waited.append(time.perf_counter() - begun)
            if answer["status"] != "completed":
                raise SystemExit(f"not completed: {answer}")
            await raw.ask("POST", f"/delegations/{answer['delegation_id']}/consumed")
        source.hold = True
        body = json.dumps({"target": target_id, "text": "hello"}).encode()
        for _ in range(times):
            begun = time.perf_counter()
            made = json.loads(await raw.ask("POST", path, body))
            wake = await source.asked.get()
            woken.append(time.perf_counter() - begun)
            if [result["delegation_id"] for result in wake["results"]] != [made["delegation_id"]]:
                raise SystemExit(f"another result came: {wake}")
            await source.finish(wake)
    return waited, woken


async def direct(port: int, times: int) -> list[float]:
    found = []
    raw = await Raw.open(port)
    for _ in range(times + 1):  # its store makes its table with the first message
        message = {"messageId": new_id(), "role": "ROLE_USER", "parts": [{"text": "hello"}]}
        call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
        begun = time.perf_counter()
        answer = await raw.ask("POST", "/", json.dumps(call).encode(), "A2A-Version: 1.0\r\n")
        found.append(time.perf_counter() - begun)
        if b"TASK_STATE_COMPLETED" not in answer:
            raise SystemExit(f"a2a-sdk: {answer[:300]!r}")
    return found[1:]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--times", type=int, default=300)
    given = asked.parse_args()
    os.sched_setaffinity(0, {1})
    figures: dict[str, list[float]] = {"delegation, waited for": [], "delegation, source woken": []}
    with scratch_postgres() as url:
        environment = {"TRUEBEAT_DATABASE_URL": url, "TRUEBEAT_ADMIN_TOKEN": ADMIN}
        theirs = {"a2a-sdk direct, in memory": "a2a-memory"}
        if importlib.util.find_spec("sqlalchemy"):
            theirs["a2a-sdk direct, on disk"] = "a2a"
        for _ in range(ROUNDS):
            port = free_port()
            with server("truebeat", port, 0, environment):
                waited, woken = asyncio.run(delegations(port, given.times))
            figures["delegation, waited for"] += waited
            figures["delegation, source woken"] += woken
            for name, target in theirs.items():
                port = free_port()
                with server(target, port, 0, environment):
                    figures.setdefault(name, []).extend(asyncio.run(direct(port, given.times)))
    for name, values in figures.items():
        print(
            f"{name:28} p50 {percentile(values, 0.5) * 1000:6.1f} ms   p99 {percentile(values, 0.99) * 1000:6.1f} ms"
            f"   ({len(values)} times)"
        )
    for name in theirs:
        for own in ("delegation, waited for", "delegation, source woken"):
            factors = [percentile(figures[own], share) / percentile(figures[name], share) for share in (0.5, 0.99)]
            print(f"{own}, against {name}: p50 {factors[0]:.1f} times, p99 {factors[1]:.1f} times")


if __name__ == "__main__":
    main()
