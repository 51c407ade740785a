"""The timeline: it agrees with the event log, shows failures alone, and is as quick with 10,000 events as with ten."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import expect

BEGUN = datetime.now(UTC) - timedelta(hours=20)
#: of the rows that are mounted: their texts, and whether the window is filled with them
ROWS = """() => {
    const box = document.querySelector(".events");
    const { top, bottom, left } = box.getBoundingClientRect();
    const at = (y) => document.elementFromPoint(left + 20, y)?.closest(".events li");
    return {
        texts: [...box.querySelectorAll(".event-text")].map((one) => one.textContent),
        filled: Boolean(at(top + 5) && at((top + bottom) / 2) && at(bottom - 8)),
        first: at(top + 5)?.textContent ?? "",
        elements: document.querySelectorAll("*").length,
    };
}"""


def test_it_agrees_with_the_event_log_and_shows_failures_alone(visitor, stand):
    with stand.beater() as one:
        for number in range(3):
            one.wedge(f"trouble {number}")
            one.recover()
        visitor.open(one, "timeline")
        log = stand.call("GET", f"/events?workspace_id={one.id}")["events"]
        page = visitor.page
        expect(page.locator(".timeline")).to_contain_text(f"{len(log)} of {len(log)} events")
        words = page.locator(".events li strong").all_inner_texts()
        statuses = [event["type"].removeprefix("WORKSPACE_").lower() for event in log if "WORKSPACE_" in event["type"]]
        assert [word for word in words if " " not in word] == statuses[::-1]
        page.get_by_label("Only what went wrong").check()
        expect(page.locator(".events li").first).to_contain_text("incident opened")
        assert not [word for word in page.locator(".events li strong").all_inner_texts() if word == "online"]
        one.wedge("live trouble")
        expect(page.locator(".events li").filter(has_text="live trouble").first).to_be_visible()
        expect(page.locator(".uptime figcaption")).to_contain_text(re.compile(r"Online \d"))


def written(workspace_id: str, count: int) -> list[dict]:
    """A log of flips, as the server would have it."""
    flips = ("online", "degraded")
    return [
        {
            "seq": seq,
            "at": (BEGUN + timedelta(seconds=7 * seq)).isoformat(),
            "type": f"WORKSPACE_{flips[seq % 2].upper()}",
            "workspace_id": workspace_id,
            "payload": {"status": flips[seq % 2], "name": "n", "conditions": [], "sample_error": f"event {seq}."},
            "cause": "beat",
        }
        for seq in range(1, count + 1)
    ]


def serve(page, log: list[dict]) -> list[int]:
    """Answers the page's questions for the log; the `before` of each."""
    asked: list[int] = []

    def answer(route) -> None:
        query = parse_qs(urlsplit(route.request.url).query)
        if "workspace_id" not in query:
            route.continue_()
            return
        before, limit = int(query["before"][0]), int(query["limit"][0])
        asked.append(before)
        route.fulfill(json={"events": [one for one in log if one["seq"] < before][-limit:], "seq": log[-1]["seq"]})

    page.route(re.compile("/events[?]"), answer)
    return asked


def scroll_to(page, row: int) -> None:
    page.locator(".events").evaluate("(box, top) => { box.scrollTop = top; }", row * 46)


def test_ten_thousand_events_are_all_there_and_few_are_mounted(visitor, stand):
    page = visitor.page
    with stand.beater() as one:
        asked = serve(page, written(one.id, 10_000))
        visitor.open(one, "timeline")
        expect(page.locator(".timeline")).to_contain_text("10000 of 10000 events")
        assert len(asked) == 11, "ten pages, and one that is empty"
        for row in (0, 3, 5_000, 9_999, 4_999, 1):
            scroll_to(page, row)
            expect(page.locator(".events li", has_text=f"event {10_000 - row}.")).to_be_visible()
            seen = page.evaluate(ROWS)
            assert seen["filled"], row
            assert seen["elements"] < 1500
            assert len(seen["texts"]) < 60
        # by keyboard, like everything that scrolls
        page.locator(".events").focus()
        page.keyboard.press("End")
        expect(page.locator(".events li", has_text="event 1.")).to_be_visible()
        page.keyboard.press("Home")
        expect(page.locator(".events li", has_text="event 10000.")).to_be_visible()
        # the bar shows 10,000 flips in a few stretches, and still says how it was
        assert page.locator(".uptime .bar span").count() <= 160
        expect(page.locator(".uptime figcaption")).to_contain_text(re.compile(r"Online 5[0-2]\.\d %"))
        page.get_by_label("Only what went wrong").check()
        expect(page.locator(".timeline")).to_contain_text("5000 of 10000 events")
        scroll_to(page, 4_999)
        expect(page.locator(".events li", has_text="event 1.")).to_be_visible()


def test_who_reads_further_down_is_not_moved_by_what_comes_and_who_reads_the_top_sees_it(visitor, stand):
    page = visitor.page
    with stand.beater() as one:
        for number in range(25):
            one.wedge(f"trouble {number}.")
            one.recover()
        visitor.open(one, "timeline")
        expect(page.locator(".events li").first).to_be_visible()
        one.wedge("at the top")
        expect(page.locator(".events li").filter(has_text="at the top").first).to_be_in_viewport()
        scroll_to(page, 40)
        before = page.evaluate(ROWS)
        assert before["filled"]
        one.recover()
        one.wedge("news")
        count = len(stand.call("GET", f"/events?workspace_id={one.id}&limit=1000")["events"])
        expect(page.locator(".timeline")).to_contain_text(f"{count} of {count} events")
        assert page.evaluate(ROWS)["first"] == before["first"]
        scroll_to(page, 0)
        expect(page.locator(".events li").filter(has_text="news").first).to_be_visible()


def test_more_than_it_reads_is_said(visitor, stand):
    page = visitor.page
    with stand.beater() as one:
        serve(page, written(one.id, 20_500))
        visitor.open(one, "timeline")
        expect(page.locator(".timeline")).to_contain_text("20000 of 20000 events; there are older ones in the log")
        scroll_to(page, 19_999)
        expect(page.locator(".events li", has_text="event 501.")).to_be_visible()


def test_events_that_come_while_it_reads_are_there_once(visitor, stand):
    page = visitor.page
    with stand.beater() as one:
        one.wedge("before")
        held = []

        def hold(route) -> None:
            held.append(route)

        page.route(re.compile("/events[?].*workspace_id"), hold)
        visitor.open(one, "timeline")
        one.recover()
        one.wedge("meanwhile")
        expect(visitor.card(one)).to_contain_text("meanwhile")
        for route in held:
            route.continue_()
        log = stand.call("GET", f"/events?workspace_id={one.id}")["events"]
        expect(page.locator(".timeline")).to_contain_text(f"{len(log)} of {len(log)} events")
        expect(page.locator(".events li", has_text="meanwhile").locator("strong")).to_have_text(
            ["incident opened", "degraded"]
        )
