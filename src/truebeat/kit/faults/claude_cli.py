"""A stand-in for the Claude CLI: NDJSON on stdin and stdout, as the genuine SDK speaks it with the genuine CLI.

    python -m truebeat.kit.faults.claude_cli FAULT ARGUMENTS-OF-THE-CLI...
    FAULT is NAME[=SECONDS][@FILE]

With @FILE the fault is made once: whoever creates the file makes it, every other process answers as `ok` does. A turn
whose text holds `fault:NAME`, with the same additions, gets that fault of a turn, whatever the argument.

Nothing wrong:
ok               answers everything: "pong: TEXT"
slow-init        answers initialize after SECONDS (20)
slow             answers a turn after SECONDS (20)
tool             a turn uses a tool, which is silent for SECONDS (20)
retry            a turn announces a retry in SECONDS (20), then answers
compact          a turn compacts for SECONDS (20), then answers
silent-turn      the turn never moves (an upstream that never answers); the control channel is alive, interrupts work
slow-mcp         the same, and an MCP server is pending
stderr-flood     floods stderr before it answers a turn
burst            a turn answers with 4 MiB in 2000 pieces

Wrong at the start:
no-initialize    reads and never answers initialize
deaf             the same, and ignores SIGTERM and the end of its stdin
exit-0           exits 0 before it answers initialize
usage            exits 1 as for an option that it does not know

Wrong in a turn:
no-result        ends the process with status 0 and no result
end-turn         says everything, with stop_reason end_turn, and never sends the result; the control channel is alive
ignore-interrupt like silent-turn, but an interrupt is acknowledged and changes nothing
hang             never reads again and never says anything
stop             stops itself (SIGSTOP)
killed           is killed (SIGKILL)
grandchild       dies while a process that it started holds its stdout
garbage-json     writes a line of broken JSON, then stays
huge-line        writes a line of 17 MiB, then stays
leftover         hangs, and has left a process behind that keeps every later CLI from answering initialize
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from truebeat.kit.faults import scene

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION: Final = "2.1.330 (Claude Code)"
#: pieces of a burst, and characters of each
BURST: Final = (2000, 2048)
#: characters of the huge line: over the buffer of 16 MiB that the executor allows
HUGE: Final = 17 * 1024 * 1024
#: what the process left behind runs: it holds the lock named by its argument
_HOLDER: Final = "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); time.sleep(600)"


class Fault:
    """NAME[=SECONDS][@FILE]."""

    def __init__(self, text: str) -> None:
        text, _, self._file = text.partition("@")
        self._name, _, seconds = text.partition("=")
        self.seconds = float(seconds or 20)
        self._mine = False

    def claim(self, *names: str) -> bool:
        """Whether one of these is to be made now; then it takes effect now."""
        if self._name not in names:
            return False
        if self._file and not self._mine:
            try:
                os.close(os.open(self._file, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            except FileExistsError:
                self._name = "ok"
                return False
            self._mine = True
        scene.stamp()
        return True


class Claude:
    """One CLI. `turn_fault` is the fault of the turn that is on."""

    def __init__(self, fault: Fault, arguments: list[str]) -> None:
        self.fault = fault
        resumed = [one.partition("=")[2] for one in arguments if one.startswith("--resume=")]
        self.session = resumed[0] if resumed else str(uuid.uuid4())
        self.turn_on = False
        self.turn_fault = Fault("ok")
        self._writing = threading.RLock()

    def serve(self) -> None:
        """Until stdin ends."""
        for line in sys.stdin:
            message = json.loads(line)
            if message["type"] == "control_request":
                self._control(message)
            elif message["type"] == "user":
                content = message["message"]["content"]
                self._turn(content if isinstance(content, str) else content[0]["text"])

    # --- writing ---

    def say(self, message: dict[str, Any]) -> None:
        self._write(json.dumps(message) + "\n")

    def _write(self, text: str) -> None:
        with self._writing:
            sys.stdout.write(text)
            sys.stdout.flush()

    def _system(self, subtype: str, **fields: Any) -> None:
        self.say({"type": "system", "subtype": subtype, "session_id": self.session} | fields)

    def _assistant(self, block: dict[str, Any], stop: str | None = None) -> None:
        message = {"model": "stand-in", "content": [block], "stop_reason": stop}
        self.say({"type": "assistant", "message": message, "session_id": self.session})

    def _event(self, kind: str, **fields: Any) -> None:
        event = {"type": kind} | fields
        self.say({"type": "stream_event", "uuid": str(uuid.uuid4()), "session_id": self.session, "event": event})

    def _result(self, **fields: Any) -> None:
        base = {"type": "result", "subtype": "success", "is_error": False, "duration_ms": 1, "duration_api_ms": 1}
        self.turn_on = False
        self.say(base | {"num_turns": 1, "session_id": self.session} | fields)

    def _answer(self, text: str) -> None:
        self._assistant({"type": "text", "text": text}, stop="end_turn")
        self._result(result=text)

    # --- the control channel ---

    def _control(self, message: dict[str, Any]) -> None:
        subtype = message["request"]["subtype"]
        answer: dict[str, Any] = {"subtype": "success", "request_id": message["request_id"], "response": {}}
        reply = {"type": "control_response", "response": answer}
        if subtype == "initialize":
            self._initialize(reply)
            return
        if subtype == "mcp_status":
            pending = self.turn_fault.claim("slow-mcp")
            answer["response"] = {"mcpServers": [{"name": "slow", "status": "pending"}] if pending else []}
        self.say(reply)
        if subtype == "interrupt" and self.turn_on and not self.turn_fault.claim("ignore-interrupt"):
            self._result(subtype="error_during_execution", is_error=True, terminal_reason="aborted_streaming")

    def _initialize(self, reply: dict[str, Any]) -> None:
        fault = self.fault
        if fault.claim("no-initialize", "deaf"):
            return
        if fault.claim("exit-0"):
            sys.exit(0)
        if fault.claim("usage"):
            sys.stderr.write("error: unknown option '--frobnicate'\n")
            sys.exit(1)
        if fault.claim("slow-init"):
            _later(fault.seconds, lambda: self.say(reply))
            return
        _wait_for_leftover()
        self.say(reply)

    # --- turns ---

    def _turn(self, text: str) -> None:
        self.turn_on = True
        self._system("init")
        asked = re.search(r"fault:(\S+)", text)
        fault = self.turn_fault = Fault(asked.group(1)) if asked else self.fault
        said = f"pong: {text}"
        if fault.claim("silent-turn", "slow-mcp", "ignore-interrupt"):
            return
        if fault.claim("slow"):
            _later(fault.seconds, lambda: self._answer(said))
        elif fault.claim("retry"):
            delay = fault.seconds * 1000
            self._system("api_retry", attempt=1, max_retries=6, retry_delay_ms=delay, error_status=500, error="no")
            _later(fault.seconds, lambda: self._answer(said))
        elif fault.claim("compact"):
            self._system("status", status="compacting")
            _later(fault.seconds, lambda: self._compacted(said))
        elif fault.claim("tool"):
            tool = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "sleep"}}
            self._assistant(tool, stop="tool_use")
            _later(fault.seconds, lambda: self._tool_ended(said))
        elif fault.claim("end-turn"):
            self._all_but_the_result()
        elif fault.claim("garbage-json"):
            self._write('{"type": "assistant", "message": {"content": [}\n')
        elif fault.claim("huge-line"):
            self._write('{"type": "system", "subtype": "' + "x" * HUGE + '"}\n')
        else:
            self._die(fault)
            if fault.claim("stderr-flood"):
                sys.stderr.write(("x" * 99 + "\n") * 20_000)
                sys.stderr.flush()
            if fault.claim("burst"):
                pieces, size = BURST
                said = "b" * size * pieces
                for _ in range(pieces):
                    self._event("content_block_delta", index=0, delta={"type": "text_delta", "text": "b" * size})
            scene.stamp()
            self._answer(said)

    def _compacted(self, said: str) -> None:
        self._system("compact_boundary", compact_metadata={"trigger": "auto", "pre_tokens": 1})
        self._answer(said)

    def _tool_ended(self, said: str) -> None:
        block = {"type": "tool_result", "tool_use_id": "t1", "content": "done"}
        self.say({"type": "user", "message": {"role": "user", "content": [block]}, "session_id": self.session})
        self._answer(said)

    def _all_but_the_result(self) -> None:
        self._event("message_start", message={"id": "m", "content": []})
        self._event("content_block_delta", index=0, delta={"type": "text_delta", "text": "pong: all of it"})
        self._event("message_delta", delta={"stop_reason": "end_turn"})
        self._event("message_stop")
        self._assistant({"type": "text", "text": "pong: all of it"})

    def _die(self, fault: Fault) -> None:
        """Faults after which this process does nothing more, if it is one of them."""
        if fault.claim("no-result"):
            os._exit(0)
        if fault.claim("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        if fault.claim("stop"):
            os.kill(os.getpid(), signal.SIGSTOP)
        if fault.claim("hang"):
            scene.hang()
        if fault.claim("grandchild"):
            subprocess.Popen([sys.executable, "-I", "-c", "import time; time.sleep(120)"], start_new_session=True)
            os._exit(1)
        if fault.claim("leftover"):
            lock = scene.directory() / "lock"
            lock.touch()
            subprocess.Popen(
                [sys.executable, "-I", "-c", _HOLDER, str(lock)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            scene.hang()


def _wait_for_leftover() -> None:
    """While a process of an earlier CLI lives and holds the lock, no other gets any further."""
    with suppress(FileNotFoundError), (scene.directory() / "lock").open(encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


def _later(seconds: float, step: Callable[[], None]) -> None:
    """Call it after that long, while the reader goes on."""
    timer = threading.Timer(seconds, step)
    timer.daemon = True
    timer.start()


def main() -> int:
    fault, arguments = Fault(sys.argv[1]), sys.argv[2:]
    if "-v" in arguments or "--version" in arguments:
        sys.stdout.write(VERSION + "\n")
        return 0
    stubborn = fault.claim("deaf")
    if stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Claude(fault, arguments).serve()
    while stubborn:
        time.sleep(60)
    return 0


if __name__ == "__main__":
    sys.exit(main())
