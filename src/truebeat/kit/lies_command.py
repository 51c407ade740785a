"""Lies of a long-lived runtime of the command executor."""

from __future__ import annotations

import signal
from typing import Final

from truebeat.kit.case import Quiet, Recovery
from truebeat.kit.faults import outside
from truebeat.kit.lie import BACK, FAST, IDLE, RUNTIME, SUPERVISOR, SUSPECT, TURN, lie
from truebeat.kit.runs import ndjson

#: a long-lived command
COMMAND: Final = (
    lie(
        "runtime-stopped",
        "the runtime is stopped (SIGSTOP) while idle",
        run=ndjson(),
        runtime=True,
        how=outside.signal_runtime(signal.SIGSTOP),
        witnesses=RUNTIME,
        recovery=BACK,
    ),
    lie(
        "runtime-stopped-in-a-turn",
        "the runtime is stopped (SIGSTOP) in the middle of a turn",
        run=ndjson(),
        how=outside.turn("silent tool", signal.SIGSTOP),
        witnesses=RUNTIME,
        recovery=BACK,
    ),
    lie(
        "runtime-killed",
        "the runtime is killed (SIGKILL) while idle",
        run=ndjson(),
        runtime=True,
        how=outside.signal_runtime(signal.SIGKILL),
        witnesses=RUNTIME,
        recovery=BACK,
    ),
    lie(
        "runtime-exits-0",
        "the runtime exits with status 0 while idle",
        run=ndjson(),
        how=outside.order_runtime("exit 0"),
        witnesses=RUNTIME,
        recovery=BACK,
    ),
    lie(
        "runtime-crashes-in-a-turn",
        "the runtime exits with status 3 in the middle of a turn",
        run=ndjson(),
        how=outside.turn("crash"),
        witnesses=RUNTIME,
        recovery=BACK,
    ),
    lie(
        "memory-bomb",
        "the runtime eats memory until none is given, and dies",
        run=ndjson(),
        how=outside.turn("memory bomb"),
        witnesses=RUNTIME,
        recovery=BACK,
    ),
    lie(
        "grandchild-holds-stdout",
        "the runtime dies while a grandchild holds its stdout open",
        run=ndjson(),
        how=outside.turn("grandchild"),
        witnesses=RUNTIME,
        recovery=BACK,
    ),
    lie(
        "deaf-stdin",
        "the runtime lives and reads its stdin no more",
        run=ndjson(options=FAST),
        how=outside.order_runtime("deaf"),
        witnesses=RUNTIME,
        quiet=IDLE,
        recovery=BACK,
    ),
    lie(
        "stdout-closed",
        "the runtime lives and has closed its stdout",
        run=ndjson(options=FAST),
        how=outside.order_runtime("close stdout"),
        witnesses=RUNTIME,
        quiet=IDLE,
        recovery=BACK,
    ),
    lie(
        "swallowed-exceptions",
        "every request fails inside the runtime, and the exception is swallowed",
        run=ndjson(options=FAST),
        how=outside.order_runtime("swallow"),
        witnesses=RUNTIME,
        quiet=IDLE,
        recovery=BACK,
    ),
    lie(
        "work-pool-blocked",
        "every thread of the runtime's own pool is blocked",
        run=ndjson(options=FAST),
        how=outside.order_runtime("block the pool"),
        witnesses=RUNTIME,
        quiet=IDLE,
        recovery=BACK,
    ),
    lie(
        "hangs-in-a-turn",
        "the runtime hangs in the middle of a turn",
        run=ndjson(options=FAST, suspects=SUSPECT),
        how=outside.turn("hang"),
        witnesses=RUNTIME,
        quiet=TURN,
        recovery=BACK,
    ),
    lie(
        "half-open-socket",
        "the runtime waits for the answer of a model behind a half-open socket",
        run=ndjson(options=FAST, suspects=SUSPECT),
        how=outside.turn("half-open socket"),
        witnesses=RUNTIME,
        quiet=TURN,
        recovery=BACK,
    ),
    lie(
        "huge-line",
        "the runtime writes a line that no reader takes, then nothing more",
        run=ndjson(options=FAST, suspects=SUSPECT),
        how=outside.turn("huge line"),
        witnesses=RUNTIME,
        quiet=TURN,
        recovery=BACK,
    ),
    lie(
        "descriptors-exhausted",
        "the runtime has no file descriptor left: every turn fails, pings are answered",
        run=ndjson(options=FAST),
        how=outside.turns(*("needs a file",) * 4),
        witnesses=frozenset({"self", "sender"}),
        quiet=Quiet(3.0, "two failed turns"),
        recovery=BACK | {Recovery.ORDERED},
        mends=outside.order_restart,
    ),
    lie(
        "mute-start",
        "the runtime never answers its first ping",
        run=ndjson(options={"start_timeout": "3"}, start="mute start"),
        how=outside.as_it_says,
        from_start=True,
        witnesses=RUNTIME | SUPERVISOR,
        quiet=Quiet(3.0, "start_timeout, 3 s here"),
        recovery=BACK,
    ),
)
