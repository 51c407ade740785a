"""A stand-in for the Claude CLI: NDJSON on stdin and stdout, with one fault named by the first argument.

ok               answers everything; a turn streams "pong: TEXT"
no-initialize    reads and never answers initialize
deaf             the same, and ignores SIGTERM and the end of its stdin
refuse           answers initialize with an error
exit-0           exits 0 before it answers initialize
exit-3           exits 3 with a last word on stderr
no-result        turns end the process with status 0 and no result
garbage-json     writes a line of broken JSON in a turn, then stays
rate-limit       turns end with an error result, HTTP 429
empty            turns end well with nothing said
control-timeout  turns end with an error result that quotes the SDK's timeout text
silent           answers initialize and nothing after it
"""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import Any


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def result(**fields: Any) -> dict[str, Any]:
    base = {"type": "result", "subtype": "success", "is_error": False, "duration_ms": 1, "duration_api_ms": 1}
    return base | {"num_turns": 1, "session_id": "s"} | fields


def control(mode: str, message: dict[str, Any]) -> None:
    subtype = message["request"]["subtype"]
    answer: dict[str, Any] = {"subtype": "success", "request_id": message["request_id"], "response": {}}
    if subtype == "initialize":
        if mode in {"no-initialize", "deaf"}:
            return
        if mode == "exit-0":
            sys.exit(0)
        if mode == "exit-3":
            sys.stderr.write("no such account\n")
            sys.exit(3)
        if mode == "refuse":
            answer = {"subtype": "error", "request_id": message["request_id"], "error": "initialize refused: bad hooks"}
    elif mode == "silent":
        return
    elif subtype == "mcp_status":
        answer["response"] = {"mcpServers": []}
    say({"type": "control_response", "response": answer})


def turn(mode: str, text: str) -> None:
    say({"type": "system", "subtype": "init", "session_id": "s"})
    if mode == "no-result":
        sys.exit(0)
    if mode == "garbage-json":
        sys.stdout.write('{"type": "assistant", "message": {"content": [}\n')
        sys.stdout.flush()
        return
    if mode == "rate-limit":
        say(result(is_error=True, result="API Error: Number of requests is over your rate limit", api_error_status=429))
        return
    if mode == "control-timeout":
        say(result(is_error=True, result="a tool said: Control request timeout: initialize"))
        return
    if mode == "empty":
        say(result(result=""))
        return
    block = {"type": "text", "text": f"pong: {text}"}
    say({"type": "assistant", "message": {"model": "stub", "content": [block]}, "session_id": "s"})
    say(result(result=f"pong: {text}"))


def main() -> None:
    mode, arguments = sys.argv[1], sys.argv[2:]
    if "-v" in arguments or "--version" in arguments:
        print("2.1.330 (Claude Code)")
        return
    if mode == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "control_request":
            control(mode, message)
        elif message["type"] == "user" and mode != "silent":
            content = message["message"]["content"]
            turn(mode, content if isinstance(content, str) else content[0]["text"])
    while mode == "deaf":
        time.sleep(60)


main()
