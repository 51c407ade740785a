"""docs/states.md, generated from the rules: `python -m truebeat.kit.states_page --write PATH` or `--check PATH`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from truebeat.domain.health import (
    PRECEDENCE,
    RULES,
    Beat,
    BudgetSpent,
    Condition,
    DeliveriesStuck,
    DeliverySucceeded,
    GenerationVerified,
    LeaseExpired,
    Observation,
    ProvisioningExpired,
    Record,
    RemovalOrdered,
    RestartOrdered,
    Symptom,
    judge,
)
from truebeat.kit.generated import main

_AT = datetime(2026, 1, 1, tzinfo=UTC)

_OBSERVATIONS: tuple[tuple[str, Observation], ...] = (
    ("healthy beat", Beat("", 0.0, generation=1)),
    ("healthy beat of a new generation", Beat("", 0.0, generation=2)),
    ("wedged beat", Beat("wedged", 0.0, "why", generation=1)),
    ("beat, error rate 0.5", Beat("", 0.5, generation=1)),
    ("beat, error rate 0.3", Beat("", 0.3, generation=1)),
    ("beat, unknown state", Beat("pondering", 0.0, generation=1)),
    ("beat, state not known", Beat(None, None, generation=1)),
    ("same of a new generation", Beat(None, None, generation=2)),
    ("healthy beat, moving, canary passed", Beat("", 0.0, generation=1, stall="", canary_failures=0)),
    ("healthy beat, standing still", Beat("", 0.0, generation=1, stall="why")),
    ("healthy beat, two canaries failed", Beat("", 0.0, generation=1, canary_failures=2)),
    ("deliveries stuck", DeliveriesStuck(2, 2)),
    ("delivery succeeded", DeliverySucceeded()),
    ("lease expired", LeaseExpired(45)),
    ("provisioning deadline", ProvisioningExpired(120)),
    ("restart budget spent", BudgetSpent("why", 1)),
    ("new generation verified", GenerationVerified(2)),
    ("restart ordered", RestartOrdered()),
    ("removal ordered", RemovalOrdered()),
)


#: what is open together with a symptom that never is alone
_TOGETHER = {
    Symptom.OVERDUE: (Symptom.OVERDUE, Symptom.AWAITING),
    Symptom.DISAGREEMENT: (Symptom.STALLED, Symptom.UNRESPONSIVE, Symptom.DISAGREEMENT),
}


def page() -> str:
    """The whole page."""
    lines = [
        "# States",
        "",
        "Generated from `src/truebeat/domain/health.py` by `just fix`; `just check` fails when it is stale.",
        "",
        "A workspace's health is its set of open conditions. Its status is the worst that any of them means:",
        " > ".join(f"`{status}`" for status in PRECEDENCE) + ".",
        "",
        "## Conditions",
        "",
        "| condition | status | witness | opens | closes |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {symptom} | {rule.status} | {rule.witness} | {rule.opens} | {rule.closes} |"
        for symptom, rule in RULES.items()
    ]
    lines += [
        "",
        "## Transitions",
        "",
        "A row is what is open (generation 1), a column what is observed, a cell the status afterwards.",
        "**Bold**: the open conditions changed, so an event is emitted.",
        "",
        "| open | " + " | ".join(name for name, _ in _OBSERVATIONS) + " |",
        "| --- |" + " --- |" * len(_OBSERVATIONS),
    ]
    for name, record in _records():
        cells = []
        for _, observation in _OBSERVATIONS:
            verdict = judge(record, observation, _AT)
            word = verdict.record.status.value
            cells.append(f"**{word}**" if verdict.announcement else word)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _records() -> list[tuple[str, Record]]:
    records = [("nothing: online", Record(generation=1))]
    for symptom in reversed(RULES):
        symptoms = _TOGETHER.get(symptom, (symptom,))
        conditions = tuple(Condition(each, "why", _AT, 1) for each in symptoms)
        records.append((f"{' + '.join(symptoms)}: {RULES[symptom].status}", Record(conditions, generation=1)))
    return records


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], page))
