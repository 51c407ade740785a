"""One open link, as the server's other parts use it: frames are posted, never waited for."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from truebeat.server.background.tasks import spawn

if TYPE_CHECKING:
    from collections.abc import Callable

    from truebeat.protocol import link
    from truebeat.server.leases import Lease

log = structlog.get_logger(__name__)

#: frames and characters that wait for a link whose other end reads too slowly; beyond it the link is cut
WAITING_FRAMES: Final = 5000
WAITING_SIZE: Final = 48 * 1024 * 1024
#: seconds that what was posted before gets to be sent when the link is closed
FLUSH_WITHIN: Final = 0.5
#: close code: dial again, and say again what was not settled
CLOSE_AGAIN: Final = 1013


class LinkSession:
    """Frames go down in the order they are posted."""

    def __init__(self, socket: WebSocket, lease: Lease, boot: int) -> None:
        self.socket = socket
        self.lease = lease
        self.boot = boot
        self._waiting: deque[str] = deque()
        self._size = 0
        self._sending: asyncio.Task[None] | None = None
        self._cut = False
        self.on_taken: Callable[[], None] = lambda: None

    @property
    def waiting(self) -> int:
        """Characters that were posted and that nobody has taken yet."""
        return self._size

    def post(self, frame: link.Down) -> None:
        if self._cut:
            return
        text = msgspec.json.encode(frame).decode()
        self._waiting.append(text)
        self._size += len(text)
        if len(self._waiting) > WAITING_FRAMES or self._size > WAITING_SIZE:
            self._waiting.clear()
            self._size = 0
            self.cut("the supervisor reads too slowly")
        elif self._sending is None:
            self._sending = spawn(self._send(), name="send on a link")

    def cut(self, reason: str) -> None:
        """End it, after what was posted if that is taken in time; its other end dials again."""
        if not self._cut:
            self._cut = True
            log.warning("a link is cut", workspace=self.lease.id, reason=reason)
            spawn(self.close(CLOSE_AGAIN, reason), name="cut a link")

    async def close(self, code: int, reason: str) -> None:
        """After what was posted, if its other end takes it in time."""
        if self._sending is not None:
            await asyncio.wait({self._sending}, timeout=FLUSH_WITHIN)
        self._cut = True
        if self.socket.application_state is not WebSocketState.DISCONNECTED:
            try:
                await self.socket.close(code, reason.encode()[:120].decode(errors="ignore"))
            except (RuntimeError, WebSocketDisconnect):
                log.debug("the link was closed by its other end first", workspace=self.lease.id)

    async def _send(self) -> None:
        try:
            while self._waiting:
                text = self._waiting[0]
                await self.socket.send_text(text)
                if self._waiting:  # else it was cut meanwhile
                    self._waiting.popleft()
                    self._size -= len(text)
                self.on_taken()
        except (RuntimeError, WebSocketDisconnect):
            self._cut = True  # gone: its reader finds out and ends the session
            self._waiting.clear()
            self._size = 0
        finally:
            self._sending = None
