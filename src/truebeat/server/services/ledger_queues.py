"""How many tasks wait in each mailbox, by priority, without asking the database."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from truebeat.server.store.tasks import NewRow


class Queues:
    """Invariant: `totals` has every mailbox in which something waits, and no other."""

    def __init__(self) -> None:
        self.totals: Counter[UUID] = Counter()
        self._waiting: dict[UUID, Counter[int]] = defaultdict(Counter)

    def ahead(self, workspace_id: UUID, changes: Counter[int], priority: int | None = None) -> int:
        """How many wait, of at least this priority, with changes by priority that do not count yet."""
        counts = (*self._waiting.get(workspace_id, Counter()).items(), *changes.items())
        return sum(count for of, count in counts if priority is None or of >= priority)

    def count(self, workspace_id: UUID, priority: int, change: int) -> None:
        waiting = self._waiting[workspace_id]
        waiting[priority] += change
        if waiting[priority] <= 0:
            del waiting[priority]
        self.totals[workspace_id] = waiting.total()
        if not waiting:
            del self._waiting[workspace_id], self.totals[workspace_id]

    def clear(self) -> None:
        """Nothing is known."""
        self.totals.clear()
        self._waiting.clear()


def claimed_at_once(
    rows: Sequence[NewRow], queued: Mapping[UUID, int], room_of: Callable[[UUID], tuple[int, int] | None]
) -> dict[UUID, int]:
    """Of new tasks those that a claim in the same transaction would take, with the generation that gets each: so they
    need not be written twice. In their mailboxes and contexts nothing may wait before them.
    """
    by_workspace: dict[UUID, list[NewRow]] = {}
    for row in rows:
        by_workspace.setdefault(row.workspace_id, []).append(row)
    found: dict[UUID, int] = {}
    for workspace_id, theirs in by_workspace.items():
        if queued.get(workspace_id) or not all(row.alone for row in theirs):
            continue
        if (room := room_of(workspace_id)) is not None:
            generation, places = room
            first = sorted(theirs, key=lambda row: -row.priority)[:places]
            found |= dict.fromkeys((row.id for row in first), generation)
    return found
