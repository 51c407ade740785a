"""A blocking call in a thread of its own, to be awaited in an event loop or waited for in a thread."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

from truebeat import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")


class Call(Generic[T]):
    """Begun when it is made. `await call` in async code, `call.result()` in a thread; both raise what it raised.

    Who stops waiting stops only the wait: the thread ends by itself (a daemon: it keeps no process from ending).
    had: called once, with what came of it, when somebody who waits has it, and before they go on; never if nobody does.
    It must not raise.
    """

    def __init__(self, function: Callable[[], T], name: str, had: Callable[[T], object] | None = None) -> None:
        self._future: Future[T] = Future()
        self._name = name
        self._had = had
        context = contextvars.copy_context()

        def run() -> None:
            try:
                result = context.run(function)
            except BaseException as error:
                self._future.set_exception(error)
            else:
                self._future.set_result(result)

        self._future.set_running_or_notify_cancel()
        threading.Thread(target=run, name=f"truebeat {name}", daemon=True).start()

    def __await__(self) -> Generator[object, None, T]:
        # shielded: a canceled turn must not mark a call as canceled that goes on
        result = yield from asyncio.shield(asyncio.wrap_future(self._future)).__await__()
        if (telling := self._tell(result)) is not None:
            yield from telling.__await__()
        return result

    def result(self, timeout: float | None = None) -> T:
        """What it returned; blocks, and therefore refuses to be called where an event loop runs."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            result = self._future.result(timeout)
            if (telling := self._tell(result)) is not None:
                telling.result()
            return result
        if self._future.done():
            result = self._future.result()
            self._tell(result)
            return result
        raise errors.Invalid("an event loop runs here, and this would block it: use await instead of result()")

    def _tell(self, result: T) -> Call[object] | None:
        had, self._had = self._had, None
        return None if had is None else Call(lambda: had(result), self._name)

    @property
    def done(self) -> bool:
        return self._future.done()
