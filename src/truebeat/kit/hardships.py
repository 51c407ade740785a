"""The hardships: honest trouble that must change nothing: no status, no incident, no restart; the turn ends well."""

from __future__ import annotations

from typing import Final

from truebeat.kit.case import Case, Kind
from truebeat.kit.faults import outside
from truebeat.kit.runs import ANY, claude, functions, ndjson

#: a silence of half a second is suspicious here: the hardships are silent for 16 to 30 times as long
_SUSPECT: Final = dict.fromkeys(
    ("idle", "working", "waiting_model", "in_tool", "compacting", "awaiting_input", "upstream_retry"), 0.5
)
_DONE: Final = "completed"


def _hardship(name: str, title: str, **facts: object) -> Case:
    return Case(name=name, title=title, kind=Kind.HARDSHIP, **facts)  # type: ignore[arg-type]


HARDSHIPS: Final[tuple[Case, ...]] = (
    _hardship(
        "server-stalled",
        "the server stands still for 10 s",
        run=ANY,
        how=outside.stall_server,
        anywhere=True,
        alone=True,
    ),
    _hardship(
        "machine-starved",
        "three times as many busy processes as cores for 15 s",
        run=ANY,
        how=outside.starve,
        anywhere=True,
        alone=True,
    ),
    _hardship(
        "worker-paused",
        "the worker is stopped for 1.2 s, as by a debugger or a slow disk",
        run=ANY,
        how=outside.pause_worker,
        anywhere=True,
    ),
    _hardship("idle", "nothing to do for 12 s", run=ANY, how=outside.nothing, anywhere=True),
    _hardship(
        "long-pause-of-the-loop",
        "a turn blocks the event loop for 1.2 s, as a long garbage collection does",
        run=functions(),
        how=outside.turn("pause"),
        answer=_DONE,
    ),
    _hardship(
        "slow-function",
        "a turn waits 8 s for its model",
        run=functions(suspects=_SUSPECT),
        how=outside.turn("slow model"),
        answer=_DONE,
    ),
    _hardship(
        "burst-of-text",
        "a turn answers in thousands of small pieces",
        run=functions(),
        how=outside.turn("burst"),
        answer=_DONE,
    ),
    _hardship(
        "slow-start",
        "the runtime takes 20 s to start",
        run=ndjson(start="slow start"),
        how=outside.as_it_says,
        from_start=True,
    ),
    _hardship(
        "silent-tool",
        "a tool is silent for 30 times the bound of suspicion",
        run=ndjson(suspects=_SUSPECT),
        how=outside.turn("silent tool"),
        answer=_DONE,
    ),
    _hardship(
        "slow-model",
        "a model is silent for 16 times the bound of suspicion",
        run=ndjson(suspects=_SUSPECT),
        how=outside.turn("slow model"),
        answer=_DONE,
    ),
    _hardship(
        "approval",
        "a turn waits for a person",
        run=ndjson(suspects=_SUSPECT),
        how=outside.turn("approval"),
        answer=_DONE,
    ),
    _hardship(
        "stderr-flood",
        "the runtime writes 8 MiB to stderr in one go",
        run=ndjson(),
        how=outside.turn("stderr flood"),
        answer=_DONE,
    ),
    _hardship(
        "big-output",
        "the runtime writes 8 MiB in one go",
        run=ndjson(),
        how=outside.turn("big output"),
        answer=_DONE,
    ),
    _hardship(
        "claude-slow-initialize",
        "the CLI takes 20 s to answer initialize",
        run=claude("slow-init=20"),
        how=outside.as_it_says,
        from_start=True,
    ),
    _hardship(
        "claude-slow-model",
        "the CLI says nothing for 10 s, then answers",
        run=claude("ok", suspects=_SUSPECT),
        how=outside.turn("fault:slow=10"),
        answer=_DONE,
    ),
    _hardship(
        "claude-silent-tool",
        "a tool of the CLI is silent for 15 s",
        run=claude("ok", suspects=_SUSPECT),
        how=outside.turn("fault:tool=15"),
        answer=_DONE,
    ),
    _hardship(
        "claude-announced-retry",
        "the CLI announces that it retries its upstream in 8 s",
        run=claude("ok", suspects=_SUSPECT),
        how=outside.turn("fault:retry=8"),
        answer=_DONE,
    ),
    _hardship(
        "claude-compaction",
        "the CLI compacts for 8 s",
        run=claude("ok", suspects=_SUSPECT),
        how=outside.turn("fault:compact=8"),
        answer=_DONE,
    ),
    _hardship(
        "claude-stalled-upstream",
        "the upstream never answers, the CLI does; the turn is canceled after a while",
        run=claude("ok", suspects=_SUSPECT),
        how=outside.patience_then_cancel("fault:silent-turn"),
        answer="canceled",
    ),
    _hardship(
        "claude-slow-mcp",
        "an MCP server does not come up, the turn waits for it and is canceled after a while",
        run=claude("ok", suspects=_SUSPECT),
        how=outside.patience_then_cancel("fault:slow-mcp"),
        answer="canceled",
    ),
    _hardship(
        "claude-stderr-flood",
        "the CLI writes 2 MB to stderr in a turn",
        run=claude("ok"),
        how=outside.turn("fault:stderr-flood"),
        answer=_DONE,
    ),
    _hardship(
        "claude-burst",
        "the CLI answers with 4 MiB in 2000 pieces",
        run=claude("ok"),
        how=outside.turn("fault:burst"),
        answer=_DONE,
    ),
)
