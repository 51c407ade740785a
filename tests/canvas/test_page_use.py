"""What people do with the page all day: typing, leaving and coming back, asking and not doing, by keyboard or not."""

from __future__ import annotations

import re

from page_stand import until
from playwright.sync_api import expect


def focused(page) -> str:
    return page.evaluate("document.activeElement?.id || document.activeElement?.tagName")


def test_what_is_typed_outlives_tabs_panels_and_a_lost_connection(visitor, stand):
    page, linus = visitor.page, stand.id_of("linus")
    with stand.beater() as one:
        visitor.open(one, "chat")
        box = page.get_by_label(f"Message to {one.name}")
        box.fill("half a thought")
        page.locator("#tab-health").click()
        page.locator("#tab-chat").click()
        expect(box).to_have_value("half a thought")
        box.focus()
        page.keyboard.press("Escape")
        expect(box).not_to_be_focused()
        expect(page.locator(".panel")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator(".panel")).to_have_count(0)
        assert focused(page) == f"card-{one.id}"
        visitor.open(one, "chat")
        expect(box).to_have_value("half a thought")

    visitor.open(linus, "chat")
    page.get_by_role("button", name="New conversation").or_(page.get_by_text("Nothing said yet.")).first.click()
    page.get_by_label("Message to linus").fill("ask me")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Message to linus")).to_have_value("")
    answer = page.get_by_label("Answer to linus")
    answer.fill("the blue one")
    visitor.context.set_offline(True)
    answer.press("Enter")
    expect(page.locator(".chat > .problem")).to_contain_text("Sending it again does no harm")
    expect(answer).to_have_value("the blue one")
    visitor.context.set_offline(False)
    visitor.live()
    answer.press("Enter")
    expect(page.locator(".turn").last).to_have_class(re.compile("is-completed"))
    expect(page.locator(".turn").last).to_contain_text("the blue one")


def test_who_reads_further_up_is_left_there_while_an_answer_streams(visit, stand):
    with visit(viewport={"width": 1000, "height": 420}) as visitor:
        page = visitor.page
        visitor.open(stand.id_of("linus"), "chat")
        box = page.get_by_label("Message to linus")
        answer = page.locator(".turn .answer").last
        box.fill("slow 120")
        page.keyboard.press("Enter")
        expect(answer).to_contain_text("word20 ")
        body = page.locator(".panel-body")
        until(lambda: body.evaluate("(it) => it.scrollTop") > 150, "it does not follow what is said")
        body.evaluate("(it) => { it.scrollTop = 0; }")
        page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        seen = int(re.findall(r"word(\d+)", answer.inner_text())[-1])
        expect(answer).to_contain_text(f"word{min(seen + 15, 119)} ")
        assert body.evaluate("(it) => it.scrollTop") == 0
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="Stop")).to_have_count(0)


def test_esc_closes_the_question_alone_and_the_focus_goes_back(visitor, stand):
    page = visitor.page
    with stand.beater(role="subject") as one:
        visitor.open(one)
        for close in ("Escape", "Cancel"):
            page.get_by_role("button", name="Remove", exact=True).click()
            question = page.get_by_role("group", name="Confirm: remove")
            expect(question).to_contain_text(f"Remove {one.name} ({one.id[:8]}) for good?")
            if close == "Escape":
                page.locator(".panel-body").click()
                page.keyboard.press("Escape")
            else:
                page.get_by_role("button", name="Cancel").click()
                expect(page.get_by_role("button", name="Remove", exact=True)).to_be_focused()
            expect(question).to_have_count(0)
            expect(page.locator(".panel")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator(".panel")).to_have_count(0)
        expect(visitor.card(one)).to_be_focused()

        page.keyboard.press("?")
        expect(page.locator("dialog.help")).to_be_visible()
        page.get_by_role("button", name="Close").click()
        expect(visitor.card(one)).to_be_focused()
        page.keyboard.press("/")
        page.keyboard.type("x")
        page.keyboard.press("Escape")
        expect(visitor.card(one)).to_be_focused()
        page.keyboard.press("l")
        expect(page.locator(f"#row-{one.id}")).to_be_focused()
        page.keyboard.press("l")
        expect(visitor.card(one)).to_be_focused()

        page.keyboard.press("/")
        page.keyboard.type(one.name)
        page.keyboard.press("Enter")
        expect(page.locator("#panel-title")).to_have_text(one.name)


def test_a_card_whose_panel_is_open_keeps_the_colour_of_its_status(visitor, stand):
    page = visitor.page
    with stand.beater() as one:
        one.wedge()
        card = visitor.card(one)
        expect(card).to_contain_text("Degraded")
        colours = (
            "(it) => { const s = getComputedStyle(it); return [s.borderLeftColor, s.borderTopColor, s.boxShadow]; }"
        )
        before = card.evaluate(colours)
        visitor.open(one)
        expect(card).to_have_attribute("aria-pressed", "true")
        assert card.evaluate(colours) == before
        assert card.evaluate("(it) => getComputedStyle(it).outlineStyle") == "solid"
        status = card.locator(".card-why").evaluate("(it) => getComputedStyle(it).color")
        assert page.locator(".panel-why").evaluate("(it) => getComputedStyle(it).color") == status


def test_a_login_link_pasted_into_the_open_page_logs_in_and_leaves_the_address(visit, stand):
    with visit(token="") as visitor:
        page = visitor.page
        page.goto("/")
        expect(page.get_by_label("Token")).to_be_visible()
        page.evaluate("(url) => { location.href = url; }", stand.login_url())
        visitor.live()
        assert "login" not in page.url


def test_an_enrolment_token_says_what_it_is(visit, stand):
    with visit(token="") as visitor:
        page = visitor.page
        page.goto("/")
        page.get_by_label("Token").fill(stand.issue("enrolment"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("this is an enrolment token")
        expect(page.get_by_label("Token")).to_be_visible()


def test_a_refusal_ends_the_attempts_and_says_so(visit, stand):
    with visit(token="") as visitor:
        page = visitor.page
        forbidden = {"title": "Forbidden", "status": 403, "detail": "no", "code": "forbidden", "type": "x", "facts": {}}
        visitor.context.route(re.compile("/workspaces[?]"), lambda route: route.fulfill(status=403, json=forbidden))
        page.goto("/")
        page.get_by_label("Token").fill(stand.token)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("refuses to show this session the fleet")


def test_a_narrow_window_leaves_most_of_it_to_the_fleet(visit, stand):
    with stand.beater() as one, visit(viewport={"width": 360, "height": 740}) as visitor:
        one.wedge()
        expect(visitor.page.locator(f"#row-{one.id}")).to_be_visible()
        assert visitor.page.locator(".topbar").bounding_box()["height"] < 180


def test_the_question_before_a_restart_names_the_task(visitor, stand):
    page, linus = visitor.page, stand.id_of("linus")
    task = stand.send(linus, "slow 300 for the quarterly figures")
    until(lambda: stand.view(linus)["active_tasks"], "the task did not begin")
    visitor.open(linus)
    page.get_by_role("button", name="Restart", exact=True).click()
    expect(page.get_by_role("group", name="Confirm: restart")).to_contain_text("for the quarterly figures")
    page.keyboard.press("Escape")
    visitor.open(linus, "tasks")
    expect(page.locator(".panel-body")).to_contain_text("from the operator")
    assert "ADMIN_TOKEN" not in page.locator(".panel-body").inner_text()
    stand.call("POST", f"/tasks/{task}/cancel")
