"""Faults of the genuine bundled Claude CLI, with a stand-in for the Messages API and no network."""

from __future__ import annotations

import json
import signal
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from truebeat.kit.case import Case, Kind, Quiet, Recovery, Run
from truebeat.kit.faults import outside
from truebeat.kit.faults.messages import SILENT, SILENT_ONCE

if TYPE_CHECKING:
    from collections.abc import Mapping

#: nowhere to go but the stand-in, and a home of the case's own
_OFFLINE: Final = {
    "HOME": "{case}",
    "CLAUDE_CONFIG_DIR": "{case}/config",
    "ANTHROPIC_BASE_URL": "http://127.0.0.1:{messages}",
    "ANTHROPIC_API_KEY": "dummy",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_AUTOUPDATER": "1",
    "IS_SANDBOX": "1",
}
_BACK: Final = frozenset({Recovery.IN_PLACE, Recovery.RESTART})
_WITNESSES: Final = frozenset({"canary", "self", "evidence"})
#: a silence of half a second is suspicious here
_SUSPECT: Final = dict.fromkeys(("idle", "working", "waiting_model"), 0.5)
#: seconds
_CONNECT: Final = 6.0


def bundled() -> Path | None:
    """The CLI that the SDK brings; None if there is none."""
    spec = find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "_bundled" / "claude"
    return path if path.exists() else None


def _run(options: Mapping[str, str] | None = None, suspects: Mapping[str, float] | None = None) -> Run:
    return Run(
        agent="claude",
        options={"cwd": "{case}/project", "max_retries": "0", **(options or {})},
        suspects=suspects or {},
        environment=_OFFLINE,
        files={"project/README": "nothing\n"},
    )


def _hook(command: str, options: Mapping[str, str]) -> Run:
    """With a project whose SessionStart hook runs that command."""
    settings = {"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": command}]}]}}
    run = _run({"setting_sources": "project", **options})
    return Run(
        agent=run.agent,
        options=run.options,
        environment=run.environment,
        files={"project/.claude/settings.json": json.dumps(settings)},
    )


GENUINE: Final[tuple[Case, ...]] = (
    Case(
        genuine=True,
        name="genuine-killed",
        kind=Kind.LIE,
        title="the genuine CLI is killed (SIGKILL) while idle",
        run=_run(),
        how=outside.signal_runtime(signal.SIGKILL),
        witnesses=_WITNESSES,
        recovery=_BACK,
    ),
    Case(
        genuine=True,
        name="genuine-killed-in-a-turn",
        kind=Kind.LIE,
        title="the genuine CLI is killed (SIGKILL) while it waits for its model",
        run=_run(),
        how=outside.turn(SILENT_ONCE, signal.SIGKILL),
        witnesses=_WITNESSES,
        recovery=_BACK,
    ),
    Case(
        genuine=True,
        name="genuine-stopped",
        kind=Kind.LIE,
        title="the genuine CLI is stopped (SIGSTOP) while idle",
        run=_run(),
        how=outside.signal_runtime(signal.SIGSTOP),
        witnesses=_WITNESSES,
        recovery=_BACK,
    ),
    Case(
        genuine=True,
        name="genuine-hook-hangs",
        kind=Kind.LIE,
        title="a SessionStart hook hangs: the genuine CLI never answers initialize while the project is read",
        run=_hook(
            "touch {case}/done; sleep 300",
            {"connect_timeout": f"{_CONNECT:g}"},
        ),
        how=outside.file_appears("done"),
        from_start=True,
        witnesses=_WITNESSES,
        quiet=Quiet(2 * _CONNECT, f"connect_timeout, {_CONNECT:g} s here, with and without the project's settings"),
        recovery=frozenset({Recovery.QUARANTINED}),
        back_within=90.0,
    ),
    Case(
        genuine=True,
        name="genuine-upstream-never-answers",
        kind=Kind.HARDSHIP,
        title="the model's API takes the request and never answers; the turn is canceled after a while",
        run=_run(suspects=_SUSPECT),
        how=outside.patience_then_cancel(SILENT),
        answer="canceled",
    ),
    Case(
        genuine=True,
        name="genuine-slow-hook",
        kind=Kind.HARDSHIP,
        title="a SessionStart hook takes 12 s",
        run=_hook("sleep 12", {}),
        how=outside.at_once,
        from_start=True,
    ),
)
