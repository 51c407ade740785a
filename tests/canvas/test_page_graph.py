"""The graph: five workspaces can be read at once, of thousands nothing is hidden, and each status has its own look."""

from __future__ import annotations

import itertools
import re
from uuid import uuid4

import pytest
from playwright.sync_api import expect

SHOWN = ("online", "degraded", "provisioning", "offline", "failed")
#: of each card: how large its name is on the screen, in pixels
SIZES = """() => [...document.querySelectorAll(".card-name")].map((name) => {
    const scale = name.getBoundingClientRect().height / name.offsetHeight;
    return parseFloat(getComputedStyle(name).fontSize) * scale;
})"""
_numbers = itertools.count(1)


@pytest.fixture
def workspaces(stand):
    """Makes views of workspaces that no server has; the page can't tell."""
    template = stand.view(stand.id_of("linus"))

    def made(count, *, team=0, **more):
        found, lead = [], None
        for number in range(count):
            lead = None if team and number % team == 0 else lead
            one = {
                **template,
                "id": str(uuid4()),
                "name": f"agent-{next(_numbers)}",
                "role": "worker",
                "conditions": [],
            }
            found.append({**one, "status": "online", "current_task": "", "parent_id": lead if team else None, **more})
            lead = lead or one["id"]
        return found

    return made


def ill(workspace: dict, status: str = "degraded", why: str = "it hangs in its initialize") -> dict:
    condition = {
        "symptom": "wedged",
        "witness": "self",
        "status": status,
        "detail": why,
        "since": workspace["created_at"],
    }
    workspace |= {"status": status, "conditions": [condition]}
    return workspace


def test_five_are_all_seen_and_can_be_read_without_zooming(visit, workspaces):
    five = workspaces(5)
    ill(five[2])
    with visit(fleet=five) as visitor:
        for one in five:
            card = visitor.card(one["id"])
            expect(card).to_be_in_viewport(ratio=0.99)
            for part in (".card-name", ".pill"):
                expect(card.locator(part)).to_be_visible()
        expect(visitor.card(five[2]["id"]).locator(".card-why")).to_have_text("it hangs in its initialize")
        assert min(visitor.page.evaluate(SIZES)) >= 12


def test_of_thousands_nothing_is_hidden_without_a_count_and_no_trouble_at_all(visit, workspaces):
    many = workspaces(2000, team=50)
    troubled = [ill(many[number]) for number in (7, 60, 61, 62, 63, 64, 1999)]
    troubled.append(ill(many[1000], "failed", "given up"))
    with visit(fleet=many) as visitor:
        page = visitor.page
        expect(page.locator(".team.is-far")).to_have_count(40)
        counted: dict[str, int] = {}
        for text in page.locator(".team.is-far .team-counts > span").all_inner_texts():
            number, _, word = text.strip().partition(" ")
            counted[word] = counted.get(word, 0) + int(number)
        assert counted == {"Online": 1992, "Degraded": 7, "Failed": 1}
        for word, number in counted.items():
            expect(page.locator(".counts")).to_contain_text(f"{number} {word}")
        # trouble stands there by name; five of one team are three names and a number
        named = page.locator("button.team-troubled").all_inner_texts()
        assert {one["name"] for one in troubled if one not in many[60:65]} <= {name.strip() for name in named}
        expect(page.locator(".team.is-far", has_text="5 Degraded")).to_contain_text("and 2 more")
        expect(page.locator(".team.is-far.is-trouble")).to_have_count(4)
        assert page.locator("*").count() < 3000
        page.locator("button.team-troubled", has_text=many[1999]["name"]).click()
        expect(page.locator("#panel-title")).to_have_text(many[1999]["name"])
        page.keyboard.press("Escape")
        # near, the cards of what is in the window; the list, with its number, trouble first
        page.get_by_role("button", name=f"Show team {many[0]['name']}", exact=True).click()
        expect(page.locator(f"#card-{many[7]['id']} .card-why")).to_have_text("it hangs in its initialize")
        assert page.locator("*").count() < 3000
        page.keyboard.press("l")
        expect(page.locator(".list caption")).to_have_text("2000 of 2000 workspaces, trouble first")
        expect(page.locator(".list tbody tr:not(.filler)").first).to_contain_text("given up")
        assert page.locator("*").count() < 3000
        page.fill("#search", "status:trouble")
        expect(page.locator(".list caption")).to_contain_text("8 of 2000")
        page.get_by_role("button", name="Graph").click()
        expect(page.locator(".team.is-far.is-filtered-out")).to_have_count(36)


@pytest.mark.parametrize(
    ("vision", "forced"), [("achromatopsia", "none"), ("deuteranopia", "none"), ("none", "active")]
)
def test_each_status_has_its_glyph_and_word_whatever_becomes_of_colours(visit, workspaces, vision, forced):
    all_of_them = workspaces(len(SHOWN))
    for one, status in zip(all_of_them, SHOWN, strict=True):
        if status != "online":
            ill(one, status)
    with visit(fleet=all_of_them, forced_colors=forced) as visitor:
        page = visitor.page
        session = visitor.context.new_cdp_session(page)
        session.send("Emulation.setEmulatedVisionDeficiency", {"type": vision})
        looks = {}
        for one, status in zip(all_of_them, SHOWN, strict=True):
            card = visitor.card(one["id"])
            expect(card.locator(".pill")).to_have_text(status.title())
            expect(card.locator(".pill .glyph")).to_be_visible()
            path = card.locator(".pill .glyph path")
            looks[status] = path.get_attribute("d"), path.get_attribute("stroke-dasharray")
            paint = card.locator(".pill .glyph").evaluate("(glyph) => getComputedStyle(glyph).color")
            ground = card.evaluate("(card) => getComputedStyle(card).backgroundColor")
            assert paint != ground
            expect(page.locator(".counts")).to_contain_text(f"1 {status.title()}")
        assert len(set(looks.values())) == len(SHOWN)
        page.keyboard.press("?")
        expect(page.get_by_role("dialog").locator(".pill")).to_have_text(
            ["Online", "Provisioning", "Degraded", "Offline", "Failed", "Removed"]
        )


def test_light_and_dark_follow_the_system(visit, workspaces):
    one = workspaces(1)
    with visit(fleet=one, color_scheme="light") as visitor:
        ground = "getComputedStyle(document.body).backgroundColor"
        light = visitor.page.evaluate(ground)
        visitor.page.emulate_media(color_scheme="dark")
        dark = visitor.page.evaluate(ground)
        bright = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (light, dark)]
        assert bright[0] > 600
        assert bright[1] < 150
