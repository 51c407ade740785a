"""A runtime for the command executor (mode=ndjson) with one fault named by the first argument.

ok           answers pings and turns
mute         answers nothing
late         answers its first ping after 0.5 s, then like ok
die-on-turn  exits 3 in the middle of a turn
no-result    sends text and never a result, but answers pings
noise        writes lines that are no replies around good ones
refuses      answers every turn with an error that quotes it
grandchild   like ok, with a grandchild whose pid it writes to the file in argv[2]
rich         every kind of line in one turn
ask          asks for input; a turn with `reply` set is answered
patient      a turn ends only when it is canceled
stubborn     a turn never ends, and hears no cancel; pings are answered
busy         reads nothing for 0.6 s while it does a turn
huge         writes a line of 17 MiB in a turn
flood        writes 8 MiB to stderr and 20,000 lines that belong to nobody, then answers
endless      never stops saying text
hold         ends in a turn while a grandchild (its pid in the file in argv[2]) holds its stdout
hang-once    hangs in its turn, pings and all, until the file in argv[2] exists; it makes the file first
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def say(**reply: Any) -> None:
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


RICH = (
    {"type": "phase", "name": "waiting_model", "bound": 40},
    {"type": "tool_started", "name": "grep", "bound": 5},
    {"type": "tool_finished", "name": "grep"},
    {"type": "telepathy", "name": "?"},
    {"type": "note", "text": "upstream_stalled: no answer yet"},
    {"type": "artifact", "name": "a.txt", "parts": [{"text": "x"}]},
    {"type": "text", "text": "done"},
    {"type": "result"},
)


def grandchild() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(sys.argv[2]).write_text(str(child.pid))


def special(mode: str, number: str, request: dict[str, Any]) -> bool:
    """The modes whose turns are all of their own; False for the others."""
    if mode == "rich":
        for line in RICH:
            say(id=number, **line)
    elif mode == "ask":
        if request["reply"]:
            say(type="result", id=number, text="thanks")
        else:
            say(type="input_required", id=number, text="which one?")
    elif mode in {"patient", "stubborn"}:
        say(type="text", id=number, text="...")
    elif mode == "huge":
        sys.stdout.write("x" * (17 * 1024 * 1024) + "\n")
        say(type="result", id=number, text="small")
    elif mode == "flood":
        for _ in range(128):
            sys.stderr.write("e" * 65536)
        sys.stderr.flush()
        for _ in range(20_000):
            say(type="text", id="nobody", text="x")
        say(type="result", id=number, text="done")
    elif mode == "endless":
        while True:
            say(type="text", id=number, text="y" * 65536)
    elif mode == "hold":
        grandchild()
        sys.stderr.write("out of memory\n")
        sys.exit(3)
    elif mode == "hang-once" and not Path(sys.argv[2]).exists():
        Path(sys.argv[2]).touch()
        time.sleep(600)
    elif mode == "busy":
        time.sleep(0.6)
        return False
    else:
        return False
    return True


def turn(mode: str, number: str, text: str) -> None:
    say(type="progress", id=number, note="thinking")
    say(type="text", id=number, text="you said ")
    if mode == "die-on-turn":
        sys.stderr.write("out of memory\n")
        sys.exit(3)
    if mode == "refuses":
        say(type="error", id=number, error=f"unknown command: {text}")
        return
    say(type="text", id=number, text=text)
    if mode != "no-result":
        say(type="result", id=number)


def main() -> None:
    mode = sys.argv[1]
    if mode == "grandchild":
        grandchild()
    if mode == "late":
        time.sleep(0.5)
    for line in sys.stdin:
        request = json.loads(line)
        if mode == "mute":
            continue
        if mode == "noise":
            print("loading weights...")
            print('{"no": "type"}')
            print("[1, 2]")
        if request["type"] == "ping":
            say(type="pong", id=request["id"])
        elif request["type"] == "cancel":
            if mode == "patient":
                say(type="canceled", id=request["id"])
        elif not special(mode, request["id"], request):
            turn(mode, request["id"], request["text"])


main()
