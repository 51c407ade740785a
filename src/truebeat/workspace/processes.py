"""Whole process trees: who belongs to a worker, ending all of it, and cleaning up after a supervisor that was killed.

Three ways to know a member, because a program may double-fork, start its own session or clear its environment:
descent (parent ids), the worker's session, and a marker in the environment, MARKER=<workspace id>/<boot>-<generation>.
A process is named by its pid *and* its start time: a recycled pid is never signalled.

Who ends what:
- the supervisor lives: `TreeKill` (TERM, grace, KILL, until nothing of the tree is left);
- the supervisor was killed: `watch_parent_pipe` in the worker sees the pipe's other end close and kills the tree;
- both were killed, or the worker was stopped: `leftovers` at the next start of the same workspace.
While the supervisor lives it adopts orphans, so none escapes. When it is killed with SIGKILL, one process can still get
away: one that double-forked, left the session *and* cleared its environment, all within the last LOOK_EVERY seconds, or
while the worker was stopped. Nothing names it any more, so no later start finds it either. Where that matters, run the
workspace in a container or a systemd unit, whose end takes everything along.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    #: finds the members there are now, given the pids of those already known
    Find = Callable[[Iterable[int]], list["Process"]]

MARKER: Final = "TRUEBEAT_WORKSPACE_TREE"
#: `<pid>.<start time>` of the supervisor, in its worker's environment
SUPERVISOR: Final = "TRUEBEAT_SUPERVISOR"
#: seconds after the first KILL
GIVE_UP: Final = 10.0
#: seconds between two looks of a worker at the orphans that its supervisor adopted
LOOK_EVERY: Final = 0.2

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36


class Process(NamedTuple):
    """One process. `started` is the kernel's start time in its own unit: with `pid` it names the process for good."""

    pid: int
    parent: int
    session: int
    state: str
    started: str


def read(pid: int) -> Process | None:
    """The process now, or None when there is none (a zombie is one, state Z)."""
    if not os.path.isdir("/proc/self"):  # noqa: PTH112
        return next((process for process in snapshot() if process.pid == pid), None)
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            stat = file.read()
    except OSError:
        return None
    # The name, in parentheses, may hold anything, even parentheses.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return Process(pid, int(fields[1]), int(fields[3]), fields[0].decode(), fields[19].decode())


def snapshot() -> list[Process]:
    """Every process this user can see."""
    if os.path.isdir("/proc/self"):  # noqa: PTH112
        return [process for name in os.listdir("/proc") if name.isdigit() and (process := read(int(name)))]  # noqa: PTH208
    columns = ["ps", "-axo", "pid=,ppid=,sess=,state=,lstart="]
    listing = subprocess.run(columns, capture_output=True, text=True, check=False).stdout
    found = []
    for line in listing.splitlines():
        pid, parent, session, state, started = line.split(None, 4)
        found.append(Process(int(pid), int(parent), int(session, 16), state[:1], started))
    return found


def alive(process: Process) -> bool:
    """True if this very process is still there, and not a zombie."""
    now = read(process.pid)
    return now is not None and now.started == process.started and now.state not in "ZX"


def identity(pid: int) -> str:
    """`<pid>.<start time>`, for SUPERVISOR."""
    process = read(pid)
    return f"{pid}.{process.started if process else '0'}"


def environment(pid: int) -> dict[str, str]:
    """What the process was started with; empty when it can't be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            text = file.read().decode(errors="replace")
    except OSError:
        return {}
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)


#: a pid that no process has
NOBODY: Final = -1


def tree(root: int, marker: str | None = None, known: Iterable[int] = (), *, reaped: bool = False) -> list[Process]:
    """The living members of a tree: descendants of `root`, of `known` pids, the root's session, the marked.

    Never the caller itself. A root that is gone still has its session and its marked members. `reaped`: the root's exit
    status was read, so a process that has its pid now is a stranger (and no session of that number was left).
    """
    everyone = snapshot()
    if reaped and any(process.pid == root for process in everyone):
        root = NOBODY
    members = {root, *known}
    if marker is not None:
        members.update(process.pid for process in everyone if environment(process.pid).get(MARKER) == marker)
    members.update(process.pid for process in everyone if process.session == root)
    grew = True
    while grew:
        children = {process.pid for process in everyone if process.parent in members}
        grew = not children <= members
        members |= children
    chosen = {process.pid: process for process in everyone if process.pid in members and process.pid != os.getpid()}
    return [process for process in chosen.values() if process.state not in "ZX"]


def leftovers(workspace_id: str) -> list[Process]:
    """Processes of this workspace whose supervisor is dead."""
    found = []
    for process in snapshot():
        if process.pid == os.getpid() or process.state in "ZX":
            continue
        env = environment(process.pid)
        if env.get(MARKER, "").startswith(f"{workspace_id}/") and not _lives(env.get(SUPERVISOR, "")):
            found.append(process)
    return found


def _lives(supervisor: str) -> bool:
    pid, _, started = supervisor.partition(".")
    if not pid.isdigit():
        return False
    process = read(int(pid))
    return process is not None and process.started == started and process.state not in "ZX"


def children(pid: int) -> list[int]:
    """The pids of its main thread's children and of the orphans it adopted; cheap. Linux; elsewhere none."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:  # noqa: PTH123
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def send(process: Process, number: int) -> None:
    """A signal to this very process, if it is still there."""
    if alive(process):
        try:
            os.kill(process.pid, number)
        except (ProcessLookupError, PermissionError):
            return


