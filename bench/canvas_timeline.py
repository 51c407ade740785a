"""The timeline of one workspace with 10,000 events: scrolled from end to end while more arrive; in headless Chromium.

Loaded: from the click on the tab until all of them are there. A frame moves the list by ten rows; a blank frame is one
that shows no row where there is one. Ratio: the same list with 100 events, in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from uuid import UUID, uuid4

import asyncpg
import httpx2

from bench.canvas import browsing, flip, flippers, opened
from bench.harness import ADMIN, free_port, percentile, scratch_postgres, server

#: status changes a second of the workspace that is looked at; each is two events
RATE = 10
SCROLL = """([milliseconds, step]) => new Promise((done) => {
    const box = document.querySelector(".events");
    const times = [];
    let blank = 0, most = 0, way = step;
    const tick = (now) => {
        times.push(now);
        const { left, top, height } = box.getBoundingClientRect();
        if (!document.elementFromPoint(left + 20, top + height / 2)?.closest(".events li")) blank += 1;
        most = Math.max(most, document.querySelectorAll("*").length);
        if (box.scrollTop + box.clientHeight >= box.scrollHeight - 1) way = -step;
        else if (box.scrollTop <= 0) way = step;
        box.scrollTop += way;
        if (now - times[0] < milliseconds) requestAnimationFrame(tick);
        else done({times, blank, most});
    };
    requestAnimationFrame(tick);
})"""
EVENTS = """
INSERT INTO events (at, type, workspace_id, payload, cause)
SELECT now() - ($2 - n) * interval '8 seconds', CASE n % 2 WHEN 0 THEN 'WORKSPACE_DEGRADED' ELSE 'WORKSPACE_ONLINE' END,
    $1, jsonb_build_object('name', 'ada', 'status', CASE n % 2 WHEN 0 THEN 'degraded' ELSE 'online' END,
        'conditions', '[]'::jsonb, 'sample_error', 'the runtime did not answer, time ' || n), 'beat'
FROM generate_series(1, $2::integer) AS n
"""


async def seed(url: str, name: str, count: int) -> UUID:
    """An online workspace with so many events, straight into the database: no server runs yet."""
    workspace_id = uuid4()
    connection = await asyncpg.connect(url)
    await connection.execute(
        "INSERT INTO workspaces (id, name, role, created_at, status) VALUES ($1, $2, '', now(), 'online')",
        workspace_id,
        name,
    )
    await connection.execute(EVENTS, workspace_id, count)
    await connection.close()
    return workspace_id


async def scrolled(base: str, workspace_id: UUID, count: int, seconds: float) -> dict[str, float]:
    headers = {"Authorization": f"Bearer {ADMIN}"}
    async with browsing() as browser, httpx2.AsyncClient(base_url=base, headers=headers, timeout=60) as client:
        _, page, _ = await opened(browser, base, f"/?workspace={workspace_id}")
        await page.wait_for_selector("#tab-timeline")
        begun = time.monotonic()
        await page.click("#tab-timeline")
        await page.wait_for_selector(f".timeline p:has-text('of {count} events')")
        loaded = time.monotonic() - begun
        members = [one for one in await flippers(client, 10) if one[0] == str(workspace_id)]
        stop = asyncio.Event()
        flipping = asyncio.ensure_future(flip(client, members, RATE, stop))
        await asyncio.sleep(0.5)
        await page.evaluate("long.length = 0")
        found = await page.evaluate(SCROLL, [seconds * 1000, 460])
        long = await page.evaluate("long")
        stop.set()
        await flipping
    times = found["times"]
    frames = [after - before for before, after in itertools.pairwise(times)]
    return {
        "loaded": loaded,
        "fps": len(frames) / (times[-1] - times[0]) * 1000,
        "p99": percentile(frames, 0.99),
        "blank": found["blank"] / len(times),
        "long": len(long),
        "elements": found["most"],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10)
    given = parser.parse_args()
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    found = {}
    with scratch_postgres() as url:
        environment = {"TRUEBEAT_DATABASE_URL": url, "TRUEBEAT_ADMIN_TOKEN": ADMIN, "TRUEBEAT_LEASE": "3600"}
        whose = {count: asyncio.run(seed(url, f"with-{count}", count)) for count in (100, given.events)}
        with server("truebeat", port, 0, environment):
            for count, workspace_id in whose.items():
                one = found[count] = asyncio.run(scrolled(base, workspace_id, count, given.seconds))
                print(
                    f"{count:,} events: loaded after {one['loaded']:.2f} s; {one['fps']:.0f} frames a second while "
                    f"scrolled (goal > 50), 99 % within {one['p99']:.0f} ms; {one['long']:.0f} tasks over 50 ms; "
                    f"{one['blank']:.1%} blank; {one['elements']:,.0f} elements (goal < 3,000)",
                    flush=True,
                )
    print(f"frames a second, of those with 100 events: {found[given.events]['fps'] / found[100]['fps']:.2f}")


if __name__ == "__main__":
    main()
