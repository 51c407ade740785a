from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from websockets.sync.server import serve

from truebeat import errors
from truebeat.client.credentials import FixedToken
from truebeat.client.http import Client
from truebeat.protocol.events import Event


def event(seq: int) -> str:
    one = Event(
        seq=seq,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        type="WORKSPACE_ONLINE",
        workspace_id=None,
        payload={},
        cause="beat",
    )
    return msgspec.json.encode(one).decode()


@contextmanager
def server(handler):
    """A WebSocket server; `handler(socket, since, token)` runs for each connection."""

    def handle(socket) -> None:
        since = int(parse_qs(urlsplit(socket.request.path).query)["since"][0])
        handler(socket, since, socket.request.headers.get("Authorization"))

    with serve(handle, "127.0.0.1", 0) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.socket.getsockname()[1]}"
        finally:
            running.shutdown()
            thread.join()


def test_a_lost_connection_leaves_no_gap_and_no_double():
    asked = []

    def handler(socket, since, token) -> None:
        asked.append(since)
        for seq in (since, since + 1, since + 2):  # one that was seen already comes again
            socket.send(event(seq))
        socket.close(1012)

    with server(handler) as url, Client(url, FixedToken("t")) as client, client.events.stream(5) as stream:
        seen = [stream.next(10).seq for _ in range(4)]
    assert seen == [6, 7, 8, 9]
    assert asked[:2] == [5, 7]


@pytest.mark.parametrize(("code", "kind"), [(4410, errors.Gone), (4403, errors.Forbidden), (4422, errors.Invalid)])
def test_a_refusal_is_raised(code, kind):
    def handler(socket, since, token) -> None:
        socket.send('{"type":"error","code":"x","status":1,"detail":"y","facts":{}}')
        socket.close(code)

    with (
        server(handler) as url,
        Client(url, FixedToken("t")) as client,
        client.events.stream(1) as stream,
        pytest.raises(kind),
    ):
        stream.next(10)


def test_a_refused_token_is_read_again_once():
    class Rotated:
        token = "old"

        def current(self):
            return self.token

        def refresh(self):
            self.token = "new"
            return self.token

    def handler(socket, since, token) -> None:
        if token == "Bearer new":
            socket.send(event(1))
        socket.close(4401)

    with server(handler) as url, Client(url, Rotated()) as client, client.events.stream(0) as stream:
        assert stream.next(10).seq == 1
        with pytest.raises(errors.Unauthenticated):
            stream.next(10)


def test_nothing_in_time_is_none_and_an_absent_server_is_waited_for():
    with (
        server(lambda socket, since, token: list(socket)) as url,
        Client(url, FixedToken("t")) as client,
        client.events.stream(0) as stream,
    ):
        assert stream.next(0.05) is None
    with Client("http://127.0.0.1:1", FixedToken("t")) as client, client.events.stream(0) as stream:
        assert stream.next(0.05) is None
        with pytest.raises(errors.Unavailable):
            stream.open()


def test_close_from_another_thread_ends_the_wait():
    connected = threading.Event()

    def handler(socket, since, token) -> None:
        connected.set()
        for _ in socket:
            pass

    with server(handler) as url, Client(url, FixedToken("t")) as client:
        stream = client.events.stream(0)
        got = []
        reader = threading.Thread(target=lambda: got.append(stream.next(60)))
        reader.start()
        assert connected.wait(10)
        stream.close()
        reader.join(10)
        assert not reader.is_alive()
        assert got == [None]
