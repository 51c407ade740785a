"""The tasks of an embedded workspace, in its process's own loop: by a handler, or one by one through `tasks()`."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Final

from truebeat.domain.symptoms import means_rate_limited
from truebeat.protocol.link import Counters
from truebeat.tools.place import Here, Place, enter
from truebeat.workspace import wedge
from truebeat.workspace.embed_commands import Facts
from truebeat.workspace.embed_task import Task
from truebeat.workspace.executors.base import (
    Artifact,
    InPhase,
    InputRequired,
    Progress,
    Result,
    Text,
    ToolFinished,
    ToolStarted,
    TurnError,
)
from truebeat.workspace.turns import WINDOW_LEAST, WINDOW_SECONDS, WINDOW_TURNS, error_text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from truebeat.clock import Clock
    from truebeat.protocol.delivery import Cancel, Deliver
    from truebeat.workspace.executors.base import Output, Turn
    from truebeat.workspace.outbox import TaskFrame

    #: gives the answer's text, or yields pieces of it and other outputs
    Handler = Callable[[Turn], Awaitable[str | None] | AsyncIterator[str | Output]]

#: seconds that a canceled turn may go on before the process is said to be wedged
CANCEL_BOUND: Final = 10.0
#: why a task goes back: whoever waited for one left while it came
NOBODY_WAITS: Final = "nobody waits for a task"


class Turns:
    """Every task the process has, and the facts about them that go into each beat. Lives in one event loop.

    Without a handler there is room only for as many more as wait in `each`: what nobody waits for is not taken.
    """

    def __init__(
        self, handler: Handler | None, capacity: int, say: Callable[[TaskFrame | Facts], None], clock: Clock
    ) -> None:
        self._handler = handler
        self._capacity = capacity
        self.say = say
        self._clock = clock
        self._tasks: dict[tuple[str, int, int], Task] = {}
        self._running: dict[Task, asyncio.Task[None]] = {}
        self._queue: asyncio.Queue[Task | None] = asyncio.Queue()
        #: how many wait in `each`, those that are given something just now included
        self._waiting = 0
        #: turns of an older generation that have not ended
        self._old: set[Task] = set()
        self._none_old = asyncio.Event()
        self._none_old.set()
        self._closed = False
        self._counters = Counters()
        #: (when, the error's text or None), oldest first
        self._outcomes: deque[tuple[float, str | None]] = deque(maxlen=WINDOW_TURNS)
        self._phase = "idle"
        self._told: Facts | None = None
        self.note = ""
        #: whose turns these are, once that is known
        self.place: Place | None = None

    # --- from the link's thread, by way of the loop ---

    def begin(self, deliver: Deliver) -> None:
        task = Task(deliver, self)
        self._tasks[_key(deliver)] = task
        self._count(turns_started=1)
        if self._closed:
            task.hand_back("the workspace is leaving")
        elif self._handler is None:
            if self._waiting > self._queue.qsize():
                self._queue.put_nowait(task)
            else:
                task.hand_back(NOBODY_WAITS)
        else:
            task.begin()
            running = asyncio.get_running_loop().create_task(self._run(task, self._handler))
            self._running[task] = running
            running.add_done_callback(lambda _done: self._ran(task))
        self._settle()

    def interrupt(self, cancel: Cancel) -> None:
        task = self._tasks.get(_key(cancel))
        if task is None:
            return
        task.canceled.set()
        running = self._running.get(task)
        if running is None:
            if not task.begun:
                task.cancel()
            return
        running.cancel()
        asyncio.get_running_loop().call_later(CANCEL_BOUND, self._still_running, running, cancel.task_id)

    def renew(self) -> None:
        """What runs belongs to an older generation: it was handed back, and nobody waits for it here."""
        self._old |= {task for task in self._tasks.values() if task.begun} | self._running.keys()
        if self._old:
            self._none_old.clear()
        for task in list(self._tasks.values()):
            task.drop()
        for running in list(self._running.values()):
            running.cancel()
        self._tasks.clear()
        self._settle()

    async def gone(self, seconds: float | None) -> bool:
        """Wait until what an older generation ran has really ended, at most so long. Of what `each` gave that is known
        only when its taker ends it or asks for the next.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._none_old.wait()
        return not self._old

    def let_go(self, task: Task) -> None:
        """Whoever had this task is done with it."""
        if task not in self._running:
            self._old.discard(task)
            if not self._old:
                self._none_old.set()

    def close(self) -> None:
        """No more tasks come, and `tasks()` ends."""
        self._closed = True
        self._queue.put_nowait(None)
        self.tell()

    async def drain(self, grace: float) -> None:
        """Wait for what runs, at most `grace` seconds; the rest is interrupted and handed back."""
        if self._running:
            await asyncio.wait(list(self._running.values()), timeout=grace)
        for task in list(self._tasks.values()):
            task.hand_back("the workspace is leaving")
        if self._running:
            for running in list(self._running.values()):
                running.cancel()
            await asyncio.wait(list(self._running.values()), timeout=grace)

    async def each(self) -> AsyncGenerator[Task, None]:
        """Tasks, as they come, until the workspace is over."""
        while not self._closed:
            task = await self._next()
            if task is None:
                self._queue.put_nowait(None)  # for the next one that waits
            elif not task.ended:
                task.begin()
                self.tell()
                # into the context of whoever iterates, and of the tasks that it starts
                self._enter_place(task)
                try:
                    yield task
                finally:
                    self.let_go(task)

    async def _next(self) -> Task | None:
        self._waiting += 1
        self.tell()
        try:
            task = await self._queue.get()
        except BaseException:
            self._waiting -= 1
            while not self._closed and self._queue.qsize() > self._waiting:
                if (left := self._queue.get_nowait()) is not None:
                    left.hand_back(NOBODY_WAITS)
            self.tell()
            raise
        self._waiting -= 1
        return task

    # --- a handler's turn ---

    async def _run(self, task: Task, handler: Handler) -> None:
        self._enter_place(task)
        try:
            await self._outputs(task, handler)
        except asyncio.CancelledError:
            if task.canceled.is_set():
                task.cancel()
            else:
                task.fail("the turn was canceled from within")
        except Exception as error:
            task.fail(error_text(error))

    async def _outputs(self, task: Task, handler: Handler) -> None:
        given = handler(task.turn)
        if inspect.isasyncgen(given):
            async with aclosing(given):
                async for output in given:
                    self._output(task, output)
            task.finish()
            return
        answer: Any = await given if inspect.isawaitable(given) else given
        if answer is not None and not isinstance(answer, str):
            raise TurnError(f"the handler gave {type(answer).__name__}, not text")
        task.finish(answer or "")

    def _output(self, task: Task, output: Any) -> None:
        match output:
            case str():
                task.say(output)
            case Text():
                task.say(output.text)
            case Progress():
                task.progress(output.note)
            case Artifact():
                task.artifact(output.name, *output.parts)
            case Result():
                task.finish(output.text)
            case InputRequired():
                task.ask(output.text, auth=output.auth)
            case InPhase():
                self._enter(output.name)
            case ToolStarted():
                self._count(tools_started=1)
                self._enter("in_tool")
            case ToolFinished():
                self._count(tools_finished=1)
                self._enter("working")
            case _:
                raise TurnError(f"the handler gave {type(output).__name__}, not text or an output")

    def _ran(self, task: Task) -> None:
        self._running.pop(task, None)
        self.let_go(task)

    def _still_running(self, running: asyncio.Task[None], task_id: str) -> None:
        if not running.done():
            reason = f"task {task_id} was canceled {CANCEL_BOUND:.0f} s ago and goes on"
            wedge.mark_wedged(reason)
            running.add_done_callback(lambda _done: wedge.clear_wedge() if wedge.wedge_reason() == reason else None)

    def _enter_place(self, task: Task) -> None:
        if self.place is not None:
            enter(Here(self.place, task.turn.task_id))

    # --- facts ---

    def forget(self, deliver: Deliver) -> None:
        self._tasks.pop(_key(deliver), None)
        self._count(turns_finished=1)
        if self._handler is None:
            # in the next step of the loop: whoever ended it may wait for another by then
            asyncio.get_running_loop().call_soon(self._settle)
        else:
            self._settle()

    def count(self, state: str, text: str) -> None:
        """How a turn ended. Only content clears a wedge: an empty success proves nothing."""
        if state == "failed":
            if not means_rate_limited(text):
                self._outcomes.append((self._clock.monotonic(), text))
        elif state == "completed":
            self._outcomes.append((self._clock.monotonic(), None))
            if text.strip():
                wedge.clear_wedge()

    def moved(self) -> None:
        self._count(frames=1)

    def passed(self) -> None:
        """A canary came through."""
        self._count(canaries_passed=1)

    def tell(self) -> None:
        """The whole picture, to the link's thread, if it changed. Called on every tick of the loop too."""
        oldest = self._clock.monotonic() - WINDOW_SECONDS
        while self._outcomes and self._outcomes[0][0] < oldest:
            self._outcomes.popleft()
        errors = [text for _, text in self._outcomes if text is not None]
        facts = Facts(
            counters=self._counters,
            phase=self._phase,
            current_task=next((task.turn.task_id for task in self._tasks.values()), ""),
            error_rate=len(errors) / max(len(self._outcomes), WINDOW_LEAST),
            sample_error=errors[-1] if errors else "",
            note=self.note,
            capacity=self._places(),
        )
        if facts != self._told:
            self._told = facts
            self.say(facts)

    def _places(self) -> int:
        """How many tasks it can have at a time, those it has included."""
        if self._closed:
            return 0
        if self._handler is not None:
            return self._capacity
        taken = sum(task.begun for task in self._tasks.values())
        return min(self._capacity, taken + max(self._waiting, self._queue.qsize()))

    def _count(self, **more: int) -> None:
        present = self._counters
        self._counters = Counters(
            turns_started=present.turns_started + more.get("turns_started", 0),
            turns_finished=present.turns_finished + more.get("turns_finished", 0),
            frames=present.frames + more.get("frames", 0),
            tools_started=present.tools_started + more.get("tools_started", 0),
            tools_finished=present.tools_finished + more.get("tools_finished", 0),
            canaries_passed=present.canaries_passed + more.get("canaries_passed", 0),
        )

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self.tell()

    def _settle(self) -> None:
        self._enter("draining" if self._closed else "working" if self._tasks else "idle")


def _key(frame: Deliver | Cancel) -> tuple[str, int, int]:
    return frame.task_id, frame.generation, frame.attempt
