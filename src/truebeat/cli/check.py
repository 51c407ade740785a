"""`truebeat check`: the health-lie kit. Faults on purpose, and how long it takes until everybody knows."""

from __future__ import annotations

import signal
from pathlib import Path  # noqa: TC003 - read at run time by the command line
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from truebeat import errors
from truebeat.cli.exits import Exit
from truebeat.cli.output import complain, console, marked, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from truebeat.kit.case import Case
    from truebeat.kit.outcome import Outcome
    from truebeat.kit.scorecard import Scorecard


def check(
    *target: str,
    agent: str | None = None,
    option: Annotated[tuple[str, ...], Parameter(name="--option", negative="")] = (),
    only: Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=True)] = (),
    list_: Annotated[bool, Parameter(name="--list", negative="")] = False,
    repeat: int = 1,
    jobs: int = 6,
    json: Annotated[bool, Parameter(negative="")] = False,
    write: Path | None = None,
) -> int:
    """Lie on purpose and measure: a real server, supervisor and worker for each case, and a real subscriber.

    Exit code 1 if a lie was missed or late, a hardship was punished, or a process was left behind.

    Parameters
    ----------
    target
        Your own agent, as for `truebeat run`: the cases that need nothing of it are played with it.
    agent
        Which executor: alone, only the kit's own cases of that executor; with a target, the one that runs it.
    option
        key=value for the executor of your own agent; may be repeated.
    only
        Only these cases, by name or by the beginning of their names.
    list_
        List the cases and play none.
    repeat
        How many rounds.
    jobs
        How many cases at a time; those that disturb the whole machine are played alone.
    json
        The scorecard as JSON.
    write
        Write the scorecard as a page of Markdown.
    """
    from truebeat.kit import cases

    if repeat < 1 or jobs < 1:
        raise errors.Invalid("--repeat and --jobs must be at least 1")
    chosen = cases.named(_against(agent, target, option) if target else cases.own(agent), only)
    if not chosen:
        raise errors.Invalid(f"the kit has no cases of its own for --agent {agent}; name a target to try")
    if list_:
        _list(chosen, json=json)
        return Exit.OK
    able = [case for case in chosen if cases.playable(case)]
    if not able:
        raise errors.Unavailable("these cases need claude-agent-sdk: pip install 'truebeat[claude]'")
    card = _play(able, repeat, jobs, None if json else console())
    if card is None:
        complain("interrupted; everything is stopped")
        return Exit.INTERRUPTED
    card.left_out = [case.name for case in chosen if case not in able]
    if write is not None:
        from truebeat.kit.scorecard_page import page

        write.write_text(page(card), encoding="utf-8")
    if json:
        print_json(card)
    else:
        from truebeat.cli.check_table import tell

        tell(console(), card)
    return Exit.OK if card.good else Exit.FAILURE


def _against(agent: str | None, target: tuple[str, ...], option: tuple[str, ...]) -> list[Case]:
    from truebeat.cli.run import check_target, parse_options
    from truebeat.kit import cases
    from truebeat.kit.case import Run

    if agent is None:
        raise errors.Invalid("say which executor runs it: truebeat check --agent python module:function")
    goal = check_target(agent, target)
    return cases.against(
        Run(agent=agent, target=goal if isinstance(goal, str) else tuple(goal), options=parse_options(option))
    )


def _list(chosen: list[Case], *, json: bool) -> None:
    if json:
        print_json(
            [
                {"name": case.name, "kind": case.kind.value, "agent": case.run.agent, "title": case.title}
                for case in chosen
            ]
        )
        return
    out = console()
    for case in chosen:
        out.print(f"{case.kind.value:<9} [bold]{case.name:<32}[/] [dim]{case.run.agent or '-':<8}[/] {case.title}")


def _play(chosen: list[Case], repeat: int, jobs: int, out: Console | None) -> Scorecard | None:
    """The scorecard, or None if it was interrupted."""
    from truebeat.kit import runner
    from truebeat.kit.scorecard import Scorecard, add_up, machine
    from truebeat.kit.stage import Stage

    stage = Stage()
    before = {
        number: signal.signal(number, lambda *_: stage.interrupted.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    outcomes: list[Outcome] = []
    facts, at, began = machine(), stage.clock.now(), stage.clock.monotonic()
    try:
        with stage:
            for number in range(1, repeat + 1):
                for outcome in runner.run(stage, chosen, jobs=jobs, number=number):
                    outcomes.append(outcome)
                    if out is not None and not stage.interrupted.is_set():
                        _progress(out, outcome, len(outcomes), len(chosen) * repeat)
    finally:
        for number_, handler in before.items():
            signal.signal(number_, handler)
    if stage.interrupted.is_set():
        return None
    place = {case.name: order for order, case in enumerate(chosen)}
    outcomes.sort(key=lambda outcome: (place[outcome.case], outcome.round))
    return Scorecard(
        at=at,
        seconds=round(stage.clock.monotonic() - began, 1),
        rounds=repeat,
        machine=facts,
        outcomes=outcomes,
        totals=add_up(outcomes, stage.left_over),
        left_over=stage.left_over,
    )


def _progress(out: Console, outcome: Outcome, done: int, total: int) -> None:
    colour = "green" if outcome.good else "bold red"
    took = f"{outcome.found_after:6.2f} s" if outcome.found_after is not None else " " * 8
    out.print(
        f"[dim]{done:>3}/{total}[/] [{colour}]{outcome.verdict.value:<13}[/] {took}  {outcome.case}"
        + (f"  [dim]{marked(outcome.note, 200)}[/]" if outcome.note else "")
    )
