"""The page never looks surer than it is: dead connections, a server in doubt, clocks, answers that are lost."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from page_stand import Stand, Visitor, until
from playwright.sync_api import expect
from quiet_proxy import QuietProxy

#: what a newer server could say: the page is older than it
UNKNOWN = {
    "symptom": "thermal",
    "witness": "thermometer",
    "status": "throttled",
    "detail": "",
    "since": "2026-11-24T00:00:00Z",
}
LEASE = 4


@pytest.fixture(scope="module")
def hasty(built_page, new_directory):
    """A server that finds silence soon."""
    with Stand(new_directory(), TRUEBEAT_LEASE=str(LEASE), TRUEBEAT_LINK_GRACE="2") as started:
        yield started


@pytest.fixture
def late(browser, stand):
    """Not on the page yet, so that it can be prepared."""
    with Visitor(browser, stand, token="") as visitor:
        assert visitor.context.request.post("/session", data={"token": stand.token}).ok
        yield visitor


def is_stale(page) -> bool:
    return page.locator(".shell.is-stale").count() > 0


def test_a_connection_that_falls_silent_is_not_live_and_an_action_is_not_known_to_be_done(browser, stand):
    with QuietProxy(stand.port) as proxy, stand.beater() as one, stand.beater() as other:
        behind = SimpleNamespace(url=f"http://127.0.0.1:{proxy.port}", token=stand.token, call=stand.call)
        with Visitor(browser, behind, token="") as visitor:
            page = visitor.page
            page.clock.install()
            assert visitor.context.request.post("/session", data={"token": stand.token}).ok
            page.goto(f"/?workspace={other.id}")
            visitor.live()
            expect(visitor.card(one)).to_contain_text("Online")
            assert not is_stale(page)
            proxy.silent = True
            one.wedge("while nobody could hear it")
            page.get_by_role("button", name="Remove", exact=True).click()
            page.get_by_role("button", name="Remove for good").click()
            page.clock.fast_forward(13_000)
            expect(page.locator(".connection")).to_contain_text(re.compile(r"Reconnecting, as of .*\d\d:\d\d"))
            assert is_stale(page)
            expect(page).to_have_title(re.compile("^Not live: "))
            page.clock.fast_forward(16_000)
            expect(page.locator(".actions .problem")).to_contain_text("not known whether it was done")
            expect(visitor.card(one)).to_contain_text("Online")  # what was known last stays, grey
            expect(page.locator(".witnesses .age").first).to_have_text(re.compile(r"^(29|[3-9]\d) s ago|min ago"))
            proxy.silent = False
            page.clock.fast_forward(6000)
            visitor.live()
            expect(visitor.card(one)).to_contain_text("while nobody could hear it")
            expect(page).not_to_have_title(re.compile("Not live"))
            assert not is_stale(page)


def test_what_has_not_come_yet_is_not_counted(late):
    held = []

    def hold(route) -> None:
        held.append(route)

    late.context.route(re.compile("/workspaces[?]limit=1000"), hold)
    late.page.goto("/")
    expect(late.page.locator(".counts")).to_have_text("Loading")
    expect(late.page.locator(".fleet")).to_contain_text("Loading the fleet")
    until(lambda: late.page.wait_for_timeout(20) or held, "nobody asked for the fleet")
    assert is_stale(late.page)
    held[0].continue_()
    late.live()
    expect(late.page.locator(".counts")).to_contain_text("Online")


def test_a_newcomer_whose_first_answer_is_lost_comes_by_itself(visitor, stand):
    refused = []

    def lose(route) -> None:
        if refused.count(route.request.url) < 2:
            refused.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    visitor.context.route(re.compile(r"/workspaces/[0-9a-f-]{36}$"), lose)
    visitor.context.route(re.compile("/workspaces[?]limit=200"), lambda route: route.abort())
    with stand.beater() as one:
        expect(visitor.card(one)).to_contain_text("Online")
        assert refused


def test_a_tab_that_is_hidden_when_a_frame_is_due_goes_on(visitor, stand):
    page = visitor.page
    with stand.beater() as one:
        expect(visitor.card(one)).to_contain_text("Online")
        page.evaluate(
            """() => { let hidden = false;
            Object.defineProperty(document, "hidden", {get: () => hidden});
            window.frames_held = [];
            window.requestAnimationFrame = (draw) => 1e6 + frames_held.push(draw);
            window.hide = () => { hidden = true; document.dispatchEvent(new Event("visibilitychange")); }; }"""
        )
        before = page.evaluate("seen.received.length")
        one.wedge("while it is hidden")
        until(lambda: page.evaluate("seen.received.length") > before, "no event came")
        page.evaluate("hide()")
        expect(visitor.card(one)).to_contain_text("while it is hidden")
        one.recover()
        expect(visitor.card(one)).to_contain_text("Online")


def test_a_newer_servers_words_are_shown_and_a_part_that_fails_takes_no_other_along(visitor, stand):
    page = visitor.page
    with stand.beater() as one:

        def newer(route) -> None:
            route.fulfill(json={**stand.view(one.id), "status": "throttled", "conditions": [UNKNOWN]})

        visitor.context.route(f"**/workspaces/{one.id}", newer)
        visitor.open(one)
        expect(page.locator(".conditions")).to_contain_text("thermal")
        expect(page.locator(".panel .pill").first).to_have_text("Throttled")
        expect(visitor.card(one)).to_contain_text("Throttled")
        expect(page.locator(".counts")).to_contain_text("1 Throttled")
        visitor.context.unroute_all(behavior="ignoreErrors")
        visitor.context.route(
            f"**/workspaces/{one.id}", lambda route: route.fulfill(json={**stand.view(one.id), "evidence": {}})
        )
        failure = page.locator(".panel .failure")
        expect(failure).to_contain_text("The tab Health could not be drawn")
        expect(visitor.card(one)).to_be_visible()
        page.click("#tab-timeline")
        expect(page.locator(".events li").first).to_be_visible()
        page.click("#tab-health")
        visitor.context.unroute_all(behavior="ignoreErrors")
        failure.get_by_role("button", name="Reload").click()
        expect(page.locator(".witnesses")).to_be_visible()


def test_a_fleet_that_can_not_be_drawn_leaves_the_rest(browser, stand):
    broken = {**stand.everybody()[0], "conditions": None}
    with Visitor(browser, stand, fleet=[broken]) as visitor:
        expect(visitor.page.locator(".fleet .failure")).to_contain_text("The fleet could not be drawn")
        expect(visitor.page.get_by_role("button", name="Notices")).to_be_visible()


def test_without_tls_and_with_a_clock_an_hour_off_it_works_and_ages_are_right(late, stand):
    page = late.page
    page.add_init_script("delete Crypto.prototype.randomUUID")
    page.clock.install(time=time.time() + 3600)
    with stand.beater() as one:
        one.beat(error_rate=0.9, sample_error="the first error")
        page.goto(f"/?workspace={one.id}")
        late.live()
        expect(page.locator(".conditions")).to_contain_text("said by self, ")
        assert not re.search(r"\d (min|h)\b", page.locator(".conditions").inner_text())
        one.beat(error_rate=0.9, sample_error="the second error")
        expect(late.card(one)).to_contain_text("the second error")
        expect(page.locator(".panel-why")).to_contain_text("the second error")
        late.open(one, "chat")
        page.locator(".chat > .box textarea").fill("without a secure context")
        page.keyboard.press("Enter")
        expect(page.locator(".turn .said")).to_have_text("without a secure context")
        expect(page.locator(".turn .problem")).to_have_count(0)
        late.open(one, "timeline")
        expect(page.locator(".uptime figcaption")).not_to_contain_text(re.compile(r"last \d+ (min|h)"))


def test_a_server_that_doubts_itself_says_so_to_everybody_until_it_does_not(browser, hasty):
    with ExitStack() as made, Visitor(browser, hasty) as visitor:
        page = visitor.page
        fleet = [made.enter_context(hasty.beater()) for _ in range(9)]
        banner = page.locator(".banner")
        expect(banner.get_by_role("alert")).to_contain_text("doubts itself")
        expect(banner).to_contain_text(re.compile(r"\d of \d+ workspaces fell silent together"))
        assert is_stale(page)
        expect(page).to_have_title(re.compile("^Unsure: "))
        fresh = visitor.context.new_page()
        fresh.goto("/")
        expect(fresh.locator(".banner")).to_contain_text("fell silent together")

        def beat() -> bool:
            for one in fleet:
                one.beat()
            return banner.count() == 0

        until(beat, "it still doubts itself although all are heard")
        until(lambda: beat() and fresh.locator(".banner").count() == 0, "the other tab still says so")
        assert not is_stale(page)
        expect(page).not_to_have_title(re.compile("Unsure"))


def test_silence_says_since_when_and_time_that_nobody_watched_is_no_uptime(browser, hasty):
    with hasty.beater() as one, Visitor(browser, hasty) as visitor:
        expect(visitor.card(one).locator(".card-why")).to_have_text(re.compile(r"^no beat since .*\d\d:\d\d:\d\d"))
        hasty.kill()
        expect(visitor.page.locator(".connection")).to_contain_text("Reconnecting")
        hasty.start()
        one.beat()
        visitor.live()
        visitor.open(one, "timeline")
        expect(visitor.page.locator(".uptime figcaption")).to_contain_text(
            re.compile(r"watched of .*; nobody watched for \d")
        )
        expect(visitor.page.locator(".uptime .bar .is-unwatched")).to_have_count(1)
