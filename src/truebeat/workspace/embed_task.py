"""One task of an embedded workspace, as its process sees it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from truebeat.workspace.attempt import Attempt
from truebeat.workspace.executors.base import Artifact, Progress, Text
from truebeat.workspace.heard import turn_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from truebeat.protocol.delivery import Deliver
    from truebeat.workspace.embed_turns import Turns

State = Literal["completed", "failed", "canceled", "input-required", "auth-required"]


class Task:
    """One attempt at a task: what it asks (`turn`), and how it is answered. Use it from the loop it came in.

    The first of `finish`, `fail` and `ask` ends it; what comes later says nothing. Text and artifacts that are together
    larger than a result may be raise a TurnError.
    """

    def __init__(self, deliver: Deliver, turns: Turns) -> None:
        self._deliver = deliver
        self._turns = turns
        self._attempt = Attempt(deliver, turns.say)
        self._pieces: list[str] = []
        self.turn = turn_of(deliver)
        #: the sender no longer wants it; set when there is no handler that could be canceled
        self.canceled = asyncio.Event()

    @property
    def text(self) -> str:
        """What is asked."""
        return self.turn.text

    @property
    def ended(self) -> bool:
        """Whether it has been answered, or nobody waits for that any more."""
        return self._attempt.over

    @property
    def begun(self) -> bool:
        """Whether it was given to the one who does it."""
        return self._attempt.begun

    def say(self, text: str) -> None:
        """A piece of the answer, as it comes."""
        self._output(Text(text))
        self._pieces.append(text)

    def progress(self, note: str) -> None:
        """Something moved; not part of the answer."""
        self._output(Progress(note))

    def artifact(self, name: str, *parts: Mapping[str, Any]) -> None:
        """A named product; `parts` in A2A's JSON shape."""
        self._output(Artifact(name, parts))

    def finish(self, text: str | None = None) -> None:
        """The answer; None: what was said."""
        self._end("completed", "".join(self._pieces) if text is None else text)

    def fail(self, error: str) -> None:
        """It can't be done; `error` says why, to its sender."""
        self._end("failed", error)

    def ask(self, question: str, *, auth: bool = False) -> None:
        """The task waits for its sender; the answer comes as another task with the same ids and `turn.reply` set."""
        self._end("auth-required" if auth else "input-required", question)

    def begin(self) -> None:
        """It is given to the one who does it: from here on it may have effects."""
        self._attempt.begin()

    def hand_back(self, reason: str) -> None:
        """It ends without an answer; the server decides whether it is tried again."""
        if not self.ended:
            self._attempt.hand_back(reason)
            self._turns.forget(self._deliver)

    def cancel(self) -> None:
        """It ends because its sender no longer wants it."""
        self._end("canceled", "")

    def drop(self) -> None:
        """It was handed back already: nothing is told of it any more."""
        self._attempt.over = True
        self.canceled.set()

    def _output(self, output: Text | Progress | Artifact) -> None:
        if not self.ended:
            self._turns.moved()
            self._attempt.output(output)

    def _end(self, state: State, text: str) -> None:
        if not self.ended:
            self._turns.count(state, text)
            self._attempt.finish(state, text)
            self._turns.forget(self._deliver)
        else:
            self._turns.let_go(self)
