"""What people are told: counted, live in every tab and browser, kept by the server, and text whatever it says."""

from __future__ import annotations

import contextlib
import re

import pytest
from page_stand import until
from playwright.sync_api import expect

MARKUP = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script><b>bold</b> \u202egnp.exe {{7*7}}'


def tell(one, message: str = "look here", **fields) -> dict:
    return one.stand.call("POST", f"/workspaces/{one.id}/notify", {"message": message, **fields}, one.token)


@pytest.fixture(autouse=True)
def nothing_unread(stand):
    """Whatever other tests told, and what the work that they left is still to tell."""
    with contextlib.suppress(AssertionError):  # what is left for ever tells nothing either
        until(lambda: not stand.call("GET", "/delegations")["delegations"], "work of other tests goes on", 10)
    stand.read_all()


def forgets(page) -> None:
    """Trouble of before is read, by this browser."""
    button = opened(page).get_by_role("button", name="Mark all read")
    if button.is_enabled():
        button.click()
    expect(page).to_have_title("truebeat")
    page.get_by_role("button", name="Notices").click()
    expect(page.locator(".notices")).to_have_count(0)


def opened(page):
    page.get_by_role("button", name="Notices").click()
    return page.locator(".notices")


def test_what_an_agent_tells_is_counted_and_read_everywhere(visit, stand):
    with stand.beater("herald") as one, visit() as eve, visit() as mallory:
        tab = eve.context.new_page()
        tab.goto("/")
        everywhere = [eve.page, tab, mallory.page]
        eve.live(tab)
        for page in (eve.page, mallory.page):
            forgets(page)
        expect(tab).to_have_title("truebeat")
        tell(one, "the report is ready", type="report")
        tell(one, "and so is the other", link=f"/workspaces/{one.id}")
        for page in everywhere:
            expect(page).to_have_title("(2) truebeat")
        eve.page.reload()
        expect(eve.page).to_have_title("(2) truebeat")
        notices = opened(eve.page)
        first = notices.locator("li", has_text="the report is ready")
        expect(first).to_have_class(re.compile("is-unread"))
        expect(first).to_contain_text("herald report")
        first.locator(".notice").click()
        expect(eve.page.locator("#panel-title")).to_have_text("herald")
        expect(eve.page.locator(".notices")).to_have_count(0)
        for page in everywhere:
            expect(page).to_have_title("(1) truebeat")
        # one that was opened before it was read elsewhere follows
        seen = opened(mallory.page)
        expect(seen.locator("li.is-unread")).to_have_count(1)
        opened(tab).get_by_role("button", name="Mark read").click()
        expect(seen.locator("li.is-unread")).to_have_count(0)
        for page in everywhere:
            expect(page).to_have_title("truebeat")
        assert stand.call("GET", "/notifications")["unread"] == 0


def test_all_are_read_with_one_click_and_what_comes_later_is_not(visitor, stand):
    page = visitor.page
    with stand.beater("crier") as one:
        one.wedge("trouble is a notice too")
        for number in range(3):
            tell(one, f"message {number}")
        expect(page).to_have_title("(4) truebeat")
        notices = opened(page)
        expect(notices.locator("li.is-unread")).to_have_count(4)
        notices.get_by_role("button", name="Mark all read").click()
        expect(notices.locator("li.is-unread")).to_have_count(0)
        expect(page).to_have_title("truebeat")
        until(lambda: stand.call("GET", "/notifications")["unread"] == 0, "the server does not know")
        expect(notices.get_by_role("button", name="Mark all read")).to_be_disabled()
        tell(one, "news")
        expect(notices.locator("li.is-unread")).to_contain_text("news")
        page.reload()
        expect(page).to_have_title("(1) truebeat")
        expect(opened(page).locator("li.is-unread")).to_contain_text("news")
        page.locator("#panel-title, #fleet").first.click(position={"x": 5, "y": 5})
        expect(page.locator(".notices")).to_have_count(0)


