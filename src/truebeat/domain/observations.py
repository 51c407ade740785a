"""What the judge hears: one value for each kind of thing that can be observed of a workspace."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Beat:
    """One heartbeat.

    runtime_state: "" is a claim of health, "wedged" an admission, None means unknown (a link frame that does not know);
    any other text is kept by the shell and changes nothing here.
    error_rate: 0..1, or None when unknown. generation: None for a plain HTTP runtime, which has no generations.
    stall: why its evidence counts as standing still (phases.py, or the supervisor's own measurement); "" when the
    evidence moves; None when this beat carries none. canary_failures: failed canaries in a row, 0 when the last one
    passed, None when none was tried yet; canary_detail: what the last failed one said.
    """

    runtime_state: str | None
    error_rate: float | None
    sample_error: str = ""
    generation: int | None = None
    stall: str | None = None
    canary_failures: int | None = None
    canary_detail: str = ""


@dataclass(frozen=True, slots=True)
class LeaseExpired:
    """No beat for `silence` seconds, by an observer that has already doubted itself."""

    silence: float


@dataclass(frozen=True, slots=True)
class ProvisioningExpired:
    """No first beat within `deadline` seconds of creation, or no new generation within so many seconds of beats."""

    deadline: float


@dataclass(frozen=True, slots=True)
class BudgetSpent:
    """The supervisor gave up restarting the worker of `generation`."""

    reason: str
    generation: int


@dataclass(frozen=True, slots=True)
class GenerationVerified:
    """A canary passed through the worker of `generation`."""

    generation: int


@dataclass(frozen=True, slots=True)
class DeliveriesStuck:
    """Tasks of `senders` different senders, `tasks` in all, were delivered to it and did not begin.
    room: how many it takes together; 0 when that is not known.
    """

    tasks: int
    senders: int
    detail: str = ""
    room: int = 0


@dataclass(frozen=True, slots=True)
class DeliverySucceeded:
    """A task that was delivered to it ended with an answer, or the last of those that did not begin began at last."""


@dataclass(frozen=True, slots=True)
class RestartOrdered:
    """A new generation is asked for: by an operator, by name, or by the platform itself."""

    by: str = "an operator"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RemovalOrdered:
    """An operator removed the workspace."""


Observation = (
    Beat
    | LeaseExpired
    | ProvisioningExpired
    | BudgetSpent
    | GenerationVerified
    | DeliveriesStuck
    | DeliverySucceeded
    | RestartOrdered
    | RemovalOrdered
)
