"""The tree of who asked whom, as a terminal, a narrow one and a file get it."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from uuid import UUID

import pytest
from rich.console import Console

from truebeat.cli.trace import print_tree
from truebeat.domain.delivery import State
from truebeat.protocol.delegations import TraceNode
from truebeat.protocol.delivery import Sender

LONG = "count the primes from 500000 to 1000000 and tell me how many there are of them"


def node(name: str, number: int, *children: TraceNode, **fields: object) -> TraceNode:
    known = {
        "task_id": UUID(int=number),
        "workspace_id": UUID(int=number),
        "workspace_name": name,
        "sender": Sender(kind="person", id="operator", name="[b]operator[/]"),
        "state": State.COMPLETED,
        "summary": LONG,
        "reason": "",
        "attempt": 1,
        "depth": 1,
        "created_at": datetime(2026, 11, 24, tzinfo=UTC),
        "queued_seconds": 0.04,
        "worked_seconds": 1.2,
        "children": list(children),
    }
    return TraceNode(**known | fields)


def tree() -> TraceNode:
    deep = node("kid", 3, state=State.FAILED, reason="it broke\x1b[2J [bold]badly[/]", depth=2)
    wake = node("ada", 5, wake=True)
    return node("ada", 1, node("grace", 2, deep, attempt=2, consumed=True), node("linus", 4), wake, depth=0)


def shown(width: int, *, terminal: bool, here: int = 0) -> list[str]:
    file = io.StringIO()
    out = Console(file=file, width=width, force_terminal=terminal, color_system=None, highlight=False)
    print_tree(out, tree(), here=UUID(int=here))
    return file.getvalue().splitlines()


def test_in_a_file_each_task_is_one_line():
    lines = shown(40, terminal=False, here=4)
    assert [line.partition("  completed")[0].partition("  failed")[0] for line in lines] == [
        "ada for [b]operator[/]",
        "├─ grace",
        "│  └─ kid",
        "├─ linus",
        "└─ ada",
    ]
    assert "attempt 2, result used" in lines[1]
    assert "it broke\\x1b[2J [bold]badly[/]" in lines[2]
    assert [line.endswith("←") for line in lines] == [False, False, False, True, False]
    assert "woken with results" in lines[4]


@pytest.mark.parametrize("width", [30, 60, 200])
def test_in_a_terminal_it_is_wrapped_beside_its_branch(width):
    lines = shown(width, terminal=True)
    assert max(map(len, lines)) <= width
    starts = [line[:3] for line in lines]
    assert starts.count("├─ ") == 2
    assert starts.count("└─ ") == 1
    last = starts.index("└─ ")
    first = starts.index("├─ ")
    assert set(starts[first:last]) <= {"├─ ", "│  "}, "the branch goes on beside what is wrapped"
    assert set(starts[:first]) <= {"ada", "│  "}
    assert set(starts[last + 1 :]) <= {"   "}
