from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from truebeat.protocol.delivery import Begun, Cancel, Chunk, Deliver, Finished, HandedBack, Sender
from truebeat.protocol.link import Report
from truebeat.workspace import outbox
from truebeat.workspace.outbox import Outbox

PERSON = Sender(kind="person", id="p")


def deliver(task: str = "t", generation: int = 1, attempt: int = 1) -> Deliver:
    return Deliver(task_id=task, context_id="c", generation=generation, attempt=attempt, sender=PERSON, text="do")


def of(what: Deliver) -> dict[str, Any]:
    return {"task_id": what.task_id, "generation": what.generation, "attempt": what.attempt}


def begun(what: Deliver) -> Begun:
    return Begun(**of(what))


def chunk(what: Deliver, index: int = 0, text: str = "x", **more: Any) -> Chunk:
    return Chunk(**of(what), index=index, kind=more.pop("kind", "text"), text=text, **more)


def finished(what: Deliver, text: str = "done") -> Finished:
    return Finished(**of(what), state="completed", text=text)


def report(kind: str = "wedged") -> Report:
    return Report(n=0, generation=1, kind=kind, age=0.5, detail="d")


def test_a_task_is_numbered_and_repeated_until_settled() -> None:
    box, task = Outbox(), deliver()
    assert box.taken(task)
    sent = [box.up(begun(task)), box.up(chunk(task)), box.up(finished(task))]
    assert [frame.n for frame in sent if frame] == [1, 2, 3]
    assert box.unsettled() == sent
    box.settled(1)
    assert box.unsettled() == sent[1:]
    box.settled(3)
    assert (box.unsettled(), box.holding) == ([], [])


def test_what_is_not_held_never_goes_up() -> None:
    box = Outbox()
    assert box.up(finished(deliver())) is None
    box.taken(deliver(attempt=2))
    assert box.up(finished(deliver(attempt=1))) is None
    assert box.up(finished(deliver(attempt=2, generation=2))) is None
    assert box.unsettled() == []


def test_nothing_follows_an_ending() -> None:
    box, task = Outbox(), deliver()
    box.taken(task)
    box.up(finished(task))
    assert [box.up(frame) for frame in (begun(task), chunk(task), finished(task, "other"))] == [None, None, None]


def test_a_repeated_delivery_is_not_done_twice() -> None:
    box, task = Outbox(), deliver()
    assert box.taken(task)
    assert not box.taken(task)
    box.up(finished(task))
    assert not box.taken(task)


@pytest.mark.parametrize("ending", ["finished", "given back"])
def test_the_echo_of_a_delivery_that_is_settled_is_passed_over(ending: str) -> None:
    box, task = Outbox(), deliver()
    if ending == "finished":
        box.taken(task)
        last = box.up(finished(task))
    else:
        last = box.refused(task, "no room")
    assert last is not None
    box.settled(last.n)
    assert not box.taken(task), "nobody would ever answer it"
    assert box.refused(task, "no room") is None
    assert (box.holding, box.room(1)) == ([], 1)
    assert box.taken(deliver(attempt=2))


def test_what_is_settled_is_remembered_within_a_bound() -> None:
    box = Outbox()
    for number in range(outbox.DONE_LIMIT + 1):
        task = deliver(f"t{number}")
        box.taken(task)
        last = box.up(finished(task))
        assert last is not None
        box.settled(last.n)
    assert box.taken(deliver("t0"))
    assert not box.taken(deliver("t1"))


def test_a_lost_worker_hands_back_what_it_held_and_says_whether_it_had_begun() -> None:
    box = Outbox()
    first, second, ended, newer = deliver("a"), deliver("b"), deliver("c"), deliver("d", generation=2)
    for task in (first, second, ended, newer):
        box.taken(task)
    box.up(begun(first))
    box.up(finished(ended))
    back = box.lost(1, "killed")
    assert [(frame.task_id, frame.begun, frame.reason) for frame in back] == [
        ("a", True, "killed"),
        ("b", False, "killed"),
    ]
    assert box.lost(1, "again") == []
    assert box.up(finished(first)) is None
    assert box.up(finished(newer)) is not None


