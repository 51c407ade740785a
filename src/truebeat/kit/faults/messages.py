"""A stand-in for the Messages API: `python -m truebeat.kit.faults.messages`, enough for the genuine Claude CLI.

Prints its port and serves until its stdin ends. Every request gets a short text, streamed; a conversation that holds
SILENT is taken and gets nothing, ever: what a half-open connection to a model looks like. With SILENT_ONCE that is so
for the first request only.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from truebeat.kit.faults import scene

SILENT: Final = "[the model never answers]"
SILENT_ONCE: Final = "[the model does not answer once]"
ANSWER: Final = ("pong ", "from ", "the stand-in")
_USAGE: Final = {
    "input_tokens": 5,
    "output_tokens": 1,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
}


def events(model: str) -> list[dict[str, Any]]:
    """One whole answer, as the API streams it."""
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": []}
    return [
        {"type": "message_start", "message": message | {"stop_reason": None, "stop_sequence": None, "usage": _USAGE}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": t}} for t in ANSWER),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": _USAGE},
        {"type": "message_stop"},
    ]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not self.path.startswith("/v1/messages") or "count_tokens" in self.path:
            self._reply(404, "application/json", b"{}")
            return
        request = json.loads(body)
        # not only the last message: the CLI's own reminders may follow what was asked
        asked = json.dumps(request["messages"])
        if SILENT in asked or (SILENT_ONCE in asked and scene.once("silent-model")):
            scene.stamp()
            scene.hang()
        listed = events(request.get("model", "stand-in"))
        text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in listed)
        self._reply(200, "text/event-stream", text.encode())

    def do_GET(self) -> None:
        self._reply(404, "application/json", b"{}")

    do_HEAD = do_GET  # noqa: N815 - the base class names it

    def _reply(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


def main() -> int:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
