"""A worker that speaks the pipe and nothing else; argv[1] says how it behaves, SIGUSR1 makes it admit a wedge."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

OUT = int(os.environ["TRUEBEAT_PIPE_OUT"])
IN = int(os.environ["TRUEBEAT_PIPE_IN"])

GRANDCHILD = "import time; time.sleep(1000)"
#: leaves its session and its parent, and holds stderr
ORPHAN = """
import os, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
time.sleep(1000)
"""
CHILD = f"""
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {GRANDCHILD!r}])
subprocess.Popen([sys.executable, "-c", {ORPHAN!r}])
subprocess.Popen([sys.executable, "-c", {ORPHAN!r}], env={{}})
time.sleep(1000)
"""


def say(**frame: object) -> None:
    os.write(OUT, (json.dumps(frame) + "\n").encode())


def main(mode: str) -> None:
    if mode == "crash":
        sys.stderr.write("loading\nboom: no such model \x1b[31m\n")
        sys.exit(3)
    if mode == "fatal":
        say(type="fatal", reason="no module named agent")
        time.sleep(1000)
    if mode == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, lambda *_: say(type="wedged", reason="Control request timeout: initialize"))
    if mode == "garbage":
        os.write(OUT, b'{"type": "ready", \n\xff\xfe\n[]\n{"type": "nonsense"}\n' + b"x" * 300_000 + b"\n")
        os.write(OUT, b'{"type": "outcomes", "error_rate": "high", "sample_error": 3}\n')
    if mode in {"family", "deaf"}:
        from truebeat.workspace.processes import watch_parent_pipe

        watch_parent_pipe(IN)
        subprocess.Popen([sys.executable, "-c", CHILD])
    say(type="phase", name="starting")
    say(type="ready")
    say(type="phase", name="idle")
    while mode == "ticking":
        say(type="tick", lag=0.0, counters={})
        time.sleep(0.1)
    with os.fdopen(IN, "rb", closefd=False) as commands:
        for line in commands:
            if json.loads(line)["type"] == "stop" and mode != "deaf":
                return
    time.sleep(1000)


main(sys.argv[1])
