"""A small agent runtime: `python -m truebeat.kit.agent [NAME]`, for the command executor with mode=ndjson.

Reads one JSON object a line from stdin and answers on stdout: pings at once, turns with a friendly echo.
Nothing in it knows about health: stop the process (kill -STOP) and it is a real wedge.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def answer(name: str, text: str, turn: int) -> list[str]:
    """The answer in pieces, as a model would stream it."""
    asked = " ".join(text.split())
    if not asked:
        return [f"{name} here. ", "There was no question in that; ask me anything."]
    return [f"{name} here, turn {turn}. ", f'You said: "{asked}". ', f"That is {len(asked.split())} words. Done."]


def replies(name: str, line: str, turn: int) -> Iterator[dict[str, Any]]:
    """What the runtime says to one line. A line it does not understand gets an error, never silence."""
    try:
        request = json.loads(line)
        kind = request["type"]
    except (ValueError, KeyError, TypeError):
        yield {"type": "error", "error": "that was not a JSON object with a type"}
        return
    asked = {"id": request.get("id")}
    if kind == "ping":
        yield {"type": "pong", **asked}
    elif kind == "turn":
        pieces = answer(name, str(request.get("text", "")), turn)
        for piece in pieces:
            yield {"type": "text", **asked, "text": piece}
        yield {"type": "result", **asked, "text": "".join(pieces)}
    else:
        yield {"type": "error", **asked, "error": f"I don't know the type {kind!r}"}


def main(arguments: list[str] | None = None) -> int:
    """Serve until stdin ends."""
    given = sys.argv[1:] if arguments is None else arguments
    name = given[0] if given else "agent"
    turn = 0
    for line in sys.stdin:
        if not line.strip():
            continue
        turn += '"turn"' in line
        for reply in replies(name, line, turn):
            sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(0)
