"""What the kit's own cases run: agents that lie when they are told to, most through a genuine worker."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from truebeat.kit.case import Run

if TYPE_CHECKING:
    from collections.abc import Mapping

#: environment variable with the fault of the CLI's stand-in
FAULT: Final = "TRUEBEAT_CHECK_FAULT"
_FAULTS: Final = "truebeat.kit.faults"
_NONE: Final[Mapping[str, str]] = {}
_NO_BOUNDS: Final[Mapping[str, float]] = {}

#: any executor: what is under test is filled in; the kit's own function if nothing is
ANY: Final = Run()
FUNCTIONS: Final = Run(agent="python", target=f"{_FAULTS}.functions:answer")


def module(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"{_FAULTS}.{name}", *arguments)


def sabotaged(*, loop_kill: float = 20.0) -> Run:
    """Any executor, in a worker with a saboteur."""
    return replace(ANY, worker=module("worker"), loop_kill=loop_kill)


def liar(mode: str, bounds: Mapping[str, float]) -> Run:
    """A worker that only pretends; the generations after it are genuine."""
    return replace(FUNCTIONS, worker=module("liar", mode), bounds=bounds)


def functions(options: Mapping[str, str] = _NONE, suspects: Mapping[str, float] = _NO_BOUNDS) -> Run:
    return replace(FUNCTIONS, options=options, suspects=suspects)


def ndjson(options: Mapping[str, str] = _NONE, suspects: Mapping[str, float] = _NO_BOUNDS, start: str = "") -> Run:
    target = module("runtime", *([start] if start else []))
    return Run(agent="command", target=target, options={"mode": "ndjson", **options}, suspects=suspects)


def claude(fault: str, options: Mapping[str, str] = _NONE, suspects: Mapping[str, float] = _NO_BOUNDS) -> Run:
    """The genuine SDK with the stand-in of its CLI."""
    return Run(
        agent="claude",
        options={"cli_path": "{case}/claude", **options},
        suspects=suspects,
        environment={FAULT: fault},
    )
