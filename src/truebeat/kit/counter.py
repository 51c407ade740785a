"""A runtime that works: `python -m truebeat.kit.counter [NAME]` counts primes, for the command executor, mode=ndjson.

A turn like "count the primes from 0 to 500000" is done in slices, and between two slices it reads its stdin: the loop
that does the work answers the pings, and a turn can be canceled. Whatever else it is told gets kit/agent.py's answer.
"""

from __future__ import annotations

import json
import os
import re
import select
import sys
from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Any, Final

from truebeat.kit.agent import replies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: numbers of one slice: a few milliseconds of work
SLICE: Final = 1000
#: the largest number it counts to: beyond it would be busy for longer than anybody wants to watch
LIMIT: Final = 10_000_000
#: what a turn tells on its way: that many notes
_NOTES: Final = 20
_ASKED: Final = re.compile(r"count the primes from (\d{1,9}) to (\d{1,9})", re.IGNORECASE)


def is_prime(number: int) -> bool:
    """By trying: it is honest work."""
    if number < 4:
        return number > 1
    return number % 2 == 1 and all(number % odd for odd in range(3, isqrt(number) + 1, 2))


@dataclass
class Count:
    """One turn: the primes from `low` up to, but without, `high`."""

    turn: object
    low: int
    high: int
    at: int
    found: int = 0

    def go_on(self) -> Iterator[dict[str, Any]]:
        """One slice, and what there is to say about it."""
        before, self.at = self.at, min(self.at + SLICE, self.high)
        self.found += sum(map(is_prime, range(before, self.at)))
        if self.at >= self.high:
            text = f"{self.found} primes from {self.low} to {self.high}"
            yield {"type": "result", "id": self.turn, "text": text}
        elif self._part(self.at) > self._part(before):
            note = f"at {self.at:,} of {self.high:,}: {self.found:,} primes so far"
            yield {"type": "progress", "id": self.turn, "note": note}

    def _part(self, at: int) -> int:
        return (at - self.low) * _NOTES // (self.high - self.low)


class Counter:
    """Takes lines, works, and gives everything it says to `say`."""

    def __init__(self, name: str, say: Callable[[dict[str, Any]], None]) -> None:
        self._name = name
        self._say = say
        self._turns = 0
        self._counts: list[Count] = []

    @property
    def busy(self) -> bool:
        return bool(self._counts)

    def hear(self, line: str) -> None:
        """One line of the executor's."""
        try:
            told = json.loads(line)
            kind, turn, text = told["type"], told.get("id"), str(told.get("text", ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            kind, turn, text = "", None, ""
        self._turns += kind == "turn"
        asked = _ASKED.search(text) if kind == "turn" else None
        if kind == "cancel":
            if any(count.turn == turn for count in self._counts):
                self._counts = [count for count in self._counts if count.turn != turn]
                self._say({"type": "canceled", "id": turn})
        elif asked is not None:
            self._begin(turn, int(asked[1]), int(asked[2]))
        else:
            for reply in replies(self._name, line, self._turns):
                self._say(reply)

    def work(self) -> None:
        """One slice of each count."""
        for count in list(self._counts):
            for said in count.go_on():
                self._say(said)
                if said["type"] == "result":
                    self._counts.remove(count)

    def _begin(self, turn: object, low: int, high: int) -> None:
        if low < high <= LIMIT:
            self._counts.append(Count(turn, low, high, low))
        else:
            error = f"I count from a smaller to a larger number, up to {LIMIT:,}"
            self._say({"type": "error", "id": turn, "error": error})


def main(arguments: list[str] | None = None) -> int:
    """Serve until stdin ends."""
    given = sys.argv[1:] if arguments is None else arguments

    def say(reply: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()

    counter = Counter(given[0] if given else "counter", say)
    source, left = sys.stdin.fileno(), b""
    while True:
        if select.select([source], [], [], 0 if counter.busy else None)[0]:
            data = os.read(source, 65536)
            if not data:
                return 0
            *lines, left = (left + data).split(b"\n")
            for line in lines:
                if line.strip():
                    counter.hear(line.decode(errors="replace"))
        counter.work()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(0)
