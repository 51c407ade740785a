"""docs/symptoms.md, generated from the catalogue: `python -m truebeat.kit.symptoms_page (--write | --check) PATH`."""

from __future__ import annotations

import sys
from pathlib import Path

from truebeat.domain.symptoms import CATALOGUE, SOURCES, Meaning, Row

_MEANINGS = {
    Meaning.WEDGED: "it hangs until it is replaced; truebeat replaces it",
    Meaning.CONFIGURATION: "no restart helps until a person changes a setting; quarantined with the reason",
    Meaning.CREDENTIALS: "no restart helps until a person gives a valid key; the turn fails and says so",
    Meaning.UPSTREAM: "the model's API; no fault of the workspace, its status stays",
    Meaning.SLOW: "it works, later than usual; nobody has to act",
    Meaning.FAILURE: "this turn or this client failed; a fresh client is opened",
}


def page() -> str:
    """The whole page."""
    lines = [
        "# Symptoms",
        "",
        "Generated from `src/truebeat/domain/symptoms.py` by `just fix`; `just check` fails when it is stale.",
        "",
        "What the Claude runtime does when it fails, how it is told apart, and what to do. An error text is read by",
        "the patterns from top to bottom; the first found gives its meaning. A row without one is seen, not said.",
        "",
        "| meaning | what follows |",
        "| --- | --- |",
        *(f"| {meaning} | {text} |" for meaning, text in _MEANINGS.items()),
        "",
        "| symptom | meaning | what is seen | what to do | reported in |",
        "| --- | --- | --- | --- | --- |",
        *(_line(row) for row in CATALOGUE),
        "",
        "## Patterns",
        "",
        "Case does not matter.",
        "",
    ]
    for row in CATALOGUE:
        if row.pattern is not None:
            lines += [f"    {row.id:<18} {row.pattern.pattern}"]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    links = ", ".join(f"[{source}]({SOURCES}{source})" for source in row.sources)
    return f"| {row.id} | {row.meaning} | {row.seen} | {row.action} | {links} |"


def main(arguments: list[str]) -> int:
    """Exit status 1 if `--check` finds the page stale."""
    match arguments:
        case ["--write", path]:
            Path(path).write_text(page(), encoding="utf-8")
            return 0
        case ["--check", path]:
            if Path(path).read_text(encoding="utf-8") == page():
                return 0
            print(f"{path} is stale; run `just fix`", file=sys.stderr)
            return 1
        case _:
            print("usage: symptoms_page (--write | --check) PATH", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
