"""What the kernel says of a worker's process. Linux; elsewhere nothing is known, and nobody is accused by it."""

from __future__ import annotations

from typing import NamedTuple

#: nanoseconds
_SECOND = 1e9


class Reading(NamedTuple):
    """One look at a process and its main thread, which is where a worker's event loop runs.

    state: one letter as ps shows it, "" for no process. cpu: seconds it has run. run_delay: seconds it has been
    runnable and waited for a processor. None: not known.
    """

    state: str
    cpu: float | None = None
    run_delay: float | None = None


def read(pid: int) -> Reading:
    """Two small files of /proc: some 30 microseconds."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            stat = file.read(512)
        # The name, in parentheses, may hold anything, even parentheses.
        state = chr(stat[stat.rindex(b")") + 2])
    except (OSError, ValueError, IndexError):
        return Reading("")
    try:
        with open(f"/proc/{pid}/schedstat", "rb") as file:  # noqa: PTH123
            cpu, delay, *_ = file.read(128).split()
        return Reading(state, int(cpu) / _SECOND, int(delay) / _SECOND)
    except (OSError, ValueError):
        return Reading(state)
