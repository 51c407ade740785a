"""How many calls of one sender may wait at the same time: each holds a connection, a task and what comes for it."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from truebeat.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from truebeat.domain.access import Principal

#: calls and streams of one token that wait together
WAITERS_LIMIT: Final = 1000


class Waiters:
    """One a server. Invariant: `held` counts the places that are taken, of those that have any."""

    def __init__(self) -> None:
        self.held: Counter[str] = Counter()

    @contextmanager
    def place(self, principal: Principal) -> Iterator[None]:
        """For as long as it waits. Taken before anything is accepted. Errors: Unavailable."""
        whose = principal.sender_id
        if self.held[whose] >= WAITERS_LIMIT:
            raise Unavailable(
                f"{WAITERS_LIMIT} calls and streams of this token wait already, which is the limit; end some of them, "
                "or ask without waiting",
                retry_after=1,
                limit=WAITERS_LIMIT,
            )
        self.held[whose] += 1
        try:
            yield
        finally:
            self.held[whose] -= 1
            if not self.held[whose]:
                del self.held[whose]
