"""Talking to real agents and acting on them: what streams, stops, fails, asks; restart, removal, a true wedge."""

from __future__ import annotations

import contextlib
import os
import re
import signal

import psutil
from page_stand import AGENT, until
from playwright.sync_api import expect


def say(page, text: str) -> None:
    page.locator(".chat > .box textarea").fill(text)
    page.keyboard.press("Enter")


def runtime_of(view: dict) -> int:
    """The process id of the agent's program."""
    children = psutil.Process(view["worker_pid"]).children(recursive=True)
    return next(child.pid for child in children if str(AGENT) in child.cmdline())


def test_an_answer_streams_survives_another_panel_and_a_reload_and_ends_whole(visitor, stand):
    page, whole = visitor.page, "".join(f"word{number} " for number in range(40))
    visitor.open(stand.id_of("linus"), "chat")
    say(page, "slow 40")
    answer = page.locator(".turn .answer")
    expect(answer).to_contain_text("word2")
    assert "word39" not in answer.inner_text()
    visitor.card(stand.id_of("grace")).click()
    expect(page.locator("#panel-title")).to_have_text("grace")
    expect(page.locator(".turn")).to_have_count(0)
    visitor.card(stand.id_of("linus")).click()
    expect(answer).to_contain_text("word5")
    page.reload()
    expect(answer).to_contain_text("word8")
    expect(answer).to_have_text(whole.strip(), timeout=30_000)
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    page.reload()
    expect(answer).to_have_text(whole.strip())
    expect(page.locator(".said")).to_have_text("slow 40")


def test_an_answer_with_markup_is_text(visitor, stand):
    page, text = visitor.page, '<img src=x onerror="window.hacked=1"><b>bold</b> [x](javascript:alert(1))'
    visitor.open(stand.id_of("grace"), "chat")
    say(page, text)
    expect(page.locator(".turn .answer")).to_have_text(f"You said: {text}")
    assert page.evaluate("window.hacked") is None
    assert page.locator(".chat b, .chat img, .chat a").count() == 0


def test_a_reply_can_be_stopped_and_sent_again(visitor, stand):
    page = visitor.page
    visitor.open(stand.id_of("linus"), "chat")
    say(page, "wait for it")
    expect(page.locator(".turn .answer")).to_contain_text("waiting")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".turn .state")).to_have_text("stopped")
    page.get_by_role("button", name="Send again").click()
    expect(page.locator(".turn")).to_have_count(2)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".turn .state")).to_have_text(["stopped", "stopped"])


def test_a_failure_is_shown_with_its_error_and_can_be_retried(visitor, stand):
    page, file = visitor.page, stand.place / "once"
    visitor.open(stand.id_of("linus"), "chat")
    say(page, f"once {file}")
    expect(page.locator(".turn.is-failed")).to_contain_text(str(file))
    page.get_by_role("button", name="Send again").click()
    expect(page.locator(".turn.is-completed .answer")).to_contain_text("You said: once")
    page.click("#tab-tasks")
    expect(page.locator(".rows .task.is-failed").first).to_be_visible()
    page.locator(".rows button").first.click()
    expect(page.locator(".answer")).to_contain_text("You said: once")


def test_a_question_is_answered_in_place(visitor, stand):
    page = visitor.page
    visitor.open(stand.id_of("linus"), "chat")
    say(page, "ask me")
    turn = page.locator(".turn")
    expect(turn).to_have_class(re.compile("is-input-required"))
    expect(turn).to_contain_text("Which one?")
    page.reload()
    turn.get_by_label("Answer to linus").fill("the blue one")
    turn.get_by_role("button", name="Answer").click()
    expect(turn).to_have_class(re.compile("is-completed"))
    expect(turn.locator(".answer").last).to_contain_text("You said: ")
    expect(turn).to_contain_text("the blue one")
    expect(turn).to_have_count(1)


def test_a_send_to_a_degraded_workspace_says_at_once_why_and_where_it_stands(visitor, stand):
    page = visitor.page
    with stand.beater() as one:
        one.wedge("the runtime hangs in its initialize")
        for number in range(2):
            stand.call("POST", f"/workspaces/{one.id}/tasks", {"text": f"earlier {number}"})
        visitor.open(one, "chat")
        say(page, "are you there?")
        waiting = page.locator(".turn .waiting")
        expect(waiting).to_contain_text("the runtime hangs in its initialize")
        expect(waiting).to_contain_text("Place in the queue: 3")
        page.reload()
        expect(waiting).to_contain_text("the runtime hangs in its initialize")
        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".turn .state")).to_have_text("stopped")


