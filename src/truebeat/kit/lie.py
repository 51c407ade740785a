"""What the tables of lies are written with: who finds a lie, within what, and how it comes back."""

from __future__ import annotations

from typing import Final

from truebeat.kit.case import Case, Kind, Quiet, Recovery

SUPERVISOR: Final = frozenset({"evidence", "self", "supervisor"})
RUNTIME: Final = frozenset({"canary", "self", "evidence"})
BACK: Final = frozenset({Recovery.IN_PLACE, Recovery.RESTART})
RESTART: Final = frozenset({Recovery.RESTART})
RESUMED: Final = frozenset({Recovery.RESUMED, Recovery.IN_PLACE})

#: options of the quiet cases: a canary each second that may take one second
FAST: Final = {"probe_interval": "1", "probe_timeout": "1"}
IDLE: Final = Quiet(3.0, "a canary each second, two of 1 s each must fail")
TURN: Final = Quiet(4.0, "suspected after 2 s of silence, two canaries of 1 s each must fail")
STILL: Final = Quiet(
    20.0,
    "the beat that shows what moved last, 10 s at most; the phase's bound, 5 s here, seen at the next beat",
)
SUSPECT: Final = {"working": 2.0, "waiting_model": 2.0, "in_tool": 2.0}


def lie(name: str, title: str, **facts: object) -> Case:
    return Case(name=name, title=title, kind=Kind.LIE, **facts)  # type: ignore[arg-type]
