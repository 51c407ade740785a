"""What a runtime writes to stderr, passed on to the worker's own without ever waiting for whoever reads that."""

from __future__ import annotations

import os
import threading
from typing import Final

#: bytes that wait to be written; what comes beyond is left out, and said so
_LIMIT: Final = 1024 * 1024
_STDERR: Final = 2


class _Writer:
    """One thread writes: a reader that is stopped holds up that thread and nothing else."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting = bytearray()
        self._left_out = 0
        self._started = False

    def add(self, data: bytes) -> None:
        with self._changed:
            if len(self._waiting) + len(data) > _LIMIT:
                self._left_out += len(data)
                return
            if self._left_out:
                self._waiting += f"[{self._left_out} bytes of stderr left out]\n".encode()
                self._left_out = 0
            self._waiting += data
            if not self._started:
                self._started = True
                threading.Thread(target=self._write, name="stderr", daemon=True).start()
            self._changed.notify()

    def _write(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                data = bytes(self._waiting)
                self._waiting.clear()
            try:
                while data:
                    data = data[os.write(_STDERR, data) :]
            except OSError:
                # nobody reads any more; the supervisor's end of the pipe tells the worker
                continue


_writer = _Writer()


def pass_on(data: bytes) -> None:
    """Returns at once."""
    _writer.add(data)
