"""The link without a supervisor: addresses and what is no frame; and the pipe's lines and the log's."""

from __future__ import annotations

import os
import socket

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Message, Ping, Pong, RejectConnection, Request, TextMessage

from truebeat.clock import ManualClock
from truebeat.protocol import link as frames
from truebeat.protocol import pipe as worker_frames
from truebeat.protocol.delivery import Finished
from truebeat.protocol.link import Counters
from truebeat.workspace import logs, pipe
from truebeat.workspace.events import LinkLost, Refusal
from truebeat.workspace.link import Address, Link, Unknown, address
from truebeat.workspace.testimony import Known

WELCOME = '{"type":"welcome","version":2,"generation":3,"beat_interval":10,"lease":45}'


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://a:8700", Address(False, "a", 8700, "/workspaces/w/link", "a:8700")),
        ("http://a", Address(False, "a", 80, "/workspaces/w/link", "a:80")),
        ("https://a/base/", Address(True, "a", 443, "/base/workspaces/w/link", "a:443")),
        ("http://[::1]:8700/", Address(False, "::1", 8700, "/workspaces/w/link", "[::1]:8700")),
    ],
)
def test_addresses(url: str, wanted: Address) -> None:
    assert address(url, "w") == wanted


@pytest.mark.parametrize("url", ["", "a:8700", "ftp://a", "http://", "http://a:99999"])
def test_bad_addresses(url: str) -> None:
    with pytest.raises(ValueError):
        address(url, "w")


class Peer:
    """A link and the server's end of its socket."""

    def __init__(self) -> None:
        hello = frames.Hello(version=2, boot=5, agent="python", pid=7)
        self.link = Link(address("http://a", "w"), "secret", hello, 0.0)
        ours, self.sock = socket.socketpair()
        ours.setblocking(False)
        self.sock.settimeout(5)
        self.ws = WSConnection(ConnectionType.SERVER)
        self.link.opened(ours)

    def heard(self) -> list[object]:
        assert self.link.writable() is None
        self.ws.receive_data(self.sock.recv(65536))
        return list(self.ws.events())

    def says(self, *events: object) -> list[object]:
        for event in events:
            self.sock.sendall(self.ws.send(event))  # type: ignore[arg-type]
        return list(self.link.readable())

    def linked(self) -> Peer:
        self.heard()
        assert self.says(AcceptConnection()) == []
        (hello,) = self.heard()
        assert isinstance(hello, Message)
        assert '"boot":5' in str(hello.data)
        (welcome,) = self.says(TextMessage(WELCOME))
        assert isinstance(welcome, frames.Welcome)
        return self

    def close(self) -> None:
        self.link.close()
        self.sock.close()


@pytest.fixture
def peer() -> Peer:
    peer = Peer()
    yield peer  # type: ignore[misc]
    peer.close()


def test_the_token_goes_in_a_header(peer: Peer) -> None:
    (request,) = peer.heard()
    assert isinstance(request, Request)
    assert (request.target, dict(request.extra_headers)[b"authorization"]) == ("/workspaces/w/link", b"Bearer secret")


def test_a_rejection_is_classified(peer: Peer) -> None:
    peer.heard()
    assert peer.says(RejectConnection(status_code=401)) == [LinkLost("HTTP 401", Refusal.UNAUTHENTICATED)]


def test_frames_in_pieces_and_together(peer: Peer) -> None:
    peer.linked()
    ack = '{"type":"ack","seq":4,"status":"online"}'
    received = peer.says(TextMessage(ack[:9], message_finished=False), TextMessage(ack[9:]), TextMessage(ack))
    assert [getattr(frame, "seq", None) for frame in received] == [4, 4]


def test_a_ping_is_answered(peer: Peer) -> None:
    peer.linked()
    assert peer.says(Ping(b"x")) == []
    (pong,) = peer.heard()
    assert isinstance(pong, Pong)


def test_nothing_before_the_welcome(peer: Peer) -> None:
    peer.heard()
    (lost,) = peer.says(AcceptConnection(), TextMessage('{"type":"ack","seq":4,"status":"online"}'))
    assert isinstance(lost, LinkLost)