def test_whatever_an_agent_writes_is_text_and_opens_nothing_but_the_web(visitor, stand):
    page = visitor.page
    with stand.beater(MARKUP[:60]) as one:
        tell(one, MARKUP + " long" * 1000, type=MARKUP[:90], link="javascript:window.hacked=1")
        tell(one, "a link", link="https://example.com/?q=<b>")
        tell(one, "a path", link="/../../etc/passwd")
        notices = opened(page)
        expect(notices.locator("li.is-unread")).to_have_count(3)
        expect(notices).to_contain_text(MARKUP)
        expect(notices.locator("li", has_text="a link").locator("strong")).to_have_text(MARKUP[:60])
        links = notices.locator("a")
        expect(links).to_have_count(1)
        expect(links).to_have_attribute("href", "https://example.com/?q=%3Cb%3E")
        expect(links).to_have_attribute("rel", "noopener noreferrer nofollow")
        assert page.evaluate("window.hacked") is None
        assert notices.locator("b, img, script").count() == 0
        wide = page.evaluate(
            "[...document.querySelectorAll('.notices *')].filter((one) => "
            "one.getBoundingClientRect().right > innerWidth + 1).length"
        )
        assert wide == 0
        notices.locator("li", has_text="a path").locator(".notice").click()
        assert page.url.startswith(f"{stand.url}/?workspace={one.id}")


def test_the_end_of_a_delegation_is_told_and_leads_to_its_task(visitor, stand):
    page = visitor.page
    with stand.beater("asker") as one:
        made = stand.call("POST", f"/workspaces/{one.id}/delegations", {"target": "grace", "text": "hello grace"})
        entry = opened(page).locator("li", has_text="grace has ended what asker had asked: completed")
        expect(entry).to_contain_text("delegation ended")
        entry.locator(".notice").click()
        assert f"detail={made['delegation_id']}" in page.url
        expect(page.locator(".panel")).to_contain_text("hello grace")


def test_older_ones_are_shown_on_demand(visitor, stand):
    page = visitor.page
    with stand.beater("archivist") as one:
        for number in range(55):
            tell(one, f"entry {number}.")
        mine = opened(page).locator("li", has_text="archivist").filter(has_text="entry")
        expect(mine).to_have_count(50)
        page.get_by_role("button", name="Show older").click()
        expect(mine).to_have_count(55)
        tell(one, "entry 55.")
        expect(mine).to_have_count(56)
        expect(mine.first).to_contain_text("entry 55.")


def test_a_viewer_is_told_of_trouble_and_of_nothing_that_agents_say(visit, stand):
    with stand.beater("confidant") as one, visit(token=stand.issue("viewer")) as visitor:
        asked = []
        visitor.page.on("request", lambda request: asked.append(request.url))
        tell(one, "a secret of mine")
        one.wedge("another secret")
        expect(visitor.page).to_have_title("(1) truebeat")
        notices = opened(visitor.page)
        expect(notices.locator("li")).to_contain_text(["confidant degraded"])
        notices.get_by_role("button", name="Mark all read").click()
        expect(visitor.page).to_have_title("truebeat")
        assert "secret" not in visitor.page.content()
        assert not [url for url in asked if "/notifications" in url]


def test_what_can_not_be_marked_read_stays_unread_and_says_why(visitor, stand):
    page = visitor.page
    with stand.beater("stubborn") as one:
        tell(one)
        notices = opened(page)
        expect(notices.locator("li.is-unread")).to_have_count(1)
        page.route("**/notifications/*/read", lambda route: route.abort())
        notices.get_by_role("button", name="Mark read").click()
        expect(notices.get_by_role("alert")).to_contain_text("the server does not answer")
        expect(notices.locator("li.is-unread")).to_have_count(1)
        page.unroute("**/notifications/*/read")
        notices.get_by_role("button", name="Mark read").click()
        expect(notices.locator("li.is-unread")).to_have_count(0)
        expect(notices.get_by_role("alert")).to_have_count(0)
