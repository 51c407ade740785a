"""docs/phases.md, generated from the table: `python -m truebeat.kit.phases_page --write PATH` or `--check PATH`."""

from __future__ import annotations

import sys

from truebeat.domain.phases import PHASES, UNKNOWN, Bounds
from truebeat.kit.generated import main


def page() -> str:
    """The whole page."""
    lines = [
        "# Phases",
        "",
        "Generated from `src/truebeat/domain/phases.py` by `just fix`; `just check` fails when it is stale.",
        "",
        "A worker is always in one phase. What proves that it is alive is evidence: a counter that rose, a canary that",
        "passed, a change of phase. A tick or a beat proves nothing.",
        "",
        "- **suspect after**: so long without a counter of the work moving, and the worker probes its runtime.",
        "  Suspicion degrades nothing; two probes that fail one after the other do.",
        "- **stalled after**: so long without evidence of any kind, passed probes included, although beats keep",
        "  coming, and the server opens `stalled`, whatever the beats claim.",
        "",
        "A workspace may declare other bounds for its phases, and one for the present phase (a tool's own limit, an",
        "announced retry). Time in which the server could not see any beat counts against nobody.",
        "",
        "| phase | suspect after | stalled after | probed | why |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [_row(f"`{phase}`", bounds) for phase, bounds in PHASES.items()]
    lines.append(_row("any other", UNKNOWN))
    return "\n".join(lines) + "\n"


def _row(name: str, bounds: Bounds) -> str:
    probed = "yes" if bounds.probed else "no"
    return f"| {name} | {_span(bounds.suspect_after)} | {_span(bounds.still_after)} | {probed} | {bounds.why} |"


def _span(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:g} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], page))
