"""The scorecard of `truebeat check`, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from truebeat.cli.output import marked
from truebeat.kit.case import Kind

if TYPE_CHECKING:
    from rich.console import Console

    from truebeat.kit.outcome import Outcome
    from truebeat.kit.scorecard import Scorecard


def tell(out: Console, card: Scorecard) -> None:
    from rich.table import Table

    for kind, title in ((Kind.LIE, "Lies"), (Kind.HARDSHIP, "Hardships")):
        outcomes = [one for one in card.outcomes if one.kind == kind]
        if not outcomes:
            continue
        table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for column in ("case", "verdict", "seen s", "limit s", "witness", "recovery", "back s"):
            table.add_column(
                column, overflow="fold", justify="right" if column in {"seen s", "limit s", "back s"} else "left"
            )
        for one in outcomes:
            table.add_row(*_row(one))
        out.print(table)
    for one in card.outcomes:
        if not one.good:
            out.print(f"[bold red]{one.verdict.value}[/]  [bold]{one.case}[/]: {one.title}")
            for label, text in (("note", one.note), ("said", one.detail), *(("alarm", alarm) for alarm in one.alarms)):
                if text:
                    out.print(f"  [dim]{label}[/] {marked(text, 400)}")
            for process in one.left_over:
                out.print(f"  [dim]left behind[/] {marked(process)}")
    out.print()
    for goal, reached, number in card.totals.goals:
        out.print(f"{'[green]reached[/]    ' if reached else '[bold red]not reached[/]'}  {goal}: {number}")
    for process in card.left_over:
        out.print(f"[bold red]left behind[/] {marked(process)}")
    if card.left_out:
        out.print(f"not played: {len(card.left_out)} cases that need claude-agent-sdk: pip install 'truebeat[claude]'")
    out.print(f"[dim]{len(card.outcomes)} plays in {card.seconds:.0f} s, {card.machine.cores} cores[/]")


def _row(one: Outcome) -> tuple[str, ...]:
    colour = "green" if one.good else "bold red"
    return (
        one.case,
        f"[{colour}]{one.verdict.value}[/]",
        _s(one.found_after),
        f"{one.limit:.0f}" if one.limit else "",
        ", ".join(one.witnesses),
        one.recovery,
        _s(one.recovered_after),
    )


def _s(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f}"
