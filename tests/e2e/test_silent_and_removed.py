"""What an operator does to a workspace, and a supervisor that hangs or is replaced, with real processes."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator

import pytest
from chaos_rig import PATIENCE, Rig, run_cli, until

from truebeat.domain.health import Status
from truebeat.protocol.resources import WorkspaceView


@pytest.fixture
def workspace(rig: Rig) -> Iterator[WorkspaceView]:
    """One that is online; each test has its own."""
    name = f"agent-{secrets.token_hex(3)}"
    rig.start_fleet(name)
    yield rig.views()[name]
    rig.stop_supervisors()


def _told(rig: Rig, since: int, view: WorkspaceView) -> list[str]:
    """What was told of its health, without the incidents that follow from it."""
    of_it = (event.type for event in rig.log(since) if event.workspace_id == view.id)
    return [kind for kind in of_it if not kind.startswith("INCIDENT_")]


def test_a_removed_workspace_ends_its_supervisor_and_its_worker(rig: Rig, workspace: WorkspaceView) -> None:
    since = rig.seq()
    code, told = run_cli(rig, "remove", workspace.name, "--json")
    assert (code, told["status"]) == (0, "removed")
    assert rig.supervisors[workspace.name].wait(PATIENCE) == 0
    until(lambda: not rig.processes(f"{workspace.id}/"), "its worker ended")
    assert _told(rig, since, workspace) == ["WORKSPACE_REMOVED"]
    assert workspace.name not in rig.views()


def test_a_restart_gives_the_next_generation(rig: Rig, workspace: WorkspaceView) -> None:
    since = rig.seq()
    code, told = run_cli(rig, "restart", workspace.name, "--wait", str(PATIENCE), "--json")
    assert (code, told["status"], told["generation"]) == (0, "online", workspace.generation + 1)
    assert told["worker_pid"] != workspace.worker_pid
    until(lambda: _told(rig, since, workspace)[-1] == "WORKSPACE_ONLINE", "it was told")
    assert _told(rig, since, workspace) == ["RESTART_ORDERED", "WORKSPACE_PROVISIONING", "WORKSPACE_ONLINE"]


def test_an_order_outlives_its_server_and_is_obeyed_once(rig: Rig, workspace: WorkspaceView) -> None:
    code, _ = run_cli(rig, "restart", workspace.name, "--json")
    assert code == 0
    rig.kill_server()
    rig.start_server()
    after = rig.all_online(**{workspace.name: workspace.generation})[workspace.name]
    assert (after.generation, after.restarts) == (workspace.generation + 1, 1)
    assert rig.output_of(f"{workspace.name}.log").count("a restart was ordered") == 1


def test_the_newer_of_two_supervisors_stays(rig: Rig, workspace: WorkspaceView) -> None:
    since = rig.seq()
    older = rig.supervisors[workspace.name]
    newer = rig.start_supervisor(workspace.name)
    assert older.wait(PATIENCE) == 4
    after = rig.all_online(**{workspace.name: workspace.generation})[workspace.name]
    until(lambda: workspace.worker_pid not in rig.processes(f"{workspace.id}/"), "the older one's worker ended")
    assert after.worker_pid in rig.processes(f"{workspace.id}/")
    assert newer.poll() is None
    told = _told(rig, since, workspace)
    assert "WORKSPACE_OFFLINE" not in told
    assert "WORKSPACE_DEGRADED" not in told


def test_a_hanging_supervisor_falls_silent_and_its_next_beat_ends_the_silence(
    rig: Rig, workspace: WorkspaceView
) -> None:
    since = rig.seq()
    supervisor = rig.supervisors[workspace.name]
    os.kill(supervisor.pid, signal.SIGSTOP)
    until(lambda: rig.views()[workspace.name].status is Status.OFFLINE, "its silence was told")
    (silent,) = rig.views()[workspace.name].conditions
    assert silent.detail.startswith("no beat for ")
    os.kill(supervisor.pid, signal.SIGCONT)
    after = rig.all_online()[workspace.name]
    assert (after.generation, after.worker_pid) == (workspace.generation, workspace.worker_pid)
    assert _told(rig, since, workspace) == ["WORKSPACE_OFFLINE", "WORKSPACE_ONLINE"]
