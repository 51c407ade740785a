"""The rules of an embedded workspace, without threads, sockets or clocks."""

from __future__ import annotations

from typing import Any, TypeVar

from truebeat.protocol import delivery, link
from truebeat.protocol.delivery import Begun, Deliver, Finished, HandedBack, Sender, Settled
from truebeat.workspace import embed_commands as do
from truebeat.workspace import embed_core
from truebeat.workspace.embed_commands import Facts
from truebeat.workspace.embed_core import Core
from truebeat.workspace.events import LinkLost, Refusal

T = TypeVar("T")


class Rig:
    """A core, a clock, and all it commanded."""

    def __init__(self) -> None:
        self.now = 100.0
        self.core = Core(boot=7, pid=42, now=self.now, bounds={"idle": 9.0})
        self.did: list[do.Command] = self.core.begin(self.now)

    def take(self) -> list[do.Command]:
        new = self.core.take(self.now)
        self.did += new
        return new

    def linked(self, generation: int = 0) -> Rig:
        self.hears(link.Welcome(version=2, generation=generation, beat_interval=10.0, lease=45.0))
        self.core.probed(0, "", self.now)
        self.core.told(Facts(phase="idle", capacity=1), self.now)
        self.take()
        self.passes(0.5)
        self.acknowledges()
        return self

    def hears(self, frame: link.Down) -> list[do.Command]:
        if isinstance(frame, link.Welcome):
            self.core.welcomed(frame, self.now)
        else:
            self.core.received(frame, self.now)
        return self.take()

    def acknowledges(self) -> None:
        self.hears(link.Ack(seq=self.beats()[-1].seq, status="online"))

    def passes(self, seconds: float) -> list[do.Command]:
        end = self.now + seconds
        new: list[do.Command] = []
        while self.core.next_due() <= end:
            self.now = max(self.now, self.core.next_due())
            self.core.timers(self.now)
            new += self.take()
        self.now = end
        return new

    def loses(self, refusal: Refusal = Refusal.NONE) -> list[do.Command]:
        self.core.link_lost(LinkLost("gone", refusal), self.now, 0.5)
        return self.take()

    def sent(self, kind: type[T]) -> list[T]:
        return [
            command.frame for command in self.did if isinstance(command, do.Send) and isinstance(command.frame, kind)
        ]

    def beats(self) -> list[link.Beat]:
        return self.sent(link.Beat)

    def deliver(self, task: str = "t", **more: Any) -> list[do.Command]:
        sender = Sender(kind="person", id="p")
        frame = {"task_id": task, "context_id": "c", "generation": self.core.generation, "attempt": 1, **more}
        return self.hears(Deliver(sender=sender, text="do", **frame))


def ids(**more: Any) -> dict[str, Any]:
    return {"task_id": "t", "generation": 1, "attempt": 1, **more}


def test_health_is_unknown_until_a_canary_passed() -> None:
    rig = Rig()
    rig.hears(link.Welcome(version=2, generation=4, beat_interval=10.0, lease=45.0))
    assert [(beat.runtime_state, beat.generation) for beat in rig.beats()] == [(None, 5)]
    rig.core.probed(0, "", rig.now)
    rig.take()
    assert rig.beats()[-1].runtime_state == ""


def test_a_restart_is_proved_by_a_canary_of_its_own() -> None:
    rig = Rig().linked()
    rig.passes(3000.0)
    (renew,) = [one for one in rig.hears(link.Restart(restart_id="r", reason="why")) if isinstance(one, do.Renew)]
    first = rig.beats()[-1]
    assert (first.generation, first.runtime_state, first.canary) == (2, None, None)
    assert (first.phase, first.phase_age, first.capacity) == ("starting", 0.0, 0)
    rig.core.probed(0, "", rig.now)
    rig.core.told(Facts(phase="working", capacity=1), rig.now)
    rig.take()
    rig.passes(10.0)
    assert (rig.beats()[-1].runtime_state, rig.beats()[-1].phase) == (None, "starting"), "that one was of the old start"
    assert [one for one in rig.deliver() if isinstance(one, do.Begin)] == []
    rig.core.probed(1, "no answer", rig.now, renew.start)
    rig.take()
    assert (rig.beats()[-1].runtime_state, rig.beats()[-1].canary.failures) == (None, 1)
    rig.core.probed(0, "", rig.now, renew.start)
    rig.take()
    last = rig.beats()[-1]
    assert (last.runtime_state, last.phase, last.phase_age, last.capacity) == ("", "working", 0.0, 1)


