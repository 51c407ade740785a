"""A Python function as an agent: `module:function`, in the worker's own process.

The function takes the text, and the `Turn` too if it has a parameter called `turn`. It may be plain (it then runs in
a thread), async, a generator or an async generator; it returns or yields text. Wedged? Call
`truebeat.workspace.wedge.mark_wedged(reason)`.
"""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from truebeat.workspace.executors import threads
from truebeat.workspace.executors.base import ConfigurationError, Executor, Output, Result, Text, Turn, TurnError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator


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


class PythonExecutor(Executor):
    """The loop lag is this executor's probe: there is no other process to ask."""

    _function: Callable[..., Any]
    _takes_turn = False

    async def start(self) -> None:
        target = self.target if isinstance(self.target, str) else " ".join(self.target)
        # in a thread: a slow import must not look like a blocked event loop
        self._function = await threads.call(lambda: find(target), name="import")
        try:
            self._takes_turn = "turn" in inspect.signature(self._function).parameters
        except (TypeError, ValueError):
            self._takes_turn = False

    async def run(self, turn: Turn) -> AsyncGenerator[Output, None]:
        pieces: list[str] = []
        async for piece in self._pieces(turn):
            pieces.append(piece)
            yield Text(piece)
        yield Result("".join(pieces))

    async def _pieces(self, turn: Turn) -> AsyncGenerator[str, None]:
        facts = {"turn": turn} if self._takes_turn else {}
        function = self._function
        acts_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        if acts_async:
            given = function(turn.text, **facts)
        else:
            given = await threads.call(lambda: function(turn.text, **facts), name="turn")
        if inspect.isawaitable(given):
            given = await given
        if inspect.isasyncgen(given):
            async for piece in given:
                yield _text(piece)
        elif inspect.isgenerator(given):
            async for piece in _in_thread(given):
                yield _text(piece)
        elif given is not None:
            yield _text(given)


async def _in_thread(generator: Iterator[Any]) -> AsyncGenerator[Any, None]:
    end = object()
    while (piece := await threads.call(lambda: next(generator, end), name="turn")) is not end:
        yield piece


def _text(piece: Any) -> str:
    if not isinstance(piece, str):
        raise TurnError(f"the function gave {type(piece).__name__}, not text")
    return piece
