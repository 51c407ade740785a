"""A runtime for the command executor (mode=ndjson) with one fault named by the first argument.

ok           answers pings and turns
mute         answers nothing
late         answers its first ping after 0.5 s, then like ok
die-on-turn  exits 3 in the middle of a turn
no-result    sends text and never a result, but answers pings
noise        writes lines that are no replies around good ones
wedge        answers turns with the error "Control request timeout: initialize" once the file in argv[2] exists
grandchild   like ok, with a grandchild whose pid it writes to the file in argv[2]
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


def turn(mode: str, number: str, text: str) -> None:
    say(type="progress", id=number, note="thinking")
    say(type="text", id=number, text="you said ")
    if mode == "die-on-turn":
        sys.stderr.write("out of memory\n")
        sys.exit(3)
    if mode == "wedge" and Path(sys.argv[2]).exists():
        say(type="error", id=number, error="Control request timeout: initialize")
        return
    say(type="text", id=number, text=text)
    if mode != "no-result":
        say(type="result", id=number)


def main() -> None:
    mode = sys.argv[1]
    if mode == "grandchild":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(sys.argv[2]).write_text(str(child.pid))
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
        else:
            turn(mode, request["id"], request["text"])


main()