class TreeKill:
    """Ending a tree without blocking: call `poll` now and then until it says True.

    TERM (and CONT, so that a stopped one hears it), `grace` seconds, then KILL again and again until nobody is left:
    a member may fork while it is being killed. What KILL does not end within GIVE_UP seconds (it waits in the kernel,
    or belongs to another user) is given up and told in `left`.
    """

    def __init__(self, find: Find, grace: float, now: float) -> None:
        self._find = find
        self._seen: dict[int, Process] = {}
        self._kill_at = now + grace
        self._terminated: set[Process] = set()
        self.left: list[Process] = []

    def hurry(self, now: float) -> None:
        """No more grace."""
        self._kill_at = min(self._kill_at, now)

    def poll(self, now: float) -> bool:
        """One step. True when nothing of the tree is left, or what is left can't be ended."""
        self._seen.update((process.pid, process) for process in self._find(tuple(self._seen)))
        living = [process for process in self._seen.values() if alive(process)]
        for process in living:
            if now >= self._kill_at:
                send(process, signal.SIGKILL)
            elif process not in self._terminated:
                self._terminated.add(process)
                send(process, signal.SIGTERM)
                send(process, signal.SIGCONT)
        self._seen = {process.pid: process for process in living}
        self.left = living
        return not living or now >= self._kill_at + GIVE_UP


def kill_now(find: Find, rounds: int = 50) -> bool:
    """KILL all of it, blocking for at most `rounds` times 20 ms. True when nobody is left."""
    ending = TreeKill(find, 0.0, 0.0)
    for _ in range(rounds):
        if ending.poll(0.0):
            return True
        select.select([], [], [], 0.02)
    return ending.poll(0.0)


def watch_parent_pipe(fd: int, marker: str | None = None) -> threading.Thread:
    """For a worker: kill this process and its whole tree as soon as the pipe's other end is closed.

    A thread of its own, so that a blocked event loop doesn't stop it; it reads nothing from `fd`, so the worker may
    read its frames from the same descriptor. The supervisor holds the other end for as long as it lives. Now and then
    the thread notes which orphans the supervisor adopted, because after its death they are nobody's.
    """
    mark = marker if marker is not None else os.environ.get(MARKER)
    supervisor = os.getppid()

    def watch() -> None:
        poller = select.poll()
        poller.register(fd, 0)  # hang-up and error are always told
        adopted: list[Process] = []
        while not poller.poll(LOOK_EVERY * 1000):
            adopted = [process for pid in children(supervisor) if pid != os.getpid() and (process := read(pid))]
        strays = [process.pid for process in adopted if alive(process)]
        kill_now(lambda known: tree(os.getpid(), mark, (*strays, *known)), rounds=10)
        os.kill(os.getpid(), signal.SIGKILL)

    thread = threading.Thread(target=watch, name="watch-parent-pipe", daemon=True)
    thread.start()
    return thread


def die_with_parent(parent: int) -> None:
    """For a process that a worker spawned, called in it: SIGKILL when the parent thread dies. Linux; elsewhere nothing.

    `parent` is the expected parent's pid: if it is already dead, this process ends at once.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def adopt_orphans() -> bool:
    """Become the parent of descendants whose own parent died, so that descent finds the double-forked. Linux only.

    The caller must then reap every child it gets (`os.waitpid(-1, os.WNOHANG)`).
    """
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    import ctypes

    return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)
