"""How evidence is told: the lines that `show` and `incidents` print of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from truebeat.cli import looks
from truebeat.cli.output import marked

if TYPE_CHECKING:
    from truebeat.protocol.testimony import EvidenceView

#: what the letters of ps(1) mean
_PROCESS_STATES: Final = {
    "R": "running",
    "S": "sleeping",
    "D": "in a system call that can't be interrupted",
    "T": "stopped",
    "t": "stopped by a debugger",
    "Z": "ended, not collected",
    "I": "idle",
}


def lines(seen: EvidenceView) -> list[tuple[str, str]]:
    """(label, markup) of each fact."""
    counters = seen.counters
    moved = (
        f"turns {counters.turns_finished}/{counters.turns_started}, frames {counters.frames}, "
        f"tools {counters.tools_finished}/{counters.tools_started}, canaries passed {counters.canaries_passed}"
    )
    tick = "no tick yet" if seen.tick_age is None else f"last tick {looks.span(seen.tick_age)} ago"
    told = [
        ("phase", f"{marked(seen.phase)} for {looks.span(seen.phase_age)}"),
        ("counters", f"{moved}; last moved {looks.span(seen.unmoved)} ago"),
        ("event loop", f"{tick}, {seen.loop_lag * 1000:.0f} ms late"),
        ("process", _PROCESS_STATES.get(seen.process_state, "unknown")),
        ("capacity", f"{seen.capacity} more" + (f", holds {len(seen.holding)}" if seen.holding else "")),
    ]
    told += [("  holds", marked(held)) for held in seen.holding]
    if seen.canary is not None:
        result = "passed" if seen.canary.failures == 0 else f"{seen.canary.failures} in a row failed"
        detail = f": {marked(seen.canary.detail, 300)}" if seen.canary.detail else ""
        told.append(("canary", f"{result}, {looks.span(seen.canary.age)} ago{detail}"))
    if seen.stall:
        told.append(("stall", marked(seen.stall, 300)))
    if seen.note:
        told.append(("note", marked(seen.note, 300)))
    return told
