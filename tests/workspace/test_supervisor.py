"""The supervisor as a real process, between a fake server and a scripted worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from truebeat.workspace import config, processes

sys.path.insert(0, str(Path(__file__).parent))
from fake_server import FakeServer, until

WORKER = Path(__file__).with_name("scripted_worker.py")


class Run:
    """One supervisor process, its log, and what belongs to its workspace."""

    def __init__(self, server: FakeServer, log: Path, mode: str, token_file: Path | None = None, **knobs: Any) -> None:
        self.workspace_id = knobs.pop("workspace_id", str(uuid.uuid4()))
        self.log = log
        run = config.RunConfig(
            name="probe",
            workspace_id=self.workspace_id,
            url=knobs.pop("url", server.url),
            token_file=str(token_file) if token_file else None,
            worker_command=knobs.pop("worker_command", [sys.executable, str(WORKER), mode]),
            restart=config.RestartLimits(limit=2, window=60.0, first_delay=0.02),
            **{"kill_grace": 0.2, "stop_grace": 1.0, **knobs},
        )
        env = {**os.environ, **({} if token_file else {"TRUEBEAT_TOKEN": "secret"})}
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "truebeat.workspace.supervisor", config.encode(run)],
                env=env,
                stdin=subprocess.DEVNULL,
                stderr=stderr,
            )

    def members(self) -> list[int]:
        """Living processes that carry the workspace's marker."""
        living = [process.pid for process in processes.snapshot() if process.state not in "ZX"]
        mine = f"{self.workspace_id}/"
        return [pid for pid in living if processes.environment(pid).get(processes.MARKER, "").startswith(mine)]

    def family(self) -> list[processes.Process]:
        """Wait for the whole family: worker, child, grandchild, and two double-forked, one of them unmarked."""

        def complete() -> list[processes.Process]:
            tree = processes.tree(self.process.pid)
            tree = [process for process in tree if process.pid != self.process.pid]
            adopted = [process for process in tree if process.parent == self.process.pid]
            return tree if (len(tree), len(adopted), len(self.members())) == (5, 3, 4) else []

        found: list[processes.Process] = until(complete, what="the family")
        return found

    def said(self, text: str) -> bool:
        return text in self.log.read_text(errors="replace")

    def wait(self) -> int:
        return self.process.wait(20)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as fake:
        yield fake


@pytest.fixture
def start(server: FakeServer, tmp_path: Path) -> Iterator[Any]:
    runs: list[Run] = []

    def starter(mode: str = "well", **knobs: Any) -> Run:
        run = Run(server, tmp_path / "log.txt", mode, **knobs)
        runs.append(run)
        return run

    yield starter
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait(20)
        processes.kill_now(lambda _known, mine=run: [p for pid in mine.members() if (p := processes.read(pid))])


def test_a_killed_worker_is_told_and_replaced(server: FakeServer, start: Any) -> None:
    run = start()
    first = server.beat(runtime_state="")
    os.kill(first["worker_pid"], signal.SIGKILL)
    told = server.beat(runtime_state="wedged")
    assert told["sample_error"] == "worker exited: killed by SIGKILL; restarting"
    assert server.beat(runtime_state=None)["generation"] == 2
    assert server.beat(runtime_state="")["generation"] == 2
    assert server.beat(runtime_state="", phase="idle")["restarts"] == 1
    assert run.process.poll() is None


def test_an_admission_is_told_and_the_whole_tree_replaced(server: FakeServer, start: Any) -> None:
    run = start("family")
    first = server.beat(runtime_state="")
    old = run.family()
    os.kill(first["worker_pid"], signal.SIGUSR1)
    assert server.beat(runtime_state="wedged")["sample_error"] == "Control request timeout: initialize"
    assert server.beat(runtime_state="")["generation"] == 2
    assert [process for process in old if processes.alive(process)] == []


