"""A worker that speaks the pipe and nothing else; argv[1] says how it behaves, SIGUSR1 makes it admit a wedge.

The ticking ones do what their mode says on SIGUSR2.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
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
    data = (json.dumps(frame) + "\n").encode()
    while data:
        data = data[os.write(OUT, data) :]


def sleeps_in_the_loop() -> None:
    time.sleep(2.5)


def waits_for_itself() -> None:
    first, second = threading.Lock(), threading.Lock()

    def other_side() -> None:
        with second:
            time.sleep(0.1)
            first.acquire()

    threading.Thread(target=other_side, daemon=True).start()
    with first:
        time.sleep(0.1)
        second.acquire()


def closes_its_pipe() -> None:
    os.close(OUT)
    time.sleep(1000)


def works(order: dict[str, object]) -> None:
    """Echoes; "hang" has no end, "large" is a result of 8 MiB."""
    if order["type"] not in {"deliver", "cancel"}:
        return
    this = {key: order[key] for key in ("task_id", "generation", "attempt")}
    if order["type"] == "cancel":
        say(type="finished", **this, state="canceled", text="")
        return
    say(type="begun", **this)
    say(type="chunk", **this, index=0, kind="text", text="a piece")
    if order["text"] != "hang":
        text = "x" * 8 * 1024 * 1024 if order["text"] == "large" else f"you said {order['text']}"
        say(type="finished", **this, state="completed", text=text)


def ticks(on_signal: object) -> None:
    """An event loop, as far as the supervisor can tell."""
    from truebeat.workspace import stack

    stack.register()
    signalled: list[int] = []
    signal.signal(signal.SIGUSR2, lambda number, _: signalled.append(number))
    pending = b""
    while True:
        say(type="tick", lag=0.0, counters={"frames": 3})
        if signalled:
            signalled.clear()
            on_signal()  # type: ignore[operator]
        if select.select([IN], [], [], 0.1)[0]:
            data = os.read(IN, 65536)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                order = json.loads(line)
                if order["type"] == "stop":
                    return
                works(order)


TICKING = {
    "ticking": lambda: None,
    "blocking": sleeps_in_the_loop,
    "deadlocking": waits_for_itself,
    "closing": closes_its_pipe,
}


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
    if mode == "never_ready":
        ticks(lambda: None)
    say(type="ready")
    say(type="phase", name="idle")
    if mode in TICKING:
        ticks(TICKING[mode])
        return
    if mode == "unread":
        time.sleep(1000)
    with os.fdopen(IN, "rb", closefd=False) as commands:
        for line in commands:
            if json.loads(line)["type"] == "stop" and mode != "deaf":
                return
    time.sleep(1000)


main(sys.argv[1])
