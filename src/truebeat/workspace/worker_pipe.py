"""The worker's end of the pipe: frames up without ever waiting, frames down as they come."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from truebeat.protocol import pipe
from truebeat.protocol.delivery import Begun, Chunk, Finished, HandedBack
from truebeat.workspace.pipe import Garbage, encode, to_worker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

#: bytes that wait for a supervisor that does not read, above which turns are not asked for more
ROOM: Final = 1024 * 1024
#: bytes above which only what must never be lost is kept
_LIMIT: Final = 4 * ROOM
#: seconds between looks while the last frames go out
_FLUSH_LOOK: Final = 0.01
#: frames that are kept whatever happens; their number is bounded by `room` and by the turns that are on
_NEVER_LOST: Final = (Begun, Chunk, Finished, HandedBack, pipe.Wedged, pipe.Cleared, pipe.Ready, pipe.Fatal)

_log = logging.getLogger(__name__)


class FrameWriter:
    """Writes frames from any thread. A supervisor that is stopped must not block the worker: what the pipe does not
    take is kept, and goes out as soon as the pipe takes it; ticks are not kept.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._backlog = bytearray()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watching = False
        self._closed = False
        self._room = asyncio.Event()
        self._room.set()
        os.set_blocking(descriptor, False)
        os.set_inheritable(descriptor, False)

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """From now on `loop` sends what waits as soon as the pipe takes it, instead of with the next frame."""
        if loop is None and self._loop is not None and self._watching:
            self._loop.remove_writer(self._descriptor)
            self._watching = False
        self._loop = loop

    def send(self, frame: pipe.FromWorker) -> None:
        """Write, or keep. Never raises for a closed pipe: the reader sees that the supervisor is gone."""
        with self._lock:
            if self._closed:
                return
            if self._keeps(frame):
                self._backlog += _line(frame)
            self._write()
            waits = bool(self._backlog)
        if waits and self._loop is not None:
            # the loop may be closed by now
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._watch)

    async def room(self) -> None:
        """Returns once not too much is waiting: whoever produces without end asks first."""
        while len(self._backlog) > ROOM:
            self._room.clear()
            await self._room.wait()

    async def flushed(self, patience: float) -> None:
        """Returns once nothing waits any more, or after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._backlog:  # noqa: ASYNC110 - any thread may add to it
                    await asyncio.sleep(_FLUSH_LOOK)

    def _keeps(self, frame: pipe.FromWorker) -> bool:
        if isinstance(frame, pipe.Tick):
            return not self._backlog
        return len(self._backlog) < _LIMIT or isinstance(frame, _NEVER_LOST)

    def _write(self) -> None:
        try:
            while self._backlog:
                del self._backlog[: os.write(self._descriptor, self._backlog)]
        except BlockingIOError:
            pass
        except OSError as error:
            _log.debug("the pipe to the supervisor is closed: %s", error)
            self._closed = True
            self._backlog.clear()

    def _watch(self) -> None:
        loop = self._loop
        if loop is not None and not self._watching and self._backlog:
            self._watching = True
            loop.add_writer(self._descriptor, self._writable)

    def _writable(self) -> None:
        with self._lock:
            self._write()
            waits = bool(self._backlog)
            if len(self._backlog) <= ROOM:
                self._room.set()
        if not waits and self._loop is not None:
            self._loop.remove_writer(self._descriptor)
            self._watching = False


def _line(frame: pipe.FromWorker) -> bytes:
    """The frame's line, also when an agent's text in it is not what UTF-8 can say."""
    try:
        return encode(frame)
    except UnicodeEncodeError:
        return json.dumps(_cleaned(msgspec.to_builtins(frame))).encode() + b"\n"


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {name: _cleaned(one) for name, one in value.items()}
    return [_cleaned(one) for one in value] if isinstance(value, list) else value


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
