from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from truebeat.cli import looks
from truebeat.cli.output import marked, plain
from truebeat.domain.health import Status


@pytest.mark.parametrize(
    ("evil", "shown"),
    [
        ("\x1b]0;owned\x07hi", "\\x1b]0;owned\\x07hi"),
        ("a\r\nb\tc", "a b c"),
        ("abc\u202edef", "abc\\u202edef"),
        ("\x9b2J", "\\x9b2J"),
        ("naïve 日本語 ✓", "naïve 日本語 ✓"),
    ],
)
def test_text_of_agents_steers_no_terminal(evil, shown):
    assert plain(evil) == shown


def test_markup_of_agents_is_text():
    out = Console(file=io.StringIO(), width=200, color_system=None)
    out.print(marked("[bold red]x[/] [link=http://evil]y[/link]"))
    assert out.file.getvalue() == "[bold red]x[/] [link=http://evil]y[/link]\n"


@given(st.text(max_size=80))
def test_whatever_comes_is_one_printable_line(text):
    line = plain(text)
    assert "\n" not in line
    assert "\x1b" not in line
    out = Console(file=io.StringIO(), width=2000, color_system=None)
    out.print(marked(text))
    assert out.file.getvalue().count("\n") == 1


def test_long_text_is_cut_visibly():
    assert plain("x" * 600) == "x" * 500 + "…"


def test_the_six_statuses_differ_by_glyph_and_by_word():
    texts = [looks.status_text(status) for status in Status]
    assert len({text.split()[0] for text in texts}) == len(Status) == 6
    assert len({text.split()[1] for text in texts}) == 6


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.44, "0.4 s"), (59, "59 s"), (600, "10 min"), (7201, "2 h"), (200000, "2 d")]
)
def test_spans(seconds, shown):
    assert looks.span(seconds) == shown
