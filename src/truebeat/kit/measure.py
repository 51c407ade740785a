"""Playing one case: from the moment a fault takes effect to the event a subscriber gets, and on to the recovery."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from truebeat import errors
from truebeat.domain.health import Status
from truebeat.kit.case import Case, Kind, Recovery
from truebeat.kit.not_started import NotStarted
from truebeat.kit.outcome import Outcome, Verdict
from truebeat.kit.subject import Subject

if TYPE_CHECKING:
    from truebeat.kit.stage import Stage
    from truebeat.kit.subscriber import Arrival
    from truebeat.protocol.events import Event

#: what a lie must end in, and a hardship must not
_AGAINST: Final = frozenset({"WORKSPACE_DEGRADED", "WORKSPACE_OFFLINE", "WORKSPACE_FAILED"})
_PUNISHED: Final = _AGAINST | {"INCIDENT_OPENED"}
#: seconds that a hardship is watched after it is over
_SETTLE: Final = 2.5
#: seconds for the turn of a case to end, once the workspace is well
_TURN_LIMIT: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Before:
    """Who did the work before the fault."""

    generation: int
    worker: int
    runtime: int


def play(stage: Stage, case: Case, name: str) -> Outcome:
    """One case from its start to its end. `name` is the workspace's, and new for each play."""
    outcome = Outcome(
        case=case.name,
        kind=case.kind,
        title=case.title,
        agent=case.run.agent,
        verdict=Verdict.NOT_PLAYED,
        hard=case.kind is Kind.LIE and case.quiet is None,
        bound=case.quiet.why if case.quiet is not None else "",
        limit=case.limit if case.kind is Kind.LIE else 0.0,
    )
    subject = Subject(stage, name, case.run)
    began = stage.clock.monotonic()
    try:
        with subject:
            try:
                _Play(stage, case, subject, outcome).run()
            except (NotStarted, errors.TruebeatError, OSError) as error:
                outcome.note = str(error)
            if not outcome.good:
                outcome.log = subject.log()
    except errors.TruebeatError as error:
        outcome.note = outcome.note or str(error)
    outcome.left_over = subject.left
    outcome.took = round(stage.clock.monotonic() - began, 1)
    return outcome


