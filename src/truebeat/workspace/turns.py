"""Taking turns: runs them through the executor, and weighs how they end.

- A turn that ends without a Result or a question failed, however quietly.
- An error that means a wedge (`domain.symptoms`) is told to `on_wedge`, if this executor's errors can be believed
  (`wedge_texts`); other errors only count.
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
from truebeat.workspace.evidence import Evidence, TurnEvidence
from truebeat.workspace.executors.base import (
    AnsweredError,
    Executor,
    InputRequired,
    Output,
    Result,
    Text,
    Turn,
    TurnError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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


def is_wedge(error: BaseException, executor: Executor) -> bool:
    """Whether a turn's error means that every later turn will fail too, until something is repaired."""
    return executor.wedge_texts and not isinstance(error, AnsweredError) and means_wedged(error_text(error))


class Turns:
    """Any number at a time. `send` gets Phase and Outcomes frames; `on_wedge` the texts of errors that mean a wedge."""

    def __init__(
        self,
        executor: Executor,
        send: Callable[[pipe.FromWorker], None],
        clock: Clock,
        flag: wedge.WedgeFlag,
        evidence: Evidence | None = None,
    ) -> None:
        self._executor = executor
        self.send = send
        self._clock = clock
        self._flag = flag
        self.evidence = evidence or Evidence(send, clock)
        self.on_wedge: Callable[[str], object] = flag.mark
        #: (when, the error's text or None), oldest first
        self._outcomes: deque[tuple[float, str | None]] = deque(maxlen=WINDOW_TURNS)
        #: None until the first outcome, which is told whatever it is: a good one can close what others opened
        self._told: tuple[float, str] | None = None

    @property
    def busy(self) -> bool:
        return self.evidence.busy

    async def take(
        self,
        turn: Turn,
        on_output: Callable[[Output], None] | None = None,
        room: Callable[[], Awaitable[None]] | None = None,
    ) -> Result | InputRequired:
        """Run one turn to its end; raises what the executor raised, or TurnError if it ended with nothing.

        on_output hears every output but the last, and may raise to end the turn; `room` is awaited before each output
        is asked for.
        """
        evidence = self.evidence.begin(turn.task_id)
        try:
            last, spoke = await self._run(turn, evidence, on_output, room)
        except Exception as error:
            self._failed(error)
            raise
        except (SystemExit, KeyboardInterrupt) as error:
            # an agent's sys.exit() ends its turn, not the worker
            failure = TurnError(f"the turn raised {type(error).__name__}({error})")
            self._failed(failure)
            raise failure from error
        else:
            if spoke:
                self._flag.clear()
            self._count(None)
            return last
        finally:
            self.evidence.end(evidence)

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
            self.send(pipe.Outcomes(error_rate=now[0], sample_error=now[1]))

    async def _run(
        self,
        turn: Turn,
        evidence: TurnEvidence,
        on_output: Callable[[Output], None] | None,
        room: Callable[[], Awaitable[None]] | None,
    ) -> tuple[Result | InputRequired, bool]:
        last: Result | InputRequired | None = None
        spoke = False
        outputs = self._executor.run(turn)
        async with aclosing(outputs):
            async for output in outputs:
                self.evidence.output(evidence, output)
                if isinstance(output, Text | Result | InputRequired):
                    spoke = spoke or bool(output.text.strip())
                if isinstance(output, Result | InputRequired):
                    last = output
                    break
                if on_output is not None:
                    on_output(output)
                if room is not None:
                    self.evidence.hold(evidence, held=True)
                    await room()
                    self.evidence.hold(evidence, held=False)
        if last is None:
            raise TurnError("the turn ended without a result")
        return last, spoke

    def _failed(self, error: Exception) -> None:
        text = error_text(error)
        if is_wedge(error, self._executor):
            self.on_wedge(text)
        if not means_rate_limited(text):
            self._count(text)

    def _count(self, error: str | None) -> None:
        self._outcomes.append((self._clock.monotonic(), error))
        self.refresh()
