"""The worker's end of the pipe: frames up without ever waiting, frames down as they come."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from typing import TYPE_CHECKING, Final

from truebeat.protocol import pipe
from truebeat.workspace.pipe import Garbage, encode, to_worker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

#: bytes kept for a supervisor that does not read; ticks are never kept
_BACKLOG_LIMIT: Final = 1024 * 1024

_log = logging.getLogger(__name__)


class FrameWriter:
    """Writes frames from any thread. A supervisor that is stopped must not block the worker: what the pipe does not
    take is kept and goes out with the next frame, ticks excepted.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._backlog = bytearray()
        os.set_blocking(descriptor, False)
        os.set_inheritable(descriptor, False)

    def send(self, frame: pipe.FromWorker) -> None:
        """Write, or keep. Never raises for a closed pipe: the reader sees that the supervisor is gone."""
        with self._lock:
            keep = not isinstance(frame, pipe.Tick) or not self._backlog
            if keep and len(self._backlog) < _BACKLOG_LIMIT:
                self._backlog += encode(frame)
            try:
                while self._backlog:
                    del self._backlog[: os.write(self._descriptor, self._backlog)]
            except BlockingIOError:
                pass
            except OSError as error:
                _log.debug("the pipe to the supervisor is closed: %s", error)
                self._backlog.clear()


async def frames(descriptor: int) -> AsyncGenerator[pipe.ToWorker, None]:
    """Every frame from the supervisor; ends at the pipe's end. A line that is no frame is logged and passed over."""
    os.set_inheritable(descriptor, False)
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(descriptor, "rb", buffering=0, closefd=False)
    )
    reader = to_worker()
    try:
        while data := await stream.read(pipe.LINE_LIMIT):
            for frame in reader.feed(data):
                if isinstance(frame, Garbage):
                    _log.warning("a line from the supervisor is no frame (%s): %r", frame.why, frame.sample)
                else:
                    yield frame
    finally:
        transport.close()