def test_a_refused_delivery_is_given_back_and_repeated() -> None:
    box = Outbox()
    back = box.refused(deliver(generation=7), "fenced")
    assert back is not None
    assert (back.begun, back.reason) == (False, "fenced")
    assert box.unsettled() == [back]
    assert box.refused(deliver(generation=7), "fenced") is None
    box.settled(back.n)
    assert box.holding == []


def test_room_counts_what_runs() -> None:
    box, task = Outbox(), deliver()
    assert box.room(2) == 2
    box.taken(task)
    assert (box.room(2), box.room(1), box.room(0)) == (1, 0, 0)
    box.up(finished(task))
    assert box.room(2) == 2
    assert box.holding == ["t/1"], "the server does not have its ending yet"


def test_a_cancel_is_for_what_runs() -> None:
    box, task = Outbox(), deliver()
    cancel = Cancel(task_id="t", generation=1, attempt=1)
    assert not box.holds(cancel)
    box.taken(task)
    assert box.holds(cancel)
    box.up(finished(task))
    assert not box.holds(cancel)


def test_a_server_that_settles_nothing_gets_no_more_work_done() -> None:
    box = Outbox()
    for index in range(outbox.HELD_LIMIT):
        assert box.taken(deliver(f"t{index}"))
        box.up(finished(deliver(f"t{index}")))
    assert box.room(5) == 0
    assert not box.taken(deliver("one more"))
    assert len(box.unsettled()) == outbox.HELD_LIMIT


@pytest.mark.parametrize("kind", ["text", "progress"])
def test_a_flood_is_bounded_and_the_ending_stays(kind: str) -> None:
    box, task = Outbox(), deliver()
    box.taken(task)
    start = box.up(begun(task))
    for index in range(20_000):
        assert box.up(chunk(task, index, "x" * 100, kind=kind)) is not None
    end = box.up(finished(task))
    kept = box.unsettled()
    assert (kept[0], kept[-1]) == (start, end)
    chunks = [frame for frame in kept if isinstance(frame, Chunk)]
    assert sum(len(frame.text) for frame in chunks) <= outbox.STREAM_LIMIT
    assert [frame.index for frame in chunks] == list(range(20_000 - len(chunks), 20_000)), "the newest are kept"


def test_a_flood_of_text_drops_no_artifact() -> None:
    box, task = Outbox(), deliver()
    box.taken(task)
    artifact = box.up(chunk(task, 0, "", kind="artifact", name="a", parts=[{"text": "y" * 100_000}]))
    for index in range(20_000):
        box.up(chunk(task, index + 1, "x" * 100))
    assert artifact in box.unsettled()
    for index in range(200):
        box.up(chunk(task, index, "", kind="artifact", name="a", parts=[{"text": "y" * 100_000}]))
    weight = sum(len(frame.parts[0]["text"]) for frame in box.unsettled() if isinstance(frame, Chunk) and frame.parts)
    assert weight <= outbox.ARTIFACT_LIMIT


def test_settled_chunks_make_place_for_others() -> None:
    box, task = Outbox(), deliver()
    box.taken(task)
    for index in range(5000):
        sent = box.up(chunk(task, index, "x" * 1000))
        assert sent is not None
        box.settled(sent.n)
    last = [box.up(chunk(task, index, "x" * 1000)) for index in range(100)]
    assert box.unsettled() == last


def test_reports_share_the_numbers_and_grow_older() -> None:
    box, task = Outbox(), deliver()
    box.taken(task)
    first = box.report(report(), now=100.0)
    started = box.up(begun(task))
    assert started is not None
    assert (first.n, started.n) == (1, 2)
    again = box.unsettled(now=103.0)
    assert [frame.n for frame in again] == [1, 2]
    assert isinstance(again[0], Report)
    assert again[0].age == pytest.approx(3.5)
    box.settled(1)
    assert box.unsettled(now=104.0) == [started]


def test_reports_are_bounded() -> None:
    box = Outbox()
    sent = [box.report(report(f"k{index}")) for index in range(100)]
    assert box.unsettled() == sent[-outbox.REPORT_LIMIT :]


