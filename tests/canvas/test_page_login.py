"""Getting in and out: by link once, by token, and what each role sees."""

from __future__ import annotations

from playwright.sync_api import expect


def test_a_link_logs_in_once_and_leaves_no_trace_in_the_address(visit, stand):
    url = stand.login_url()
    with visit(token="") as first:
        first.page.goto(url)
        first.live()
        assert "login" not in first.page.url
        assert stand.token not in first.page.content()
        assert first.page.evaluate("document.cookie") == "", "no script can read the session"
        assert stand.token not in first.page.evaluate("JSON.stringify(localStorage) + JSON.stringify(sessionStorage)")
    with visit(token="") as second:
        second.page.goto(url)
        expect(second.page.get_by_role("alert")).to_contain_text("used already")


def test_a_token_logs_in_a_wrong_one_is_told_and_logging_out_ends_it(visit, stand):
    with visit(token="") as visitor:
        page = visitor.page
        page.goto("/?q=x")
        page.get_by_label("Token").fill("nonsense")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).not_to_be_empty()
        page.get_by_label("Token").fill(f"  {stand.token} ")
        page.get_by_role("button", name="Log in").click()
        visitor.live()
        assert "q=x" in page.url
        cookies = visitor.context.cookies()
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Token")).to_be_visible()
        page.reload()
        expect(page.get_by_label("Token")).to_be_visible()
        visitor.context.add_cookies(cookies)
        page.reload()
        expect(page.get_by_label("Token")).to_be_visible()


def test_the_end_of_a_session_leads_to_the_login(visit, stand):
    issued = stand.call("POST", "/tokens", {"name": "short", "role": "member"})
    with stand.beater() as one, visit(token=issued["token"]) as visitor:
        expect(visitor.card(one)).to_be_visible()
        number = next(token["id"] for token in stand.call("GET", "/tokens") if token["name"] == "short")
        stand.call("DELETE", f"/tokens/{number}")
        expect(visitor.page.get_by_label("Token")).to_be_visible()
        expect(visitor.page.get_by_role("alert")).to_contain_text("session has ended")
        assert one.name not in visitor.page.content()


def test_a_viewer_sees_statuses_and_no_actions(visit, stand):
    with stand.beater() as one, visit(token=stand.issue("viewer")) as visitor:
        page = visitor.page
        one.wedge("secret reason")
        expect(visitor.card(one)).to_contain_text("Degraded")
        for tab in ("health", "chat", "timeline", "incidents", "tasks"):
            visitor.open(one, tab)
            expect(page.locator("#panel-title")).to_have_text(one.name)
            for name in ("Restart", "Remove", "Send", "Stop", "Cancel"):
                assert page.get_by_role("button", name=name, exact=True).count() == 0, (tab, name)
            assert page.get_by_role("textbox", name="Message").count() == 0
        assert "secret reason" not in page.content()


def test_a_member_talks_and_does_not_act(visit, stand):
    with stand.beater() as one, visit(token=stand.issue("member")) as visitor:
        visitor.open(one, "chat")
        expect(visitor.page.get_by_role("textbox", name=f"Message to {one.name}")).to_be_visible()
        assert visitor.page.get_by_role("button", name="Restart", exact=True).count() == 0
