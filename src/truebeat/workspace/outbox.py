"""What a supervisor holds and still has to tell, pure: the tasks it was given, and each frame until the server has it.

An attempt at a task is held from `taken` until its ending (Finished or HandedBack) is settled. What comes from a worker
for an attempt that is not held, or has ended, is fenced: it never goes up. Frames are numbered in the order they go up
and repeated in that order until `settled`.

Memory is bounded. What a task puts out on its way may be given up, oldest first: text is in the result again, and
progress is old by then. Beginnings and endings never are; so many endings unsettled leave no `room` for more work.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from truebeat.protocol.delivery import RESULT_LIMIT, Begun, Chunk, Finished, HandedBack
from truebeat.protocol.link import Report

if TYPE_CHECKING:
    from truebeat.protocol.delivery import Cancel, Deliver

#: characters of text and progress that are kept for one attempt, envelopes included; and of artifacts
STREAM_LIMIT: Final = 256 * 1024
ARTIFACT_LIMIT: Final = RESULT_LIMIT
#: characters that a chunk counts for besides what it carries
ENVELOPE: Final = 256
#: attempts that are held at most, ended ones included
HELD_LIMIT: Final = 256
#: settled attempts that are remembered
DONE_LIMIT: Final = 1024
#: reports that are kept; the oldest goes first
REPORT_LIMIT: Final = 32

TaskFrame = Begun | Chunk | Finished | HandedBack
Frame = TaskFrame | Report
Key = tuple[str, int, int]
F = TypeVar("F", bound=TaskFrame)


class _Attempt:
    """One attempt at one task, from `taken` until its ending is settled."""

    __slots__ = ("artifacts", "begun", "ended", "numbers", "stream")

    def __init__(self) -> None:
        self.begun = False
        self.ended = False
        #: of its unsettled frames
        self.numbers: set[int] = set()
        self.stream = _Budget(STREAM_LIMIT)
        self.artifacts = _Budget(ARTIFACT_LIMIT)


class _Budget:
    """Numbers of the chunks that are kept, oldest first, and what they weigh together."""

    __slots__ = ("_kept", "_limit", "_weight")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._weight = 0
        self._kept: deque[tuple[int, int]] = deque()

    def add(self, n: int, weight: int) -> list[int]:
        """Keep one more; the numbers that must go for it, never its own."""
        self._kept.append((n, weight))
        self._weight += weight
        gone = []
        while self._weight > self._limit and len(self._kept) > 1:
            number, lighter = self._kept.popleft()
            self._weight -= lighter
            gone.append(number)
        return gone

    def remove(self, n: int) -> None:
        for entry in self._kept:
            if entry[0] == n:
                self._kept.remove(entry)
                self._weight -= entry[1]
                return


class Outbox:
    """One supervisor's, for as long as it runs: numbers are never used twice within a boot."""

    def __init__(self) -> None:
        self._last = 0
        self._held: dict[Key, _Attempt] = {}
        #: the last attempts whose ending the server has: a delivery of one is an echo, and nobody would answer it
        self._done: OrderedDict[Key, None] = OrderedDict()
        #: by number, which is also the order they went up
        self._unsettled: dict[int, Frame] = {}
        self._reported: dict[int, float] = {}

    def number(self) -> int:
        """The next number, used up by this."""
        self._last += 1
        return self._last

    # --- tasks ---

    def taken(self, deliver: Deliver) -> bool:
        """A task came and goes to the worker. False: it must not, because it is held already, was ended and settled
        (a server that had not written the ending yet sends it again), or there is no place.
        """
        key = _key(deliver)
        if key in self._held or key in self._done or len(self._held) >= HELD_LIMIT:
            return False
        self._held[_key(deliver)] = _Attempt()
        return True

    def refused(self, deliver: Deliver, reason: str) -> HandedBack | None:
        """A task came that can't go to the worker: the frame that gives it back. None if the attempt is held."""
        if not self.taken(deliver):
            return None
        return self.up(_hand_back(_key(deliver), begun=False, reason=reason))

    def holds(self, what: Deliver | Cancel) -> bool:
        """Whether the worker still has this attempt."""
        attempt = self._held.get(_key(what))
        return attempt is not None and not attempt.ended

    def up(self, frame: F) -> F | None:
        """What a worker says of a task: the frame to send, numbered; None if it is fenced and must not go up."""
        attempt = self._held.get(_key(frame))
        if attempt is None or attempt.ended or (isinstance(frame, Begun) and attempt.begun):
            return None
        n = self.number()
        frame = msgspec.structs.replace(frame, n=n)
        self._unsettled[n] = frame
        attempt.numbers.add(n)
        match frame:
            case Begun():
                attempt.begun = True
            case Chunk():
                attempt.begun = True
                budget = attempt.artifacts if frame.kind == "artifact" else attempt.stream
                for gone in budget.add(n, _weight(frame)):
                    self._forget(attempt, gone)
            case _:
                attempt.ended = True
        return frame

    def lost(self, generation: int, reason: str) -> list[HandedBack]:
        """The worker of `generation` is gone: what it and older ones held goes back, begun or not."""
        back = []
        for key, attempt in list(self._held.items()):
            if key[1] <= generation and not attempt.ended:
                frame = self.up(_hand_back(key, begun=attempt.begun, reason=reason))
                if frame is not None:
                    back.append(frame)
        return back

    # --- reports ---

    def report(self, frame: Report, now: float = 0.0) -> Report:
        """Number an incident's report and keep it. `now` in monotonic seconds: a repetition tells its true age."""
        n = self.number()
        frame = msgspec.structs.replace(frame, n=n)
        self._unsettled[n] = frame
        self._reported[n] = now
        if len(self._reported) > REPORT_LIMIT:
            oldest = min(self._reported)
            del self._reported[oldest], self._unsettled[oldest]
        return frame

    # --- the server has it ---

    def settled(self, n: int) -> None:
        """Frame `n` need not be repeated. A settled ending settles all of its attempt, which is then not held."""
        frame = self._unsettled.pop(n, None)
        self._reported.pop(n, None)
        if frame is None or isinstance(frame, Report):
            return
        attempt = self._held[_key(frame)]
        if isinstance(frame, Finished | HandedBack):
            for number in attempt.numbers:
                self._unsettled.pop(number, None)
            del self._held[_key(frame)]
            self._done[_key(frame)] = None
            if len(self._done) > DONE_LIMIT:
                self._done.popitem(last=False)
            return
        attempt.numbers.discard(n)
        if isinstance(frame, Chunk):
            (attempt.artifacts if frame.kind == "artifact" else attempt.stream).remove(n)

    def unsettled(self, now: float | None = None) -> list[Frame]:
        """What to send again after a welcome, in order."""
        if now is None:
            return list(self._unsettled.values())
        return [
            msgspec.structs.replace(frame, age=frame.age + max(0.0, now - self._reported[n]))
            if isinstance(frame, Report)
            else frame
            for n, frame in self._unsettled.items()
        ]

    # --- for the beat ---

    @property
    def holding(self) -> list[str]:
        """Each that is held, as "task/attempt": its ending is not settled, or has not come."""
        return [f"{task}/{attempt}" for task, _, attempt in self._held]

    @property
    def owes(self) -> bool:
        """Whether the server does not have every ending yet."""
        return any(attempt.ended for attempt in self._held.values())

    def room(self, capacity: int) -> int:
        """How many more tasks can be taken by a worker that does `capacity` at a time."""
        running = sum(not attempt.ended for attempt in self._held.values())
        return max(0, min(capacity - running, HELD_LIMIT - len(self._held)))

    def _forget(self, attempt: _Attempt, n: int) -> None:
        attempt.numbers.discard(n)
        self._unsettled.pop(n, None)


def _key(frame: TaskFrame | Deliver | Cancel) -> Key:
    return frame.task_id, frame.generation, frame.attempt


def _hand_back(key: Key, *, begun: bool, reason: str) -> HandedBack:
    task_id, generation, attempt = key
    return HandedBack(task_id=task_id, generation=generation, attempt=attempt, begun=begun, reason=reason)


def _weight(chunk: Chunk) -> int:
    carried = len(chunk.text) + len(chunk.name)
    return ENVELOPE + carried + (len(msgspec.json.encode(chunk.parts)) if chunk.parts else 0)
