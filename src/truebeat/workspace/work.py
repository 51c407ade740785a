"""The tasks of one worker: Deliver in; Begun, chunks and one ending for each out.

- A task is taken only while there is room and the runtime is not under suspicion; else it is handed back untouched.
- An error is a failed task. What a broken runtime interrupted is no fault of the task: it is handed back as begun.
- A cancel closes the turn's generator. One that does not end within `cancel_timeout` seconds is told as canceled all
  the same. A runtime that can be replaced or repaired is accused of ignoring interrupts. Elsewhere (a Python function,
  which nothing can stop) the turn keeps its place until it ends, and a probe says whether more is wrong: what one
  sender cancels must not cost the others their turns.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from truebeat.protocol.delivery import Cancel, Deliver, HandedBack
from truebeat.protocol.pipe import Room
from truebeat.tools.place import Here, enter
from truebeat.workspace.attempt import Attempt
from truebeat.workspace.executors.base import AnsweredError, InputRequired, InterruptedTurnError, TurnError
from truebeat.workspace.heard import turn_of
from truebeat.workspace.turns import error_text, is_wedge
from truebeat.workspace.watch import GONE, Watch, process_state

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from truebeat.workspace.executors.base import Executor, Output
from truebeat.workspace.turns import Turns

#: ended attempts that are remembered, so that a Deliver that is repeated starts nothing again
_REMEMBERED: Final = 256

#: seconds for turns to end once their runtime is abandoned
_ABANDONED: Final = 2.0

_log = logging.getLogger(__name__)


class _Run:
    """An attempt with the task that does it."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.task: asyncio.Task[None]
        #: why it was told to end, and when (the loop's time)
        self.asked = ""
        self.asked_at = 0.0
        #: it was told to be over, goes on, and keeps its place
        self.lingers = False

    def ask(self, why: str, *, cancels: bool = True) -> None:
        """Once: a second cancellation would interrupt the turn's own cleaning up."""
        if not self.asked:
            self.asked = why
            self.asked_at = asyncio.get_running_loop().time()
            if cancels:
                self.task.cancel()


