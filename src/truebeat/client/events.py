"""The event log: a page over HTTP, or the stream over a WebSocket that survives lost connections without a gap."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit, urlunsplit

import msgspec

from truebeat import errors
from truebeat.client.http import is_loopback
from truebeat.clock import SystemClock
from truebeat.protocol import link, paths
from truebeat.protocol.events import Event, EventPage

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

    from truebeat.client.http import Client

#: seconds between attempts to reach a server that went away
RECONNECT_DELAY: Final = 0.5
#: seconds a handshake may take
OPEN_TIMEOUT: Final = 5.0

_REFUSALS: Final[dict[int, type[errors.TruebeatError]]] = {
    link.CLOSE_UNAUTHENTICATED: errors.Unauthenticated,
    link.CLOSE_FORBIDDEN: errors.Forbidden,
    link.CLOSE_NOT_FOUND: errors.NotFound,
    link.CLOSE_GONE: errors.Gone,
    link.CLOSE_INVALID: errors.Invalid,
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    410: errors.Gone,
    422: errors.Invalid,
}
_MEANING: Final[dict[type[errors.TruebeatError], str]] = {
    errors.Unauthenticated: "the server does not accept this token; set TRUEBEAT_TOKEN to a valid one",
    errors.Forbidden: "this token may not read events",
    errors.NotFound: "the server has no event stream; check the address",
    errors.Gone: "events that old are no longer kept; start from the present",
    errors.Invalid: "the server did not understand what was asked of the event stream",
}


class Events:
    def __init__(self, client: Client) -> None:
        self._client = client

    def page(self, since: int = 0, limit: int = 1000) -> EventPage:
        """Events after `since`, oldest first, at most `limit`; Gone if some of them were pruned."""
        query: dict[str, str | int] = {"since": since, "limit": limit}
        return self._client.call(EventPage, "GET", paths.EVENTS, query=query)

    def stream(self, since: int) -> EventStream:
        """Events after `since` as they happen."""
        return EventStream(self._client, since)


class EventStream:
    """Reconnects by itself from the last event seen, so the reader has no gap and no double.

    One thread reads; `close` may come from another. A refusal (token, pruned log) is raised, an outage is waited out.
    """

    def __init__(self, client: Client, since: int) -> None:
        self._client = client
        self._clock = SystemClock()
        self._socket: ClientConnection | None = None
        #: closes the present socket
        self._held = contextlib.ExitStack()
        self._closed = False
        self._refused_once = False
        #: the last event given out
        self.seq = since

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Connect now; Unavailable if the server does not answer."""
        if self._socket is None:
            self._socket = self._connect()
        if self._closed:
            self._drop()  # closed by another thread while we were connecting

    def next(self, timeout: float) -> Event | None:
        """The next event, or None if none came within `timeout` seconds or the stream was closed."""
        import time

        from websockets.exceptions import ConnectionClosed

        deadline = self._clock.monotonic() + timeout
        while not self._closed:
            left = deadline - self._clock.monotonic()
            if left <= 0:
                return None
            try:
                self.open()
                socket = self._socket
                if socket is None:
                    continue  # closed meanwhile
                event = self._read(socket.recv(timeout=left))
            except TimeoutError:
                return None
            except errors.Unavailable:
                time.sleep(max(0.0, min(RECONNECT_DELAY, deadline - self._clock.monotonic())))
                continue
            except ConnectionClosed as closed:
                self._drop()
                self._judge(closed.rcvd.code if closed.rcvd is not None else None)
                time.sleep(max(0.0, min(RECONNECT_DELAY, deadline - self._clock.monotonic())))
                continue
            if event is not None and event.seq > self.seq:
                self.seq = event.seq
                return event
        return None

    def close(self) -> None:
        self._closed = True
        self._drop()

    def _read(self, frame: str | bytes) -> Event | None:
        """The event, or None for a frame of the server's that says why the stream ends: the close code says it too."""
        try:
            return msgspec.json.decode(frame, type=Event)
        except msgspec.DecodeError:
            return None

    def _drop(self) -> None:
        self._socket = None
        with contextlib.suppress(OSError):
            self._held.close()

    def _judge(self, code: int | None) -> None:
        """Raise what a refusal means; a first 401 reads the token again instead."""
        kind = _REFUSALS.get(code or 0)
        if kind is None:
            return
        if kind is errors.Unauthenticated and not self._refused_once:
            self._refused_once = True
            self._client.credentials.refresh()
            return
        raise kind(_MEANING[kind])

    def _connect(self) -> ClientConnection:
        from websockets.exceptions import InvalidHandshake, InvalidStatus
        from websockets.sync.client import connect

        parts = urlsplit(self._client.url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        address = urlunsplit((scheme, parts.netloc, parts.path + paths.EVENTS, f"since={self.seq}", ""))
        token = self._client.credentials.current()
        try:
            return self._held.enter_context(
                connect(
                    address,
                    additional_headers={} if token is None else {"Authorization": f"Bearer {token}"},
                    open_timeout=OPEN_TIMEOUT,
                    close_timeout=1,
                    proxy=None if is_loopback(self._client.url) else True,
                )
            )
        except InvalidStatus as refused:
            self._judge(refused.response.status_code)
            raise errors.Unavailable("the event stream was refused; trying again") from None
        except (OSError, TimeoutError, InvalidHandshake) as error:
            raise errors.Unavailable(f"no event stream at {self._client.url} ({error})") from None
