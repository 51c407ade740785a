"""Taking turns: runs them through the executor, and weighs how they end.

- A turn that ends without a Result failed, however quietly.
- An error that means a wedge (`domain.symptoms`) marks it; other errors only count.
- A rate limit is the upstream's matter: neither a success nor a failure of this agent, so it is not counted at all.
- Only content clears a wedge: a result with text in it. An empty success proves nothing.
- The rate is the failures among the window's turns, or among `WINDOW_LEAST` if there were fewer: one blip is no trend.
- What is too old is forgotten, so that one bad minute does not stay for ever.
"""

from __future__ import annotations

from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from truebeat.domain.symptoms import means_rate_limited, means_wedged
from truebeat.protocol import pipe
from truebeat.workspace.executors.base import AnsweredError, Executor, Output, Result, Text, Turn, TurnError

if TYPE_CHECKING:
    from collections.abc import Callable

    from truebeat.clock import Clock
    from truebeat.workspace import wedge

#: the window: so many turns, so many seconds
WINDOW_TURNS: Final = 20
WINDOW_SECONDS: Final = 300.0
#: turns the rate is taken over at least: the first failure after a start must not read as a rate of 1
WINDOW_LEAST: Final = 4
#: characters of an error's text that go up
ERROR_LIMIT: Final = 2000


def error_text(error: BaseException) -> str:
    """What people read: the message, or the type's name if there is none."""
    return (str(error).strip() or type(error).__name__)[:ERROR_LIMIT]


class Turns:
    """One turn at a time. `send` gets Phase and Outcomes frames."""

    def __init__(
        self, executor: Executor, send: Callable[[pipe.FromWorker], None], clock: Clock, flag: wedge.WedgeFlag
    ) -> None:
        self._executor = executor
        self._send = send
        self._clock = clock
        self._flag = flag
        #: (when, the error's text or None), oldest first
        self._outcomes: deque[tuple[float, str | None]] = deque(maxlen=WINDOW_TURNS)
        #: None until the first outcome, which is told whatever it is: a good one can close what others opened
        self._told: tuple[float, str] | None = None
        self.busy = False

    async def take(self, turn: Turn, on_output: Callable[[Output], None] | None = None) -> Result:
        """Run one turn to its end; raises what the executor raised, or TurnError if no Result came."""
        self.busy = True
        self._send(pipe.Phase(name="working", current_task=turn.task_id))
        try:
            result, spoke = await self._run(turn, on_output)
        except Exception as error:
            self._failed(error)
            raise
        else:
            if spoke:
                self._flag.clear()
            self._count(None)
            return result
        finally:
            self.busy = False
            self._send(pipe.Phase(name="idle"))

    def refresh(self) -> None:
        """Forget what is too old, and tell if that changed the rate. Called on every tick."""
        oldest = self._clock.monotonic() - WINDOW_SECONDS
        while self._outcomes and self._outcomes[0][0] < oldest:
            self._outcomes.popleft()
        if self._told is None and not self._outcomes:
            return
        errors = [text for _, text in self._outcomes if text is not None]
        rate = len(errors) / max(len(self._outcomes), WINDOW_LEAST)
        now = (rate, errors[-1] if errors else "")
        if now != self._told:
            self._told = now
            self._send(pipe.Outcomes(error_rate=now[0], sample_error=now[1]))

    async def _run(self, turn: Turn, on_output: Callable[[Output], None] | None) -> tuple[Result, bool]:
        result: Result | None = None
        spoke = False
        outputs = self._executor.run(turn)
        async with aclosing(outputs):
            async for output in outputs:
                if on_output is not None:
                    on_output(output)
                if isinstance(output, Text | Result):
                    spoke = spoke or bool(output.text.strip())
                if isinstance(output, Result):
                    result = output
        if result is None:
            raise TurnError("the turn ended without a result")
        return result, spoke

    def _failed(self, error: Exception) -> None:
        text = error_text(error)
        if not isinstance(error, AnsweredError) and means_wedged(text):
            self._flag.mark(text)
        if not means_rate_limited(text):
            self._count(text)

    def _count(self, error: str | None) -> None:
        self._outcomes.append((self._clock.monotonic(), error))
        self.refresh()