def test_a_crash_loop_is_quarantined_and_an_order_is_obeyed_once(server: FakeServer, start: Any) -> None:
    run = start("crash")
    beat = server.beat(quarantine=bool)
    assert (beat["generation"], beat["runtime_state"]) == (3, "wedged")
    assert "exit code 3 (boom: no such model \\x1b[31m)" in beat["quarantine"]
    server.send(type="restart", restart_id="r1", reason="ann")
    assert server.beat(generation=4, runtime_state=None)["quarantine"] == ""
    assert server.beat(quarantine=bool)["generation"] == 6
    server.send(type="restart", restart_id="r1", reason="ann")
    for _ in range(3):
        assert server.beat()["generation"] == 6
    assert run.process.poll() is None
    assert "\x1b" not in run.log.read_text()


def test_a_fatal_configuration_is_quarantined_at_once(server: FakeServer, start: Any) -> None:
    start("fatal")
    assert server.beat(quarantine=bool)["generation"] == 1


def test_sigterm_leaves_nothing(server: FakeServer, start: Any) -> None:
    run = start("family")
    server.beat(runtime_state="")
    everyone = run.family()
    run.process.send_signal(signal.SIGTERM)
    assert run.wait() == 0
    assert [p for p in everyone if processes.alive(p)] == []
    assert run.members() == []


def test_a_second_signal_kills_at_once(server: FakeServer, start: Any) -> None:
    run = start("deaf", stop_grace=60.0, kill_grace=60.0)
    server.beat(runtime_state="")
    run.process.send_signal(signal.SIGINT)
    until(lambda: run.said("stopping"), what="the first signal")
    run.process.send_signal(signal.SIGINT)
    assert run.wait() == 0
    # killed is not yet gone: the kernel may still be taking it down
    until(lambda: not run.members(), what="the end of the killed worker")


def test_a_killed_supervisor_leaves_nothing(server: FakeServer, start: Any) -> None:
    run = start("family")
    server.beat(runtime_state="")
    everyone = run.family()
    seq = server.seen[-1]["seq"]
    server.beat(seq=lambda now: now >= seq + 4)  # the worker has looked at what its supervisor adopted
    run.process.kill()
    # also the one that left its session, its parent and its environment
    until(lambda: not [process for process in everyone if processes.alive(process)], what="the end of the tree")
    assert run.members() == []


def test_what_a_killed_supervisor_had_to_leave_is_reaped_at_the_next_start(server: FakeServer, start: Any) -> None:
    run = start("family")
    worker = server.beat(runtime_state="")["worker_pid"]
    everyone = run.family()
    os.kill(worker, signal.SIGSTOP)
    run.process.kill()
    run.wait()
    old = set(run.members())
    assert worker in old
    again = start(workspace_id=run.workspace_id)
    server.beat(runtime_state="", generation=2)
    assert not old & set(again.members())
    for process in everyone:
        processes.send(process, signal.SIGKILL)


def test_it_ends_with_what_started_it_if_asked_to(server: FakeServer, start: Any) -> None:
    run = start(parent_pid=os.getpid())
    server.beat(runtime_state="")
    other = start(parent_pid=1)
    assert other.wait() == 0
    assert run.process.poll() is None


def test_another_workspace_is_not_reaped(server: FakeServer, start: Any) -> None:
    first = start()
    worker = server.beat(runtime_state="")["worker_pid"]
    start()
    server.beat(runtime_state="", worker_pid=lambda pid: pid not in {None, worker})
    assert first.members() == [worker]


