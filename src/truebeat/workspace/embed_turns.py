"""The tasks of an embedded workspace, in its process's own loop: by a handler, or one by one through `tasks()`."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Literal

from truebeat.domain.symptoms import means_rate_limited
from truebeat.protocol.link import Counters
from truebeat.tools.place import Here, Place, enter
from truebeat.workspace import wedge
from truebeat.workspace.attempt import Attempt
from truebeat.workspace.embed_commands import Facts
from truebeat.workspace.executors.base import (
    Artifact,
    InPhase,
    InputRequired,
    Progress,
    Result,
    Text,
    ToolFinished,
    ToolStarted,
    Turn,
    TurnError,
)
from truebeat.workspace.turns import error_text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping

    from truebeat.protocol.delivery import Cancel, Deliver
    from truebeat.workspace.executors.base import Output
    from truebeat.workspace.outbox import TaskFrame

    #: gives the answer's text, or yields pieces of it and other outputs
    Handler = Callable[[Turn], Awaitable[str | None] | AsyncIterator[str | Output]]

State = Literal["completed", "failed", "canceled", "input-required", "auth-required"]
#: seconds that a canceled turn may go on before the process is said to be wedged
CANCEL_BOUND: Final = 10.0
#: the last so many turns give the error rate, over at least so many
WINDOW: Final = 20
WINDOW_LEAST: Final = 4


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
        self.turn = _turn(deliver)
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


class Turns:
    """Every task the process has, and the facts about them that go into each beat. Lives in one event loop."""

    def __init__(self, handler: Handler | None, capacity: int, say: Callable[[TaskFrame | Facts], None]) -> None:
        self._handler = handler
        self._capacity = capacity
        self.say = say
        self._tasks: dict[tuple[str, int, int], Task] = {}
        self._running: dict[Task, asyncio.Task[None]] = {}
        self._queue: asyncio.Queue[Task | None] = asyncio.Queue()
        self._iterated = False
        self._closed = False
        self._counters = Counters()
        self._outcomes: deque[str | None] = deque(maxlen=WINDOW)
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
            self._queue.put_nowait(task)
        else:
            task.begin()
            running = asyncio.get_running_loop().create_task(self._run(task, self._handler))
            self._running[task] = running
            running.add_done_callback(lambda _done: self._running.pop(task, None))
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
        for task in list(self._tasks.values()):
            task.drop()
        for running in list(self._running.values()):
            running.cancel()
        self._tasks.clear()
        self._settle()

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
        self._iterated = True
        self.tell()
        while not self._closed:
            task = await self._queue.get()
            if task is not None and not task.ended:
                task.begin()
                # into the context of whoever iterates, and of the tasks that it starts
                self._enter_place(task)
                yield task

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
        self._settle()

    def count(self, state: str, text: str) -> None:
        """How a turn ended. Only content clears a wedge: an empty success proves nothing."""
        if state == "failed":
            if not means_rate_limited(text):
                self._outcomes.append(text)
        elif state == "completed":
            self._outcomes.append(None)
            if text.strip():
                wedge.clear_wedge()

    def moved(self) -> None:
        self._count(frames=1)

    def passed(self) -> None:
        """A canary came through."""
        self._count(canaries_passed=1)

    def tell(self) -> None:
        """The whole picture, to the link's thread, if it changed. Called on every tick of the loop too."""
        errors = [text for text in self._outcomes if text is not None]
        takes = not self._closed and (self._handler is not None or self._iterated)
        facts = Facts(
            counters=self._counters,
            phase=self._phase,
            current_task=next((task.turn.task_id for task in self._tasks.values()), ""),
            error_rate=len(errors) / max(len(self._outcomes), WINDOW_LEAST),
            sample_error=errors[-1] if errors else "",
            note=self.note,
            capacity=self._capacity if takes else 0,
        )
        if facts != self._told:
            self._told = facts
            self.say(facts)

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


def _turn(deliver: Deliver) -> Turn:
    return Turn(
        text=deliver.text,
        context_id=deliver.context_id,
        task_id=deliver.task_id,
        parts=tuple(deliver.parts),
        sender_kind=deliver.sender.kind,
        sender_name=deliver.sender.name,
        attempt=deliver.attempt,
        reply=deliver.reply,
        interrupted=deliver.interrupted,
        results=tuple(deliver.results),
    )
