"""The CLIs that this process started: found by a mark in their environment, ended to the last descendant.

The mark names the process that started the CLI and the client it belongs to, so that a child which left the CLI's
session, or whose parent died, is still found, and so that a later process knows whose CLIs are nobody's any more.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
from typing import TYPE_CHECKING, Final

from truebeat.workspace import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: `<pid namespace>/<pid>.<start time>/<number>` in the environment of a CLI and of all that it starts
MARK: Final = "TRUEBEAT_CLAUDE_CLIENT"

_numbers = itertools.count(1)
#: marks of the clients that are open in this process
_open: set[str] = set()


def new_mark() -> str:
    """A mark for a client that is about to be opened; until `forget` its CLI is no leftover."""
    mark = f"{_namespace()}/{processes.identity(os.getpid())}/{next(_numbers)}"
    _open.add(mark)
    return mark


def forget(mark: str) -> None:
    """That client is closed: whatever still carries its mark is a leftover."""
    _open.discard(mark)


def children() -> set[processes.Process]:
    """Direct children that this thread has started, for telling which of them is the SDK's newest. Cheap on Linux."""
    here = os.getpid()
    try:
        with open(f"/proc/{here}/task/{threading.get_native_id()}/children", "rb") as file:  # noqa: PTH123
            found = [processes.read(int(pid)) for pid in file.read().split()]
    except OSError:
        found = [one for one in processes.snapshot() if one.parent == here]
    # the state changes all the time and must not tell two readings of one process apart
    return {one._replace(state="") for one in found if one is not None}


def kill(mark: str, known: Iterable[processes.Process]) -> None:
    """SIGKILL to the known CLIs, to all that descends from them, and to all that carries the mark."""
    # twice, because one that was just being forked is in no list
    for _ in range(2):
        found = _marked(lambda found: found == mark)
        for cli in known:
            # a pid that belongs to another process by now is not ours to kill
            found += processes.tree(cli.pid) if processes.alive(cli) else []
        if not found:
            return
        for process in found:
            processes.send(process, signal.SIGKILL)


def kill_leftovers() -> int:
    """SIGKILL to the CLIs of closed clients of this process, and to those whose process is gone. How many there were.

    They were seen to burn 60-70 % of a CPU and to keep new ones from starting.
    """
    found = _marked(_is_leftover)
    for process in found:
        processes.send(process, signal.SIGKILL)
    return len(found)


def _is_leftover(mark: str) -> bool:
    namespace, _, rest = mark.partition("/")
    owner = rest.partition("/")[0]
    pid, _, started = owner.partition(".")
    # a process id of another namespace says nothing here
    if namespace != _namespace() or not pid.isdigit():
        return False
    if owner == processes.identity(os.getpid()):
        return mark not in _open
    process = processes.read(int(pid))
    return process is None or process.started != started or process.state in "ZX"


def _marked(wanted: Callable[[str], bool]) -> list[processes.Process]:
    here = os.getpid()
    return [
        process
        for process in processes.snapshot()
        if process.pid != here
        and process.state not in "ZX"
        and (mark := processes.environment(process.pid).get(MARK))
        and wanted(mark)
    ]


def _namespace() -> str:
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)  # noqa: PTH116
    except OSError:
        return "0"
