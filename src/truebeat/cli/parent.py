"""A child that must not outlive its parent, however the parent ends.

The parent names itself in the child's environment and the child asks the kernel itself (Linux; elsewhere nothing
happens): running code between fork and exec is not safe in a parent with threads.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Final

#: the pid of the parent to end with
PARENT: Final = "TRUEBEAT_PARENT"
_PR_SET_PDEATHSIG: Final = 1


def end_with_parent() -> None:
    """SIGTERM when the parent that the environment names is gone; at once if it is gone already."""
    parent = os.environ.pop(PARENT, "")
    if not parent or sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(parent):
        os.kill(os.getpid(), signal.SIGTERM)
