"""A runtime for the command executor (mode=ndjson) that does what the first word of a turn says.

slow N    says N words, one each 0.1 s, and can be stopped
wait      says one word, then nothing until it is stopped
ask       asks which one; the reply is answered
fail ...  fails with the rest as its error
once F    fails the first time, and makes the file F; succeeds when F is there
other     is said again
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

_lock = threading.Lock()


def say(**reply: Any) -> None:
    with _lock:
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


def turn(request: dict[str, Any], stopped: threading.Event) -> None:
    number = request["id"]
    word, _, rest = str(request["text"]).partition(" ")
    if word == "slow":
        for count in range(int(rest)):
            if stopped.wait(0.1):
                say(type="canceled", id=number)
                return
            say(type="text", id=number, text=f"word{count} ")
        say(type="result", id=number)
    elif word == "wait":
        say(type="text", id=number, text="waiting ")
        stopped.wait()
        say(type="canceled", id=number)
    elif word == "ask" and not request.get("reply"):
        say(type="input_required", id=number, text="Which one?")
    elif word == "fail" or (word == "once" and not Path(rest).exists()):
        if word == "once":
            Path(rest).touch()
        say(type="error", id=number, error=rest)
    else:
        say(type="result", id=number, text=f"You said: {request['text']}")


def main() -> None:
    running: dict[str, threading.Event] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if request["type"] == "ping":
            say(type="pong", id=request["id"])
        elif request["type"] == "cancel":
            running.setdefault(request["id"], threading.Event()).set()
        elif request["type"] == "turn":
            stopped = running.setdefault(request["id"], threading.Event())
            threading.Thread(target=turn, args=(request, stopped), daemon=True).start()


main()
