"""What every side saw of many tasks, and whether it keeps the promises."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from truebeat.client.credentials import FixedToken
from truebeat.client.http import Client
from truebeat.errors import Unavailable
from truebeat.protocol.tasks import NewTask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from truebeat.protocol.events import Event
    from truebeat.protocol.tasks import TaskView

ENDED = {"TASK_COMPLETED", "TASK_FAILED", "TASK_CANCELED", "TASK_REJECTED"}


class Sender(threading.Thread):
    """Sends in its own contexts, in order. What is not answered is sent again with its key, as is some of the rest."""

    def __init__(self, url: str, token: str, workspaces: list[UUID], count: int, seed: int, pace: float) -> None:
        super().__init__(name=f"sender {seed}", daemon=True)
        self._client = Client(url, FixedToken(token), timeout=5)
        self._workspaces = workspaces
        self._count = count
        self._dice = random.Random(seed)
        self._seed = seed
        #: seconds between sends
        self._pace = pace
        #: (workspace, context) -> ids in the order they were accepted
        self.accepted: dict[tuple[UUID, str], list[UUID]] = defaultdict(list)
        self.wrong: list[str] = []
        self.enough = threading.Event()

    def run(self) -> None:
        with self._client:
            self._run()

    def _run(self) -> None:
        for n in range(self._count):
            if self.enough.wait(self._pace):
                return
            workspace = self._dice.choice(self._workspaces)
            context = f"s{self._seed}-{self._dice.randrange(4)}"
            new = NewTask(text=f"message {n}", context_id=context)
            key = str(uuid4())
            task_id = self._send(workspace, new, key)
            if task_id is None:
                return
            self.accepted[workspace, context].append(task_id)
            if self._dice.random() < 0.1 and self._send(workspace, new, key) not in {task_id, None}:
                self.wrong.append(f"the key of {task_id} means another task now")

    def _send(self, workspace: UUID, new: NewTask, key: str) -> UUID | None:
        while not self.enough.is_set():
            try:
                return self._client.tasks.send(workspace, new, key=key).id
            except Unavailable:
                self.enough.wait(0.1)
        return None


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


def faults(senders: list[Sender], tasks: dict[UUID, TaskView], events: list[Event]) -> list[str]:
    """Every broken promise, in words; none when all are kept."""
    found = [wrong for sender in senders for wrong in sender.wrong]
    begun: dict[str, list[int]] = defaultdict(list)
    ended: dict[str, list[int]] = defaultdict(list)
    for event in events:
        if event.type == "TASK_WORKING":
            begun[event.payload["task_id"]].append(event.seq)
        elif event.type in ENDED:
            ended[event.payload["task_id"]].append(event.seq)
    accepted: set[UUID] = set()
    for sender in senders:
        for (workspace, context), ids in sender.accepted.items():
            accepted.update(ids)
            last_end = 0
            for task_id in ids:
                task = tasks.get(task_id)
                if task is None:
                    found.append(f"{task_id} was accepted and is lost")
                    continue
                first, end = begun.get(str(task_id), []), ended.get(str(task_id), [])
                if len(end) != int(task.final):
                    found.append(f"{task_id} is {task.state} and ended {len(end)} times")
                if first and first[0] < last_end:
                    found.append(f"{task_id} of {context} at {workspace} began before the one before it had ended")
                last_end = max(last_end, *end, 0)
    if len(accepted) != sum(len(ids) for sender in senders for ids in sender.accepted.values()):
        found.append("two sends were answered with one task")
    return found
