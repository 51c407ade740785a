"""The lies: each must be found, by the right witness, in time, and must end in a recovery that was verified."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Final

from truebeat.kit.case import LEASE, Case, Kind, Quiet, Recovery
from truebeat.kit.faults import outside
from truebeat.kit.runs import ANY, FUNCTIONS, claude, functions, liar, ndjson, sabotaged

_SUPERVISOR: Final = frozenset({"evidence", "self", "supervisor"})
_RUNTIME: Final = frozenset({"canary", "self", "evidence"})
_BACK: Final = frozenset({Recovery.IN_PLACE, Recovery.RESTART})
_RESTART: Final = frozenset({Recovery.RESTART})
_RESUMED: Final = frozenset({Recovery.RESUMED, Recovery.IN_PLACE})

#: options of the quiet cases: a canary each second that may take one second
_FAST: Final = {"probe_interval": "1", "probe_timeout": "1"}
_IDLE: Final = Quiet(3.0, "a canary each second, two of 1 s each must fail")
_TURN: Final = Quiet(4.0, "suspected after 2 s of silence, two canaries of 1 s each must fail")
_STILL: Final = Quiet(
    20.0,
    "the beat that shows what moved last, 10 s at most; the phase's bound, 5 s here, seen at the next beat",
)
_SUSPECT: Final = {"working": 2.0, "waiting_model": 2.0, "in_tool": 2.0}


def _lie(name: str, title: str, **facts: object) -> Case:
    return Case(name=name, title=title, kind=Kind.LIE, **facts)  # type: ignore[arg-type]


#: any executor
_WORKER: Final = (
    _lie(
        "worker-stopped",
        "the worker is stopped (SIGSTOP)",
        run=replace(ANY, loop_kill=6.0),
        how=outside.signal_worker(signal.SIGSTOP),
        witnesses=_SUPERVISOR,
        recovery=_RESTART,
        anywhere=True,
    ),
    _lie(
        "worker-stopped-and-continued",
        "the worker is stopped, and continued once it was found",
        run=ANY,
        how=outside.signal_worker(signal.SIGSTOP),
        mends=outside.continue_worker,
        witnesses=_SUPERVISOR,
        recovery=_RESUMED,
        anywhere=True,
    ),
    _lie(
        "worker-killed",
        "the worker is killed (SIGKILL)",
        run=ANY,
        how=outside.signal_worker(signal.SIGKILL),
        witnesses=_SUPERVISOR,
        recovery=_RESTART,
        anywhere=True,
    ),
    _lie(
        "worker-exits-0",
        "the worker exits with status 0, as if all was done",
        run=sabotaged(),
        how=outside.order_worker("exit 0"),
        witnesses=_SUPERVISOR,
        recovery=_RESTART,
        anywhere=True,
    ),
    _lie(
        "loop-blocked",
        "the event loop is blocked by a sleep",
        run=sabotaged(),
        how=outside.order_worker("block"),
        witnesses=_SUPERVISOR,
        recovery=_RESTART,
        anywhere=True,
    ),
    _lie(
        "loop-blocked-at-once",
        "the event loop is blocked before the worker has ticked once",
        run=sabotaged(loop_kill=6.0),
        how=outside.order_worker("block"),
        peace=0.0,
        witnesses=_SUPERVISOR,
        recovery=_RESTART,
        anywhere=True,
    ),
    _lie(
        "busy-loop",
        "the event loop is in an endless loop and burns a core",
        run=sabotaged(loop_kill=6.0),
        how=outside.order_worker("spin"),
        witnesses=_SUPERVISOR,
        recovery=_RESTART,
        anywhere=True,
        alone=True,
    ),
    _lie(
        "lock-deadlock",
        "the event loop waits for a lock that is never given back",
        run=sabotaged(loop_kill=6.0),
        how=outside.order_worker("deadlock"),
        witnesses=_SUPERVISOR,
        recovery=_RESTART,
        anywhere=True,
    ),
    _lie(
        "pipe-closed",
        "the worker's pipe to its supervisor is closed, the worker goes on",
        run=sabotaged(),
        how=outside.order_worker("close the pipe"),
        witnesses=_SUPERVISOR,
        recovery=_RESTART,
        anywhere=True,
    ),
    _lie(
        "supervisor-killed",
        "the supervisor is killed (SIGKILL)",
        run=ANY,
        how=outside.signal_supervisor(signal.SIGKILL),
        mends=outside.run_again,
        witnesses=frozenset({"silence"}),
        recovery=frozenset({Recovery.RERUN}),
        anywhere=True,
    ),
    _lie(
        "supervisor-stopped",
        "the supervisor is stopped (SIGSTOP): the link is half-open",
        run=ANY,
        how=outside.signal_supervisor(signal.SIGSTOP),
        mends=outside.continue_supervisor,
        witnesses=frozenset({"silence"}),
        quiet=Quiet(LEASE + 1.0, "the lease, 45 s"),
        recovery=_RESUMED | _BACK,
        anywhere=True,
    ),
)

#: workers that pretend
_PRETENDING: Final = (
    _lie(
        "counters-stand",
        "beats claim health while every counter stands still",
        run=liar("frozen", bounds={"idle": 5.0}),
        how=outside.as_it_says,
        mends=outside.order_restart,
        witnesses=frozenset({"evidence"}),
        quiet=_STILL,
        recovery=_BACK | {Recovery.ORDERED},
    ),
    _lie(
        "contrary-canary",
        "a worker claims health while its canary fails and its counters stand still",
        run=liar("contrary", bounds={"idle": 5.0}),
        how=outside.as_it_says,
        mends=outside.order_restart,
        witnesses=frozenset({"canary", "evidence"}),
        recovery=_BACK | {Recovery.ORDERED},
    ),
    _lie(
        "start-that-hangs",
        "a worker says it is starting, and never anything else",
        run=liar("never-ready", bounds={"starting": 5.0}),
        how=outside.as_it_says,
        mends=outside.order_restart,
        from_start=True,
        witnesses=frozenset({"evidence"}),
        quiet=_STILL,
        recovery=_BACK | {Recovery.ORDERED},
    ),
)

#: a Python function
_FUNCTION: Final = (
    _lie(
        "turn-blocks-the-loop",
        "a turn blocks the event loop with a blocking call",
        run=replace(FUNCTIONS, loop_kill=6.0),
        how=outside.turn("block the loop"),
        witnesses=_SUPERVISOR,
        recovery=_RESTART,
    ),
    _lie(
        "turn-exits-0",
        "a turn ends the process with status 0",
        run=FUNCTIONS,
        how=outside.turn("exit 0"),
        witnesses=_SUPERVISOR,
        recovery=_RESTART,
    ),
    _lie(
        "thread-pool-blocked",
        "every thread of asyncio's pool is blocked, the loop ticks on",
        run=functions(options=_FAST, suspects=_SUSPECT),
        how=outside.turn("block the pool"),
        witnesses=_RUNTIME,
        quiet=_TURN,
        recovery=_BACK,
    ),
)

#: a long-lived command
_COMMAND: Final = (
    _lie(
        "runtime-stopped",
        "the runtime is stopped (SIGSTOP) while idle",
        run=ndjson(),
        runtime=True,
        how=outside.signal_runtime(signal.SIGSTOP),
        witnesses=_RUNTIME,
        recovery=_BACK,
    ),
    _lie(
        "runtime-stopped-in-a-turn",
        "the runtime is stopped (SIGSTOP) in the middle of a turn",
        run=ndjson(),
        how=outside.turn("silent tool", signal.SIGSTOP),
        witnesses=_RUNTIME,
        recovery=_BACK,
    ),
    _lie(
        "runtime-killed",
        "the runtime is killed (SIGKILL) while idle",
        run=ndjson(),
        runtime=True,
        how=outside.signal_runtime(signal.SIGKILL),
        witnesses=_RUNTIME,
        recovery=_BACK,
    ),
    _lie(
        "runtime-exits-0",
        "the runtime exits with status 0 while idle",
        run=ndjson(),
        how=outside.order_runtime("exit 0"),
        witnesses=_RUNTIME,
        recovery=_BACK,
    ),
    _lie(
        "runtime-crashes-in-a-turn",
        "the runtime exits with status 3 in the middle of a turn",
        run=ndjson(),
        how=outside.turn("crash"),
        witnesses=_RUNTIME,
        recovery=_BACK,
    ),
    _lie(
        "memory-bomb",
        "the runtime eats memory until none is given, and dies",
        run=ndjson(),
        how=outside.turn("memory bomb"),
        witnesses=_RUNTIME,
        recovery=_BACK,
    ),
    _lie(
        "grandchild-holds-stdout",
        "the runtime dies while a grandchild holds its stdout open",
        run=ndjson(),
        how=outside.turn("grandchild"),
        witnesses=_RUNTIME,
        recovery=_BACK,
    ),
    _lie(
        "deaf-stdin",
        "the runtime lives and reads its stdin no more",
        run=ndjson(options=_FAST),
        how=outside.order_runtime("deaf"),
        witnesses=_RUNTIME,
        quiet=_IDLE,
        recovery=_BACK,
    ),
    _lie(
        "stdout-closed",
        "the runtime lives and has closed its stdout",
        run=ndjson(options=_FAST),
        how=outside.order_runtime("close stdout"),
        witnesses=_RUNTIME,
        quiet=_IDLE,
        recovery=_BACK,
    ),
    _lie(
        "swallowed-exceptions",
        "every request fails inside the runtime, and the exception is swallowed",
        run=ndjson(options=_FAST),
        how=outside.order_runtime("swallow"),
        witnesses=_RUNTIME,
        quiet=_IDLE,
        recovery=_BACK,
    ),
    _lie(
        "work-pool-blocked",
        "every thread of the runtime's own pool is blocked",
        run=ndjson(options=_FAST),
        how=outside.order_runtime("block the pool"),
        witnesses=_RUNTIME,
        quiet=_IDLE,
        recovery=_BACK,
    ),
    _lie(
        "hangs-in-a-turn",
        "the runtime hangs in the middle of a turn",
        run=ndjson(options=_FAST, suspects=_SUSPECT),
        how=outside.turn("hang"),
        witnesses=_RUNTIME,
        quiet=_TURN,
        recovery=_BACK,
    ),
    _lie(
        "half-open-socket",
        "the runtime waits for the answer of a model behind a half-open socket",
        run=ndjson(options=_FAST, suspects=_SUSPECT),
        how=outside.turn("half-open socket"),
        witnesses=_RUNTIME,
        quiet=_TURN,
        recovery=_BACK,
    ),
    _lie(
        "huge-line",
        "the runtime writes a line that no reader takes, then nothing more",
        run=ndjson(options=_FAST, suspects=_SUSPECT),
        how=outside.turn("huge line"),
        witnesses=_RUNTIME,
        quiet=_TURN,
        recovery=_BACK,
    ),
    _lie(
        "descriptors-exhausted",
        "the runtime has no file descriptor left: every turn fails, pings are answered",
        run=ndjson(options=_FAST),
        how=outside.turns(*("needs a file",) * 4),
        witnesses=frozenset({"self", "sender"}),
        quiet=Quiet(3.0, "two failed turns"),
        recovery=_BACK | {Recovery.ORDERED},
        mends=outside.order_restart,
    ),
    _lie(
        "mute-start",
        "the runtime never answers its first ping",
        run=ndjson(options={"start_timeout": "3"}, start="mute start"),
        how=outside.as_it_says,
        from_start=True,
        witnesses=_RUNTIME | _SUPERVISOR,
        quiet=Quiet(3.0, "start_timeout, 3 s here"),
        recovery=_BACK,
    ),
)

#: the Claude CLI's stand-in, through the genuine SDK
_CLAUDE: Final = (
    _lie(
        "claude-never-answers-initialize",
        "the CLI never answers initialize",
        run=claude("no-initialize@{case}/done", options={"connect_timeout": "3"}),
        how=outside.as_it_says,
        from_start=True,
        witnesses=_RUNTIME,
        quiet=Quiet(3.0, "connect_timeout, 3 s here"),
        recovery=_BACK,
    ),
    _lie(
        "claude-exits-0-at-start",
        "the CLI exits with status 0 before it answers initialize",
        run=claude("exit-0@{case}/done"),
        how=outside.as_it_says,
        from_start=True,
        witnesses=_RUNTIME | _SUPERVISOR,
        recovery=_BACK,
    ),
    _lie(
        "claude-ignores-everything",
        "the CLI never answers initialize and ignores SIGTERM and the end of its stdin",
        run=claude("deaf@{case}/done", options={"connect_timeout": "3"}),
        how=outside.as_it_says,
        from_start=True,
        witnesses=_RUNTIME,
        quiet=Quiet(3.0, "connect_timeout, 3 s here"),
        recovery=_BACK,
    ),
    _lie(
        "claude-unknown-option",
        "the CLI exits because of its configuration",
        run=claude("usage"),
        how=outside.as_it_says,
        from_start=True,
        witnesses=_RUNTIME | _SUPERVISOR,
        recovery=frozenset({Recovery.QUARANTINED}),
    ),
    _lie(
        "claude-stopped",
        "the CLI is stopped (SIGSTOP) while idle",
        run=claude("ok"),
        how=outside.signal_runtime(signal.SIGSTOP),
        witnesses=_RUNTIME,
        recovery=_BACK,
    ),
    _lie(
        "claude-stopped-in-a-turn",
        "the CLI is stopped (SIGSTOP) in the middle of a turn",
        run=claude("ok"),
        how=outside.turn("fault:stop@{case}/done"),
        witnesses=_RUNTIME,
        recovery=_BACK,
    ),
    _lie(
        "claude-killed",
        "the CLI is killed (SIGKILL) while idle",
        run=claude("ok"),
        how=outside.signal_runtime(signal.SIGKILL),
        witnesses=_RUNTIME,
        recovery=_BACK,
    ),
    _lie(
        "claude-killed-in-a-turn",
        "the CLI is killed (SIGKILL) in the middle of a turn",
        run=claude("ok"),
        how=outside.turn("fault:killed@{case}/done"),
        witnesses=_RUNTIME,
        recovery=_BACK,
    ),
    _lie(
        "claude-hangs-in-a-turn",
        "the CLI hangs in the middle of a turn, deaf to its stdin",
        run=claude("ok", options=_FAST, suspects=_SUSPECT),
        how=outside.turn("fault:hang@{case}/done"),
        witnesses=_RUNTIME,
        quiet=_TURN,
        recovery=_BACK,
    ),
    _lie(
        "claude-stream-without-result",
        "the CLI exits with status 0 in the middle of a turn: the stream ends with no result",
        run=claude("ok"),
        how=outside.turn("fault:no-result@{case}/done"),
        witnesses=_RUNTIME,
        recovery=_BACK,
    ),
    _lie(
        "claude-result-never-sent",
        "the CLI says everything and never sends the result, its control channel alive",
        run=claude("ok", options={"result_timeout": "3"}),
        how=outside.turn("fault:end-turn@{case}/done"),
        witnesses=_RUNTIME,
        quiet=Quiet(3.0, "result_timeout, 3 s here, from the last word to the result"),
        recovery=_BACK,
    ),
    _lie(
        "claude-broken-json",
        "the CLI writes broken JSON: the SDK's reader dies and the client is a zombie",
        run=claude("ok"),
        how=outside.turn("fault:garbage-json@{case}/done"),
        witnesses=_RUNTIME,
        recovery=_BACK,
    ),
    _lie(
        "claude-huge-line",
        "the CLI writes a line over the SDK's buffer: the client is a zombie",
        run=claude("ok"),
        how=outside.turn("fault:huge-line@{case}/done"),
        witnesses=_RUNTIME,
        recovery=_BACK,
    ),
    _lie(
        "claude-grandchild-holds-stdout",
        "the CLI dies while a grandchild holds its stdout open",
        run=claude("ok"),
        how=outside.turn("fault:grandchild@{case}/done"),
        witnesses=_RUNTIME,
        recovery=_BACK,
    ),
    _lie(
        "claude-interrupt-ignored",
        "the CLI acknowledges an interrupt and ignores it",
        run=claude("ok", options=_FAST),
        how=outside.cancel_turn("fault:ignore-interrupt@{case}/done"),
        witnesses=_RUNTIME,
        quiet=Quiet(5.0, "interrupt_timeout, 5 s"),
        recovery=_BACK,
    ),
    _lie(
        "claude-leftover",
        "the CLI is wedged, and a process that it left behind would keep the next one from starting",
        run=claude("ok", options=_FAST, suspects=_SUSPECT),
        how=outside.turn("fault:leftover@{case}/done"),
        witnesses=_RUNTIME,
        quiet=_TURN,
        recovery=_BACK,
    ),
)

LIES: Final[tuple[Case, ...]] = (*_WORKER, *_PRETENDING, *_FUNCTION, *_COMMAND, *_CLAUDE)
