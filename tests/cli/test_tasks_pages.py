"""`truebeat tasks`: pages that are cut are put together, and a count that is not whole is not shown as one."""

import io
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import uuid4

from rich.console import Console

from truebeat.cli import tasks
from truebeat.domain.delivery import State
from truebeat.protocol.delivery import Sender
from truebeat.protocol.tasks import TaskPage, TaskView

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def view(text):
    return TaskView(
        id=uuid4(), workspace_id=uuid4(), context_id="c", state=State.COMPLETED, sender=Sender(kind="person", id="eve"),
        text=text, parts=[], message=None, metadata={}, priority=0, on_interrupt="retry", attempt=1, begun=False,
        cancel_requested=False, answer="", answer_parts=[], reason="", updates=1, created_at=NOW, updated_at=NOW,
    )  # fmt: skip


class Server:
    """Gives one task a page, as of tasks that are large."""

    def __init__(self, count):
        self.views = [view(str(n)) for n in range(count)]
        self.limits = []

    def page(self, workspace_id, *, states, context_id, limit, after=""):
        self.limits.append(limit)
        place = int(after or 0)
        following = str(place + 1) if place + 1 < len(self.views) else None
        return TaskPage(tasks=self.views[place : place + 1], total=10_000, next=following, capped=True)


def test_short_pages_are_put_together_up_to_the_limit():
    server = Server(5)
    page = tasks._page(SimpleNamespace(tasks=server), None, "", None, 3)
    assert [one.text for one in page.tasks] == ["0", "1", "2"]
    assert (page.next, server.limits) == ("3", [3, 2, 1])
    assert tasks._page(SimpleNamespace(tasks=server), None, "", None, 9).next is None


def test_a_count_that_was_not_finished_says_so():
    server = Server(5)
    out = io.StringIO()
    tasks._list(Console(file=out, width=200), tasks._page(SimpleNamespace(tasks=server), None, "", None, 3), {})
    assert "3 of 10,000+; --limit shows more." in out.getvalue()
