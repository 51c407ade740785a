"""The supervisor's end of the link: a WebSocket over one non-blocking socket, without an event loop of its own.

Dialling (names, TCP, TLS) may hang, so a short-lived thread does it and hands the connected socket over. Everything
else happens in the supervisor's thread: `readable` and `writable` return what came of it.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, urlsplit

import msgspec
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import ProtocolError

from truebeat.protocol import link, paths
from truebeat.workspace.events import LinkLost, Refusal, refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: seconds for TCP and for TLS
CONNECT_TIMEOUT: Final = 10.0
#: seconds from the dial until the welcome
WELCOME_TIMEOUT: Final = 20.0
#: bytes waiting to be sent, beyond which the server is taken for dead
BACKLOG_LIMIT: Final = 2 * link.FRAME_LIMIT
#: and beyond which numbered frames wait as they are: after a long outage there may be a hundred megabytes of them
WINDOW: Final = 256 * 1024
_CHUNK: Final = 64 * 1024
_decoder = msgspec.json.Decoder(link.Down)
_encode = msgspec.json.Encoder().encode


class _Tagged(msgspec.Struct):
    type: str


_tag_decoder = msgspec.json.Decoder(_Tagged)
_KNOWN: Final = frozenset({"welcome", "ack", "settled", "restart", "retire", "probe", "deliver", "cancel"})


class Address(NamedTuple):
    """Where the link of one workspace is."""

    secure: bool
    host: str
    port: int
    path: str
    #: the Host header
    authority: str


def address(url: str, workspace_id: str) -> Address:
    """From the server's base URL; raises ValueError with what is wrong."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https", "ws", "wss"} or not parts.hostname:
        raise ValueError(f"the server's URL must look like https://host:port, not {url!r}")
    secure = parts.scheme in {"https", "wss"}
    port = parts.port or (443 if secure else 80)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    path = parts.path.rstrip("/") + paths.LINK.format(workspace_id=quote(workspace_id, safe=""))
    return Address(secure, parts.hostname, port, path, f"{host}:{port}")


class Dialled(NamedTuple):
    """What a dialling thread brings back: a socket, or why not."""

    link: Link
    sock: socket.socket | None
    error: str


class Unknown(NamedTuple):
    """A frame of a type this version does not know: ignored."""

    type: str


Received = link.Down | LinkLost | Unknown