def test_a_first_canary_that_failed_is_no_health() -> None:
    rig = Rig()
    rig.hears(link.Welcome(version=2, generation=4, beat_interval=10.0, lease=45.0))
    rig.core.probed(1, "no answer", rig.now)
    rig.take()
    assert (rig.beats()[-1].runtime_state, rig.beats()[-1].canary.failures) == (None, 1)


def test_an_order_that_a_newer_generation_fulfils_already_is_no_order() -> None:
    rig = Rig().linked(generation=4)
    assert rig.hears(link.Restart(restart_id="old", reason="why", above=4)) == []
    rig.hears(link.Restart(restart_id="new", reason="why", above=5))
    assert rig.core.generation == 6


def test_more_than_there_is_room_for_is_given_back() -> None:
    rig = Rig().linked()
    rig.deliver("a")
    assert [one for one in rig.deliver("b") if isinstance(one, do.Begin)] == []
    assert [(frame.task_id, frame.begun) for frame in rig.sent(HandedBack)] == [("b", False)]


def test_a_beat_on_each_interval_and_at_once_on_a_change() -> None:
    rig = Rig().linked()
    before = len(rig.beats())
    rig.passes(9.0)
    assert len(rig.beats()) == before
    rig.passes(1.5)
    assert len(rig.beats()) == before + 1
    rig.core.wedged("it hangs", rig.now)
    (command,) = [command for command in rig.take() if isinstance(command, do.Send)]
    assert isinstance(command.frame, link.Beat)
    assert (command.frame.runtime_state, command.frame.sample_error) == ("wedged", "it hangs")


def test_what_changes_often_is_told_ten_times_a_second() -> None:
    rig = Rig().linked()
    rig.passes(1.0)
    before = len(rig.beats())
    for index in range(100):
        rig.core.told(Facts(phase=f"p{index}", capacity=1), rig.now)
        rig.take()
        rig.passes(0.01)
    assert len(rig.beats()) - before <= 12
    rig.passes(0.2)
    assert rig.beats()[-1].phase == "p99"


def test_a_stall_is_reported_once_and_its_end_told() -> None:
    rig = Rig().linked()
    rig.core.stalled("blocked for 2.1 s", "the stack", rig.now)
    rig.core.stalled("blocked for 3.1 s", "another", rig.now)
    rig.take()
    (report,) = rig.sent(link.Report)
    assert (report.kind, report.stack) == ("blocked", "the stack")
    rig.core.stalled("", "", rig.now)
    rig.take()
    assert rig.beats()[-1].stall == ""


def test_a_stall_without_a_link_is_told_when_there_is_one_again() -> None:
    rig = Rig().linked()
    rig.loses()
    rig.core.stalled("blocked for 2.1 s", "the stack", rig.now)
    rig.take()
    assert rig.sent(link.Report) == []
    rig.passes(3.0)
    rig.hears(link.Welcome(version=2, generation=1, beat_interval=10.0, lease=45.0))
    (report,) = rig.sent(link.Report)
    assert report.age == 3.0
    assert rig.beats()[-1].stall == "blocked for 2.1 s"


