"""For everybody: by keyboard alone, for screen readers, without colours, in forced colours, on a phone, at 200 %."""

from __future__ import annotations

import itertools
import re

import pytest
from page_stand import until
from playwright.sync_api import expect

TABS = ("health", "chat", "timeline", "incidents", "tasks")
#: nothing may be wider than the window
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def patient(stand):
    """One with everything to show: degraded, with an incident, notices, and a failed and a waiting task."""
    with stand.beater("patient-zero", role="subject") as one:
        one.wedge("the runtime did not answer")
        one.recover()
        stand.call("POST", f"/workspaces/{one.id}/tasks", {"text": "wait here", "context_id": "c"})
        one.wedge("the runtime did not answer again")
        yield one


@pytest.fixture
def ill(patient):
    """It, heard just now."""
    patient.wedge("the runtime did not answer again")
    return patient


class Checks:
    """What axe finds on each screen: every rule in light, and whether colours can be read in dark."""

    def __init__(self, page, axe: str) -> None:
        self.page, self.axe = page, axe
        self.found: dict[str, list[str]] = {}

    def __call__(self, screen: str) -> None:
        self.page.evaluate(self.axe)
        for scheme, rules in (("light", ""), ("dark", ", runOnly: ['color-contrast']")):
            self.page.emulate_media(color_scheme=scheme)
            ran = self.page.evaluate(f"axe.run(document, {{resultTypes: ['violations']{rules}}})")
            found = [
                f"{one['id']}: {node['html'][:150]} {node['failureSummary']}"
                for one in ran["violations"]
                for node in one["nodes"]
            ]
            if found:
                self.found[f"{screen}, {scheme}"] = found


def test_axe_finds_nothing_in_light_and_dark(visitor, stand, axe, ill):
    page = visitor.page
    check = Checks(page, axe)
    check("graph")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    check("help")
    page.keyboard.press("Escape")
    for tab in TABS:
        visitor.open(ill, tab)
        if tab == "chat":
            page.locator(".chat > .box textarea").fill("hello")
            page.keyboard.press("Enter")
            expect(page.locator(".turn .waiting")).to_be_visible()
        elif tab in {"incidents", "tasks"}:
            expect(page.locator(".rows button").first).to_be_visible()
            check(f"{tab}, all")
            page.locator(".rows button").first.click()
            expect(page.locator(".panel-body h3").first).to_be_visible()
        check(tab)
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("button", name="Notices").click()
    expect(page.locator(".notices li").first).to_be_visible()
    check("asking, notices")
    page.goto("/?view=list")
    expect(page.locator(".list tbody tr").first).to_be_visible()
    check("list")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    check("login")
    assert check.found == {}


