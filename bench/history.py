"""Many senders, random kills and stops of everything, and the proof that no task was lost or done twice in the ledger.

    uv run python -m bench.history --tasks 100000

Server, supervisors, workers and PostgreSQL are killed with SIGKILL and stopped with SIGSTOP while senders send and
repeat. At the end all comes back, the mailboxes run dry, and `history_check.violations` looks at what each side saw.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import secrets
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2 as httpx

from bench.history_check import History, Seen, violations
from tests.e2e.chaos_rig import PATIENCE, TOKEN, Rig, until
from tests.e2e.history import all_events, all_tasks
from truebeat.client.credentials import FixedToken
from truebeat.client.http import Client
from truebeat.domain.health import Status
from truebeat.errors import TruebeatError
from truebeat.protocol.tasks import NewTask

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

CONTEXTS = 4
#: share of sends that are repeated with the same key although they were answered
REPEATED = 0.05


class Senders:
    """Threads that send, each in contexts of its own, one after the other; what they got is in `accepted`."""

    def __init__(self, url: str, targets: list[UUID], tasks: int, threads: int) -> None:
        self.accepted: list[tuple[str, str, str]] = []
        self.errors = 0
        self._url = url
        self._targets = targets
        self._lock = threading.Lock()
        share = [tasks // threads + (number < tasks % threads) for number in range(threads)]
        self._threads = [
            threading.Thread(target=self._send, args=(number, count), daemon=True) for number, count in enumerate(share)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    @property
    def going(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _send(self, number: int, count: int) -> None:
        dice = random.Random(number)
        with Client(self._url, FixedToken(TOKEN), timeout=5) as client:
            for turn in range(count):
                context = f"sender-{number}-{dice.randrange(CONTEXTS)}"
                target = self._targets[hash(context) % len(self._targets)]
                new = NewTask(text=f"task {number}-{turn}", context_id=context)
                key = secrets.token_hex(8)
                for _ in range(1 + (dice.random() < REPEATED)):
                    task_id = self._insist(client, target, new, key)
                    with self._lock:
                        self.accepted.append((context, new.text, task_id))

    def _insist(self, client: Client, target: UUID, new: NewTask, key: str) -> str:
        while True:
            try:
                return str(client.tasks.send(target, new, key=key).id)
            except (TruebeatError, httpx.HTTPError):
                self.errors += 1
                time.sleep(0.1)


class Killer:
    """Every `pause` seconds something is killed or stopped; what an operator would start again is started again."""

    def __init__(
        self,
        rig: Rig,
        names: list[str],
        dice: random.Random,
        pause: float,
        start: Callable[[Rig, str], None] | None = None,
    ) -> None:
        self._rig, self._names, self._dice, self._pause = rig, names, dice, pause
        self._start_agent = start or start_agent
        deeds = [self._kill_worker] * 4 + [self._stop_worker] * 2 + [self._kill_supervisor] * 2
        deeds += [self._stop_supervisor, self._kill_server, self._stop_server, self._kill_postgres]
        #: what it may do, each as often as it is likely
        self.deeds_of_choice: list[Callable[[], None]] = deeds
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.deeds: dict[str, int] = {}
        self.broken: list[str] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join(120)

    def _run(self) -> None:
        while not self._end.wait(self._pause * (0.5 + self._dice.random())):
            deed = self._dice.choice(self.deeds_of_choice)
            try:
                deed()
                name = deed.__name__.removeprefix("_")
                self.deeds[name] = self.deeds.get(name, 0) + 1
                self._operate()
            except (OSError, TruebeatError, httpx.HTTPError):
                continue  # what it wanted to hit is being started just now
            except AssertionError as error:
                self.broken.append(str(error))

    def _victim(self) -> str:
        return self._dice.choice(self._names)

    def _worker(self) -> int:
        return self._rig.views()[self._victim()].worker_pid or 0

    def _kill_worker(self) -> None:
        if pid := self._worker():
            os.kill(pid, signal.SIGKILL)

    def _stop_worker(self) -> None:
        if pid := self._worker():
            self._freeze(pid)

    def _kill_supervisor(self) -> None:
        name = self._victim()
        self._rig.kill_supervisor(name)
        self._start_agent(self._rig, name)

    def _stop_supervisor(self) -> None:
        self._freeze(self._rig.supervisors[self._victim()].pid)

    def _kill_server(self) -> None:
        self._rig.kill_server()
        self._rig.start_server()

    def _stop_server(self) -> None:
        assert self._rig.server is not None
        self._freeze(self._rig.server.pid)

    def _kill_postgres(self) -> None:
        self._rig.kill_postgres()

    def _freeze(self, pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        self._end.wait(0.5 + self._dice.random() * 3)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def _operate(self) -> None:
        """Whoever spent its restarts is restarted, as an operator would."""
        for name, view in self._rig.views().items():
            if name in self._names and view.status is Status.FAILED and view.linked:
                with contextlib.suppress(TruebeatError):
                    self._rig.client.workspaces.restart(view.id)


def start_agent(rig: Rig, name: str) -> None:
    rig.supervisors[name] = rig.truebeat(
        f"{name}.log", "run", name, "--agent", "python", "tests.stands.history_agent:answer"
    )


def run(
    rig: Rig, *, tasks: int, workspaces: int, threads: int, pause: float, dice: random.Random, least: float = 0.0
) -> dict[str, object]:
    """One history, checked. The figures; "violations" is empty if all held.

    The killer goes on until all is sent, and for `least` seconds.
    """
    names = [f"agent-{number}" for number in range(workspaces)]
    for name in names:
        start_agent(rig, name)
    rig.all_online()
    targets = [rig.views()[name].id for name in names]
    senders, killer = Senders(rig.url, targets, tasks, threads), Killer(rig, names, dice, pause)
    began = time.monotonic()
    senders.start()
    killer.start()
    senders.join()
    time.sleep(max(0.0, began + least - time.monotonic()))
    killer.stop()
    sending = time.monotonic() - began
    _drain(rig, names)
    drained = time.monotonic() - began
    history = _history(rig, senders, targets)
    states: dict[str, int] = {}
    for task in history.ledger:
        states[task.state] = states.get(task.state, 0) + 1
    return {
        "tasks": len(history.ledger),
        "states": states,
        "attempts above one": sum(task.attempt > 1 for task in history.ledger),
        "sends that failed and were repeated": senders.errors,
        "deeds": killer.deeds,
        "seconds": round(drained, 1),
        "sending seconds": round(sending, 1),
        "tasks per second": round(len(history.ledger) / drained, 1),
        "violations": violations(history) + killer.broken,
    }


def _drain(rig: Rig, names: list[str]) -> None:
    """Everybody is well, and no task is left under way."""

    def dry() -> bool:
        for name, view in rig.views().items():
            if name in names and view.status is Status.FAILED:
                with contextlib.suppress(TruebeatError):
                    rig.client.workspaces.restart(view.id)
        return all(
            rig.client.tasks.page(view.id, states="submitted,working", limit=1).total == 0
            for name, view in rig.views().items()
            if name in names
        )

    until(dry, lambda: f"the mailboxes ran dry: {rig.views()}; {rig.tail('server.log')}", limit=30 * PATIENCE)


def _history(rig: Rig, senders: Senders, targets: list[UUID]) -> History:
    history = History(accepted=senders.accepted)
    for target in targets:
        history.ledger += [
            Seen(str(task.id), task.context_id, task.text, task.state.value, task.attempt, task.answer)
            for task in all_tasks(rig.client, target)
        ]
    history.completed = [event.payload["task_id"] for event in all_events(rig.client) if event.type == "TASK_COMPLETED"]
    for line in Path(os.environ["HISTORY_JOURNAL"]).read_text().splitlines():
        what, task_id, attempt, context = line.split(" ")
        history.journal.append((what, task_id, int(attempt), context))
    return history


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--tasks", type=int, default=100_000)
    arguments.add_argument("--workspaces", type=int, default=6)
    arguments.add_argument("--senders", type=int, default=8)
    arguments.add_argument("--pause", type=float, default=2.0, help="seconds between two deeds of the killer")
    arguments.add_argument("--seed", type=int, default=None)
    given = arguments.parse_args()
    seed = given.seed if given.seed is not None else secrets.randbits(32)
    with tempfile.TemporaryDirectory(prefix="truebeat-history-") as place:
        Path(place).chmod(0o755)
        os.environ["HISTORY_JOURNAL"] = str(Path(place) / "journal")
        rig = Rig(Path(place))
        try:
            figures = run(
                rig,
                tasks=given.tasks,
                workspaces=given.workspaces,
                threads=given.senders,
                pause=given.pause,
                dice=random.Random(seed),
            )
        finally:
            left = rig.close()
    print(f"seed {seed}")
    for name, value in figures.items():
        print(f"{name}: {value}")
    print(f"processes left: {left or 'none'}")
    return 1 if figures["violations"] or left else 0


if __name__ == "__main__":
    sys.exit(main())