def test_a_task_goes_in_and_its_end_comes_out_until_it_is_settled() -> None:
    rig = Rig().linked()
    assert [type(command) for command in rig.deliver() if isinstance(command, do.Begin)] == [do.Begin]
    assert [command for command in rig.deliver() if isinstance(command, do.Begin)] == [], "delivered twice, done once"
    rig.core.said(Begun(**ids()), rig.now)
    rig.core.said(Finished(**ids(), state="completed", text="done"), rig.now)
    rig.take()
    rig.loses()
    rig.hears(link.Welcome(version=2, generation=1, beat_interval=10.0, lease=45.0))
    assert [frame.n for frame in rig.sent(Finished)] == [2, 2]
    rig.hears(Settled(n=2))
    rig.passes(1.0)
    assert rig.beats()[-1].holding == []


def test_no_task_is_taken_while_nobody_takes_any() -> None:
    rig = Rig().linked()
    rig.core.told(Facts(phase="idle", capacity=0), rig.now)
    assert [command for command in rig.deliver() if isinstance(command, do.Begin)] == []
    (back,) = rig.sent(HandedBack)
    assert not back.begun


def test_a_generation_that_was_overtaken_gives_everything_back() -> None:
    rig = Rig().linked()
    rig.deliver()
    rig.core.said(Begun(**ids()), rig.now)
    rig.take()
    rig.loses()
    rig.hears(link.Welcome(version=2, generation=5, beat_interval=10.0, lease=45.0))
    assert rig.core.generation == 6
    assert [(frame.generation, frame.begun) for frame in rig.sent(HandedBack)] == [(1, True)]
    assert [command for command in rig.did if isinstance(command, do.Renew)] != []
    rig.core.said(Finished(**ids(), state="completed", text="late"), rig.now)
    rig.take()
    assert rig.sent(Finished) == []


def test_an_order_is_obeyed_once() -> None:
    rig = Rig().linked()
    for _ in range(3):
        rig.hears(link.Restart(restart_id="r", reason="why"))
    assert (rig.core.generation, len([one for one in rig.did if isinstance(one, do.Renew)])) == (2, 1)


def test_a_cancel_reaches_only_what_runs() -> None:
    rig = Rig().linked()
    cancel = delivery.Cancel(**ids())
    assert rig.hears(cancel) == []
    rig.deliver()
    assert [type(command) for command in rig.hears(cancel)] == [do.Interrupt]


def test_leaving_waits_for_the_server_to_have_it_but_not_for_ever() -> None:
    rig = Rig().linked()
    rig.deliver()
    rig.core.stop(rig.now)
    rig.take()
    (back,) = rig.sent(HandedBack)
    assert (rig.core.ended, rig.beats()[-1].runtime_state, rig.beats()[-1].capacity) == (False, None, 0)
    rig.acknowledges()
    rig.hears(Settled(n=back.n))
    assert rig.core.ended
    deaf = Rig().linked()
    deaf.deliver()
    deaf.core.stop(deaf.now)
    deaf.take()
    deaf.passes(embed_core.FAREWELL + 0.1)
    assert deaf.core.ended


def test_without_a_link_leaving_is_at_once() -> None:
    rig = Rig()
    rig.core.stop(rig.now)
    assert [type(command) for command in rig.take()] == [do.End]


def test_a_removed_or_replaced_one_ends() -> None:
    for refusal in (Refusal.GONE, Refusal.REPLACED):
        (end,) = Rig().linked().loses(refusal)
        assert isinstance(end, do.End)
        assert end.refusal is refusal
    (end,) = Rig().linked().hears(link.Retire(reason="removed"))
    assert isinstance(end, do.End)


def test_a_stale_token_is_read_again_before_anybody_hears_of_it() -> None:
    rig = Rig()
    first = rig.loses(Refusal.UNAUTHENTICATED)
    assert [type(command) for command in first] == [do.RefreshToken, do.Log]
    assert do.Dial() in rig.passes(0.1)
    assert do.Refused in [type(command) for command in rig.loses(Refusal.UNAUTHENTICATED)]


def test_a_server_that_acknowledges_nothing_is_left() -> None:
    rig = Rig()
    rig.hears(link.Welcome(version=2, generation=0, beat_interval=1.0, lease=45.0))
    drops = [command for command in rig.passes(embed_core.ACK_TIMEOUT + 1) if isinstance(command, do.Drop)]
    assert len(drops) == 1