class Link:
    """One try for a connection, and the connection. After a LinkLost it is closed and of no more use."""

    def __init__(self, to: Address, token: str, hello: link.Hello, deadline: float) -> None:
        self._to = to
        self._token = token
        self._hello = hello
        #: until when the welcome must have come
        self.deadline = deadline
        self.welcomed = False
        self.sock: socket.socket | None = None
        self.closed = False
        self._ws = WSConnection(ConnectionType.CLIENT)
        #: bytes that the socket took
        self.sent = 0
        self._outgoing = bytearray()
        self._later: deque[link.Up] = deque()
        self._text: list[str] = []
        self._text_size = 0
        self._again: tuple[type[BaseException], ...] = (BlockingIOError, InterruptedError)

    def dial(self, done: Callable[[Dialled], None]) -> None:
        """Start a thread that calls `done` from itself."""
        threading.Thread(target=self._dial, args=(done,), name="dial", daemon=True).start()

    def _dial(self, done: Callable[[Dialled], None]) -> None:
        sock = None
        try:
            sock = socket.create_connection((self._to.host, self._to.port), timeout=CONNECT_TIMEOUT)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._to.secure:
                import ssl  # several MB: only when needed

                sock = ssl.create_default_context().wrap_socket(sock, server_hostname=self._to.host)
                self._again = (*self._again, ssl.SSLWantReadError, ssl.SSLWantWriteError)
            sock.setblocking(False)
        except (OSError, ValueError) as error:
            if sock is not None:
                sock.close()
            done(Dialled(self, None, str(error) or type(error).__name__))
            return
        done(Dialled(self, sock, ""))

    def opened(self, sock: socket.socket) -> None:
        """The socket is connected: ask for the WebSocket."""
        self.sock = sock
        headers = [(b"Authorization", f"Bearer {self._token}".encode()), (b"User-Agent", b"truebeat-supervisor")]
        self._outgoing += self._ws.send(Request(host=self._to.authority, target=self._to.path, extra_headers=headers))

    @property
    def wants_write(self) -> bool:
        """True while there is something to send."""
        return bool(self._outgoing or self._later)

    def send(self, frame: link.Up) -> None:
        """Queue a frame; `writable` sends it. A beat overtakes what was numbered and still waits."""
        if isinstance(frame, link.Hello | link.Beat):
            self._put(frame)
        else:
            self._later.append(frame)
            self._fill()

    def _put(self, frame: link.Up) -> None:
        self._outgoing += self._ws.send(TextMessage(data=_encode(frame).decode()))

    def _fill(self) -> None:
        while self._later and len(self._outgoing) < WINDOW:
            self._put(self._later.popleft())

    def writable(self) -> LinkLost | None:
        """Send what is queued, as far as the socket takes it."""
        if self.sock is None or self.closed:
            return None
        try:
            while self._outgoing:
                count = self.sock.send(self._outgoing)
                self.sent += count
                del self._outgoing[:count]
                self._fill()
        except self._again:
            if len(self._outgoing) > BACKLOG_LIMIT:
                return LinkLost("the server takes no more data")
        except OSError as error:
            return LinkLost(f"the connection broke: {error}")
        return None

    def readable(self) -> Iterator[Received]:
        """What the server sent. Garbage ends the link: after it nothing can be trusted."""
        if self.sock is None:
            return
        while not self._is_closed():
            try:
                data = self.sock.recv(_CHUNK)
            except self._again:
                return
            except OSError as error:
                yield LinkLost(f"the connection broke: {error}")
                return
            if not data:
                yield LinkLost("the server closed the connection")
                return
            try:
                self._ws.receive_data(data)
                for event in self._ws.events():
                    yield from self._received(event)
                    if self._is_closed():
                        return
            except (ProtocolError, ValueError) as error:
                yield LinkLost(f"the server sends what is no WebSocket: {error}")
                return

    def _received(self, event: object) -> Iterator[Received]:
        match event:
            case AcceptConnection():
                self.send(self._hello)
            case RejectConnection():
                yield LinkLost(f"HTTP {event.status_code}", refusal_of(event.status_code))
            case CloseConnection():
                reason = f": {event.reason}" if event.reason else ""
                yield LinkLost(f"closed by the server with {event.code}{reason}", refusal_of(event.code))
            case Ping():
                self._outgoing += self._ws.send(event.response())
            case TextMessage():
                self._text_size += len(event.data)
                if self._text_size > link.FRAME_LIMIT:
                    yield LinkLost("bad frame: too large")
                    return
                self._text.append(event.data)
                if event.message_finished:
                    text = "".join(self._text)
                    self._text, self._text_size = [], 0
                    yield self._decoded(text)
            case BytesMessage():
                yield LinkLost("bad frame: binary")
            case _:
                pass

    def _decoded(self, text: str) -> Received:
        try:
            frame: link.Down = _decoder.decode(text)
        except msgspec.DecodeError as error:
            try:
                tag = _tag_decoder.decode(text).type
            except msgspec.DecodeError:
                tag = None
            if tag is not None and tag not in _KNOWN and self.welcomed:
                return Unknown(tag)
            return LinkLost(f"bad frame: {error}")
        if isinstance(frame, link.Welcome):
            if frame.version != link.VERSION or self.welcomed:
                return LinkLost(f"unexpected welcome of version {frame.version}", Refusal.INVALID)
            self.welcomed = True
        elif not self.welcomed and not isinstance(frame, link.Retire):
            return LinkLost("bad frame: no welcome first")
        return frame

    def _is_closed(self) -> bool:
        return self.closed

    def close(self, code: int = 1000) -> None:
        """Say goodbye if that is possible at once, and close."""
        if self.closed:
            return
        self.closed = True
        if self.sock is not None:
            try:
                self._outgoing += self._ws.send(CloseConnection(code=code))
                self.sock.send(self._outgoing)
            except (OSError, ProtocolError):
                pass
            self.sock.close()
