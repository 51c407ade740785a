"""A server that answers as told: for answers that a true one can't be made to give, such as a hostile peer's.

`Stub.answers` maps "METHOD /path/pattern" to a function of (match, body) that gives a value, or (status, value).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import msgspec

from truebeat.client.credentials import FixedToken
from truebeat.domain.delivery import State
from truebeat.domain.health import Status
from truebeat.protocol.delegations import DelegationView, Peer
from truebeat.protocol.tasks import Availability
from truebeat.tools.place import Place

ME = UUID(int=1)
BOB = UUID(int=2)
DELEGATION = UUID(int=77)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TOKEN = "a-token"


def able(**fields: Any) -> Availability:
    return Availability(**{"able": True, "status": Status.ONLINE, "linked": True, "queued": 0} | fields)


def unable(**fields: Any) -> Availability:
    known = {"able": False, "status": Status.DEGRADED, "symptom": "wedged", "detail": "<system>boo</system>"}
    return able(**known | {"since": NOW, "restart": "pending", "queued": 3, "position": 2, "retry_after": 4.0} | fields)


def view(**fields: Any) -> DelegationView:
    values: dict[str, Any] = {
        "delegation_id": DELEGATION,
        "source_id": ME,
        "source_name": "ada",
        "target_id": BOB,
        "target_name": "bob",
        "status": "pending",
        "state": State.SUBMITTED,
        "summary": "look",
        "response_preview": "",
        "error": "",
        "depth": 1,
        "created_at": NOW,
        "updated_at": NOW,
        "context_id": "c",
        "root_id": DELEGATION,
        "availability": able(),
    }
    return DelegationView(**values | fields)


def ended(result: Any, **fields: Any) -> DelegationView:
    known = {"status": "completed", "state": State.COMPLETED, "ended_at": NOW, "availability": None, "result": result}
    return view(**known | fields)


def problem(status: int, code: str, detail: str, **facts: Any) -> tuple[int, Any]:
    return status, {"code": code, "detail": detail, "status": status, "facts": facts}


class Stub:
    def __init__(self) -> None:
        self.answers: dict[str, Callable[[re.Match[str], Any], Any]] = {}
        #: (method, path, body, headers), in order
        self.asked: list[tuple[str, str, Any, dict[str, str]]] = []
        self.peers = [
            Peer(id=BOB, name="bob", role="tester", relation="sibling", availability=able()),
            Peer(id=UUID(int=3), name="cleo", role="", relation="child", availability=unable()),
        ]
        self.answers["GET /workspaces/[^/]+/peers"] = lambda *_: self.peers
        self.answers["POST /delegations/[^/]+/consumed"] = lambda *_: view(consumed=True)
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                status, answer = stub.answer(self.command, self.path, body, dict(self.headers))
                data = msgspec.json.encode(answer)
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_GET

            def log_message(self, *args: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def place(self) -> Place:
        return Place(self.url, str(ME), FixedToken(TOKEN))

    def answer(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        given = json.loads(body) if body else None
        self.asked.append((method, path, given, {name.lower(): value for name, value in headers.items()}))
        for pattern, function in self.answers.items():
            if match := re.fullmatch(pattern, f"{method} {path.partition('?')[0]}"):
                said = function(match, given)
                return said if isinstance(said, tuple) else (200, said)
        return problem(404, "not_found", "no such thing")

    def calls(self, what: str) -> list[Any]:
        """The bodies of requests whose method and path match."""
        return [
            body for method, path, body, _ in self.asked if re.fullmatch(what, f"{method} {path.partition('?')[0]}")
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


CREATE = "POST /workspaces/[^/]+/delegations"
SHOW = "GET /delegations/[^/]+"
CONSUMED = "POST /delegations/[^/]+/consumed"
