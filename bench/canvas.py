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


async def seed(client: httpx2.AsyncClient, count: int) -> list[tuple[str, str]]:
    """(id, token) of `count` workspaces in teams of 50, by the API: a batch of them at a time."""
    made: list[tuple[str, str]] = []
    parent: list[str] = []

    async def one(name: str, above: str | None) -> None:
        body = {"name": name, "role": "worker", "parent_id": above}
        answer = (await client.post("/workspaces", json=body)).raise_for_status().json()
        made.append((answer["workspace"]["id"], answer["token"]))
        if above is None:
            parent.append(answer["workspace"]["id"])

    for team in range(0, count, 50):
        await one(f"lead-{team // 50}", None)
        lead = parent[-1]
        await asyncio.gather(*(one(f"agent-{team + number}", lead) for number in range(1, min(50, count - team))))
    return made


async def beat(client: httpx2.AsyncClient, one: tuple[str, str], state: str = "") -> None:
    body = {"workspace_id": one[0], "runtime_state": state, "sample_error": "it did not answer" if state else ""}
    (
        await client.post("/registry/heartbeat", json=body, headers={"Authorization": f"Bearer {one[1]}"})
    ).raise_for_status()


async def everybody_beats(client: httpx2.AsyncClient, members: list[tuple[str, str]]) -> None:
    for start in range(0, len(members), 50):
        await asyncio.gather(*(beat(client, one) for one in members[start : start + 50]))


async def flip(client: httpx2.AsyncClient, members: list[tuple[str, str]], rate: int, stop: asyncio.Event) -> int:
    """Every flip is an event: wedged, then well again, one after another."""
    done, begun = 0, time.monotonic()
    while not stop.is_set():
        due = int((time.monotonic() - begun) * rate)
        while done < due:
            member = members[(done // 2) % len(members)]
            await beat(client, member, "" if done % 2 else "wedged")
            done += 1
        await asyncio.sleep(0.005)
    return done


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


async def measure(port: int, many: int, few: int, seconds: float, rounds: int) -> None:
    base = f"http://127.0.0.1:{port}"
    own = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    limits = httpx2.Limits(max_connections=50)
    async with (
        httpx2.AsyncClient(
            base_url=base, headers={"Authorization": f"Bearer {ADMIN}"}, limits=limits, timeout=60
        ) as client,
        async_playwright() as playwright,
    ):
        browser = await playwright.chromium.launch(executable_path=own, args=["--no-sandbox"])
        empty = await times_to_interactive(browser, base, rounds)
        print(f"nobody                 interactive after {empty:.2f} s", flush=True)

        members = await seed(client, few)
        await everybody_beats(client, members)
        context, page, took = await opened(browser, base)
        fps = await pan(page, seconds)
        print(
            f"{few:,} workspaces          interactive after {took:.2f} s, {fps:.0f} fps while panned (goal > 50)",
            flush=True,
        )
        await context.close()

        members += await seed(client, many - few)
        await everybody_beats(client, members)
        full = await times_to_interactive(browser, base, rounds)
        print(
            f"{many:,} workspaces       interactive after {full:.2f} s (goal 1.5), {full / empty:.1f} of nobody's",
            flush=True,
        )
        context, page, _ = await opened(browser, base)
        elements = [await page.evaluate(COUNT)]
        await asyncio.sleep(1)
        await page.evaluate("long.length = 0")
        await asyncio.sleep(seconds)
        still = await page.evaluate("long")
        print(f"  nothing arrives      {len(still)} long tasks (goal 0)", flush=True)
        stop = asyncio.Event()
        flipping = asyncio.ensure_future(flip(client, members, 100, stop))
        await asyncio.sleep(1)
        await page.evaluate("long.length = 0")
        frames = await page.evaluate(FRAMES, seconds * 1000)
        busy = await page.evaluate("long")
        elements.append(await page.evaluate(COUNT))
        far = (len(frames) - 1) / (frames[-1] - frames[0]) * 1000
        await page.locator(".team.is-far .team-name").first.click()
        await page.wait_for_selector(".card")
        await asyncio.sleep(0.5)
        elements.append(await page.evaluate(COUNT))
        near = await pan(page, seconds)
        elements.append(await page.evaluate(COUNT))
        await page.keyboard.press("l")
        await page.wait_for_selector(".list tbody tr")
        elements.append(await page.evaluate(COUNT))
        stop.set()
        flips = await flipping
        print(
            f"  100 events a second  {flips} flips; {len(busy)} long tasks in {seconds:.0f} s, the longest "
            f"{max(busy, default=0):.0f} ms; {far:.0f} fps at rest, {near:.0f} fps while panned among cards",
            flush=True,
        )
        print(f"  elements             {max(elements):,} at the most (goal < 3,000)", flush=True)
        await browser.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--many", type=int, default=5000)
    parser.add_argument("--few", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    port = free_port()
    with scratch_postgres() as url:
        environment = {"TRUEBEAT_DATABASE_URL": url, "TRUEBEAT_ADMIN_TOKEN": ADMIN, "TRUEBEAT_LEASE": "3600"}
        with server("truebeat", port, 0, environment):
            asyncio.run(measure(port, given.many, given.few, given.seconds, given.rounds))


if __name__ == "__main__":
    main()
