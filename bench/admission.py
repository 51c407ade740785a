"""A wedge admitted by a beat -> seen by every one of 100 subscribers.

The clock starts when the beat is sent; the ratio is against a plain request to the same server (/healthz), sent by the
same client just before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time

import httpx2
import websockets

from bench.harness import ADMIN, free_port, percentile, scratch_postgres, server


async def measure(port: int, subscribers: int, flips: int) -> None:
    base = f"http://127.0.0.1:{port}"
    admin = {"Authorization": f"Bearer {ADMIN}"}
    async with httpx2.AsyncClient(base_url=base) as client:
        made = (await client.post("/workspaces", json={"name": "member"}, headers=admin)).json()
        own = {"Authorization": f"Bearer {made['token']}"}
        beat = {"workspace_id": made["workspace"]["id"], "error_rate": 0, "sample_error": "", "runtime_state": ""}
        (await client.post("/registry/heartbeat", json=beat, headers=own)).raise_for_status()
        seen: list[float] = []
        arrived = asyncio.Event()
        expected = 0

        async def subscribe(ready: asyncio.Queue[None]) -> None:
            async with websockets.connect(
                f"ws://127.0.0.1:{port}/events?since=0", additional_headers=admin, compression=None
            ) as socket:
                ready.put_nowait(None)
                async for text in socket:
                    at = time.monotonic()
                    if json.loads(text)["type"] == "WORKSPACE_DEGRADED":
                        seen.append(at)
                        if len(seen) == expected:
                            arrived.set()

        ready: asyncio.Queue[None] = asyncio.Queue()
        tasks = [asyncio.ensure_future(subscribe(ready)) for _ in range(subscribers)]
        for _ in tasks:
            await ready.get()
        lags, plain = [], []
        for _ in range(flips):
            begun = time.monotonic()
            await client.get("/healthz")
            plain.append(time.monotonic() - begun)
            seen.clear()
            arrived.clear()
            expected = subscribers
            begun = time.monotonic()
            wedged = {**beat, "runtime_state": "wedged", "sample_error": "Control request timeout: initialize"}
            (await client.post("/registry/heartbeat", json=wedged, headers=own)).raise_for_status()
            await asyncio.wait_for(arrived.wait(), 10)
            lags += [at - begun for at in seen]
            (await client.post("/registry/heartbeat", json=beat, headers=own)).raise_for_status()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    p99 = percentile(lags, 0.99)
    print(f"admission -> {subscribers} subscribers, {flips} flips: p50 {percentile(lags, 0.5) * 1000:.1f} ms, "
          f"p99 {p99 * 1000:.1f} ms, max {max(lags) * 1000:.1f} ms   (goal p99 <= 50 ms)")  # fmt: skip
    base_p50 = percentile(plain, 0.5)
    print(f"a plain request: p50 {base_p50 * 1000:.1f} ms; ratio p99/plain p50 {p99 / base_p50:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscribers", type=int, default=100)
    parser.add_argument("--flips", type=int, default=100)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    with scratch_postgres() as url:
        port = free_port()
        environment = {"TRUEBEAT_DATABASE_URL": url, "TRUEBEAT_ADMIN_TOKEN": ADMIN}
        with server("truebeat", port, cores[0], environment):
            asyncio.run(measure(port, options.subscribers, options.flips))


if __name__ == "__main__":
    main()