class Supervision(RuleBasedStateMachine):
    """Any order of deliveries, frames up, losses, reconnects and settles, against a plain model of what must hold."""

    tasks = Bundle("tasks")

    @initialize()
    def begin(self) -> None:
        self.box = Outbox()
        #: unsettled, in order
        self.waiting: list[Any] = []
        self.gone: set[int] = set()
        #: whose ending was settled: never taken again
        self.done: set[tuple[str, int, int]] = set()
        #: (task, generation, attempt) -> "held", "ended"; absent: neither
        self.state: dict[tuple[str, int, int], str] = {}
        self.begun: set[tuple[str, int, int]] = set()

    @rule(target=tasks, task=st.sampled_from("abc"), generation=st.integers(1, 3), attempt=st.integers(1, 2))
    def deliver(self, task: str, generation: int, attempt: int) -> Any:
        what = deliver(task, generation, attempt)
        key = (task, generation, attempt)
        assert self.box.taken(what) == (key not in self.state and key not in self.done)
        if key not in self.state and key not in self.done:
            self.state[key] = "held"
            self.begun.discard(key)
        return multiple(what)

    def _accepted(self, frame: Any, key: tuple[str, int, int], *, wanted: bool) -> None:
        sent = self.box.up(frame)
        assert (sent is not None) == wanted
        if sent is not None:
            assert all(sent.n > earlier.n for earlier in self.waiting)
            self.waiting.append(sent)
            if isinstance(frame, Finished | HandedBack):
                self.state[key] = "ended"

    @rule(what=tasks, kind=st.sampled_from(["begun", "chunk", "finished", "handed_back"]))
    def said(self, what: Deliver, kind: str) -> None:
        key = (what.task_id, what.generation, what.attempt)
        held = self.state.get(key) == "held"
        match kind:
            case "begun":
                self._accepted(begun(what), key, wanted=held and key not in self.begun)
            case "chunk":
                self._accepted(chunk(what), key, wanted=held)
            case "finished":
                self._accepted(finished(what), key, wanted=held)
            case _:
                self._accepted(HandedBack(**of(what), begun=False, reason=""), key, wanted=held)
        if held and kind in {"begun", "chunk"}:
            self.begun.add(key)

    @rule(generation=st.integers(0, 3))
    def worker_lost(self, generation: int) -> None:
        expected = [key for key, state in self.state.items() if state == "held" and key[1] <= generation]
        back = self.box.lost(generation, "gone")
        assert {(frame.task_id, frame.generation, frame.attempt) for frame in back} == set(expected)
        for frame in back:
            key = (frame.task_id, frame.generation, frame.attempt)
            assert frame.begun == (key in self.begun)
            self.state[key] = "ended"
        self.waiting += back

    @rule()
    def reported(self) -> None:
        self.waiting.append(self.box.report(report()))
        reports = [frame for frame in self.waiting if isinstance(frame, Report)]
        if len(reports) > outbox.REPORT_LIMIT:
            self.waiting.remove(reports[0])

    @rule(chance=st.integers(0, 10_000))
    def settled(self, chance: int) -> None:
        self.box.settled(chance % 40)  # also what never was, and what is settled already
        number = chance % 40
        frame = next((frame for frame in self.waiting if frame.n == number), None)
        if frame is None:
            return
        self.waiting.remove(frame)
        self.gone.add(number)
        if isinstance(frame, Finished | HandedBack):
            key = (frame.task_id, frame.generation, frame.attempt)
            del self.state[key]
            self.done.add(key)
            of_attempt = [
                other
                for other in self.waiting
                if not isinstance(other, Report) and (other.task_id, other.generation, other.attempt) == key
            ]
            for other in of_attempt:
                self.waiting.remove(other)
                self.gone.add(other.n)

    @invariant()
    def repeats_exactly_what_waits(self) -> None:
        assert self.box.unsettled() == self.waiting
        assert self.gone.isdisjoint(frame.n for frame in self.box.unsettled())

    @invariant()
    def holds_exactly(self) -> None:
        assert sorted(self.box.holding) == sorted(f"{task}/{attempt}" for task, _, attempt in self.state)
        running = sum(state == "held" for state in self.state.values())
        assert self.box.room(4) == max(0, 4 - running)


TestSupervision = Supervision.TestCase
