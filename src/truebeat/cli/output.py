"""What is printed. Names, reasons and tasks come from agents: nothing of theirs may steer the terminal or rich."""

from __future__ import annotations

import sys
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

#: characters that turn, hide or reorder text without being control characters
_UNSAFE_CATEGORIES: Final = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def plain(text: str, limit: int = 500) -> str:
    """One harmless line: control and direction characters are shown as escapes, white space is one blank."""
    shown = "".join(" " if character in "\n\r\t" else _visible(character) for character in text[: limit + 1])
    line = " ".join(shown.split())
    return line if len(text) <= limit else line[:limit] + "…"


def plain_text(text: str) -> str:
    """As `plain`, but of many lines: line ends and tabs stay, and nothing is cut."""
    return "".join(
        character if character in "\n\t" else _visible(character) for character in text.replace("\r\n", "\n")
    )


def _visible(character: str) -> str:
    if unicodedata.category(character) not in _UNSAFE_CATEGORIES:
        return character
    return character.encode("unicode_escape").decode("ascii")


def marked(text: str, limit: int = 500) -> str:
    """`plain`, and what rich would read as markup is text again: use it wherever markup is parsed."""
    from rich.markup import escape

    return escape(plain(text, limit))


def console() -> Console:
    """Standard output for people. Highlighting is off: colour means something here."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def print_json(value: object) -> None:
    """One JSON document on one line, and nothing else."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def complain(message: str) -> None:
    """One line on standard error that says what to do."""
    sys.stderr.write(f"truebeat: {plain(message, 2000)}\n")
