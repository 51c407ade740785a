"""A stand-in for the Claude CLI: NDJSON on stdin and stdout, with one fault named by the first argument.

    FAULT[=SECONDS][@FILE]

With @FILE the fault is made once: whoever creates the file makes it, every other process answers as `ok` does. A turn
whose text holds `fault:NAME` or `fault:NAME=SECONDS` gets that fault of a turn, whatever the argument.

Nothing wrong:
ok               answers everything: "pong: TEXT", or the session's id if "recall" is in the text
slow-init        answers initialize after SECONDS (20)
slow             answers a turn after SECONDS (20)
tool             a turn uses a tool, which is silent for SECONDS (20)
retry            a turn announces a retry in SECONDS (20), then answers
compact          a turn compacts for SECONDS (20), then answers
silent-turn      the turn never moves (an upstream that never answers); the control channel is alive, interrupts work
pings            the same, with pings of the upstream in the stream
slow-mcp         the same, and an MCP server is pending
stderr-flood     floods stderr before it answers a turn
burst            a turn answers with 4 MiB in 2000 pieces
empty            turns end well with nothing said
garbage-text     writes lines that are no JSON before it answers a turn

Wrong at the start:
no-initialize    reads and never answers initialize
deaf             the same, and ignores SIGTERM and the end of its stdin
needs-minimal    the same if it was given setting sources, a MCP configuration, plugins or settings; else ok
deaf-resume      never answers initialize if it has to resume a session; else ok
spin             like deaf, and burns the CPU
stop-start       stops itself (SIGSTOP) before it answers initialize
refuse           answers initialize with an error
exit-0           exits 0 before it answers initialize
exit-3           exits 3 with a last word on stderr
usage            exits 1 as for an option that it does not know
no-login         exits 1 because nobody is logged in
no-session       exits 1 if it has to resume a session; else ok

Wrong in a turn:
no-result        ends the process with status 0 and no result
end-turn         says everything, with stop_reason end_turn, and never sends the result; the control channel is alive
ignore-interrupt like silent-turn, but an interrupt is acknowledged and changes nothing
hang             never reads again and never says anything
silent           answers initialize and nothing after it, though it reads
stop             stops itself (SIGSTOP)
die              exits 1
killed           is killed (SIGKILL)
grandchild       dies while a process that it started holds its stdout
garbage-json     writes a line of broken JSON, then stays
huge-line        writes a line of 17 MiB, then stays
rate-limit, overloaded, server-error, auth   end with an error result: HTTP 429, 529, 500, 401
control-timeout  end with an error result that quotes the SDK's timeout text
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from typing import Any

MINIMAL = ("--mcp-config", "--plugin-dir", "--settings")
ERRORS = {
    "rate-limit": (429, "API Error: Number of requests is over your rate limit"),
    "overloaded": (529, 'API Error: 529 {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'),
    "server-error": (500, "API Error: 500 Internal server error"),
    "auth": (401, "Invalid API key \u00b7 Please run /login"),
    "control-timeout": (None, "a tool said: Control request timeout: initialize"),
}

_writing = threading.RLock()


class Fault:
    """NAME[=SECONDS][@FILE]; `name` is "ok" once FILE exists."""

    def __init__(self, text: str) -> None:
        text, _, self._file = text.partition("@")
        self._name, _, seconds = text.partition("=")
        self.seconds = float(seconds or 20)
        self._mine = False

    def claim(self, *names: str) -> bool:
        """Whether one of these faults is to be made now."""
        if self._name not in names:
            return False
        if self._file and not self._mine:
            try:
                os.close(os.open(self._file, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            except FileExistsError:
                self._name = "ok"
                return False
            self._mine = True
        return True


class Claude:
    def __init__(self, fault: Fault, arguments: list[str]) -> None:
        self.fault = fault
        self.arguments = arguments
        resumed = [one.partition("=")[2] for one in arguments if one.startswith("--resume=")]
        self.session = resumed[0] if resumed else str(uuid.uuid4())
        self.resumed = bool(resumed)
        self.turn_on = False
        self.deaf_turn: Fault | None = None

    # -- writing

    def say(self, message: dict[str, Any]) -> None:
        self.write(json.dumps(message) + "\n")

    def write(self, text: str) -> None:
        with _writing:
            sys.stdout.write(text)
            sys.stdout.flush()

    def system(self, subtype: str, **fields: Any) -> None:
        self.say({"type": "system", "subtype": subtype, "session_id": self.session} | fields)

    def assistant(self, *blocks: dict[str, Any], stop: str | None = None) -> None:
        message = {"model": "stub", "content": list(blocks), "stop_reason": stop}
        self.say({"type": "assistant", "message": message, "session_id": self.session})

    def event(self, kind: str, **fields: Any) -> None:
        event = {"type": kind} | fields
        self.say({"type": "stream_event", "uuid": str(uuid.uuid4()), "session_id": self.session, "event": event})

    def result(self, **fields: Any) -> None:
        base = {"type": "result", "subtype": "success", "is_error": False, "duration_ms": 1, "duration_api_ms": 1}
        self.turn_on = False
        self.say(base | {"num_turns": 1, "session_id": self.session} | fields)

    def later(self, seconds: float, *steps: Any) -> None:
        """Calls the steps after that long, without stopping the reader."""

        def run() -> None:
            time.sleep(seconds)
            for step in steps:
                step()

        threading.Thread(target=run, daemon=True).start()

    # -- the control channel

    def control(self, message: dict[str, Any]) -> None:
        subtype = message["request"]["subtype"]
        answer: dict[str, Any] = {"subtype": "success", "request_id": message["request_id"], "response": {}}
        if subtype == "initialize":
            answer = self.initialize(answer)
            if not answer:
                return
        elif self.fault.claim("silent"):
            return
        elif subtype == "mcp_status":
            pending = self.deaf_turn is not None and self.deaf_turn.claim("slow-mcp")
            answer["response"] = {"mcpServers": [{"name": "slow", "status": "pending"}] if pending else []}
        self.say({"type": "control_response", "response": answer})
        if (
            subtype == "interrupt"
            and self.turn_on
            and not (self.deaf_turn and self.deaf_turn.claim("ignore-interrupt"))
        ):
            self.result(subtype="error_during_execution", is_error=True, terminal_reason="aborted_streaming")

    def initialize(self, answer: dict[str, Any]) -> dict[str, Any]:
        fault = self.fault
        if fault.claim("no-initialize", "deaf", "spin"):
            return {}
        full = any((one.startswith("--setting-sources=") and one[18:]) or one in MINIMAL for one in self.arguments)
        if full and fault.claim("needs-minimal"):
            return {}
        if self.resumed and fault.claim("deaf-resume"):
            return {}
        if fault.claim("stop-start"):
            os.kill(os.getpid(), signal.SIGSTOP)
        if fault.claim("exit-0"):
            sys.exit(0)
        for name, status, words in (
            ("exit-3", 3, "no such account"),
            ("usage", 1, "error: unknown option '--frobnicate'"),
            ("no-login", 1, "Not logged in \u00b7 Please run /login"),
        ):
            if fault.claim(name):
                sys.stderr.write(words + "\n")
                sys.exit(status)
        if self.resumed and fault.claim("no-session"):
            sys.stderr.write(f"No conversation found with session ID: {self.session}\n")
            sys.exit(1)
        if fault.claim("refuse"):
            return {"subtype": "error", "request_id": answer["request_id"], "error": "initialize refused: bad hooks"}
        if fault.claim("slow-init"):
            self.later(fault.seconds, lambda: self.say({"type": "control_response", "response": answer}))
            return {}
        return answer

    # -- turns

    def turn(self, text: str) -> None:
        self.turn_on = True
        self.system("init")
        asked = re.search(r"fault:(\S+)", text)
        fault = Fault(asked.group(1)) if asked else self.fault
        self.deaf_turn = fault
        said = self.session if "recall" in text else f"pong: {text}"

        def answer() -> None:
            self.assistant({"type": "text", "text": said}, stop="end_turn")
            self.result(result=said)

        if fault.claim("silent-turn", "slow-mcp", "ignore-interrupt", "silent"):
            return
        if fault.claim("pings"):
            self.event("ping")
            self.later(0.1, *[lambda: (self.event("ping"), time.sleep(0.1))] * 600)
            return
        if fault.claim("slow"):
            self.later(fault.seconds, answer)
            return
        if fault.claim("retry"):
            self.system(
                "api_retry", attempt=1, max_retries=6, retry_delay_ms=fault.seconds * 1000, error_status=500, error="no"
            )
            self.later(fault.seconds, answer)
            return
        if fault.claim("compact"):
            self.system("status", status="compacting")
            ended = {"compact_metadata": {"trigger": "auto", "pre_tokens": 1}}
            self.later(fault.seconds, lambda: self.system("compact_boundary", **ended), answer)
            return
        if fault.claim("tool"):
            self.assistant(
                {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "sleep"}}, stop="tool_use"
            )
            block = {"type": "tool_result", "tool_use_id": "t1", "content": "done"}
            user = {"type": "user", "message": {"role": "user", "content": [block]}, "session_id": self.session}
            self.later(fault.seconds, lambda: self.say(user), answer)
            return
        if self.broken(fault):
            return
        if fault.claim("stderr-flood"):
            for _ in range(20_000):
                sys.stderr.write("x" * 99 + "\n")
            sys.stderr.flush()
        if fault.claim("garbage-text"):
            self.write("[SandboxDebug] not for you\nneither this }\n")
        if fault.claim("burst"):
            said = "b" * 2048 * 2000
            for _ in range(2000):
                self.event("content_block_delta", index=0, delta={"type": "text_delta", "text": "b" * 2048})
        if fault.claim("empty"):
            self.result(result="")
            return
        answer()

    def broken(self, fault: Fault) -> bool:
        """Faults after which this turn never ends well. True if one was made."""
        for name, (status, words) in ERRORS.items():
            if fault.claim(name):
                self.result(is_error=True, result=words, api_error_status=status)
                return True
        if fault.claim("no-result"):
            sys.exit(0)
        if fault.claim("die"):
            sys.stderr.write("a bug in the CLI\n")
            sys.exit(1)
        if fault.claim("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        if fault.claim("stop"):
            os.kill(os.getpid(), signal.SIGSTOP)
        if fault.claim("hang"):
            while True:
                time.sleep(60)
        if fault.claim("grandchild"):
            subprocess.Popen([sys.executable, "-I", "-c", "import time; time.sleep(120)"], start_new_session=True)
            os._exit(1)
        if fault.claim("garbage-json"):
            self.write('{"type": "assistant", "message": {"content": [}\n')
            return True
        if fault.claim("huge-line"):
            self.write('{"type": "system", "subtype": "' + "x" * (17 * 1024 * 1024) + '"}\n')
            return True
        if fault.claim("end-turn"):
            self.event("message_start", message={"id": "m", "content": []})
            for piece in ("pong: ", "all of it"):
                self.event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
            self.event("message_delta", delta={"stop_reason": "end_turn"})
            self.event("message_stop")
            self.assistant({"type": "text", "text": "pong: all of it"})
            return True
        return False


def main() -> None:
    fault, arguments = Fault(sys.argv[1]), sys.argv[2:]
    if "-v" in arguments or "--version" in arguments:
        print("2.1.330 (Claude Code)")
        return
    claude = Claude(fault, arguments)
    stubborn = fault.claim("deaf", "spin")
    if stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while stubborn and fault.claim("spin"):
        pass
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "control_request":
            claude.control(message)
        elif message["type"] == "user":
            content = message["message"]["content"]
            claude.turn(content if isinstance(content, str) else content[0]["text"])
    while stubborn:
        time.sleep(60)


main()
