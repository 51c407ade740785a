"""The page with 5,000 workspaces and 100 status changes a second, and with 50 while it is panned; in headless Chromium.

Time to interactive: from the navigation until the fleet is drawn and a key is answered. Elements: of the document, at
the most. Long tasks: of more than 50 ms on the main thread, while nobody touches anything and 100 events a second
arrive, and while nothing arrives. Ratio: the same page with nobody in the fleet.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import httpx2
from playwright.async_api import async_playwright

from bench.harness import ADMIN, free_port, scratch_postgres, server

#: notes long tasks and the moment at which the fleet is drawn
WATCH = """
window.long = [];
new PerformanceObserver((list) => long.push(...list.getEntries().map((one) => one.duration)))
    .observe({type: "longtask", buffered: true});
"""
READY = """(() => {
    const drawn = () => document.querySelector(".team, .card, .empty");
    const look = (done) => drawn() ? done() : requestAnimationFrame(() => look(done));
    return new Promise((done) => look(() => requestAnimationFrame(() => setTimeout(() => done(performance.now()), 0))));
})()"""
FRAMES = """(milliseconds) => new Promise((done) => {
    const times = [];
    const tick = (now) => {
        times.push(now);
        if (now - times[0] < milliseconds) requestAnimationFrame(tick);
        else done(times);
    };
    requestAnimationFrame(tick);
})"""
COUNT = "document.querySelectorAll('*').length"


async def seed(url: str, first: int, last: int) -> None:
    """Workspaces that are online, in teams of 50, straight into the database: no server runs yet."""
    connection = await asyncpg.connect(url)
    begun = datetime.now(UTC)
    rows, lead = [], None
    for number in range(first, last):
        own = uuid4()
        lead = own if number % 50 == 0 else lead
        parent = None if own == lead else lead
        name = f"lead-{number // 50}" if own == lead else f"agent-{number}"
        at = begun + timedelta(milliseconds=number)
        rows.append((own, name, "worker", parent, at, "online"))
    columns = ("id", "name", "role", "parent_id", "created_at", "status")
    await connection.copy_records_to_table("workspaces", records=rows, columns=columns)
    await connection.close()


async def flippers(client: httpx2.AsyncClient, count: int) -> list[tuple[str, str]]:
    """(id, token) of some of them."""
    found = []
    for one in (await client.get("/workspaces", params={"limit": count})).raise_for_status().json()["workspaces"]:
        body = {"name": "bench", "role": "workspace", "workspace_id": one["id"]}
        token = (await client.post("/tokens", json=body)).raise_for_status().json()["token"]
        found.append((one["id"], token))
    return found


async def beat(client: httpx2.AsyncClient, one: tuple[str, str], state: str) -> None:
    body = {"workspace_id": one[0], "runtime_state": state, "sample_error": "it did not answer" if state else ""}
    headers = {"Authorization": f"Bearer {one[1]}"}
    (await client.post("/registry/heartbeat", json=body, headers=headers)).raise_for_status()


async def flip(
    client: httpx2.AsyncClient, members: list[tuple[str, str]], rate: int, stop: asyncio.Event
) -> tuple[int, float]:
    """Every flip is an event: all wedged in turn, then all well again; how many, in how many seconds."""
    done, begun = 0, time.monotonic()
    while not stop.is_set():
        due = int((time.monotonic() - begun) * rate)
        flips = [(members[one % len(members)], one // len(members) % 2) for one in range(done, min(due, done + 20))]
        await asyncio.gather(*(beat(client, member, "" if again else "wedged") for member, again in flips))
        done += len(flips)
        await asyncio.sleep(0.005)
    return done, time.monotonic() - begun


async def opened(browser, base: str, path: str = "/"):
    context = await browser.new_context(base_url=base, viewport={"width": 1440, "height": 900})
    await context.add_init_script(WATCH)
    await context.request.post("/session", data={"token": ADMIN})
    page = await context.new_page()
    await page.goto(path, wait_until="commit")
    ready = await page.evaluate(READY)
    begun = time.monotonic()
    await page.keyboard.press("/")
    await page.wait_for_selector("#search:focus")
    return context, page, ready / 1000 + time.monotonic() - begun


async def times_to_interactive(browser, base: str, rounds: int) -> float:
    times = []
    for _ in range(rounds):
        context, _, took = await opened(browser, base)
        times.append(took)
        await context.close()
    return statistics.median(times)


async def pan(page, seconds: float) -> float:
    """Frames a second while the plane is dragged in circles."""
    frames = asyncio.ensure_future(page.evaluate(FRAMES, seconds * 1000))
    await page.mouse.move(700, 850)
    await page.mouse.down()
    step, begun = 0, time.monotonic()
    while not frames.done() and time.monotonic() - begun < seconds + 5:
        step += 1
        await page.mouse.move(700 + 150 * (step % 20 - 10) / 10, 850 - 10 * (step % 13))
        await asyncio.sleep(0.01)
    await page.mouse.up()
    times = await frames
    return (len(times) - 1) / (times[-1] - times[0]) * 1000


@asynccontextmanager
async def browsing():
    own = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=own, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def nobody(base: str, given: argparse.Namespace) -> float:
    async with browsing() as browser:
        took = await times_to_interactive(browser, base, given.rounds)
    print(f"nobody: interactive after {took:.2f} s", flush=True)
    return took


async def few(base: str, given: argparse.Namespace) -> None:
    async with browsing() as browser:
        _, page, took = await opened(browser, base)
        still = await page.evaluate(FRAMES, 1000)
        fps = await pan(page, given.seconds)
    at_rest = (len(still) - 1) / (still[-1] - still[0]) * 1000
    print(f"{given.few}: interactive after {took:.2f} s; {fps:.0f} fps while panned (goal > 50), {at_rest:.0f} at rest")


async def many(base: str, given: argparse.Namespace, empty: float) -> None:
    headers = {"Authorization": f"Bearer {ADMIN}"}
    async with browsing() as browser, httpx2.AsyncClient(base_url=base, headers=headers, timeout=60) as client:
        took = await times_to_interactive(browser, base, given.rounds)
        print(f"{given.many}: interactive after {took:.2f} s (goal 1.5), {took / empty:.1f} of nobody's", flush=True)
        _, page, _ = await opened(browser, base)
        elements = [await page.evaluate(COUNT)]
        await asyncio.sleep(1)
        await page.evaluate("long.length = 0")
        await asyncio.sleep(given.seconds)
        print(f"  nothing arrives: {len(await page.evaluate('long'))} long tasks (goal 0)", flush=True)

        members = await flippers(client, 200)
        stop = asyncio.Event()
        flipping = asyncio.ensure_future(flip(client, members, 100, stop))
        await asyncio.sleep(1)
        await page.evaluate("long.length = 0")
        frames = await page.evaluate(FRAMES, given.seconds * 1000)
        busy = await page.evaluate("long")
        elements.append(await page.evaluate(COUNT))
        await page.locator(".team.is-far .team-name").first.click()
        await page.wait_for_selector(".card")
        await asyncio.sleep(0.5)
        elements.append(await page.evaluate(COUNT))
        near = await pan(page, given.seconds)
        elements.append(await page.evaluate(COUNT))
        await page.keyboard.press("l")
        await page.wait_for_selector(".list tbody tr")
        elements.append(await page.evaluate(COUNT))
        stop.set()
        flips, seconds = await flipping
    far = (len(frames) - 1) / (frames[-1] - frames[0]) * 1000
    print(
        f"  {flips / seconds:.0f} events a second: {len(busy)} long tasks in {given.seconds:.0f} s, the longest "
        f"{max(busy, default=0):.0f} ms (goal 0); {far:.0f} fps at rest, {near:.0f} while panned among cards"
    )
    print(f"  elements: {max(elements):,} at the most (goal < 3,000)")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--many", type=int, default=5000)
    parser.add_argument("--few", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with scratch_postgres() as url:
        environment = {"TRUEBEAT_DATABASE_URL": url, "TRUEBEAT_ADMIN_TOKEN": ADMIN, "TRUEBEAT_LEASE": "3600"}
        with server("truebeat", port, 0, environment):
            empty = asyncio.run(nobody(base, given))
        asyncio.run(seed(url, 0, given.few))
        with server("truebeat", port, 0, environment):
            asyncio.run(few(base, given))
        asyncio.run(seed(url, given.few, given.many))
        with server("truebeat", port, 0, environment):
            asyncio.run(many(base, given, empty))


if __name__ == "__main__":
    main()
