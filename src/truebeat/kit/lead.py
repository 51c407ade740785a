"""An agent that hands work on: `--agent python truebeat.kit.lead:answer`, with agents of kit/counter.py below it.

Asked how many primes there are below a number, it lets each of its team count an equal part, and waits. If a part can't
be had now it tells the user at once, with the platform's reason; woken when that part is there, it tells the sum. What
comes back is data: only a number is taken out of it.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import truebeat
from truebeat.kit.counter import LIMIT

if TYPE_CHECKING:
    from truebeat.workspace.executors.base import Turn

_BELOW: Final = re.compile(r"primes .{0,40}below (\d{1,3}(?:,\d{3})+|\d{1,9})", re.IGNORECASE | re.DOTALL)
_COUNTED: Final = re.compile(r"(\d{1,9}) primes from \d{1,9} to \d{1,9}")


@dataclass
class Sum:
    """One question: what was counted, and how many parts are not there yet."""

    below: int
    missing: int
    found: int = 0

    def add(self, text: str) -> bool:
        """Whether it was a part."""
        counted = _COUNTED.fullmatch(text.strip())
        if counted is not None:
            self.found += int(counted[1])
            self.missing -= 1
        return counted is not None

    @property
    def said(self) -> str:
        return f"There are {self.found:,} primes below {self.below:,}."


#: by the delegation that takes longer. In memory: a new worker knows no old questions, and says so.
_open: dict[str, Sum] = {}


async def answer(text: str, turn: Turn) -> str:
    """The agent."""
    if turn.results:
        return await _go_on(turn)
    asked = _BELOW.search(text)
    if asked is None:
        return 'Ask me: "how many primes are there below 1,000,000?" My team counts, and I add up.'
    below = int(asked[1].replace(",", ""))
    team = [peer.name for peer in await truebeat.peers() if peer.relation == "child"]
    if not team or not len(team) <= below <= LIMIT:
        return f"My team counts up to {LIMIT:,}." if team else "I have no team that could count."
    total = Sum(below, len(team))
    edges = [below * place // len(team) for place in range(len(team) + 1)]
    parts = zip(reversed(team), pairwise(edges), strict=True)
    said = await asyncio.gather(*[_part(total, name, low, high, turn) for name, (low, high) in parts])
    return " ".join([*said, "I'll tell you when I have it all."]) if total.missing else total.said


async def _part(total: Sum, name: str, low: int, high: int, turn: Turn) -> str:
    part = await truebeat.delegate(name, f"count the primes from {low} to {high}", key=f"{turn.task_id}-{low}")
    if part.result is None:
        _open[str(part.delegation_id)] = total
        why = part.availability.reason if part.availability else "it is not there yet"
        await truebeat.notify_user(f"{name}'s part takes longer: {why}", kind="waiting")
        return f"{name}'s part takes longer."
    before = total.found
    if part.result.state == "completed" and total.add(part.result.text):
        return f"{name} counted {total.found - before:,}."
    return f"I can't add up what {name} sent ({part.result.state})."


async def _go_on(turn: Turn) -> str:
    said = []
    for result in turn.results:
        total = _open.pop(result.delegation_id, None)
        if total is None or result.state != "completed" or not total.add(result.text):
            said.append(f"I can't add up what {result.from_name} sent ({result.state}).")
        elif not total.missing:
            said.append(total.said)
    if said:
        await truebeat.notify_user(" ".join(said))
    return " ".join(said) or "Noted; I wait for the rest."
