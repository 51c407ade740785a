"""A Python function as an agent: `module:function`, in the worker's own process.

The function takes the text, and the `Turn` too if it has a parameter called `turn`; without it, results of its
delegations stand before the text, in their block (domain/envelope.py). It may be plain (it then runs in
a thread), async, a generator or an async generator. It returns or yields text, or any `Output` of executors/base.py:
`ToolStarted` and `ToolFinished` around a tool, `InPhase`, `Artifact`, `InputRequired` to ask and end the turn. Wedged?
Call `truebeat.workspace.wedge.mark_wedged(reason)`. A plain function that runs long asks `canceled()` now and then.

Options: capacity (turns at a time, default 1), turn_silence (see watch.py).
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import inspect
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, TypeVar

from truebeat.domain import envelope
from truebeat.workspace.executors import threads
from truebeat.workspace.executors.base import (
    ConfigurationError,
    Executor,
    InputRequired,
    Options,
    Output,
    Result,
    Text,
    Turn,
    TurnError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Sequence

T = TypeVar("T")

#: threads of asyncio's own pool (asyncio.to_thread); more than any healthy agent keeps busy at a time
_LOOP_THREADS: Final = 32

_canceled: contextvars.ContextVar[threading.Event] = contextvars.ContextVar("truebeat_turn_canceled")


def canceled() -> bool:
    """In a turn's own code, from any thread: whether the turn was canceled and should come to its end."""
    event = _canceled.get(None)
    return event is not None and event.is_set()


def find(target: str) -> Callable[..., Any]:
    """The function that `module:function` names. ConfigurationError says what is wrong with it."""
    module_name, colon, path = target.partition(":")
    if not colon or not module_name or not path:
        raise ConfigurationError(f"{target!r} is not module:function, for example my_agent:answer")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise ConfigurationError(
                f"there is no module {error.name!r}; install it, or start in the directory that holds it"
            ) from error
        raise ConfigurationError(f"module {module_name!r} needs {error.name!r}, which is not installed") from error
    except (Exception, SystemExit) as error:
        raise ConfigurationError(f"module {module_name!r} fails on import: {type(error).__name__}: {error}") from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise ConfigurationError(f"module {module_name!r} has no function {path!r}")
        found = getattr(found, name)
    if not callable(found):
        raise ConfigurationError(f"{target!r} is not a function but {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def find_probe(target: str) -> Callable[[], Any] | None:
    """The module's own `probe`, if it defines a function of that name which needs no argument."""
    module_name, _, path = target.partition(":")
    probe = getattr(sys.modules.get(module_name), "probe", None)
    if path == "probe" or not inspect.isfunction(probe) or probe.__module__ != module_name:
        return None
    try:
        inspect.signature(probe).bind()
    except TypeError:
        return None
    return probe


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it only makes an awaitable or an async generator, which the event loop then runs."""
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


class PythonExecutor(Executor):
    """The probe goes the way work goes.

    Plain functions run in `capacity` + 1 threads: the spare one is the probe's, so that a long turn is never found
    guilty, while calls that never end, and left no thread to work in, are. Async functions share the event loop, whose
    lag the supervisor measures, and asyncio's own pool: the probe asks for one of its threads.
    """

    _function: Callable[..., Any]
    _own_probe: Callable[[], Any] | None = None
    _takes_turn = False

    def __init__(self, target: str | Sequence[str], options: Options) -> None:
        super().__init__(target, options)
        self.capacity = max(options.integer("capacity", 1), 1)
        self._pool = threads.Pool(self.capacity + 1, "turn")

    async def start(self) -> None:
        target = self.target if isinstance(self.target, str) else " ".join(self.target)
        # in a thread: a slow import must not look like a blocked event loop
        self._function = await threads.call(lambda: find(target), name="import")
        self._own_probe = find_probe(target)
        if is_async(self._function):
            loop_pool = ThreadPoolExecutor(_LOOP_THREADS, thread_name_prefix="asyncio")
            asyncio.get_running_loop().set_default_executor(loop_pool)
        try:
            self._takes_turn = "turn" in inspect.signature(self._function).parameters
        except (TypeError, ValueError):
            self._takes_turn = False

    async def probe(self) -> None:
        if is_async(self._function):
            await asyncio.get_running_loop().run_in_executor(None, int)
        else:
            await self._in_pool(int)
        own = self._own_probe
        if own is None:
            return
        said = await own() if is_async(own) else await self._in_pool(own)
        if inspect.isawaitable(said):
            said = await said
        if said is False:
            raise TurnError("the agent's own probe() returned False")

    async def run(self, turn: Turn) -> AsyncGenerator[Output, None]:
        pieces: list[str] = []
        stop = threading.Event()
        # a generator runs in its caller's context, and each step may have another caller: the context is given along
        context = contextvars.copy_context()
        context.run(_canceled.set, stop)
        try:
            async with aclosing(self._pieces(turn, context)) as given:
                async for piece in given:
                    output = _output(piece)
                    if isinstance(output, Text):
                        pieces.append(output.text)
                    yield output
                    if isinstance(output, Result | InputRequired):
                        return
            yield Result("".join(pieces))
        finally:
            stop.set()

    async def _pieces(self, turn: Turn, context: contextvars.Context) -> AsyncGenerator[Any, None]:
        facts = {"turn": turn} if self._takes_turn else {}
        # what came back of its delegations would be lost on a function that takes nothing but the text
        text = turn.text if self._takes_turn else envelope.render(turn.results) + turn.text
        function = self._function
        if is_async(function):
            _canceled.set(context[_canceled])
            given = function(text, **facts)
        else:
            given = await self._in_pool(lambda: context.run(function, text, **facts), context)
        if inspect.isawaitable(given):
            given = await given
        if inspect.isasyncgen(given):
            async with aclosing(given):
                async for piece in given:
                    yield piece
        elif inspect.isgenerator(given):
            try:
                async for piece in self._steps(given, context):
                    yield piece
            finally:
                await self._in_pool(lambda: context.run(given.close), context)
        elif given is not None:
            yield given

    async def _steps(self, generator: Iterator[Any], context: contextvars.Context) -> AsyncGenerator[Any, None]:
        end = object()
        step = lambda: context.run(next, generator, end)  # noqa: E731
        while (piece := await self._in_pool(step, context)) is not end:
            yield piece

    async def _in_pool(self, function: Callable[[], T], context: contextvars.Context | None = None) -> T:
        """In a thread of the pool. A cancellation waits for the thread, which may ask `canceled()`."""
        job = self._pool.submit(function)
        try:
            return await asyncio.shield(job.future)
        except asyncio.CancelledError:
            if context is not None:
                context[_canceled].set()
                if not job.drop():
                    await asyncio.wait({job.future})
            else:
                job.drop()
            if job.future.done():
                job.future.exception()
            raise


def _output(piece: Any) -> Output:
    if isinstance(piece, str):
        return Text(piece)
    if not isinstance(piece, Output):
        raise TurnError(f"the function gave {type(piece).__name__}, not text")
    return piece
