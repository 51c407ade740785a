"""The genuine worker with a saboteur: `python -m truebeat.kit.faults.worker CONFIG_JSON`, as RunConfig.worker_command.

The order is carried out by a signal handler in the main thread, which is the event loop's: so the same faults can be
made in a worker with any executor.
"""

from __future__ import annotations

import os
import sys
import threading

from truebeat.kit.faults import scene
from truebeat.workspace import worker
from truebeat.workspace.config import ENV_PIPE_OUT


def exit_silently() -> None:
    """As if all was done."""
    os._exit(0)


def deadlock() -> None:
    """Wait for a lock that another thread holds and never gives back."""
    lock = threading.Lock()
    held = threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            scene.hang()

    threading.Thread(target=hold, name="holder", daemon=True).start()
    held.wait()
    lock.acquire()


def _close_pipe(descriptor: int) -> None:
    """The supervisor sees the end of the pipe; the worker goes on and writes to nobody."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor, inheritable=False)
    os.close(nowhere)


def main() -> int:
    outbound = int(os.environ[ENV_PIPE_OUT])
    scene.obey(
        {
            "exit 0": exit_silently,
            "block": scene.hang,
            "spin": scene.spin,
            "deadlock": deadlock,
            "close the pipe": lambda: _close_pipe(outbound),
        }
    )
    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
