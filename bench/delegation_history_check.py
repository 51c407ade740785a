"""What must hold of a history of delegations, whatever was killed meanwhile. Pure: facts in, violations out."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

#: how what was told of a delegation's end is called, by the state that it ended in
ENDS = {
    "completed": "DELEGATION_COMPLETED",
    "failed": "DELEGATION_FAILED",
    "canceled": "DELEGATION_CANCELED",
    "rejected": "DELEGATION_REJECTED",
}


@dataclass
class Given:
    """One delegation as its source sees it at the end. because_of: the task whose turn made it."""

    id: str
    because_of: str
    state: str
    consumed: bool


@dataclass
class Done:
    """One task as the ledger has it at the end. wanted: its turn was to hand work on, once."""

    state: str
    attempt: int
    wanted: bool = False


@dataclass
class DelegationHistory:
    """journal: (task, attempt, results that it was given) of each turn that came to its last line. told: (type,
    delegation) of each event about delegations.
    """

    delegations: list[Given] = field(default_factory=list)
    tasks: dict[str, Done] = field(default_factory=dict)
    journal: list[tuple[str, int, list[str]]] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)


def violations(history: DelegationHistory) -> list[str]:
    """Every promise that was broken, in words; none if all held."""
    found: list[str] = []
    made = Counter(given.because_of for given in history.delegations)
    for task_id, task in history.tasks.items():
        if made[task_id] > 1:
            found.append(f"one turn's work became {made[task_id]} delegations: {task_id}")
        if task.state not in ENDS:
            found.append(f"has not ended: {task_id} is {task.state}")
        if task.wanted and task.state == "completed" and not made[task_id]:
            found.append(f"done, and what it handed on is lost: {task_id}")
    told = Counter(history.told)
    used = _used(history)
    for given in history.delegations:
        if given.state not in ENDS:
            found.append(f"has not ended: {given.id} is {given.state}")
            continue
        found += [
            f"told {told[kind, given.id]} times: {kind} {given.id}"
            for kind in ("DELEGATION_CREATED", ENDS[given.state], "DELEGATION_CONSUMED")
            if told[kind, given.id] != 1
        ]
        ends = [kind for kind in ENDS.values() if told[kind, given.id]]
        if ends != [ENDS[given.state]]:
            found.append(f"{given.id} is {given.state} and was told {ends}")
        if not given.consumed:
            found.append(f"a result that nobody used: {given.id}")
        if len(used[given.id]) != 1:
            found.append(f"used by {len(used[given.id])} turns: {given.id} by {sorted(used[given.id])}")
    known = {given.id for given in history.delegations}
    found += [f"used, and not of any delegation: {result}" for result in used.keys() - known]
    return found


def _used(history: DelegationHistory) -> defaultdict[str, set[str]]:
    """By result the turns that were given it and counted: those of the attempts that completed their tasks."""
    used: defaultdict[str, set[str]] = defaultdict(set)
    for task_id, attempt, results in history.journal:
        task = history.tasks.get(task_id)
        if task is not None and task.state == "completed" and task.attempt == attempt:
            for result in results:
                used[result].add(f"{task_id}/{attempt}")
    return used
