"""Work that agents give each other: edges of the graph while it lasts, their words, whatever is reloaded or dies."""

from __future__ import annotations

import itertools
import json
import re
from contextlib import ExitStack

import pytest
from page_stand import Stand, Visitor, until
from playwright.sync_api import expect

MARKUP = '<img src=x onerror="window.hacked=1"><b>bold</b><script>window.hacked=1</script>'
PLACES = "[...document.querySelectorAll('.react-flow__node')].map((one) => [one.dataset.id, one.style.transform])"


@pytest.fixture(scope="module")
def crew(built_page, new_directory):
    """A server whose agents give each other work."""
    with Stand(new_directory(), asking=("ada", "bob")) as started:
        yield started


@pytest.fixture
def page(browser, crew):
    with Visitor(browser, crew) as made:
        yield made.page


def edge(page, source: str, target: str):
    return page.locator(f'.react-flow__edge[data-id="{source}>{target}"] .exchange')


def test_an_edge_shows_who_works_for_whom_until_it_is_done_and_moves_nobody(page, crew):
    ada, bob, gate = crew.id_of("ada"), crew.id_of("bob"), crew.place / "gate-edge"
    expect(page.locator(f"#card-{ada}")).to_be_visible()
    places = page.evaluate(PLACES)
    task = crew.send(ada, f"ask bob hold {gate} all counted")
    exchange = edge(page, ada, bob)
    expect(exchange).to_have_class(re.compile("is-working"))
    assert page.evaluate(PLACES) == places
    # in words: pointed at, with the focus on either card, and for those who hear the card
    words = page.locator(".exchange-words")
    expect(words).to_have_count(0)
    page.locator(f"#card-{ada}").hover()
    expect(words).to_have_text("ada asked bob: bob works on it")
    page.mouse.move(2, 2)
    expect(words).to_have_count(0)
    page.locator(f"#card-{bob}").focus()
    expect(words).to_have_text("ada asked bob: bob works on it")
    for card in (ada, bob):
        expect(page.locator(f"#card-{card}")).to_have_accessible_description("ada asked bob: bob works on it.")
    # as the API says, also to one who comes only now, however long ago the events were
    page.route("**/events?*", lambda route: route.abort())
    page.reload()
    expect(exchange).to_have_class(re.compile("is-working"))
    assert page.evaluate(PLACES) == places
    gate.touch()
    expect(exchange).to_have_class(re.compile("is-ended"))
    until(lambda: crew.call("GET", f"/tasks/{task}")["state"] == "completed", "ada did not end")
    page.locator(f"#card-{bob}").focus()
    expect(words).to_have_text("ada asked bob: completed")
    expect(page.locator(f"#card-{bob}")).to_have_accessible_description("")
    # a click shows what it was
    exchange.locator("path").last.dispatch_event("click")
    expect(page.locator("#panel-title")).to_have_text("bob")
    expect(page.get_by_role("region", name="Task", exact=True)).to_contain_text("all counted")


def test_edges_survive_a_killed_server_and_tell_what_became_of_them(browser, new_directory):
    with Stand(new_directory()) as own, own.beater("kay") as kay, own.beater("mia") as mia:
        delegation = own.delegate(kay.id, mia.id)
        with Visitor(browser, own) as visitor:
            exchange = edge(visitor.page, kay.id, mia.id)
            expect(exchange).to_have_class(re.compile("is-waiting"))
            visitor.card(kay).hover()
            expect(visitor.page.locator(".exchange-words")).to_have_text("kay asked mia: waits in mia's mailbox")
            own.kill()
            expect(visitor.page.locator(".connection")).to_contain_text("Reconnecting")
            expect(exchange).to_have_class(re.compile("is-waiting"))
            own.start()
            visitor.live()
            second = own.delegate(kay.id, mia.id)
            expect(visitor.page.locator(".exchange-words")).to_have_text("kay asked mia for 2 things: 2 waiting")
            visitor.page.reload()
            visitor.live()
            expect(exchange).to_have_class(re.compile("is-waiting"))
            own.call("POST", f"/tasks/{delegation}/cancel")
            visitor.page.mouse.move(2, 2)
            visitor.card(mia).hover()
            words = visitor.page.locator(".exchange-words")
            expect(words).to_have_text("kay asked mia for 2 things: 1 waiting, 1 canceled")
            own.call("POST", f"/tasks/{second}/cancel")
            expect(exchange).to_have_class(re.compile("is-ended"))


