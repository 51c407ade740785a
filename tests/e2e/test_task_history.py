"""Many senders, and kill -9 and SIGSTOP of everything meanwhile: nothing lost, nothing ended twice, every order kept.

The long run: HISTORY_TASKS=100000 HISTORY_SECONDS=3600 pytest tests/e2e/test_task_history.py
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter

from chaos_rig import TOKEN, Rig, dice, until
from history import Sender, all_events, all_tasks, faults

from truebeat.domain.delivery import State

FLEET = ("ada", "grace", "linus")
TASKS = int(os.environ.get("HISTORY_TASKS", "300"))
#: seconds of chaos at least, and for all that was accepted to end afterwards
CHAOS = float(os.environ.get("HISTORY_CHAOS", "20"))
PATIENCE = float(os.environ.get("HISTORY_SECONDS", "60"))
SENDERS = 6


def strike(rig: Rig, chance: random.Random) -> str:
    """One misfortune; what an operator would start again is started again."""
    what = chance.choice(["worker", "worker", "supervisor", "server", "postgres", "stop server", "stop worker"])
    name = chance.choice(FLEET)
    match what:
        case "worker" | "stop worker":
            pid = rig.views()[name].worker_pid
            with contextlib.suppress(ProcessLookupError, TypeError):
                os.kill(pid, signal.SIGKILL if what == "worker" else signal.SIGSTOP)
        case "supervisor":
            rig.kill_supervisor(name)
            rig.start_supervisor(name)
        case "server":
            rig.kill_server()
            rig.start_server()
        case "postgres":
            rig.kill_postgres()
        case "stop server":
            os.kill(rig.server.pid, signal.SIGSTOP)
            time.sleep(2)
            os.kill(rig.server.pid, signal.SIGCONT)
    return what


def test_nothing_is_lost_and_nothing_ends_twice_whatever_dies(rig: Rig) -> None:
    chance = dice()
    rig.start_fleet(*FLEET)
    workspaces = [rig.views()[name].id for name in FLEET]
    share = TASKS // SENDERS
    senders = [
        Sender(rig.url, TOKEN, workspaces, share, chance.randrange(10**6), CHAOS / share) for _ in range(SENDERS)
    ]
    for sender in senders:
        sender.start()
    strikes: Counter[str] = Counter()
    deadline = time.monotonic() + CHAOS
    while time.monotonic() < deadline or any(sender.is_alive() for sender in senders):
        time.sleep(chance.uniform(0.2, 1.5))
        with contextlib.suppress(Exception):  # the victim may be dead already, or the server not answer
            strikes[strike(rig, chance)] += 1
        if time.monotonic() > deadline + PATIENCE:
            break
    for sender in senders:
        sender.join(10)
        sender.enough.set()
    until(rig.ready, "the server was ready")

    def quiet() -> bool:
        return all(task.final for workspace in workspaces for task in all_tasks(rig.client, workspace))

    def unquiet() -> str:
        left = [
            (task.state, task.attempt, task.begun, task.reason, task.availability and task.availability.reason)
            for workspace in workspaces
            for task in all_tasks(rig.client, workspace)
            if not task.final
        ]
        detail = [rig.client.tasks.get(task.id) for task in all_tasks(rig.client, workspaces[0]) if not task.final][:2]
        return f"all tasks ended; {strikes}; {len(left)} left: {left[:4]}; {rig.views()}; {detail}"

    until(quiet, unquiet, limit=PATIENCE)
    tasks = {task.id: task for workspace in workspaces for task in all_tasks(rig.client, workspace)}
    assert faults(senders, tasks, list(all_events(rig.client))) == []
    states = Counter(task.state for task in tasks.values())
    print({task.reason for task in tasks.values() if task.state is State.FAILED})
    print(f"{len(tasks)} tasks: {dict(states)}; {dict(strikes)}; attempts {sum(t.attempt for t in tasks.values())}")
    assert states[State.COMPLETED] > 0.9 * len(tasks), states
