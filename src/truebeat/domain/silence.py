"""Silence: who has not been heard of within the lease, by an observer that doubts itself first.

`Deadlines` finds who is due without polling everybody. `Doubt` extends every lease by what the observer itself missed,
and `is_mass_silence` says when so many are silent that the observer is the more likely culprit.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

#: seconds an observer's tick may come late before it doubts itself
LAG_TOLERANCE: Final = 0.5
#: this share of the fleet silent at once, and at least so many, is the observer's own problem
MASS_SHARE: Final = 0.4
MASS_LEAST: Final = 8


class Leased(Protocol):
    """What a deadline is kept for. Only `Deadlines` writes `scheduled`.

    stamped: monotonic seconds of the last sign of life; term: seconds it is good for;
    scheduled: the deadline of this lease's one valid heap entry, or infinity when it has none.
    """

    stamped: float
    term: float
    scheduled: float


_L = TypeVar("_L", bound=Leased)


class Deadlines(Generic[_L]):
    """A heap of deadlines that a beat never touches.

    A beat only stamps its lease. The heap learns of it when the old deadline comes due: the entry is then put back at
    the new one. So a beat costs nothing here and each lease has one valid entry.
    """

    def __init__(self, doubt: Doubt) -> None:
        self._heap: list[tuple[float, int, _L]] = []
        self._doubt = doubt
        self._tie = 0

    def watch(self, lease: _L) -> None:
        """Start watching, or look again after the lease's deadline moved nearer."""
        deadline = lease.stamped + lease.term
        if deadline < lease.scheduled:
            self._push(lease, deadline)

    def due(self, now: float) -> Iterator[_L]:
        """Leases whose deadline has passed, each once; the caller must `watch` it again to have it told again."""
        while self._heap and self._heap[0][0] <= now:
            deadline, _, lease = heapq.heappop(self._heap)
            if deadline != lease.scheduled:
                continue  # superseded by an earlier entry
            lease.scheduled = math.inf
            actual = lease.stamped + lease.term + self._doubt.allowance(lease.stamped)
            if actual > now:
                self._push(lease, actual)
            else:
                yield lease

    def retry(self, lease: _L, at: float) -> None:
        """Look at this lease again at `at`, whatever its deadline."""
        self._push(lease, at)

    def _push(self, lease: _L, deadline: float) -> None:
        lease.scheduled = deadline
        self._tie += 1
        heapq.heappush(self._heap, (deadline, self._tie, lease))


class Doubt:
    """What the observer itself missed: stops, slow ticks, outages of what it depends on."""

    def __init__(self) -> None:
        #: (since, until), apart from each other, oldest first
        self._missed: deque[tuple[float, float]] = deque(maxlen=64)
        self._blind_since: float | None = None
        #: when what the observer depends on last worked
        self._worked_at: float | None = None
        #: when the observer last ticked
        self._ticked: float | None = None

    def missed(self, seconds: float, now: float) -> None:
        """The observer was blind for `seconds` until `now`."""
        if seconds <= 0:
            return
        since = now - seconds
        while self._missed and self._missed[-1][1] >= since:
            earlier, _ = self._missed.pop()
            since = min(since, earlier)
        self._missed.append((since, now))

    def lost(self, now: float) -> None:
        """What the observer depends on failed: whoever beats may be turned away. It is blind until that works again,
        and was so since it last worked.
        """
        if self._blind_since is None:
            self._blind_since = now if self._worked_at is None else self._worked_at

    def works(self, now: float) -> None:
        """What the observer depends on works."""
        if self._blind_since is not None:
            self.missed(now - self._blind_since, now)
            self._blind_since = None
        self._worked_at = now

    @property
    def blind(self) -> bool:
        """Nobody's silence means anything now."""
        return self._blind_since is not None

    def tick(self, expected: float, now: float) -> float:
        """A tick due at `expected` came at `now`. Returns the lag that was counted, 0 if it was tolerable."""
        self._ticked = now
        lag = now - expected
        if lag <= LAG_TOLERANCE:
            return 0.0
        self.missed(lag, now)
        return lag

    def allowance(self, stamped: float) -> float:
        """Seconds by which a lease stamped at `stamped` is extended: all that was missed since."""
        return sum(until - max(since, stamped) for since, until in self._missed if until > stamped)

    def unseen(self, since: float, now: float) -> float:
        """Seconds missed since `since`, with a stop that is only just over and that no tick has counted yet."""
        late = 0.0 if self._ticked is None else now - max(self._ticked, since)
        return self.allowance(since) + (late if late > LAG_TOLERANCE else 0.0)


def is_mass_silence(silent: int, watched: int) -> bool:
    """So many are silent together that the observer must suspect itself."""
    return silent >= MASS_LEAST and silent >= MASS_SHARE * watched