class Work:
    """`watch` says whether a task can be taken, and hears what a broken runtime did; `room` waits while too much is
    waiting for the supervisor.
    """

    def __init__(
        self,
        executor: Executor,
        turns: Turns,
        watch: Watch,
        *,
        capacity: int,
        cancel_timeout: float,
        room: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._executor = executor
        self._turns = turns
        self._send = turns.send
        self._capacity = capacity
        self._cancel_timeout = cancel_timeout
        self._watch = watch
        watch.interrupt = self.interrupt
        self._room = room
        self._runs: dict[tuple[str, int], _Run] = {}
        self._ended: deque[tuple[str, int]] = deque(maxlen=_REMEMBERED)
        self._waiters: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def on(self) -> int:
        """How many turns are on. One that has told its end is on no more, unless it was told to end and does not."""
        return sum(not run.attempt.over or bool(run.asked) for run in self._runs.values())

    def deliver(self, order: Deliver) -> None:
        """Take it, or hand it back at once."""
        key = (order.task_id, order.attempt)
        if key in self._runs or key in self._ended:
            return
        refusal = self._refusal()
        if refusal:
            self._send(
                HandedBack(
                    task_id=order.task_id,
                    generation=order.generation,
                    attempt=order.attempt,
                    begun=False,
                    reason=refusal,
                )
            )
            return
        run = self._runs[key] = _Run(Attempt(order, self._send, tells_tools=self._executor.tells_tools))
        run.task = asyncio.get_running_loop().create_task(self._do(run), name=f"task {order.task_id}")
        run.task.add_done_callback(lambda _: self._forget(key))

    def cancel(self, order: Cancel) -> None:
        """What has ended already was told already; what is not known here is nobody's."""
        run = self._runs.get((order.task_id, order.attempt))
        if run is not None and not run.asked:
            run.ask("canceled")
            self._bound(run)

    async def interrupt(self, reason: str) -> bool:
        """End every turn that is on because its runtime is broken; True when all of them did end."""
        runs = list(self._runs.values())
        if not runs:
            return True
        for run in runs:
            if run.asked == "canceled":
                run.attempt.finish("canceled", "")
            run.attempt.hand_back(reason)
            run.ask("interrupted")
        since = min(run.asked_at for run in runs)
        left = since + self._cancel_timeout - asyncio.get_running_loop().time()
        # a turn that was canceled long ago may still have waited for the runtime, which is abandoned only now
        left = max(left, min(_ABANDONED, self._cancel_timeout))
        _, pending = await asyncio.wait({run.task for run in runs}, timeout=left)
        return not pending

    async def drain(self, patience: float, closing: float) -> None:
        """No new task; the present ones get `patience` seconds, then they are handed back and get `closing` to end."""
        self._stopping = True
        tasks = {run.task for run in self._runs.values() if not run.lingers}
        if tasks:
            await asyncio.wait(tasks, timeout=patience)
        self._cancel_timeout = min(self._cancel_timeout, closing)
        await self.interrupt("the worker was told to stop")

    # -- one turn

    def _refusal(self) -> str:
        if self._stopping:
            return "the worker is stopping"
        if self.on >= self._capacity:
            return f"busy: {self.on} of {self._capacity} turns are on"
        return self._watch.unable()

    async def _do(self, run: _Run) -> None:
        attempt, order = run.attempt, run.attempt.order
        turn = turn_of(order)

        def hear(output: Output) -> None:
            try:
                attempt.output(output)
            except TurnError as error:
                attempt.finish("failed", error_text(error))
                # raised, it closes the turn; a second interruption would disturb that
                run.ask("failed", cancels=False)
                self._bound(run)
                raise

        attempt.begin()
        if self._executor.place is not None:
            enter(Here(self._executor.place, order.task_id))
        try:
            last = await self._turns.take(turn, hear, self._room)
        except asyncio.CancelledError:
            if run.asked == "canceled":
                attempt.finish("canceled", "")
            elif run.asked:
                attempt.hand_back(run.asked)
            else:
                attempt.finish("failed", "the turn was canceled from within")
        except Exception as error:
            _log.debug("a turn failed", exc_info=True)
            text = error_text(error)
            if run.asked == "canceled":
                attempt.finish("canceled", "")
            elif self._interrupted(error):
                # first the accusation: what comes back must not be given to the same broken runtime
                self._watch.accuse(text)
                attempt.hand_back(text)
            else:
                attempt.finish("failed", text)
        else:
            if isinstance(last, InputRequired):
                attempt.finish("auth-required" if last.auth else "input-required", last.text)
            else:
                attempt.finish("completed", last.text)

    def _interrupted(self, error: Exception) -> bool:
        if isinstance(error, InterruptedTurnError) or is_wedge(error, self._executor):
            return True
        pid = self._executor.runtime_pid
        broke = isinstance(error, TurnError) and not isinstance(error, AnsweredError)
        return broke and pid is not None and process_state(pid) in GONE

    def _forget(self, key: tuple[str, int]) -> None:
        run = self._runs.pop(key)
        self._ended.append(key)
        if run.lingers:
            self._tell_room()
        # one that was canceled before its first step could not tell
        if run.asked == "canceled":
            run.attempt.finish("canceled", "")
        run.attempt.hand_back(run.asked or "the turn ended without a word")

    def _bound(self, run: _Run) -> None:
        """It was told to end; if it does not, the runtime is accused or the place lost."""
        waiter = asyncio.get_running_loop().create_task(self._wait_for_end(run))
        self._waiters.add(waiter)
        waiter.add_done_callback(self._waiters.discard)

    async def _wait_for_end(self, run: _Run) -> None:
        done, _ = await asyncio.wait({run.task}, timeout=self._cancel_timeout)
        if done:
            return
        if self._watch.mends:
            run.attempt.finish("canceled", "")
            self._watch.accuse(f"a {run.asked} turn did not end within {self._cancel_timeout:g} s")
            return
        run.lingers = True
        # first the room: the end of the task would make it look free
        self._tell_room()
        run.attempt.finish("canceled", "")
        self._watch.ask()

    def _tell_room(self) -> None:
        lost = sum(run.lingers for run in self._runs.values())
        self._send(Room(capacity=max(self._capacity - lost, 0)))
        turns = "a turn that was told to end goes on" if lost == 1 else f"{lost} turns that were told to end go on"
        self._executor.note(f"{turns}: {lost} of {self._capacity} places taken" if lost else "")
