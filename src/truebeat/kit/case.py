"""One case of the kit, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from truebeat.kit.subject import Subject

#: seconds from hard evidence to a subscriber: the goal for the median, and what no case may reach
HARD_MEDIAN: Final = 4.2
HARD_LIMIT: Final = 7.0
#: seconds on top of a declared bound for the way of the news and a busy machine
QUIET_SLACK: Final = 2.0
#: the server's settings while the kit runs: the product's own defaults
BEAT_INTERVAL: Final = 10.0
LEASE: Final = 45.0


class Kind(StrEnum):
    LIE = "lie"
    HARDSHIP = "hardship"


class Recovery(StrEnum):
    """How it comes back: the path that a case expects, or that was seen."""

    IN_PLACE = "in place"
    RESTART = "restart verified"
    RESUMED = "resumed"
    QUARANTINED = "quarantined"
    RERUN = "run again"
    ORDERED = "restart ordered"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Quiet:
    """A quiet phase: nothing moves by right, so the declared bound is what must be kept.

    `why` says what the seconds are made of.
    """

    seconds: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How the workspace is run: the parts of RunConfig that the case sets. Whatever is not set is the default.

    files: path below the case's directory to content. In options, environment, files and the texts of turns, `{case}`
    is that directory, and `{messages}` in the environment the port of a stand-in for the Messages API.
    """

    agent: str = ""
    target: str | tuple[str, ...] = ""
    options: Mapping[str, str] = field(default_factory=dict)
    bounds: Mapping[str, float] = field(default_factory=dict)
    suspects: Mapping[str, float] = field(default_factory=dict)
    loop_bound: float = 2.0
    loop_kill: float = 20.0
    worker: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`how` makes the fault and returns when it took effect, on the monotonic clock.

    quiet: None means hard evidence, whose limit is HARD_LIMIT. mends: what an operator does after it was found, where
    nobody else can. from_start: the fault is in the start, so nobody waits for the workspace to be online first.
    answer: for a hardship with a turn, what the turn must end with. alone: it disturbs the whole machine. anywhere: it
    applies to every executor; runtime: to every one whose worker holds a process that does the work. genuine: it needs
    the CLI that the Claude SDK brings.
    """

    name: str
    kind: Kind
    title: str
    run: Run
    how: Callable[[Subject], float]
    witnesses: frozenset[str] = frozenset()
    quiet: Quiet | None = None
    recovery: frozenset[Recovery] = frozenset()
    mends: Callable[[Subject], None] | None = None
    from_start: bool = False
    anywhere: bool = False
    runtime: bool = False
    genuine: bool = False
    alone: bool = False
    answer: str = ""
    #: seconds that it works in peace before the fault
    peace: float = 1.0
    #: seconds after its limit for which a lie may still be found, late
    patience: float = 15.0
    #: seconds that it may take to be back
    back_within: float = 45.0

    @property
    def limit(self) -> float:
        """Seconds from the fault to a subscriber."""
        return HARD_LIMIT if self.quiet is None else self.quiet.seconds + QUIET_SLACK