class _Play:
    def __init__(self, stage: Stage, case: Case, subject: Subject, outcome: Outcome) -> None:
        self._stage = stage
        self._case = case
        self._subject = subject
        self._outcome = outcome

    def run(self) -> None:
        began = self._stage.clock.monotonic()
        self._subject.start()
        before = _Before(1, 0, 0)
        if not self._case.from_start:
            view = self._subject.wait_online()
            self._stage.rest(self._case.peace)
            before = _Before(view.generation, view.worker_pid or 0, self._subject.runtime_pid())
        at = self._case.how(self._subject)
        if self._case.kind is Kind.LIE:
            self._outcome.alarms = self._against(began, at)
            self._lie(at, before)
        else:
            self._hardship(began, before)

    # --- a lie ---

    def _lie(self, at: float, before: _Before) -> None:
        outcome, case = self._outcome, self._case
        found = self._wait(_AGAINST, at, at + case.limit + case.patience)
        if found is None:
            outcome.verdict = Verdict.MISSED
            outcome.task = self._task_state()
            return
        outcome.found_after = round(found.at - at, 3)
        outcome.verdict = Verdict.FOUND if outcome.found_after <= case.limit else Verdict.LATE
        self._describe(found.event)
        if case.mends is not None:
            case.mends(self._subject)
        self._recover(at, found, before)
        if case.witnesses and not case.witnesses & set(outcome.witnesses):
            outcome.note = outcome.note or f"another witness than {', '.join(sorted(case.witnesses))} said it first"

    def _recover(self, at: float, found: Arrival, before: _Before) -> None:
        outcome, case = self._outcome, self._case
        path, back = self._back(found, before)
        if back is not None:
            outcome.recovered_after = round(back.at - at, 3)
            if self._subject.task is not None:
                self._stage.until(lambda: self._task_state(final=True) != "", _TURN_LIMIT)
                outcome.task = self._task_state()
        outcome.recovery = path
        if outcome.verdict is Verdict.FOUND and case.recovery and path not in case.recovery:
            outcome.verdict = Verdict.LOST

    def _back(self, found: Arrival, before: _Before) -> tuple[Recovery, Arrival | None]:
        """How it came back, and when a subscriber had that."""
        until = found.at + self._case.back_within
        if Recovery.QUARANTINED in self._case.recovery:
            failed = found if found.event.type == "WORKSPACE_FAILED" else None
            failed = failed or self._wait({"WORKSPACE_FAILED"}, found.at, until)
            return (Recovery.QUARANTINED, failed) if failed is not None else (Recovery.NONE, None)
        back = self._wait({"WORKSPACE_ONLINE"}, found.at, until)
        while back is not None and Recovery.ORDERED in self._case.recovery and not self._newer(before):
            self._outcome.note = "said to be online before the new generation was there"
            back = self._wait({"WORKSPACE_ONLINE"}, back.at, until)
        return (Recovery.NONE if back is None else self._path(before)), back

    def _path(self, before: _Before) -> Recovery:
        mends, expected = self._case.mends, self._case.recovery
        if Recovery.RERUN in expected:
            return Recovery.RERUN
        if self._newer(before):
            return Recovery.ORDERED if Recovery.ORDERED in expected and mends is not None else Recovery.RESTART
        return Recovery.RESUMED if mends is not None else Recovery.IN_PLACE

    def _newer(self, before: _Before) -> bool:
        return self._subject.view().generation > before.generation

    def _describe(self, event: Event) -> None:
        conditions = [one for one in event.payload.get("conditions") or () if isinstance(one, dict)]
        self._outcome.witnesses = _each(conditions, "witness")
        self._outcome.symptoms = _each(conditions, "symptom")
        self._outcome.detail = str(conditions[0].get("detail", ""))[:300] if conditions else ""

    # --- a hardship ---

    def _hardship(self, began: float, before: _Before) -> None:
        outcome, case, subject = self._outcome, self._case, self._subject
        if case.from_start:
            subject.wait_online()
        if case.answer:
            self._stage.until(lambda: self._task_state(final=True) != "", case.back_within)
        self._stage.rest(_SETTLE)
        outcome.task = self._task_state()
        outcome.alarms = self._against(began, float("inf"))
        after = subject.view()
        runtime = subject.runtime_pid()
        if outcome.alarms:
            outcome.verdict = Verdict.FLIPPED
        elif after.generation != before.generation or (before.worker and after.worker_pid != before.worker):
            outcome.verdict = Verdict.KILLED
            outcome.note = f"its worker was replaced (generation {before.generation} to {after.generation})"
        elif before.runtime and runtime != before.runtime:
            outcome.verdict = Verdict.KILLED
            outcome.note = f"its runtime was replaced (pid {before.runtime} by {runtime or 'none'})"
        elif after.status is not Status.ONLINE:
            outcome.verdict = Verdict.FLIPPED
            outcome.note = f"its status is {after.status}"
        elif case.answer and outcome.task != case.answer:
            outcome.verdict = Verdict.TURN_LOST
        else:
            outcome.verdict = Verdict.UNHARMED

    # --- what was seen ---

    def _wait(self, types: frozenset[str] | set[str], after: float, until: float) -> Arrival | None:
        return self._stage.subscriber.wait(
            self._subject.id,
            lambda event: event.type in types,
            after=after,
            until=until,
            stop=self._stage.interrupted,
        )

    def _against(self, begin: float, end: float) -> list[str]:
        """What was said against the workspace between two moments."""
        arrived = self._stage.subscriber.of(self._subject.id, after=begin)
        return [_line(one.event) for one in arrived if one.at < end and one.event.type in _PUNISHED]

    def _task_state(self, *, final: bool = False) -> str:
        """The state of the case's turn; with `final`, "" until it is final."""
        if self._subject.task is None:
            return ""
        with suppress(errors.TruebeatError):
            view = self._subject.result()
            return str(view.state.value) if view.final or not final else ""
        return ""


def _each(conditions: list[dict[str, Any]], key: str) -> list[str]:
    return list(dict.fromkeys(str(one.get(key, "")) for one in conditions))


def _line(event: Event) -> str:
    conditions = event.payload.get("conditions")
    first = conditions[0] if conditions and isinstance(conditions[0], dict) else event.payload
    return f"{event.type}: {first.get('detail', '')}"[:300]