def press(page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def focused(page) -> str:
    """A card as "name,", anything else by its label or text."""
    return page.evaluate(
        """() => { const one = document.activeElement; const name = one?.querySelector(".card-name")?.textContent;
            return name ? `${name},` : one?.getAttribute("aria-label") || one?.textContent || ""; }"""
    )


def tab_to(page, wanted: str, limit: int = 60) -> None:
    """Press Tab until what has the focus says this."""
    passed = []
    for _ in range(limit):
        page.keyboard.press("Tab")
        passed.append(focused(page))
        if re.match(wanted, passed[-1]):
            return
    pytest.fail(f"Tab does not lead to {wanted}; it led to {passed}")


def test_everything_by_keyboard_alone(visitor, stand):
    page = visitor.page
    linus = stand.id_of("linus")
    with stand.beater("kay") as kay, stand.beater("kim", parent_id=None) as _kim:
        expect(visitor.card(kay)).to_be_visible()
        # skip link, counts, search, ... then exactly one card
        page.keyboard.press("Tab")
        assert focused(page) == "Skip to the fleet"
        press(page, "Enter", "Tab")
        start = focused(page)
        assert start.endswith(",")
        # the arrows reach every card
        names = {one["name"] for one in stand.everybody()}
        seen = {start.split(",")[0]}
        for key in itertools.chain.from_iterable(
            [["ArrowRight"] * 5, ["ArrowDown"] * 3, ["ArrowLeft"] * 5, ["ArrowUp"] * 3] * 4
        ):
            page.keyboard.press(key)
            seen.add(focused(page).split(",")[0])
        assert names <= seen, names - seen
        # search, then a notice, then help
        press(page, "/")
        page.keyboard.type("linus")
        assert "q=linus" in page.url
        press(page, "Escape")
        assert "q=" not in page.url
        press(page, "?")
        expect(page.get_by_role("dialog")).to_be_visible()
        press(page, "Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        kay.wedge("for the notices")
        expect(page).to_have_title(re.compile(r"\(\d+\)"))
        press(page, "n")
        tab_to(page, "(Unread: )?kay")
        press(page, "Enter")
        expect(page.locator("#panel-title")).to_have_text("kay")
        # Escape returns to the card of that panel
        press(page, "Escape")
        until(lambda: focused(page).startswith("kay,"), "the focus did not return to the card")
        # open by Enter; tabs by arrows; a chat
        press(page, "Enter")
        expect(page.locator("#panel-title")).to_be_focused()
        tab_to(page, "Health|Incidents")
        passed = {focused(page)}
        while focused(page) != "Chat" or len(passed) < len(TABS):
            press(page, "ArrowRight")
            assert focused(page).lower() in TABS
            passed.add(focused(page))
        tab_to(page, "Message to kay")
        page.keyboard.type("hello")
        press(page, "Enter")
        expect(page.locator(".turn .waiting")).to_be_visible()
        page.keyboard.press("Shift+Tab")
        until(lambda: focused(page) == "Stop", "Stop is not before the box")
        press(page, "Enter")
        expect(page.locator(".turn .state")).to_have_text("stopped")
        # the list: arrows, Enter, Escape back to the row
        press(page, "Escape", "l")
        expect(page.locator(".list")).to_be_visible()
        tab_to(page, "kay")
        press(page, "ArrowDown", "ArrowUp", "Enter")
        expect(page.locator("#panel-title")).to_have_text("kay")
        press(page, "Escape")
        expect(page.locator(f"#row-{kay.id}")).to_be_focused()
        # restart and remove, with their questions
        tab_to(page, "linus")
        press(page, "Enter")
        before = stand.view(linus)["generation"]
        tab_to(page, "Restart")
        press(page, "Enter")
        tab_to(page, "Restart now")
        press(page, "Enter")
        until(lambda: stand.view(linus)["generation"] > before, "it was not restarted")
        press(page, "Escape")
        expect(page.locator(f"#row-{linus}")).to_be_focused()
        page.keyboard.press("Shift+Tab")
        tab_to(page, "kay")
        press(page, "Enter")
        tab_to(page, "Remove")
        press(page, "Enter")
        tab_to(page, "Remove for good")
        press(page, "Enter")
        until(lambda: stand.view(kay.id)["status"] == "removed", "it was not removed")
        press(page, "Escape")
        tab_to(page, "Log out")
        press(page, "Enter")
        expect(page.get_by_label("Token")).to_be_visible()


@pytest.mark.parametrize(("width", "height"), [(360, 740), (640, 400)])  # a phone; 1280 by 800 at 200 %
def test_narrow_windows_show_and_reach_everything(visit, stand, ill, width, height):
    with visit(viewport={"width": width, "height": height}) as visitor:
        page = visitor.page
        assert page.evaluate(OVERFLOW) <= 0
        expect(page.locator(f"#row-{ill.id}")).to_be_visible()
        for name in ("Graph", "Notices", "Help", "Log out"):
            expect(page.get_by_role("button", name=name)).to_be_in_viewport(ratio=1)
        expect(page.locator("#search")).to_be_in_viewport(ratio=1)
        page.get_by_role("button", name="Notices").click()
        expect(page.locator(".notices")).to_be_in_viewport(ratio=0.5)
        assert page.evaluate("document.querySelector('.notices').getBoundingClientRect().left") >= 0
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Graph").click()
        expect(page.get_by_text("patient-zero").first).to_be_visible()
        assert page.evaluate(OVERFLOW) <= 0
        page.get_by_role("button", name="List").click()
        page.locator(f"#row-{ill.id}").click()
        for tab in TABS:
            page.click(f"#tab-{tab}")
            assert page.evaluate(OVERFLOW) <= 0, tab
            wide = page.evaluate(
                "[...document.querySelectorAll('.panel, .panel *')].filter((one) => "
                "one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('pre, .events')).length"
            )
            assert wide == 0, tab
        page.click("#tab-chat")
        page.locator(".chat > .box textarea").scroll_into_view_if_needed()
        expect(page.locator(".chat > .box textarea")).to_be_in_viewport(ratio=0.95)
        page.get_by_role("button", name="Close").click()
        expect(page.locator(f"#row-{ill.id}")).to_be_focused()


def test_reduced_motion_stops_all_animation(visit, stand):
    with visit(reduced_motion="reduce") as visitor:
        moving = visitor.page.evaluate(
            "[...document.querySelectorAll('*')].filter((one) => getComputedStyle(one).animationName !== 'none').length"
        )
        assert moving == 0
