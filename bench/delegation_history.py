"""Chains of delegations among many agents while everything is killed and wedged: all end, none lost, none doubled.

    uv run python -m bench.delegation_history --delegations 1000 --workspaces 50 --seconds 300

Each chain hands a task on from one agent to another, four times. Agents, supervisors, the server and PostgreSQL are
killed, stopped and wedged while the chains are sent and done. At the end all comes back, the mailboxes run dry, every
result is used, and `delegation_history_check.violations` looks at what each side saw.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import secrets
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2 as httpx

from bench.delegation_history_check import DelegationHistory, Done, Given, violations
from bench.history import Killer
from tests.e2e.chaos_rig import PATIENCE, TOKEN, Rig, until
from tests.e2e.history import all_events, all_tasks
from truebeat.client.credentials import FixedToken
from truebeat.client.http import Client
from truebeat.domain.health import Status
from truebeat.errors import TruebeatError
from truebeat.protocol.tasks import NewTask

if TYPE_CHECKING:
    from uuid import UUID

DEPTH = 4
#: workspaces that are started together
STARTED = 5
#: delegations of one workspace that can be read back
PAGE = 500


class Chains:
    """A thread that sends the first tasks of chains over so many seconds, each with its key until it is accepted."""

    def __init__(self, rig: Rig, ids: dict[str, UUID], count: int, seconds: float, dice: random.Random) -> None:
        self.roots: list[str] = []
        self._rig, self._ids, self._seconds = rig, ids, seconds
        self._ways = [dice.sample(sorted(ids), DEPTH + 1) for _ in range(count)]
        self._thread = threading.Thread(target=self._send, name="chains", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _send(self) -> None:
        began = time.monotonic()
        with Client(self._rig.url, FixedToken(TOKEN), timeout=5) as client:
            for number, way in enumerate(self._ways):
                time.sleep(max(0.0, began + self._seconds * number / len(self._ways) - time.monotonic()))
                new = NewTask(text=f"hand on {','.join(way[1:])}")
                while True:
                    with contextlib.suppress(TruebeatError, httpx.HTTPError):
                        self.roots.append(str(client.tasks.send(self._ids[way[0]], new, key=f"c{number}").id))
                        break
                    time.sleep(0.1)


class ChainKiller(Killer):
    """It also has agents wedge: by their own word, or by holding their loop."""

    def __init__(
        self, rig: Rig, ids: dict[str, UUID], dice: random.Random, pause: float, orders: Path, wedges: list[str]
    ) -> None:
        super().__init__(rig, sorted(ids), dice, pause, start)
        self._ids, self._orders, self._wedges = ids, orders, wedges
        self.deeds_of_choice += [self._wedge] * 4

    def _wedge(self) -> None:
        (self._orders / str(self._ids[self._victim()])).write_text(self._dice.choice(self._wedges))


def start(rig: Rig, name: str) -> None:
    agent = ["--agent", "python", "tests.stands.chain_agent:answer"]
    rig.supervisors[name] = rig.truebeat(f"{name}.log", "run", name, *agent)


def run(
    rig: Rig,
    *,
    delegations: int,
    workspaces: int,
    seconds: float,
    pause: float,
    dice: random.Random,
    wedges: tuple[str, ...] = ("admit", "block"),
) -> dict[str, object]:
    """One history, checked. The figures; "violations" is empty if all held. Chains are sent over so many seconds."""
    names = [f"w{number:02}" for number in range(workspaces)]
    began = time.monotonic()
    for first in range(0, workspaces, STARTED):
        for name in names[first : first + STARTED]:
            start(rig, name)
        until(lambda: _well(rig), lambda: f"everybody was online: {rig.views()}", limit=3 * PATIENCE)
    started = time.monotonic() - began
    ids = {name: view.id for name, view in rig.views().items()}
    chains = Chains(rig, ids, delegations // DEPTH, seconds, dice)
    killer = ChainKiller(rig, ids, dice, pause, Path(os.environ["CHAIN_ORDERS"]), list(wedges))
    began = time.monotonic()
    chains.start()
    killer.start()
    chains.join()
    time.sleep(max(0.0, began + seconds - time.monotonic()))
    killer.stop()
    for order in Path(os.environ["CHAIN_ORDERS"]).iterdir():
        order.unlink(missing_ok=True)
    _settle(rig, ids)
    settled = time.monotonic() - began
    history = _history(rig, ids)
    given = Counter(delegation for kind, delegation in history.told if kind == "DELEGATION_GIVEN")
    return {
        "chains": len(set(chains.roots)),
        "delegations": len(history.delegations),
        "states": dict(Counter(one.state for one in history.delegations)),
        "tasks": len(history.tasks),
        "tasks with more than one attempt": sum(task.attempt > 1 for task in history.tasks.values()),
        "results given more than once": sum(count > 1 for count in given.values()),
        "deeds": killer.deeds,
        "seconds to start": round(started, 1),
        "seconds": round(settled, 1),
        "times that what was killed came back late": len(killer.broken),
        "violations": violations(history) + _lost(history, chains),
    }


def _lost(history: DelegationHistory, chains: Chains) -> list[str]:
    return [f"accepted and lost: {root}" for root in chains.roots if root not in history.tasks]


def _well(rig: Rig) -> bool:
    views = rig.views()
    return all(name in views and views[name].status is Status.ONLINE and views[name].linked for name in rig.supervisors)


def _settle(rig: Rig, ids: dict[str, UUID]) -> None:
    """No task is left under way and every result was used. Whoever spent its restarts is restarted, as people would."""
    left = Counter[str]()

    def settled() -> bool:
        for view in rig.views().values():
            if view.status is Status.FAILED:
                with contextlib.suppress(TruebeatError):
                    rig.client.workspaces.restart(view.id)
        left.clear()
        left["under way"] = rig.client.tasks.page(states="submitted,working", limit=1).total
        if left["under way"]:
            return False
        for workspace in ids.values():
            left["unused"] += sum(not one.consumed for one in rig.client.delegations.page(workspace, limit=PAGE))
        return not left["unused"]

    until(settled, lambda: f"all was done and used: {left}; {rig.views()}; {rig.tail('server.log')}", 5 * PATIENCE)


def _history(rig: Rig, ids: dict[str, UUID]) -> DelegationHistory:
    history = DelegationHistory()
    for workspace in ids.values():
        page = rig.client.delegations.page(workspace, limit=PAGE)
        if len(page) == PAGE:
            raise ValueError(f"one workspace made more than {PAGE} delegations, which can't all be read back")
        history.delegations += [
            Given(str(one.delegation_id), str(one.from_task), one.state.value, consumed=one.consumed) for one in page
        ]
        for task in all_tasks(rig.client, workspace):
            wanted = task.text.startswith("hand on ")
            history.tasks[str(task.id)] = Done(task.state.value, task.attempt, wanted=wanted)
    history.told = [
        (event.type, event.payload["delegation_id"])
        for event in all_events(rig.client)
        if event.type.startswith("DELEGATION_")
    ]
    for line in Path(os.environ["CHAIN_JOURNAL"]).read_text().splitlines():
        task_id, attempt, results = line.split(" ")
        history.journal.append((task_id, int(attempt), [result for result in results.split(",") if result]))
    return history


def prepare(place: Path) -> None:
    """Where the agents write, and are told what to do."""
    os.environ["CHAIN_JOURNAL"] = str(place / "journal")
    os.environ["CHAIN_ORDERS"] = str(place / "orders")
    (place / "orders").mkdir()


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--delegations", type=int, default=1000)
    asked.add_argument("--workspaces", type=int, default=50)
    asked.add_argument(
        "--seconds", type=float, default=300.0, help="over which the chains are sent and things are killed"
    )
    asked.add_argument("--pause", type=float, default=2.0, help="seconds between two deeds of the killer")
    asked.add_argument("--seed", type=int, default=None)
    given = asked.parse_args()
    seed = given.seed if given.seed is not None else secrets.randbits(32)
    print(f"seed {seed}", flush=True)
    place = Path(tempfile.mkdtemp(prefix="truebeat-history-"))
    place.chmod(0o755)
    prepare(place)
    held = False
    rig = Rig(place)
    try:
        figures = run(
            rig,
            delegations=given.delegations,
            workspaces=given.workspaces,
            seconds=given.seconds,
            pause=given.pause,
            dice=random.Random(seed),
        )
        held = not figures["violations"]
    finally:
        left = rig.close()
        held = held and not left
        if held:
            shutil.rmtree(place)
        else:
            print(f"did not hold; the database, logs and the agents' journal are in {place}", flush=True)
    for name, value in figures.items():
        print(f"{name}: {value}")
    print(f"processes left: {left or 'none'}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
