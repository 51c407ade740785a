"""kill -9 of every kind of process at random moments. Whoever was not hit is never accused, and no event is lost."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chaos_rig import LEASE, Rig, dice, until

from truebeat.domain.health import Condition, Status, Symptom, derive_status
from truebeat.protocol.events import Event
from truebeat.server.store.database import connect

FLEET = ("ada", "grace", "linus", "barbara")
#: kills of each kind
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "2"))


@pytest.fixture(scope="module")
def fleet(rig: Rig) -> Rig:
    rig.start_fleet(*FLEET)
    return rig


@pytest.fixture
def chance() -> random.Random:
    """The dice; a pause chooses the moment of a kill."""
    return dice()


@pytest.fixture(autouse=True)
def _all_agree(fleet: Rig, run_async: Callable[[Any], Any]) -> Iterator[None]:
    """After each test: the subscriber saw what the log holds, and the log says what the database says."""
    yield
    fleet.all_online()
    log = fleet.log()
    until(lambda: fleet.subscriber.seq >= log[-1].seq, "the subscriber caught up")
    assert fleet.subscriber.events == log
    assert [event.seq for event in log] == sorted({event.seq for event in log})
    last = _chained(log)
    opened, closed = (
        [e.payload["incident_id"] for e in log if e.type == f"INCIDENT_{w}"] for w in ("OPENED", "CLOSED")
    )
    assert sorted(opened) == sorted(set(closed)) == sorted(closed)  # all are online: each trouble has ended, once
    for row in run_async(_rows(fleet)):
        conditions = tuple(
            Condition(Symptom(kept["symptom"]), kept["detail"], kept["since"]) for kept in row["conditions"]
        )
        assert row["status"] == derive_status(conditions) == last[row["id"]]


def _chained(log: list[Event]) -> dict[Any, str]:
    """The last status told of each workspace, each event having begun where the one before it ended."""
    last: dict[Any, str] = {}
    for event in log:
        if not event.type.startswith("WORKSPACE_"):
            continue
        status = event.payload["status"]
        assert event.type == f"WORKSPACE_{status.upper()}"
        assert event.payload["previous"] == last.get(event.workspace_id, event.payload["previous"])
        open_ = tuple(Condition(Symptom(told["symptom"]), "", event.at) for told in event.payload["conditions"])
        assert derive_status(open_) == status
        last[event.workspace_id] = status
    return last


async def _rows(rig: Rig) -> list[Any]:
    place = (rig.directory / "postgres-18" / "postmaster.pid").read_text().splitlines()[4].strip()
    connection = await connect(f"postgresql://postgres@/truebeat?host={place}")
    try:
        return list(await connection.fetch("SELECT id, status::text AS status, conditions FROM workspaces"))
    finally:
        await connection.close()


def _pause(chance: random.Random, longest: float = 0.7) -> None:
    time.sleep(chance.uniform(0, longest))


def _told(rig: Rig, since: int) -> dict[str, list[tuple[str, str]]]:
    """By name: (status, reason) of every change of health after `since`."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for event in rig.log(since):
        if not event.type.startswith("WORKSPACE_"):
            continue  # incidents follow from these
        found[event.payload["name"]].append((event.payload["status"], event.payload["sample_error"]))
    return dict(found)


def test_a_killed_server_comes_back_and_accuses_nobody(fleet: Rig, chance: random.Random) -> None:
    since, before = fleet.seq(), fleet.views()
    for _ in range(ROUNDS):
        _pause(chance)
        fleet.kill_server()
        _pause(chance, LEASE)
        fleet.start_server()
        after = fleet.all_online()
    assert _told(fleet, since) == {}
    assert {name: view.worker_pid for name, view in after.items()} == {
        name: view.worker_pid for name, view in before.items()
    }


def test_a_killed_postgres_comes_back_by_itself_and_nobody_is_accused(fleet: Rig, chance: random.Random) -> None:
    since = fleet.seq()
    for _ in range(ROUNDS):
        _pause(chance)
        killed = fleet.kill_postgres()
        fleet.subscriber.drop()
        until(lambda killed=killed: fleet.postmaster() != killed and fleet.ready(), "PostgreSQL was started again")
        fleet.all_online()
    assert _told(fleet, since) == {}
    assert fleet.server is not None
    assert fleet.server.poll() is None


def test_a_stopped_server_accuses_nobody(fleet: Rig, chance: random.Random) -> None:
    since = fleet.seq()
    _pause(chance)
    assert fleet.server is not None
    os.kill(fleet.server.pid, signal.SIGSTOP)
    time.sleep(LEASE + 2)
    os.kill(fleet.server.pid, signal.SIGCONT)
    beats = {name: view.last_beat_at for name, view in fleet.all_online().items()}
    until(
        lambda: all(view.last_beat_at != beats[name] for name, view in fleet.views().items()),
        "everybody beat again",
    )
    assert _told(fleet, since) == {}


def test_a_killed_worker_is_told_and_replaced(fleet: Rig, chance: random.Random) -> None:
    for _ in range(ROUNDS):
        since = fleet.seq()
        victim = chance.choice(FLEET)
        before = fleet.all_online()[victim]
        _pause(chance)
        fleet.subscriber.drop()
        os.kill(before.worker_pid or 0, signal.SIGKILL)
        fleet.all_online(**{victim: before.generation})
        told = _told(fleet, since)
        assert told == {
            victim: [("degraded", "worker exited: killed by SIGKILL; restarting"), ("online", "")],
        }


def test_a_killed_supervisor_is_silent_until_it_is_started_again(fleet: Rig, chance: random.Random) -> None:
    for _ in range(ROUNDS):
        since = fleet.seq()
        victim = chance.choice(FLEET)
        before = fleet.all_online()[victim]
        _pause(chance)
        fleet.kill_supervisor(victim)
        until(lambda name=victim: fleet.views()[name].status is Status.OFFLINE, "its silence was told")
        until(lambda mark=f"{before.id}/": not fleet.processes(mark), "its worker ended with it")
        _pause(chance)
        fleet.start_supervisor(victim)
        fleet.all_online(**{victim: before.generation})
        told = _told(fleet, since)
        assert list(told) == [victim]
        assert [status for status, _ in told[victim]] == ["offline", "provisioning", "online"]
        assert told[victim][0][1].startswith("no beat for ")


def test_all_at_once(fleet: Rig, chance: random.Random) -> None:
    """What happened to the worker while nobody could hear it may go untold; a wrong word about the others may not."""
    for _ in range(ROUNDS):
        since = fleet.seq()
        before = fleet.all_online()
        victim = chance.choice(FLEET)
        attacks = [
            fleet.kill_server,
            fleet.kill_postgres,
            lambda pid=before[victim].worker_pid: os.kill(pid, signal.SIGKILL),
        ]
        chance.shuffle(attacks)
        for attack in attacks:
            attack()
            _pause(chance, 0.2)
        fleet.start_server()
        after = fleet.all_online(**{victim: before[victim].generation})
        assert set(_told(fleet, since)) <= {victim}
        assert {name: view.generation for name, view in after.items() if name != victim} == {
            name: view.generation for name, view in before.items() if name != victim
        }
