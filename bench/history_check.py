"""What must hold of a history, whatever was killed meanwhile. Pure: facts in, violations out."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field


@dataclass
class Seen:
    """One task as the ledger has it at the end."""

    id: str
    context: str
    text: str
    state: str
    attempt: int
    answer: str


@dataclass
class History:
    """accepted: (context, text, id) in the order in which each sender got its answers; duplicates of one key included.

    ledger: every task of the workspaces. completed: the ids of TASK_COMPLETED events in the log's order. journal: lines
    of the agents, (what, id, attempt, context), in the order in which each agent wrote them.
    """

    accepted: list[tuple[str, str, str]] = field(default_factory=list)
    ledger: list[Seen] = field(default_factory=list)
    completed: list[str] = field(default_factory=list)
    journal: list[tuple[str, str, int, str]] = field(default_factory=list)


FINAL = {"completed", "failed", "canceled", "rejected"}


def violations(history: History) -> list[str]:
    """Every promise that was broken, in words; none if all held."""
    found: list[str] = []
    ledger = {task.id: task for task in history.ledger}
    accepted = {task_id for _, _, task_id in history.accepted}
    by_text: dict[str, set[str]] = defaultdict(set)
    for _, text, task_id in history.accepted:
        by_text[text].add(task_id)
    found += [f"sent once and became two tasks: {text}" for text, ids in by_text.items() if len(ids) > 1]
    found += [f"accepted and lost: {task_id}" for task_id in accepted - ledger.keys()]
    found += [f"in the ledger and never accepted: {task_id}" for task_id in ledger.keys() - accepted]
    ended = sum(task.state in FINAL for task in history.ledger)
    queued = sum(task.state in {"submitted", "working"} for task in history.ledger)
    if len(accepted) != ended + queued:
        found.append(f"accepted {len(accepted)} is not ended {ended} + queued {queued}")
    times = Counter(history.completed)
    found += [f"completed {count} times: {task_id}" for task_id, count in times.items() if count > 1]
    for task in history.ledger:
        told = times[task.id]
        if (task.state == "completed") != (told > 0):
            found.append(f"{task.id} is {task.state} and was told completed {told} times")
        if task.state == "completed" and task.answer != f"{task.text} attempt={task.attempt}":
            found.append(f"a result of another attempt was accepted: {task.id} attempt {task.attempt}: {task.answer!r}")
    return found + _order(history)


def _order(history: History) -> list[str]:
    """Within a context tasks end, and begin, in the order in which they were sent."""
    found: list[str] = []
    sent: dict[str, list[str]] = defaultdict(list)
    for context, _, task_id in history.accepted:
        if task_id not in sent[context]:
            sent[context].append(task_id)
    place = {task_id: number for ids in sent.values() for number, task_id in enumerate(ids)}
    context_of = {task_id: context for context, ids in sent.items() for task_id in ids}
    last: dict[str, int] = {}
    for task_id in history.completed:
        context = context_of.get(task_id, "")
        if place.get(task_id, 0) < last.get(context, -1):
            found.append(f"completed out of order in {context}: {task_id}")
        last[context] = place.get(task_id, 0)
    begun: dict[str, int] = {}
    for what, task_id, _, context in history.journal:
        if what == "begin" and task_id in place:
            if place[task_id] < begun.get(context, -1):
                found.append(f"begun out of order in {context}: {task_id}")
            begun[context] = max(begun.get(context, -1), place[task_id])
    return found
