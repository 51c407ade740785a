"""Blocking calls in daemon threads: they never keep a worker from exiting, as asyncio's own pool would."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Job(Generic[T]):
    """A call that waits for a thread, runs in one, or is done: then `future` holds what it returned or raised."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self._loop.create_future()
        self._function = function
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()
        self._begun = False
        self._dropped = False

    def drop(self) -> bool:
        """Don't run it. False: it runs already, or did; Python can't stop a thread."""
        with self._lock:
            self._dropped = not self._begun
            return self._dropped

    def run(self) -> None:
        """In the thread."""
        with self._lock:
            if self._dropped:
                return
            self._begun = True
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = self._context.run(self._function)
        except StopIteration:
            failure = RuntimeError("StopIteration left the function")
        except BaseException as error:
            failure = error
        # the loop may be closed by now: nobody waits any more
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._settle, result, failure)

    def _settle(self, result: T | None, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)  # type: ignore[arg-type]


class Pool:
    """At most `size` threads, started when they are needed and then kept. A call that never ends keeps its thread."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._jobs: queue.SimpleQueue[Job[Any]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._free = 0

    def submit(self, function: Callable[[], T]) -> Job[T]:
        job = Job(function)
        with self._lock:
            starts = self._free <= self._jobs.qsize() and self._threads < self._size
            self._threads += starts
        self._jobs.put(job)
        if starts:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        return job

    def _work(self) -> None:
        while True:
            with self._lock:
                self._free += 1
            job = self._jobs.get()
            with self._lock:
                self._free -= 1
            job.run()
            del job


async def call(function: Callable[[], T], *, name: str) -> T:
    """Run `function` in a thread of its own and await what it returns or raises.

    Cancelling stops the wait, not the thread: Python can't stop a thread.
    """
    job = Job(function)
    threading.Thread(target=job.run, name=name, daemon=True).start()
    return await job.future
