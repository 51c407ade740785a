"""Lies of the Claude CLI, by its stand-in, through the genuine SDK."""

from __future__ import annotations

import signal
from typing import Final

from truebeat.kit.case import Quiet, Recovery
from truebeat.kit.faults import outside
from truebeat.kit.lie import BACK, FAST, RUNTIME, SUPERVISOR, SUSPECT, TURN, lie
from truebeat.kit.runs import claude

#: the Claude CLI's stand-in, through the genuine SDK
CLAUDE: Final = (
    lie(
        "claude-never-answers-initialize",
        "the CLI never answers initialize",
        run=claude("no-initialize@{case}/done", options={"connect_timeout": "3"}),
        how=outside.as_it_says,
        from_start=True,
        witnesses=RUNTIME,
        quiet=Quiet(3.0, "connect_timeout, 3 s here"),
        recovery=BACK,
    ),
    lie(
        "claude-exits-0-at-start",
        "the CLI exits with status 0 before it answers initialize",
        run=claude("exit-0@{case}/done"),
        how=outside.as_it_says,
        from_start=True,
        witnesses=RUNTIME | SUPERVISOR,
        recovery=BACK,
    ),
    lie(
        "claude-ignores-everything",
        "the CLI never answers initialize and ignores SIGTERM and the end of its stdin",
        run=claude("deaf@{case}/done", options={"connect_timeout": "3"}),
        how=outside.as_it_says,
        from_start=True,
        witnesses=RUNTIME,
        quiet=Quiet(3.0, "connect_timeout, 3 s here"),
        recovery=BACK,
    ),
    lie(
        "claude-unknown-option",
        "the CLI exits because of its configuration",
        run=claude("usage"),
        how=outside.as_it_says,
        from_start=True,
        witnesses=RUNTIME | SUPERVISOR,
        recovery=frozenset({Recovery.QUARANTINED}),
    ),
    lie(
        "claude-stopped",
        "the CLI is stopped (SIGSTOP) while idle",
        run=claude("ok"),
        how=outside.signal_runtime(signal.SIGSTOP),
        witnesses=RUNTIME,
        recovery=BACK,
    ),
    lie(
        "claude-stopped-in-a-turn",
        "the CLI is stopped (SIGSTOP) in the middle of a turn",
        run=claude("ok"),
        how=outside.turn("fault:stop@{case}/done"),
        witnesses=RUNTIME,
        recovery=BACK,
    ),
    lie(
        "claude-killed",
        "the CLI is killed (SIGKILL) while idle",
        run=claude("ok"),
        how=outside.signal_runtime(signal.SIGKILL),
        witnesses=RUNTIME,
        recovery=BACK,
    ),
    lie(
        "claude-killed-in-a-turn",
        "the CLI is killed (SIGKILL) in the middle of a turn",
        run=claude("ok"),
        how=outside.turn("fault:killed@{case}/done"),
        witnesses=RUNTIME,
        recovery=BACK,
    ),
    lie(
        "claude-hangs-in-a-turn",
        "the CLI hangs in the middle of a turn, deaf to its stdin",
        run=claude("ok", options=FAST, suspects=SUSPECT),
        how=outside.turn("fault:hang@{case}/done"),
        witnesses=RUNTIME,
        quiet=TURN,
        recovery=BACK,
    ),
    lie(
        "claude-stream-without-result",
        "the CLI exits with status 0 in the middle of a turn: the stream ends with no result",
        run=claude("ok"),
        how=outside.turn("fault:no-result@{case}/done"),
        witnesses=RUNTIME,
        recovery=BACK,
    ),
    lie(
        "claude-result-never-sent",
        "the CLI says everything and never sends the result, its control channel alive",
        run=claude("ok", options={"result_timeout": "3"}),
        how=outside.turn("fault:end-turn@{case}/done"),
        witnesses=RUNTIME,
        quiet=Quiet(3.0, "result_timeout, 3 s here, from the last word to the result"),
        recovery=BACK,
    ),
    lie(
        "claude-broken-json",
        "the CLI writes broken JSON: the SDK's reader dies and the client is a zombie",
        run=claude("ok"),
        how=outside.turn("fault:garbage-json@{case}/done"),
        witnesses=RUNTIME,
        recovery=BACK,
    ),
    lie(
        "claude-huge-line",
        "the CLI writes a line over the SDK's buffer: the client is a zombie",
        run=claude("ok"),
        how=outside.turn("fault:huge-line@{case}/done"),
        witnesses=RUNTIME,
        recovery=BACK,
    ),
    lie(
        "claude-grandchild-holds-stdout",
        "the CLI dies while a grandchild holds its stdout open",
        run=claude("ok"),
        how=outside.turn("fault:grandchild@{case}/done"),
        witnesses=RUNTIME,
        recovery=BACK,
    ),
    lie(
        "claude-interrupt-ignored",
        "the CLI acknowledges an interrupt and ignores it",
        run=claude("ok", options=FAST),
        how=outside.cancel_turn("fault:ignore-interrupt@{case}/done"),
        witnesses=RUNTIME,
        quiet=Quiet(5.0, "interrupt_timeout, 5 s"),
        recovery=BACK,
    ),
    lie(
        "claude-leftover",
        "the CLI is wedged, and a process that it left behind would keep the next one from starting",
        run=claude("ok", options=FAST, suspects=SUSPECT),
        how=outside.turn("fault:leftover@{case}/done"),
        witnesses=RUNTIME,
        quiet=TURN,
        recovery=BACK,
    ),
)