def test_a_message_that_can_not_be_sent_stays_and_can_be_sent_again(visitor, stand):
    page = visitor.page
    with stand.beater() as one:
        visitor.open(one, "chat")
        visitor.context.set_offline(True)
        say(page, "into the void")
        expect(page.locator(".turn .problem")).to_contain_text("the server does not answer")
        visitor.context.set_offline(False)
        page.get_by_role("button", name="Send again").click()
        expect(page.locator(".turn .problem")).to_have_count(0)
        tasks = until(lambda: stand.call("GET", f"/workspaces/{one.id}/tasks")["tasks"], "it was not sent")
        assert [task["text"] for task in tasks] == ["into the void"]


def test_a_stopped_runtime_is_shown_degraded_with_its_reason_then_a_verified_recovery(visitor, stand):
    page, grace = visitor.page, stand.id_of("grace")
    before = until(lambda: (view := stand.view(grace))["status"] == "online" and view, "grace is not online")
    visitor.open(grace)
    os.kill(runtime_of(before), signal.SIGSTOP)
    ill = f"seen.changed.filter((at) => at.id === {grace!r} && at.look.includes('is-degraded')).map((at) => at.text)"
    texts = until(lambda: page.evaluate(ill), "it was never shown degraded")
    assert any("did not answer" in text for text in texts), texts
    expect(visitor.card(grace).locator(".pill")).to_have_text("Online", timeout=40_000)
    page.click("#tab-incidents")
    page.locator(".rows button").first.click()
    incident = page.get_by_role("region", name="Incident")
    expect(incident.locator(".steps")).to_contain_text("degraded")
    expect(incident).to_contain_text(re.compile("did not answer|stopped"))


def test_restart_names_what_it_interrupts_is_fired_once_and_ends_online(visitor, stand):
    page, grace = visitor.page, stand.id_of("grace")
    before = until(lambda: (view := stand.view(grace))["status"] == "online" and view, "grace is not online")
    stand.call("POST", f"/workspaces/{grace}/tasks", {"text": "wait", "on_interrupt": "fail"})
    until(lambda: stand.view(grace)["active_tasks"], "the task did not begin")
    visitor.open(grace)
    page.get_by_role("button", name="Restart", exact=True).click()
    expect(page.get_by_role("group", name="Confirm: restart")).to_contain_text("It interrupts the task")
    orders = []
    page.on("request", lambda request: orders.append(request.url) if request.url.endswith("/restart") else None)
    page.get_by_role("button", name="Restart now").evaluate("(button) => { button.click(); button.click(); }")
    expect(page.locator(".actions .pending")).to_be_visible()
    assert page.get_by_role("button", name="Restart", exact=True).count() == 0
    expect(page.locator(".actions .pending")).to_have_count(0, timeout=40_000)
    expect(visitor.card(grace).locator(".pill")).to_have_text("Online", timeout=40_000)
    assert len(orders) == 1
    assert stand.view(grace)["generation"] == before["generation"] + 1
    looks = page.evaluate(f"seen.changed.filter((at) => at.id === {grace!r}).map((at) => at.look)")
    assert any("is-provisioning" in look for look in looks)


def test_remove_asks_first_and_is_for_good(visitor, stand):
    page = visitor.page
    with stand.beater() as one:
        visitor.open(one)
        page.get_by_role("button", name="Remove", exact=True).click()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("group", name="Confirm: remove")).to_have_count(0)
        assert stand.view(one.id)["status"] == "online"
        page.get_by_role("button", name="Remove", exact=True).click()
        page.get_by_role("button", name="Remove for good").click()
        expect(visitor.card(one)).to_have_count(0)
        expect(page.locator(".panel")).to_contain_text("no such workspace any more")
        with contextlib.suppress(AssertionError):
            one.beat()
        assert stand.view(one.id)["status"] == "removed"
        page.keyboard.press("Escape")
        expect(page.locator(".panel")).to_have_count(0)