def test_an_unknown_type_is_told_apart_from_garbage(peer: Peer) -> None:
    peer.linked()
    (unknown, lost) = peer.says(TextMessage('{"type":"confetti"}'), TextMessage('{"type":"ack"}'))
    assert unknown == Unknown("confetti")
    assert isinstance(lost, LinkLost)


def test_what_is_no_http_at_all(peer: Peer) -> None:
    peer.sock.sendall(b"220 smtp.example.com ready\r\n\r\n")
    (lost,) = peer.link.readable()
    assert isinstance(lost, LinkLost)
    assert "no WebSocket" in lost.reason


def test_the_other_end_closes(peer: Peer) -> None:
    peer.linked()
    peer.sock.close()
    (lost,) = peer.link.readable()
    assert lost == LinkLost("the server closed the connection")


def test_a_flood_of_results_waits_unencoded_and_a_beat_overtakes_it(peer: Peer) -> None:
    peer.linked()
    text = "x" * 512 * 1024
    for n in range(1, 41):
        frame = Finished(task_id="t", generation=1, attempt=n, state="completed", text=text, n=n)
        peer.link.send(frame)
        assert peer.link.writable() is None
    assert len(peer.link._outgoing) < 3 * len(text)
    peer.link.send(beat(5))
    seen: list[str] = []
    message = ""
    while len(seen) < 41:
        assert peer.link.writable() is None
        assert peer.link.wants_write or len(seen) >= 35
        peer.ws.receive_data(peer.sock.recv(4 * 1024 * 1024))
        for event in peer.ws.events():
            assert isinstance(event, Message)
            message += str(event.data)
            if event.message_finished:
                seen.append("beat" if '"type":"beat"' in message else message.rpartition('"n":')[2].rstrip("}"))
                message = ""
    assert seen.index("beat") < 10
    assert [n for n in seen if n != "beat"] == [str(n) for n in range(1, 41)]
    assert not peer.link.wants_write


def beat(seq: int) -> frames.Beat:
    return Known(0.0).beat(
        seq=seq,
        generation=1,
        phase="idle",
        phase_age=0.0,
        task="",
        claim="",
        stall="",
        restarts=0,
        quarantine="",
        capacity=1,
        holding=[],
        now=1.0,
    )


def test_lines_survive_any_cut_and_any_size() -> None:
    data = (
        b'{"type":"ready"}\n\n'
        + b"x" * (worker_frames.LINE_LIMIT + 9)
        + b'\nnope\n{"type":"tick","lag":0.5,"counters":{}}\nrest'
    )
    for size in (4099, len(data)):
        reader = pipe.from_worker()
        found = [frame for at in range(0, len(data), size) for frame in reader.feed(data[at : at + size])]
        ready, large, garbage, tick = found
        assert isinstance(ready, worker_frames.Ready)
        assert isinstance(large, pipe.Garbage)
        assert "over" in large.why
        assert isinstance(garbage, pipe.Garbage)
        assert garbage.sample == "nope"
        assert tick == worker_frames.Tick(lag=0.5, counters=Counters())


def test_a_log_line_can_not_be_forged() -> None:
    read, write = os.pipe()
    logs.Log(ManualClock(), "a\nb", fd=write)("info", "hi\r\n", reason="\x1b[2J\u2028\u202e\udc80 ok", n=3)
    logs.Log(ManualClock(), "a", level="error", fd=write)("info", "hidden")
    os.close(write)
    with os.fdopen(read, "rb") as file:
        text = file.read().decode()
    assert text == ("2026-01-01T00:00:00.000Z info    [a\\nb] hi\\r\\n reason=\\x1b[2J\\u2028\\u202e\\udc80 ok n=3\n")


def test_a_full_log_blocks_nobody() -> None:
    read, write = os.pipe()
    log = logs.Log(ManualClock(), "a", fd=write)
    for _ in range(2000):
        log("info", "x" * 10_000)
    os.close(read)
    log("info", "nobody reads")
    os.close(write)
