"""The server is killed and comes back while the page is open: it says so, and then shows exactly what the API says."""

from __future__ import annotations

import pytest
from page_stand import Stand, Visitor, until
from playwright.sync_api import expect


@pytest.fixture(scope="module")
def own(built_page, new_directory):
    """A server without agents, to be killed."""
    with Stand(new_directory()) as started:
        yield started


def test_an_empty_fleet_names_the_one_command(browser, own, axe):
    with Visitor(browser, own) as visitor:
        expect(visitor.page.locator(".empty code").first).to_contain_text("truebeat run ada")
        expect(visitor.page.locator(".empty")).to_contain_text(f"TRUEBEAT_URL={own.url}")
        visitor.page.evaluate(axe)
        assert visitor.page.evaluate("axe.run()")["violations"] == []
        with own.beater() as one:
            expect(visitor.card(one)).to_contain_text("Online")


def test_after_a_kill_it_says_reconnecting_then_equals_the_api(browser, own):
    with own.beater() as steady, own.beater() as ill, own.beater() as removed, Visitor(browser, own) as visitor:
        page = visitor.page
        ill.wedge("before the kill")
        own.call("POST", f"/workspaces/{ill.id}/notify", {"message": "told before the kill"}, ill.token)
        expect(visitor.card(ill)).to_contain_text("before the kill")
        own.kill()
        expect(page.locator(".connection")).to_contain_text("Reconnecting, as of ")
        expect(visitor.card(steady)).to_be_visible()  # what was known last stays on the screen
        own.start()
        ill.recover()
        ill.wedge("after the kill")
        visitor.live()
        expect(visitor.card(ill)).to_contain_text("after the kill")
        page.get_by_role("button", name="Notices").click()
        expect(page.locator(".notices li.is-unread", has_text="told before the kill")).to_have_count(1)
        page.keyboard.press("Escape")
        own.call("DELETE", f"/workspaces/{removed.id}")
        with own.beater() as new:
            expect(visitor.card(new)).to_contain_text("Online")
            until(
                lambda: {one["name"]: one["status"] for one in own.everybody()} == visitor.shown(),
                "the page differs from the API",
            )
        seqs = page.evaluate("seen.received.map((event) => event.seq)")
        assert seqs == sorted(set(seqs)), "no event came twice, or out of order"
        log = [event["seq"] for event in own.call("GET", "/events")["events"]]
        until(
            lambda: page.evaluate("seen.received.map((event) => event.seq)")[-1] == log[-1], "the last event is missing"
        )
        seqs = page.evaluate("seen.received.map((event) => event.seq)")
        assert seqs == [seq for seq in log if seq >= seqs[0]], "no event was lost"
        assert not page.evaluate("performance.getEntriesByType('navigation').length > 1")
