"""The stack of every thread of a worker, also while its event loop is blocked or it holds the interpreter's lock.

The supervisor gives the worker a file that lives in memory; the worker registers faulthandler on it for a signal. What
dumps is a C signal handler: no Python code has to run, and no lock has to be free.
"""

from __future__ import annotations

import os
import signal
from typing import Final

from truebeat.protocol.link import STACK_LIMIT
from truebeat.workspace.loop_watch import STOPPED
from truebeat.workspace.measure import read

ENV_STACK: Final = "TRUEBEAT_STACK_FD"
#: one that agents hardly use; where there are no real-time signals, the second user's
SIGNAL: Final[int] = signal.SIGRTMAX - 3 if hasattr(signal, "SIGRTMAX") else signal.SIGUSR2
#: seconds in which a worker must have written it
ANSWER_WITHIN: Final = 1.0
#: seconds without growth after which it is taken for whole
_QUIET: Final = 0.04
_CUT: Final = b"\n...\n"


def register() -> None:
    """In the worker, once at its start. Without a supervisor that asks for it: nothing."""
    given = os.environ.pop(ENV_STACK, "")  # out of the environment: the agent's own children are no workers
    if given.isdigit():
        import faulthandler

        os.set_inheritable(int(given), False)
        faulthandler.register(SIGNAL, file=int(given), all_threads=True)


class StackFile:
    """The supervisor's end, one for each worker. `ask` once, then `poll` until it says True, then `text`."""

    def __init__(self) -> None:
        self.fd = _memory_file()
        self._asked_at = 0.0
        self._size = 0
        self._grew_at = 0.0

    def ask(self, pid: int, now: float) -> str:
        """Ask the living process `pid`. Returns why that is not possible, "" when it is."""
        state = read(pid).state
        if state in STOPPED:
            return f"the process is stopped (state {state}): it runs nothing, not even the handler that dumps"
        if not _catches(pid):
            return "the worker has registered no handler for it"
        self._asked_at = self._grew_at = now
        self._size = 0
        try:
            os.ftruncate(self.fd, 0)
            os.lseek(self.fd, 0, os.SEEK_SET)  # the worker writes at the same position: it is one open file
            os.kill(pid, SIGNAL)
        except OSError as error:
            return f"it could not be asked: {error}"
        return ""

    def poll(self, now: float) -> bool:
        """True when it is there, or when it was waited for long enough."""
        size = os.fstat(self.fd).st_size
        if size != self._size:
            self._size, self._grew_at = size, now
        return (size > 0 and now - self._grew_at >= _QUIET) or now - self._asked_at >= ANSWER_WITHIN

    def text(self) -> str:
        """What the worker wrote, its middle left out if it is long: the main thread comes last. "" for nothing."""
        size = os.fstat(self.fd).st_size
        if size <= STACK_LIMIT:
            return os.pread(self.fd, STACK_LIMIT, 0).decode(errors="replace")
        half = STACK_LIMIT // 2 - len(_CUT)
        return (os.pread(self.fd, half, 0) + _CUT + os.pread(self.fd, half, size - half)).decode(errors="replace")

    def close(self) -> None:
        """Give the memory back."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _memory_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("truebeat-stack")
    import tempfile

    fd, path = tempfile.mkstemp(prefix="truebeat-stack-")
    os.unlink(path)  # noqa: PTH108
    return fd


def _catches(pid: int) -> bool:
    """Whether the process handles SIGNAL: one that does not would be ended by it. Where unknown: yes."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:  # noqa: PTH123
            status = file.read()
    except OSError:
        return not os.path.isdir("/proc/self")  # noqa: PTH112
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith(b"SigCgt:")), b"0")
    return bool(int(caught, 16) >> (SIGNAL - 1) & 1)
