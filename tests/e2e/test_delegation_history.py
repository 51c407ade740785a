"""Chains of delegations among real workspaces while everything is killed: all end, none lost, none doubled.

The long run: CHAIN_DELEGATIONS=1000 CHAIN_WORKSPACES=10 CHAIN_STRIKES=60 CHAIN_SECONDS=600 pytest <this file>

Not in CI: one of eleven runs found a result that counts as consumed and that no journal shows, and the cause is not
known yet (CHAOS_SEED=1103623371 did not repeat it). What it prints then is what to look at. `just history` runs it.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from chaos_rig import Rig, dice, run_cli, until
from history import all_events, all_tasks

from truebeat.domain.delivery import State
from truebeat.protocol.tasks import NewTask

DEPTH = 4
CHAINS = int(os.environ.get("CHAIN_DELEGATIONS", "200")) // DEPTH
FLEET = tuple(f"w{n}" for n in range(int(os.environ.get("CHAIN_WORKSPACES", "5"))))
PATIENCE = float(os.environ.get("CHAIN_SECONDS", "50"))
STRIKES = int(os.environ.get("CHAIN_STRIKES", "4"))
KILLS = ["worker", "worker", "supervisor", "server"]


class ChainRig(Rig):
    def start_supervisor(self, name):
        self.supervisors[name] = self.truebeat(
            f"{name}.log", "run", name, "--agent", "python", "tests.stands.chain_agent:answer"
        )
        return self.supervisors[name]


@pytest.fixture
def chains(new_directory: Callable[[], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[ChainRig]:
    directory = new_directory()
    monkeypatch.setenv("CHAIN_JOURNAL", str(directory / "journal"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    made = ChainRig(directory)
    try:
        yield made
    finally:
        left = made.close()
    assert left == {}, "processes stayed behind"


def strike(rig: ChainRig, chance: random.Random) -> str:
    what = chance.choice(KILLS)
    name = chance.choice(FLEET)
    match what:
        case "worker":
            with contextlib.suppress(ProcessLookupError, TypeError):
                os.kill(rig.views()[name].worker_pid, signal.SIGKILL)
        case "supervisor":
            rig.kill_supervisor(name)
            rig.start_supervisor(name)
        case "server":
            rig.kill_server()
            rig.start_server()
    return what


@pytest.mark.history
def test_every_result_is_used_by_exactly_one_turn_whatever_dies(chains: ChainRig) -> None:
    rig, chance = chains, dice()
    rig.start_fleet(*FLEET)
    ids = {name: view.id for name, view in rig.views().items()}
    roots = []
    for n in range(CHAINS):
        way = chance.sample(FLEET, DEPTH + 1)
        new = NewTask(text=f"hand on {','.join(way[1:])}")
        roots.append(
            until(lambda way=way, new=new, n=n: rig.client.tasks.send(ids[way[0]], new, key=f"c{n}"), "sent").id
        )
    strikes: Counter[str] = Counter()
    deadline = time.monotonic() + PATIENCE
    views = {}

    def settled() -> bool:
        views.clear()
        for name in FLEET:
            views.update({view.delegation_id: view for view in rig.client.delegations.page(ids[name], limit=500)})
        return len(views) == CHAINS * DEPTH and all(view.consumed for view in views.values())

    while strikes.total() < STRIKES and time.monotonic() < deadline - PATIENCE / 2:
        with contextlib.suppress(Exception):  # the victim may be dead already, or the server not answer
            strikes[strike(rig, chance)] += 1
            if settled():
                break
        time.sleep(chance.uniform(0.3, 1.5))
    until(rig.ready, "the server was ready")

    def unsettled() -> str:
        states = Counter((view.state.value, view.consumed) for view in views.values())
        return (
            f"{CHAINS * DEPTH} delegations were done and used; {len(views)}: {states}; {dict(strikes)}; {rig.views()}"
        )

    until(settled, unsettled, limit=PATIENCE)
    tasks = {task.id: task for name in FLEET for task in all_tasks(rig.client, ids[name])}
    until(lambda: all(rig.client.tasks.get(task).final for task in roots), "every chain ended")
    events = [event for event in all_events(rig.client) if event.type.startswith("DELEGATION_")]
    told = Counter((event.type, event.payload["delegation_id"]) for event in events)
    for delegation_id, view in views.items():
        for kind in ("DELEGATION_CREATED", f"DELEGATION_{view.state.name}", "DELEGATION_CONSUMED"):
            assert told[kind, str(delegation_id)] == 1, (kind, view)
    used: dict[str, set[str]] = defaultdict(set)
    for line in (rig.directory / "journal").read_text().splitlines():
        task_id, attempt, results = line.split(" ")
        task = next((task for key, task in tasks.items() if str(key) == task_id), None)
        if task is not None and task.state is State.COMPLETED and task.attempt == int(attempt):
            for result in filter(None, results.split(",")):
                used[result].add(f"{task_id}/{attempt}")
    completed = {str(view.delegation_id) for view in views.values()}
    journal = (rig.directory / "journal").read_text().splitlines()
    unused = {
        missing: (
            [line for line in journal if missing in line],
            [(event.type, event.cause, event.payload) for event in events if event.payload["delegation_id"] == missing],
        )
        for missing in completed - set(used)
    }
    turns = {line.split(" ")[0] for found, _ in unused.values() for line in found}
    ends = {
        turn: (tasks[UUID(turn)].state, tasks[UUID(turn)].attempt) if UUID(turn) in tasks else None for turn in turns
    }
    assert not unused, (unused, ends)
    assert set(used) == completed
    assert all(len(turns) == 1 for turns in used.values())
    print(f"{len(views)} delegations, {Counter(view.state for view in views.values())}, {dict(strikes)}")
    # whoever looks sees the whole chain
    deepest = max(views.values(), key=lambda view: view.depth)
    assert deepest.depth == DEPTH
    code, tree = run_cli(rig, "trace", str(deepest.delegation_id), "--json")
    assert code == 0
    for depth in range(DEPTH):
        assert tree["depth"] == depth
        [tree] = [child for child in tree["children"] if not child["wake"]]
    assert tree["task_id"] == str(deepest.delegation_id)
