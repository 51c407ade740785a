"""What goes down one link: tasks, no faster than its other end takes them, and the orders about them."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

from truebeat.errors import TruebeatError
from truebeat.protocol.delivery import Deliver
from truebeat.server.background.tasks import spawn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from truebeat.protocol import link
    from truebeat.protocol.delivery import Cancel

#: characters that wait for a link with which it gets no further task: each has several millions at most, so that what
#: waits stays far below what cuts a link (api/link_session.py)
FULL: Final = 4 * 1024 * 1024
#: tasks that are read at once to be sent again
READ: Final = 4
#: seconds between attempts to read them while the database does not answer
RETRY: Final = 0.5


class Session(Protocol):
    """One open link. `post` never waits; `cut` ends it, so that its other end dials again and repeats itself."""

    #: called whenever some of what waits was taken
    on_taken: Callable[[], None]

    @property
    def waiting(self) -> int:
        """Characters that were posted and not taken yet."""
        ...

    def post(self, frame: link.Down) -> None: ...

    def cut(self, reason: str) -> None: ...


class Outflow:
    """Invariant: no order about a task overtakes the task; what is to be sent again is in memory a few at a time.

    read: tasks that are held still and not begun, as they were delivered. sent: one was posted. free: nothing waits any
    more. doubt: one of those that were to be sent again is not to be had: who holds what must be looked at again.
    """

    def __init__(
        self,
        session: Session,
        *,
        read: Callable[[list[UUID]], Awaitable[list[Deliver]]],
        sent: Callable[[Deliver], None],
        free: Callable[[], None],
        doubt: Callable[[], None],
    ) -> None:
        self._session = session
        self._read = read
        self._sent = sent
        self._free = free
        self._doubt = doubt
        self._queue: deque[Deliver | Cancel] = deque()
        #: to be sent again, in this order
        self._again: dict[UUID, None] = {}
        self._reading = False
        self._closed = False
        session.on_taken = self._taken

    @property
    def busy(self) -> bool:
        """Nothing new should be claimed for it."""
        return bool(self._queue or self._again)

    def send(self, frame: Deliver | Cancel) -> None:
        """When all before it were."""
        if not self._closed:
            self._queue.append(frame)
            self._flow()

    def send_again(self, ids: Iterable[UUID]) -> None:
        """These, and of those that were to be sent again before no others."""
        if not self._closed:
            self._again = dict.fromkeys(ids)
            self._flow()

    def clear(self) -> None:
        """It was for another generation of the worker."""
        self._queue.clear()
        self._again.clear()

    def close(self) -> None:
        """The link is lost or replaced: what was not sent is its successor's."""
        self._closed = True
        self.clear()

    def _taken(self) -> None:
        was_busy = self.busy
        self._flow()
        if was_busy and not self.busy:
            self._free()

    def _flow(self) -> None:
        while self._queue and self._session.waiting < FULL:
            frame = self._queue.popleft()
            if isinstance(frame, Deliver):
                self._sent(frame)
            self._session.post(frame)
        if self._again and not self._queue and not self._reading and self._session.waiting < FULL:
            self._reading = True
            spawn(self._read_some(), name="tasks that are sent again")

    async def _read_some(self) -> None:
        wanted = list(islice(self._again, READ))
        missing: set[UUID] = set()
        try:
            found = {UUID(deliver.task_id): deliver for deliver in await self._read(wanted)}
        except TruebeatError:
            await asyncio.sleep(RETRY)
        else:
            # what a comparison has taken off the list meanwhile is not to be sent
            asked = [task_id for task_id in wanted if task_id in self._again]
            for task_id in asked:
                del self._again[task_id]
            missing = set(asked) - found.keys()
            self._queue.extend(found[task_id] for task_id in asked if task_id in found)
        finally:
            self._reading = False
        if self._closed:
            return
        self._flow()
        if missing:
            self._doubt()
        if not self.busy:
            self._free()
