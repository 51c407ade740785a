"""An NDJSON runtime for the command executor (mode=ndjson): `python -m truebeat.kit.faults.runtime [START]`.

Honest until it is told to lie: by an order (scene.py) while it is idle, or by a turn whose text names a fault in TURNS.
Each lie is told once; afterwards the same turn gets an honest answer. START names a fault of the start itself.
"""

from __future__ import annotations

import json
import os
import queue
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from truebeat.kit.faults import scene

#: bytes of address space that the memory bomb may take beyond what it has
BOMB: Final = 256 * 1024 * 1024
#: seconds: the hardships' silences
SILENT_TOOL: Final = 15.0
SLOW_MODEL: Final = 8.0
SLOW_START: Final = 20.0
#: bytes
FLOOD: Final = 8 * 1024 * 1024

Turn = Callable[[str], None]

_lines: queue.Queue[str | None] = queue.Queue()
_writing = threading.Lock()


def say(**reply: Any) -> None:
    with _writing:
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


# --- lies ---------------------------------------------------------------------------------------------------------


def _deaf() -> None:
    scene.hang()


def _exit_0() -> None:
    os._exit(0)


def _crash() -> None:
    sys.stderr.write("fatal: out of handles\n")
    sys.stderr.flush()
    os._exit(3)


def _close_stdout() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _grandchild_holds_stdout() -> None:
    """End, while a grandchild keeps stdout open: whoever waits for the end of the output waits for ever."""
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    os._exit(0)


def _memory_bomb() -> None:
    limit = _address_space() + BOMB
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    eaten = []
    try:
        while True:
            eaten.append(bytearray(1024 * 1024))
    except MemoryError:
        sys.stderr.write("fatal: memory allocation failed\n")
        sys.stderr.flush()
        os._exit(134)


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[0]) * resource.getpagesize()


def _exhaust_descriptors() -> None:
    """Open files until no more can be opened, and keep them; every piece of work needs one."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    try:
        while True:
            os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return


def _half_open_socket() -> None:
    """Read from a peer that took the request and will never answer, as a single-threaded runtime does."""
    with socket.create_server(("127.0.0.1", 0)) as peer, socket.create_connection(peer.getsockname()) as model:
        model.sendall(b"POST /v1/messages HTTP/1.1\r\n\r\n")
        model.recv(1)


class _Swallowing:
    """Every request fails inside, and nobody is told: the bare `except: pass` around a main loop."""

    active = False


def _swallow() -> None:
    _Swallowing.active = True


_pool = ThreadPoolExecutor(2, thread_name_prefix="work")


class _Pool:
    """Work, pings included, goes through a pool."""

    active = False


def _block_pool() -> None:
    for _ in range(2):
        _pool.submit(scene.hang)
    _Pool.active = True


def _huge_line() -> None:
    """One line longer than any reader takes, then nothing more: the reader has lost its place."""
    sys.stdout.write("x" * (17 * 1024 * 1024) + "\n")
    sys.stdout.flush()
    scene.hang()


#: while idle, by order
ORDERS: Final = {
    "deaf": _deaf,
    "exit 0": _exit_0,
    "crash": _crash,
    "close stdout": _close_stdout,
    "grandchild": _grandchild_holds_stdout,
    "swallow": _swallow,
    "block the pool": _block_pool,
}

#: in a turn, by its text; what returns is followed by the turn itself
TURNS: Final[dict[str, Callable[[], None]]] = {
    "hang": scene.hang,
    "spin": scene.spin,
    "exit 0": _exit_0,
    "crash": _crash,
    "grandchild": _grandchild_holds_stdout,
    "memory bomb": _memory_bomb,
    "half-open socket": _half_open_socket,
    "huge line": _huge_line,
    "needs a file": _exhaust_descriptors,
}


# --- hardships ----------------------------------------------------------------------------------------------------


def _silent(seconds: float) -> Turn:
    def turn(_: str) -> None:
        time.sleep(seconds)

    return turn


def _stderr_flood(_: str) -> None:
    for _line in range(FLOOD // 1024):
        sys.stderr.write("E" * 1023 + "\n")
    sys.stderr.flush()


def _big_output(number: str) -> None:
    for _piece in range(FLOOD // 1024 // 64):
        say(type="progress", id=number, note="y" * 64 * 1024)


def _needs_a_file(_: str) -> None:
    os.close(os.open(os.devnull, os.O_RDONLY))


def _nothing(_: str) -> None:
    """An ordinary turn."""


def _ask_a_person(number: str) -> None:
    say(type="progress", id=number, note="waiting for an approval")
    time.sleep(SLOW_MODEL)


#: what a turn does, by its text
HARDSHIPS: Final[dict[str, Turn]] = {
    "silent tool": _silent(SILENT_TOOL),
    "slow model": _silent(SLOW_MODEL),
    "stderr flood": _stderr_flood,
    "big output": _big_output,
    "approval": _ask_a_person,
    "needs a file": _needs_a_file,
}


# --- the runtime --------------------------------------------------------------------------------------------------


def _turn(number: str, text: str) -> None:
    """In a thread: pings are answered meanwhile, unless the fault hinders it."""
    try:
        scene.stamp()
        HARDSHIPS.get(text, _nothing)(number)
    except OSError as error:
        say(type="error", id=number, error=str(error))
        return
    say(type="text", id=number, text=f"done: {text}")
    say(type="result", id=number)


def _answer(line: str) -> None:
    request = json.loads(line)
    if request["type"] == "ping":
        say(type="pong", id=request["id"])
        return
    text = request["text"].strip()
    if text in TURNS and scene.once(text.replace(" ", "-")):
        scene.stamp()
        TURNS[text]()
    threading.Thread(target=_turn, args=(request["id"], text), daemon=True).start()


def main() -> int:
    start = sys.argv[1] if len(sys.argv) > 1 else ""
    scene.obey(ORDERS)
    if start == "slow start":
        scene.stamp()
        time.sleep(SLOW_START)
    elif start == "mute start" and scene.once("mute-start"):
        scene.stamp()
        scene.hang()
    for line in sys.stdin:
        try:
            if _Swallowing.active:
                raise RuntimeError("the client was closed")
            if _Pool.active:
                _pool.submit(_answer, line)
            else:
                _answer(line)
        except RuntimeError:
            continue
    return 0


if __name__ == "__main__":
    sys.exit(main())
