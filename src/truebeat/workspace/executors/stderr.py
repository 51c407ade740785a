"""What a runtime writes to stderr, and the worker's log lines, without ever waiting for whoever reads them."""

from __future__ import annotations

import logging
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
        self._writing = False

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
            self._changed.notify_all()

    def flush(self, patience: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._writing, patience)

    def _write(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                while not self._waiting:
                    self._changed.wait()
                data = bytes(self._waiting)
                self._waiting.clear()
                self._writing = True
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


def flush(patience: float) -> None:
    """Wait until all is written, so many seconds at most."""
    _writer.flush(patience)


class LogHandler(logging.Handler):
    """Log lines to stderr, without waiting."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            pass_on(f"{self.format(record)}\n".encode(errors="replace"))
        except Exception:
            self.handleError(record)
