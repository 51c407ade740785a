"""All cases, and choosing among them."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from truebeat import errors
from truebeat.kit.genuine import GENUINE, bundled
from truebeat.kit.hardships import HARDSHIPS
from truebeat.kit.lies import LIES
from truebeat.kit.runs import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from truebeat.kit.case import Case, Run

CASES: Final[tuple[Case, ...]] = (*LIES, *HARDSHIPS, *GENUINE)


def own(agent: str | None = None) -> list[Case]:
    """The kit's own cases; with `agent` only those of that executor. What is for any executor runs a function."""
    chosen = [_filled(case, FUNCTIONS) if case.anywhere else case for case in CASES]
    return [case for case in chosen if agent is None or case.run.agent == agent]


def against(target: Run) -> list[Case]:
    """The cases that need nothing of the agent, made of `target`."""
    held = target.agent != "python" and (target.agent != "command" or target.options.get("mode") == "ndjson")
    return [
        _filled(case, target) if case.anywhere else replace(case, run=target)
        for case in CASES
        if case.anywhere or (case.runtime and held)
    ]


def playable(case: Case) -> bool:
    """Whether what it needs is installed."""
    if case.run.agent != "claude":
        return True
    return bundled() is not None if case.genuine else find_spec("claude_agent_sdk") is not None


def named(cases: Sequence[Case], names: Sequence[str]) -> list[Case]:
    """Those with these names, or whose names begin so; Invalid names what there is none of."""
    if not names:
        return list(cases)
    chosen = []
    for name in names:
        found = [case for case in cases if case.name == name] or [case for case in cases if case.name.startswith(name)]
        if not found:
            raise errors.Invalid(f"there is no case {name!r}; see: truebeat check --list")
        chosen += [case for case in found if case not in chosen]
    return chosen


def _filled(case: Case, target: Run) -> Case:
    options: Mapping[str, str] = {**target.options, **case.run.options}
    run = replace(
        case.run,
        agent=target.agent,
        target=target.target,
        options=options,
        environment={**target.environment, **case.run.environment},
    )
    return replace(case, run=run)
