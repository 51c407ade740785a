"""Reading a whole history back, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from truebeat.client.http import Client
    from truebeat.protocol.events import Event
    from truebeat.protocol.tasks import TaskView


def all_tasks(client: Client, workspace: UUID) -> Iterator[TaskView]:
    after: str | None = ""
    while after is not None:
        page = client.tasks.page(workspace, after=after, limit=200)
        yield from page.tasks
        after = page.next


def all_events(client: Client) -> Iterator[Event]:
    seen = 0
    while events := client.events.page(seen, limit=1000).events:
        yield from events
        seen = events[-1].seq
