"""The executors, found by name.

    base.py     the protocol: Executor, Turn, Text, Progress, Result
    python.py   module:function in the worker's own process
    threads.py  blocking calls in daemon threads
    command.py  any program: one process a turn (command_turn.py), or one long-lived runtime (command_ndjson.py)
    ndjson.py   the lines of such a runtime; lines.py cuts them
    claude.py   claude-agent-sdk (extra "claude")
    a2a.py      a remote A2A agent; a2a_wire.py says what its answers mean
    child.py    a child process that never outlives the worker; stderr.py passes on what it writes there

Others add theirs under the entry point group "truebeat.executors". The names here can't be taken by another package.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

from truebeat.workspace.executors.base import ConfigurationError, Executor, Options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GROUP: Final = "truebeat.executors"

_BUILT_IN: Final = {
    "a2a": "truebeat.workspace.executors.a2a:A2aExecutor",
    "claude": "truebeat.workspace.executors.claude:ClaudeExecutor",
    "command": "truebeat.workspace.executors.command:open_command",
    "python": "truebeat.workspace.executors.python:PythonExecutor",
}


def names() -> list[str]:
    """Every executor that can be asked for, sorted."""
    return sorted({*_BUILT_IN, *(found.name for found in entry_points(group=GROUP))})


def create(name: str, target: str | Sequence[str], options: Mapping[str, str]) -> Executor:
    """The executor called `name`, not started. ConfigurationError if there is none or it can't be imported."""
    place = _BUILT_IN.get(name)
    if place is None:
        place = next((found.value for found in entry_points(group=GROUP) if found.name == name), None)
    if place is None:
        raise ConfigurationError(f"there is no executor {name!r}; choose one of: {', '.join(names())}")
    module, _, attribute = place.partition(":")
    try:
        factory = getattr(import_module(module), attribute)
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"executor {name!r} can't be imported from {place} ({reason})") from error
    try:
        executor = factory(target, Options(options))
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(f"executor {name!r} can't be made: {type(error).__name__}: {error}") from error
    if not isinstance(executor, Executor):
        raise ConfigurationError(f"executor {name!r}: {place} gave {type(executor).__name__}, not an Executor")
    return executor
