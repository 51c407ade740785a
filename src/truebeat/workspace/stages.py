"""The stages of a worker's life under its supervisor, and the bounds of the rules.

WAITING      no process; the first needs the server's welcome, because the server issues the generation
DELAYED      no process; one will be started when the restart's delay is over
RUNNING      a process; `ready` says whether it proved that it can start
ADMITTED     a process that admitted a wedge; it ends when that was acknowledged, or after ADMISSION_GRACE
ENDING       the tree is being killed; when it is gone: DELAYED, QUARANTINED or exit
QUARANTINED  no process, and none until an operator's order
STOPPING     a process that was asked to finish; then ENDING and exit
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from truebeat.domain.restart import RestartPolicy


class Stage(Enum):
    """The worker's life; the module's docstring says what each expects."""

    WAITING = "waiting"
    DELAYED = "delayed"
    RUNNING = "running"
    ADMITTED = "admitted"
    ENDING = "ending"
    QUARANTINED = "quarantined"
    STOPPING = "stopping"


#: stages in which the worker's process may live
HAS_PROCESS: Final = frozenset({Stage.RUNNING, Stage.ADMITTED, Stage.STOPPING})


#: seconds that an admission has to be acknowledged before the wedged worker is ended
ADMISSION_GRACE: Final = 1.0
#: seconds between the end of a living worker's pipe and its own end: an exit tells its reason better
PIPE_GRACE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Rules:
    """The brain's bounds, in seconds.

    loop_bound, loop_kill: entitled time (loop_watch.py) without a tick until that is told, and until the worker is
    replaced. start_bound: the same kind of time until a started worker must be ready.
    """

    restart: RestartPolicy = RestartPolicy()  # noqa: RUF009
    stop_grace: float = 5.0
    kill_grace: float = 2.0
    ack_timeout: float = 15.0
    loop_bound: float = 2.0
    loop_kill: float = 20.0
    start_bound: float = 120.0