def test_a_refused_token_is_read_again(server: FakeServer, start: Any, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret\n")
    start(token_file=file)
    server.beat(runtime_state="")
    server.token = "rotated"
    file.write_text("rotated\n")
    server.connections[-1].close(4401, "expired")
    server.beat(runtime_state="", seq=lambda seq: seq > 2)
    until(lambda: len(server.connections) == 2, what="the second link")
    assert server.authorizations[-1] == "Bearer rotated"
    assert server.seen[-1]["generation"] == 1


def test_a_bad_token_is_tried_again_until_there_is_another(server: FakeServer, start: Any, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("wrong")
    run = start(token_file=file)
    until(lambda: len(server.authorizations) >= 2, what="the retry")
    assert run.process.poll() is None
    file.write_text("secret")
    server.beat(runtime_state="")


def test_no_token_yet_is_waited_for(server: FakeServer, start: Any, tmp_path: Path) -> None:
    file = tmp_path / "token"
    run = start(token_file=file)
    until(lambda: run.said("the token is still refused") or run.said("the token was refused"), what="the complaint")
    file.write_text("secret")
    server.beat(runtime_state="")


def test_a_cut_link_is_replaced_and_the_worker_lives_on(server: FakeServer, start: Any) -> None:
    start()
    worker = server.beat(runtime_state="")["worker_pid"]
    server.connections[-1].socket.close()
    until(lambda: len(server.connections) == 2, what="the second link")
    beat = server.beat(runtime_state="", seq=lambda seq: seq > 2)
    assert (beat["worker_pid"], beat["generation"]) == (worker, 1)
    assert len({hello["boot"] for hello in server.hellos}) == 1


def test_what_happened_without_a_link_is_told_with_the_next(server: FakeServer, start: Any) -> None:
    start()
    worker = server.beat(runtime_state="")["worker_pid"]
    server.refuse = 503
    server.connections[-1].socket.close()
    until(lambda: len(server.authorizations) >= 2, what="a refused dial")
    os.kill(worker, signal.SIGKILL)
    server.refuse = None
    assert server.beat(generation=2, runtime_state="")["restarts"] == 1


def test_a_server_that_acknowledges_nothing_is_dialled_again(server: FakeServer, start: Any) -> None:
    server.acknowledge = False
    run = start(ack_timeout=0.4)
    until(lambda: len(server.connections) >= 2, what="the second link")
    assert run.said("no acknowledgement in time")


@pytest.mark.parametrize("garbage", ["{", '{"type": "ack", "seq": "one"}', "[]", "x" * 300_000, b"\x00\xff"])
def test_garbage_from_the_server_ends_the_link_not_the_worker(server: FakeServer, start: Any, garbage: Any) -> None:
    run = start()
    worker = server.beat(runtime_state="")["worker_pid"]
    server.connections[-1].send(garbage)
    until(lambda: len(server.connections) == 2, what="the second link")
    assert server.beat(runtime_state="", seq=lambda seq: seq > 2)["worker_pid"] == worker
    assert run.said("bad frame")


def test_a_frame_of_a_later_version_is_ignored(server: FakeServer, start: Any) -> None:
    start()
    server.beat(runtime_state="")
    server.send(type="confetti", colour="red")
    server.beat(runtime_state="")
    server.beat(runtime_state="")
    assert len(server.connections) == 1


def test_garbage_from_the_worker_is_ignored(server: FakeServer, start: Any) -> None:
    run = start("garbage")
    assert server.beat(runtime_state="", phase="idle")["generation"] == 1
    assert run.said("the worker sends garbage")


def test_retire_ends_it_well(server: FakeServer, start: Any) -> None:
    run = start()
    server.beat(runtime_state="")
    server.send(type="retire", reason="removed by ann")
    assert run.wait() == 0
    assert run.said("removed by ann")
    assert run.members() == []


@pytest.mark.parametrize(("status", "close"), [(410, None), (None, 4410)])
def test_a_removed_workspace_ends_it_well(server: FakeServer, start: Any, status: int, close: int) -> None:
    server.refuse, server.close_with = status, close
    assert start().wait() == 0


def test_a_newer_supervisor_replaces_this_one(server: FakeServer, start: Any) -> None:
    run = start()
    server.beat(runtime_state="")
    server.connections[-1].close(4409, "replaced")
    assert run.wait() == 4
    assert run.said("another supervisor with a newer start")
    assert run.members() == []


def test_an_unknown_workspace_is_waited_for(server: FakeServer, start: Any) -> None:
    server.refuse = 404
    run = start()
    until(lambda: run.said("does not know this workspace"), what="the complaint")
    assert run.process.poll() is None


def test_a_worker_that_can_not_be_started_is_quarantined_with_the_reason(server: FakeServer, start: Any) -> None:
    run = start(worker_command=["/nonexistent/worker"])
    assert "it could not be started: [Errno 2]" in server.beat(quarantine=bool)["quarantine"]
    assert run.process.poll() is None


def test_a_server_under_a_path(server: FakeServer, start: Any) -> None:
    start(url=server.url + "/base/")
    server.beat(runtime_state="")
    assert server.paths[-1].startswith("/base/workspaces/")


BROKEN = """
import sys
from truebeat.clock import SystemClock
from truebeat.workspace import config, events, supervisor

failures = int(sys.argv[1])

class Broken(supervisor.Supervisor):
    def _step(self):
        global failures
        failures -= 1
        if failures >= 0:
            raise RuntimeError("a bug\\x1b")
        self._perform(events.Exit(0, "survived"))

run = config.RunConfig(name="x", workspace_id="w", url="http://127.0.0.1:1")
sys.exit(Broken(run, SystemClock()).run())
"""


@pytest.mark.parametrize(("failures", "code"), [(3, 0), (10, 1)])
def test_a_bug_in_the_loop_is_survived_but_not_for_ever(failures: int, code: int) -> None:
    command = [sys.executable, "-c", BROKEN, str(failures)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stderr.count("the supervisor's loop failed; going on") == failures
    assert "\x1b" not in done.stderr


def signal_worker(server: FakeServer, number: int) -> int:
    worker: int = server.beat(runtime_state="", tick_age=lambda age: age is not None)["worker_pid"]
    os.kill(worker, number)
    return worker


def test_a_stopped_worker_is_told_and_gives_no_stack(server: FakeServer, start: Any) -> None:
    start("ticking", loop_bound=0.8)
    worker = signal_worker(server, signal.SIGSTOP)
    beat = server.beat(stall="the worker process is stopped (state T)")
    assert (beat["generation"], beat["runtime_state"], beat["process_state"]) == (1, "", "T")
    report = server.heard(type="report", kind="stopped")
    assert report["stack"] == ""
    assert "state T" in report["facts"]["no_stack"]
    os.kill(worker, signal.SIGCONT)
    beat = server.beat(stall="", capacity=1)
    assert (beat["generation"], beat["counters"]["frames"]) == (1, 3)


def test_a_blocked_loop_is_told_with_the_stack_and_may_come_back(server: FakeServer, start: Any) -> None:
    start("blocking", loop_bound=0.8)
    worker = signal_worker(server, signal.SIGUSR2)
    beat = server.beat(stall=lambda stall: stall.startswith("the event loop has been blocked for "))
    assert (beat["runtime_state"], beat["capacity"]) == ("", 0)
    report = server.heard(type="report", kind="blocked")
    assert "in sleeps_in_the_loop" in report["stack"]
    beat = server.beat(stall="", capacity=1)
    assert (beat["generation"], beat["worker_pid"]) == (1, worker)
    server.heard(type="report", kind="resumed")


def test_a_deadlock_is_ended_with_the_stacks_of_both_threads(server: FakeServer, start: Any) -> None:
    run = start("deadlocking", loop_bound=0.5, loop_kill=1.5)
    worker = signal_worker(server, signal.SIGUSR2)
    beat = server.beat(runtime_state="wedged")
    assert beat["sample_error"] == "the event loop was blocked for 1.5 s"
    report = server.heard(type="report", kind="wedged")
    assert "in waits_for_itself" in report["stack"]
    assert "in other_side" in report["stack"]
    assert "another worker started after" in report["action"]
    assert server.beat(runtime_state="", generation=2)["stall"] == ""
    assert server.heard(type="report", kind="verified")["generation"] == 2
    assert worker not in run.members()


def test_a_living_worker_without_its_pipe_is_replaced(server: FakeServer, start: Any) -> None:
    start("closing")
    signal_worker(server, signal.SIGUSR2)
    assert server.beat(runtime_state="wedged")["sample_error"] == "the worker closed its pipe"
    assert "in closes_its_pipe" in server.heard(type="report", kind="pipe_closed")["stack"]
    server.beat(runtime_state="", generation=2)


def test_a_start_without_an_end_is_ended(server: FakeServer, start: Any) -> None:
    start("never_ready", bounds={"starting": 0.5})
    assert server.beat(runtime_state="wedged")["sample_error"] == "the worker was not ready within 0.5 s"
    server.beat(generation=2)


def test_what_happened_is_reported_until_the_server_has_it(server: FakeServer, start: Any) -> None:
    server.settle = False
    start()
    os.kill(server.beat(runtime_state="")["worker_pid"], signal.SIGKILL)
    server.heard(type="report", kind="verified")
    first = [(report["n"], report["kind"]) for report in server.told]
    assert [kind for _, kind in first] == ["exited", "restarted", "verified"]
    server.settle = True
    server.connections[-1].socket.close()
    until(lambda: len(server.told) == 2 * len(first), what="the repetition")
    assert [(report["n"], report["kind"]) for report in server.told[len(first) :]] == first
    server.connections[-1].socket.close()
    until(lambda: len(server.connections) == 3, what="the third link")
    server.beat(seq=lambda seq, last=server.seen[-1]["seq"]: seq > last + 2)
    assert len(server.told) == 2 * len(first)


def deliver(server: FakeServer, task: str, text: str, generation: int = 1) -> None:
    sender = {"kind": "person", "id": "ann"}
    this = {"task_id": task, "context_id": "c", "generation": generation, "attempt": 1}
    server.send(type="deliver", **this, sender=sender, text=text)


def test_a_task_passes_through(server: FakeServer, start: Any) -> None:
    start("ticking")
    server.beat(capacity=1)
    deliver(server, "t1", "hi")
    assert server.heard(type="finished", task_id="t1")["text"] == "you said hi"
    assert [frame["type"] for frame in server.told] == ["begun", "chunk", "finished"]
    assert [frame["n"] for frame in server.told] == [1, 2, 3]
    deliver(server, "t2", "hang")
    server.beat(capacity=0, holding=["t2/1"])
    deliver(server, "t3", "too many")
    assert server.heard(type="handed_back", task_id="t3")["begun"] is False
    server.send(type="cancel", task_id="t2", generation=1, attempt=1)
    assert server.heard(type="finished", task_id="t2")["state"] == "canceled"
    deliver(server, "t4", "late", generation=7)
    assert "fenced" in server.heard(type="handed_back", task_id="t4")["reason"]
    server.beat(capacity=1, holding=[])


def test_a_large_result_passes_through(server: FakeServer, start: Any) -> None:
    start("ticking")
    server.beat(capacity=1)
    deliver(server, "t1", "large")
    assert len(server.heard(type="finished", task_id="t1")["text"]) == 8 * 1024 * 1024
    server.beat(stall="", capacity=1)
    assert len(server.connections) == 1


def test_what_a_dead_worker_held_comes_back(server: FakeServer, start: Any) -> None:
    start("ticking")
    worker = server.beat(capacity=1)["worker_pid"]
    deliver(server, "t1", "hang")
    server.heard(type="chunk", task_id="t1")
    os.kill(worker, signal.SIGKILL)
    back = server.heard(type="handed_back", task_id="t1")
    assert (back["begun"], back["generation"]) == (True, 1)


def test_a_worker_that_reads_nothing_delays_no_beat(server: FakeServer, start: Any) -> None:
    run = start("unread")
    server.beat(capacity=1)
    deliver(server, "t1", "x" * 1024 * 1024)
    beat = server.beat(holding=["t1/1"])
    for _ in range(20):
        server.send(type="cancel", task_id="t1", generation=1, attempt=1)
        server.send(type="probe", reason="ann asks")
    assert server.beat(seq=lambda seq: seq > beat["seq"] + 3)["capacity"] == 0
    run.process.send_signal(signal.SIGTERM)
    assert run.wait() == 0
    assert server.heard(type="handed_back", task_id="t1")["begun"] is False


def test_restarts_leak_no_descriptor(server: FakeServer, start: Any) -> None:
    run = start("ticking")

    def descriptors() -> int:
        return len(list(Path(f"/proc/{run.process.pid}/fd").iterdir()))

    server.beat(runtime_state="", generation=1)
    before = descriptors()
    for generation in range(2, 8):
        server.send(type="restart", restart_id=f"r{generation}", reason="ann")
        server.beat(runtime_state="", generation=generation)
    assert descriptors() == before


def test_bad_configuration_is_one_clear_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "truebeat.workspace.supervisor", '{"name": 3}'],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("truebeat: bad configuration: ")
    assert done.stderr.count("\n") == 1


def test_it_stays_small(server: FakeServer, start: Any) -> None:
    run = start()
    for _ in range(10):
        server.beat(runtime_state="")
    status = Path(f"/proc/{run.process.pid}/status").read_text()
    (rss,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")]
    assert rss <= 25 * 1024, f"{rss} kB"
