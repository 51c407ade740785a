"""Blocking calls in daemon threads: they never keep a worker from exiting, as asyncio's own pool would."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def call(function: Callable[[], T], *, name: str) -> T:
    """Run `function` in a thread of its own and await what it returns or raises.

    Cancelling stops the wait, not the thread: Python can't stop a thread.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = context.run(function)
        except StopIteration:
            failure = RuntimeError("StopIteration left the function")
        except BaseException as error:
            failure = error
        # the loop may be closed by now: nobody waits any more
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=work, name=name, daemon=True).start()
    return await done
