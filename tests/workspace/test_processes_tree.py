"""Process trees, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from truebeat.workspace import processes
from truebeat.workspace.child import Child
from truebeat.workspace.config import RunConfig

sys.path.insert(0, str(Path(__file__).parent))
from fake_server import until

SLEEP = "import time; time.sleep(1000)"
#: prints when it is deaf to TERM
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); {SLEEP}"
PARENT = f"""
import subprocess, sys
children = [subprocess.Popen([sys.executable, "-c", {SLEEP!r}], start_new_session=new) for new in (False, True)]
print(*[child.pid for child in children], flush=True)
{SLEEP}
"""


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    running: list[subprocess.Popen[str]] = []
    yield running
    for process in running:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def spawn(started: list[subprocess.Popen[str]], code: str, **env: str) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **env})
    started.append(process)
    assert process.stdout is not None
    return process, process.stdout.readline()


def test_a_process_is_read() -> None:
    me = processes.read(os.getpid())
    assert me is not None
    assert (me.parent, me.session) == (os.getppid(), os.getsid(0))
    assert me in processes.snapshot()
    assert processes.alive(me)
    assert not processes.alive(me._replace(started="1"))
    assert processes.read(2**22 + 1) is None


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_children(started: list[subprocess.Popen[str]]) -> None:
    process, line = spawn(started, PARENT)
    assert processes.children(process.pid) == sorted(map(int, line.split()))
    assert process.pid in processes.children(os.getpid())
    processes.kill_now(lambda known: processes.tree(process.pid, None, known))
    assert processes.children(2**22 + 1) == []


def test_a_tree_is_found_whatever_its_sessions_and_killed(started: list[subprocess.Popen[str]]) -> None:
    process, line = spawn(started, PARENT)
    found = processes.tree(process.pid)
    assert {p.pid for p in found} == {process.pid, *map(int, line.split())}
    assert processes.kill_now(lambda known: processes.tree(process.pid, None, known))
    assert not [p for p in found if processes.alive(p)]


def test_a_marked_process_is_found_although_its_root_is_gone(started: list[subprocess.Popen[str]]) -> None:
    process, _ = spawn(started, f"print(flush=True); {SLEEP}", TRUEBEAT_WORKSPACE_TREE="w/1-1")
    assert [p.pid for p in processes.tree(2**22 + 1, "w/1-1")] == [process.pid]
    assert processes.tree(2**22 + 1, "w/1-2") == []


def test_term_first_then_kill(started: list[subprocess.Popen[str]]) -> None:
    process, _ = spawn(started, DEAF)
    ending = processes.TreeKill(lambda known: processes.tree(process.pid, None, known), grace=2.0, now=10.0)
    assert not ending.poll(10.0)
    assert not ending.poll(11.9)
    assert process.poll() is None
    ending.poll(12.0)
    assert process.wait(10) == -signal.SIGKILL
    assert ending.poll(12.1)


def test_a_stopped_process_hears_term(started: list[subprocess.Popen[str]]) -> None:
    process, _ = spawn(started, f"print(flush=True); {SLEEP}")
    process.send_signal(signal.SIGSTOP)
    processes.TreeKill(lambda known: processes.tree(process.pid, None, known), grace=60.0, now=0.0).poll(0.0)
    assert process.wait(10) == -signal.SIGTERM


def test_hurry_ends_the_grace(started: list[subprocess.Popen[str]]) -> None:
    process, _ = spawn(started, DEAF)
    ending = processes.TreeKill(lambda known: processes.tree(process.pid, None, known), grace=60.0, now=0.0)
    ending.poll(0.0)
    ending.hurry(1.0)
    ending.poll(1.0)
    assert process.wait(10) == -signal.SIGKILL


def test_what_can_not_be_killed_is_given_up_and_told() -> None:
    parent = processes.read(os.getppid())
    assert parent is not None
    immortal = processes.TreeKill(lambda known: [], grace=0.0, now=0.0)
    immortal._seen[parent.pid] = parent
    immortal._kill_at = 1e9
    immortal._terminated.add(parent)
    assert not immortal.poll(0.0)
    immortal._kill_at = -processes.GIVE_UP
    immortal._seen[parent.pid] = parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "send", lambda process, number: None)
        assert immortal.poll(0.0)
    assert immortal.left == [parent]


def test_leftovers_are_those_of_a_dead_supervisor(started: list[subprocess.Popen[str]]) -> None:
    code = f"print(flush=True); {SLEEP}"
    mine = {"TRUEBEAT_WORKSPACE_TREE": "ws-left/1-1"}
    living, _ = spawn(started, code, **mine, TRUEBEAT_SUPERVISOR=processes.identity(os.getpid()))
    orphan, _ = spawn(started, code, **mine, TRUEBEAT_SUPERVISOR=f"{os.getpid()}.1")
    nameless, _ = spawn(started, code, **mine)
    spawn(started, code, TRUEBEAT_WORKSPACE_TREE="ws-left-2/1-1")
    assert {p.pid for p in processes.leftovers("ws-left")} == {orphan.pid, nameless.pid}
    assert living.poll() is None


def test_a_worker_dies_with_its_pipe_although_it_is_busy(started: list[subprocess.Popen[str]]) -> None:
    ours, theirs = os.pipe()
    code = f"""
import subprocess, sys
from truebeat.workspace.processes import watch_parent_pipe
watch_parent_pipe({ours})
child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}])
print(child.pid, flush=True)
while True: pass
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, pass_fds=(ours,))
    started.append(process)
    os.close(ours)
    assert process.stdout is not None
    child = processes.read(int(process.stdout.readline()))
    os.write(theirs, b"a frame that nobody reads\n")
    assert process.poll() is None
    os.close(theirs)
    assert process.wait(10) == -signal.SIGKILL
    assert child is not None
    assert not processes.alive(child)


#: dies with the parent whose pid is argv[1]
FAITHFUL = f"""
import os, sys
from truebeat.workspace.processes import die_with_parent
die_with_parent(int(sys.argv[1]))
print(os.getpid(), flush=True)
{SLEEP}
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_dying_with_the_parent(started: list[subprocess.Popen[str]]) -> None:
    spawner = f"import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', {FAITHFUL!r}, str(os.getpid())])"
    process, line = spawn(started, f"{spawner}\n{SLEEP}")
    child = processes.read(int(line))
    assert child is not None
    process.kill()
    process.wait(10)
    until(lambda: not processes.alive(child), what="the child's death")


def test_a_stranger_with_the_pid_of_a_reaped_root_is_no_member(started: list[subprocess.Popen[str]]) -> None:
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        assert [one.pid for one in processes.tree(stranger.pid)] == [stranger.pid]
        assert processes.tree(stranger.pid, reaped=True) == []
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("failing", ["memfd", "pipe 1", "pipe 2", "pipe 3", "start"])
def test_a_worker_that_can_not_be_started_keeps_no_descriptor(monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    """A shortage that passes must not become permanent by the tries."""
    kind, _, number = failing.partition(" ")
    pipes = iter(range(1, 4))
    real = os.pipe

    def scarce() -> tuple[int, int]:
        if kind == "pipe" and str(next(pipes)) == number:
            raise OSError(24, "Too many open files")
        return real()

    def none_left() -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pipe", scarce)
    if kind == "memfd":
        monkeypatch.setattr("truebeat.workspace.stack._memory_file", none_left)
    command = ["/no/such/program"] if kind == "start" else ["true"]
    config = RunConfig(name="a", workspace_id="w", url="http://x", worker_command=command)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match=r"Too many open files|No such file"):
        Child(config, 1, 1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