def test_each_state_looks_different_without_colours_and_stands_still_on_request(browser, crew):
    with (
        Visitor(browser, crew, reduced_motion="reduce", forced_colors="active") as visitor,
        crew.beater("idle") as idle,
    ):
        page, bob, gate = visitor.page, crew.id_of("bob"), crew.place / "gate-looks"
        crew.delegate(idle.id, bob, f"hold {gate} x")
        expect(edge(page, idle.id, bob)).to_have_class(re.compile("is-working"))
        ada = crew.id_of("ada")
        asking = crew.delegate(idle.id, ada, "which")
        expect(edge(page, idle.id, ada)).to_have_class(re.compile("is-asks"))
        with crew.beater("mailbox") as mailbox:
            crew.delegate(idle.id, mailbox.id)
            expect(edge(page, idle.id, mailbox.id)).to_have_class(re.compile("is-waiting"))
            paint = "(path) => { const {strokeDasharray, animationName} = getComputedStyle(path); "
            paint += "return [strokeDasharray, animationName]; }"
            looks = [
                edge(page, idle.id, target).locator(".react-flow__edge-path").evaluate(paint)
                for target in (bob, ada, mailbox.id)
            ]
        assert len({dashes for dashes, _ in looks}) == 3
        assert {motion for _, motion in looks} == {"none"}
        gate.touch()
        crew.call("POST", f"/tasks/{asking}/cancel")


def test_more_edges_than_can_be_seen_are_counted_near_and_far(page, crew):
    with ExitStack() as made:
        ids = [made.enter_context(crew.beater()).id for _ in range(13)]
        for one, other in itertools.permutations(ids, 2):
            crew.delegate(one, other)
        expect(page.locator(".exchange")).to_have_count(150)
        # what an earlier test began may still be there
        expect(page.locator(".edges-left")).to_have_text(re.compile(r"and ([6-9]|1\d) more exchanges"))
        tile = page.locator(".team.is-far .team-exchanges")
        for _ in range(30):
            if tile.count():
                break
            page.get_by_role("button", name="Zoom Out").click()
            page.evaluate("new Promise(requestAnimationFrame)")
        expect(tile).to_have_text("156 delegations open")
        expect(page.locator(".exchange, .edges-left")).to_have_count(0)


def test_names_with_markup_are_text_on_edges(page, crew):
    with crew.beater(MARKUP[:70]) as one, crew.beater("evil & <i>") as other:
        crew.delegate(one.id, other.id, MARKUP)
        expect(edge(page, one.id, other.id)).to_have_class(re.compile("is-waiting"))
        page.locator(f"#card-{one.id}").hover()
        expect(page.locator(".exchange-words")).to_have_text(
            f"{one.name} asked {other.name}: waits in {other.name}'s mailbox"
        )
        assert page.evaluate("window.hacked") is None
        assert page.locator("#root b, #root i, #root img, #root script").count() == 0


def test_what_is_not_a_delegation_at_all_breaks_nothing(page, crew):
    """The page is given answers that no server should give."""
    page.route(
        "**/delegations",
        lambda route: route.fulfill(
            body=json.dumps(
                {
                    "delegations": [
                        {
                            "delegation_id": "d",
                            "source_id": "nobody",
                            "target_id": "nobody-else",
                            "state": "submitted",
                            "created_at": "not a time",
                        }
                    ],
                    "seq": 0,
                    "left_out": 7,
                }
            )
        ),
    )
    page.reload()
    expect(page.locator(".connection")).to_have_text("Live")
    expect(page.locator(".exchange[data-task=d]")).to_have_count(0)
    expect(page.locator(".card").first).to_be_visible()
