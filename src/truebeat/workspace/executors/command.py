"""Any program as an agent.

mode=turn (default): one process a turn; the text on its stdin, the answer on its stdout.
mode=ndjson: one long-lived runtime, one JSON object a line both ways: ndjson.py.

Options: mode, cwd, capacity (turns at a time, default 1); for ndjson also start_timeout (seconds until the first pong,
default 30) and ping_in_turns (default yes; "no" for a runtime that can't answer a ping while it does a turn).
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from truebeat.workspace.executors.base import Executor, Options


def words(target: str | Sequence[str]) -> list[str]:
    """A command's words: a list as it is, a text split as a shell would."""
    return shlex.split(target) if isinstance(target, str) else list(target)


def open_command(target: str | Sequence[str], options: Options) -> Executor:
    """The executor for the mode asked for."""
    if options.choice("mode", "turn", ("turn", "ndjson")) == "ndjson":
        from truebeat.workspace.executors.command_ndjson import NdjsonExecutor

        return NdjsonExecutor(target, options)
    from truebeat.workspace.executors.command_turn import TurnExecutor

    return TurnExecutor(target, options)
