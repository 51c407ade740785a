"""Lies of a worker, whatever its executor; of workers that only pretend; and of Python functions."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Final

from truebeat.kit.case import LEASE, Quiet, Recovery
from truebeat.kit.faults import outside
from truebeat.kit.lie import BACK, FAST, RESTART, RESUMED, RUNTIME, STILL, SUPERVISOR, SUSPECT, TURN, lie
from truebeat.kit.runs import ANY, FUNCTIONS, functions, liar, sabotaged

#: any executor
WORKER: Final = (
    lie(
        "worker-stopped",
        "the worker is stopped (SIGSTOP)",
        run=replace(ANY, loop_kill=6.0),
        how=outside.signal_worker(signal.SIGSTOP),
        witnesses=SUPERVISOR,
        recovery=RESTART,
        anywhere=True,
    ),
    lie(
        "worker-stopped-and-continued",
        "the worker is stopped, and continued once it was found",
        run=ANY,
        how=outside.signal_worker(signal.SIGSTOP),
        mends=outside.continue_worker,
        witnesses=SUPERVISOR,
        recovery=RESUMED,
        anywhere=True,
    ),
    lie(
        "worker-killed",
        "the worker is killed (SIGKILL)",
        run=ANY,
        how=outside.signal_worker(signal.SIGKILL),
        witnesses=SUPERVISOR,
        recovery=RESTART,
        anywhere=True,
    ),
    lie(
        "worker-exits-0",
        "the worker exits with status 0, as if all was done",
        run=sabotaged(),
        how=outside.order_worker("exit 0"),
        witnesses=SUPERVISOR,
        recovery=RESTART,
        anywhere=True,
    ),
    lie(
        "loop-blocked",
        "the event loop is blocked by a sleep",
        run=sabotaged(),
        how=outside.order_worker("block"),
        witnesses=SUPERVISOR,
        recovery=RESTART,
        anywhere=True,
    ),
    lie(
        "loop-blocked-at-once",
        "the event loop is blocked before the worker has ticked once",
        run=sabotaged(loop_kill=6.0),
        how=outside.order_worker("block"),
        peace=0.0,
        witnesses=SUPERVISOR,
        recovery=RESTART,
        anywhere=True,
    ),
    lie(
        "busy-loop",
        "the event loop is in an endless loop and burns a core",
        run=sabotaged(loop_kill=6.0),
        how=outside.order_worker("spin"),
        witnesses=SUPERVISOR,
        recovery=RESTART,
        anywhere=True,
        alone=True,
    ),
    lie(
        "lock-deadlock",
        "the event loop waits for a lock that is never given back",
        run=sabotaged(loop_kill=6.0),
        how=outside.order_worker("deadlock"),
        witnesses=SUPERVISOR,
        recovery=RESTART,
        anywhere=True,
    ),
    lie(
        "pipe-closed",
        "the worker's pipe to its supervisor is closed, the worker goes on",
        run=sabotaged(),
        how=outside.order_worker("close the pipe"),
        witnesses=SUPERVISOR,
        recovery=RESTART,
        anywhere=True,
    ),
    lie(
        "supervisor-killed",
        "the supervisor is killed (SIGKILL)",
        run=ANY,
        how=outside.signal_supervisor(signal.SIGKILL),
        mends=outside.run_again,
        witnesses=frozenset({"silence"}),
        recovery=frozenset({Recovery.RERUN}),
        anywhere=True,
    ),
    lie(
        "supervisor-stopped",
        "the supervisor is stopped (SIGSTOP): the link is half-open",
        run=ANY,
        how=outside.signal_supervisor(signal.SIGSTOP),
        mends=outside.continue_supervisor,
        witnesses=frozenset({"silence"}),
        quiet=Quiet(LEASE + 1.0, "the lease, 45 s"),
        recovery=RESUMED | BACK,
        anywhere=True,
    ),
)

#: workers that pretend
PRETENDING: Final = (
    lie(
        "counters-stand",
        "beats claim health while every counter stands still",
        run=liar("frozen", bounds={"idle": 5.0}),
        how=outside.as_it_says,
        mends=outside.order_restart,
        witnesses=frozenset({"evidence"}),
        quiet=STILL,
        recovery=BACK | {Recovery.ORDERED},
    ),
    lie(
        "contrary-canary",
        "a worker claims health while its canary fails and its counters stand still",
        run=liar("contrary", bounds={"idle": 5.0}),
        how=outside.as_it_says,
        mends=outside.order_restart,
        witnesses=frozenset({"canary", "evidence"}),
        recovery=BACK | {Recovery.ORDERED},
    ),
    lie(
        "start-that-hangs",
        "a worker says it is starting, and never anything else",
        run=liar("never-ready", bounds={"starting": 5.0}),
        how=outside.as_it_says,
        mends=outside.order_restart,
        from_start=True,
        witnesses=frozenset({"evidence"}),
        quiet=STILL,
        recovery=BACK | {Recovery.ORDERED},
    ),
)

#: a Python function
FUNCTION: Final = (
    lie(
        "turn-blocks-the-loop",
        "a turn blocks the event loop with a blocking call",
        run=replace(FUNCTIONS, loop_kill=6.0),
        how=outside.turn("block the loop"),
        witnesses=SUPERVISOR,
        recovery=RESTART,
    ),
    lie(
        "turn-exits-0",
        "a turn ends the process with status 0",
        run=FUNCTIONS,
        how=outside.turn("exit 0"),
        witnesses=SUPERVISOR,
        recovery=RESTART,
    ),
    lie(
        "thread-pool-blocked",
        "every thread of asyncio's pool is blocked, the loop ticks on",
        run=functions(options=FAST, suspects=SUSPECT),
        how=outside.turn("block the pool"),
        witnesses=RUNTIME,
        quiet=TURN,
        recovery=BACK,
    ),
)
