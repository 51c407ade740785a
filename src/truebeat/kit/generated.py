"""Pages of docs/ that are made from the code: written by `just fix`, and checked to be fresh by `just check`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def main(arguments: list[str], page: Callable[[], str]) -> int:
    """`--write PATH`, or `--check PATH`: exit status 1 if the page there is stale."""
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
            print("usage: (--write | --check) PATH", file=sys.stderr)
            return 2
