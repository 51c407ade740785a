"""A local stand-in for the Messages API, enough for the genuine Claude CLI: streams one text for every request.

`python fake_messages.py [LOG]`: prints its port, then serves until its stdin ends; each request's body becomes a line
of LOG. What was said last decides: with RATELIMIT in it the answer is 429, with BADKEY 401, and with STALL there is
none, ever. With `DELEGATE TARGET WORD` the model calls the tool delegate_task; with `ASYNC TARGET WORD` the one that
does not wait.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ANSWER = ("pong ", "from ", "the fake")
_writing = threading.Lock()


def events(model: str, call: re.Match[str] | None = None) -> list[dict[str, Any]]:
    """The stream of a text, or of a tool call."""
    usage = {"input_tokens": 5, "output_tokens": 1, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": []}
    if call is not None:
        name = "delegate_task" if call[1] == "DELEGATE" else "delegate_task_async"
        block = {"type": "tool_use", "id": f"toolu_{call[3]}", "name": f"mcp__truebeat__{name}", "input": {}}
        given = {"type": "input_json_delta", "partial_json": json.dumps({"target": call[2], "task": call[3]})}
        return [
            {
                "type": "message_start",
                "message": message | {"stop_reason": None, "stop_sequence": None, "usage": usage},
            },
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_delta", "index": 0, "delta": given},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": usage},
            {"type": "message_stop"},
        ]
    return [
        {"type": "message_start", "message": message | {"stop_reason": None, "stop_sequence": None, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": t}} for t in ANSWER),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not self.path.startswith("/v1/messages") or "count_tokens" in self.path:
            self._reply(404, "application/json", b'{"type":"error","error":{"type":"not_found_error","message":"no"}}')
            return
        request = json.loads(body)
        if len(sys.argv) > 1:
            with _writing, Path(sys.argv[1]).open("a", encoding="utf-8") as log:
                log.write(json.dumps(request) + "\n")
        # the CLI joins a refused turn's message and the next one: only what was said last counts
        said = [one for one in request["messages"] if one["role"] == "user"][-1]["content"]
        last = json.dumps(said[-1])
        after_tool = any(isinstance(one, dict) and one["type"] == "tool_result" for one in said)
        call = None if after_tool else re.search(r"(DELEGATE|ASYNC) (\w+) (\w+)", last)
        if "RATELIMIT" in last:
            self._refuse(429, "rate_limit_error", "Number of requests is over your rate limit")
            return
        if "BADKEY" in last:
            self._refuse(401, "authentication_error", "invalid x-api-key")
            return
        if "STALL" in last:
            threading.Event().wait()
        listed = events(request.get("model", "fake"), call)
        text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in listed)
        self._reply(200, "text/event-stream", text.encode())

    def do_GET(self) -> None:
        self._reply(404, "application/json", b"{}")

    do_HEAD = do_GET

    def _refuse(self, status: int, kind: str, message: str) -> None:
        error = {"type": "error", "error": {"type": kind, "message": message}}
        self._reply(status, "application/json", json.dumps(error).encode())

    def _reply(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        return


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
