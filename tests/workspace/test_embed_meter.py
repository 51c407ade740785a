"""The loop's meter with a clock and a kernel of the test's own."""

from __future__ import annotations

import threading

import pytest

from truebeat.workspace import measure
from truebeat.workspace.embed_meter import LoopMeter, stacks
from truebeat.workspace.measure import Reading


class Rig:
    def __init__(self) -> None:
        self.reading = Reading("S", 1.0, 5.0)
        self.now = 100.0
        self.meter = LoopMeter(self.now, lambda: self.reading)

    def until(self, end: float) -> float:
        """Look whenever it is due; what the last look says."""
        found = 0.0
        while self.meter.due <= end:
            self.now = self.meter.due
            found, _ = self.meter.look(self.now)
        return found


def test_a_loop_that_stands_is_blocked_for_as_long() -> None:
    rig = Rig()
    assert rig.until(103.0) == pytest.approx(3.0)
    rig.meter.ticked(103.1, 3.0)
    assert rig.meter.look(103.2)[0] < 0.2
    assert (rig.meter.lag, rig.meter.age(103.2)) == (3.0, pytest.approx(0.1))


def test_one_that_ticks_is_not() -> None:
    rig = Rig()
    for second in range(101, 110):
        rig.meter.ticked(second - 0.1, 0.0)
        assert rig.until(second) < 0.5


def test_a_process_that_was_stopped_accuses_nobody() -> None:
    rig = Rig()
    rig.until(101.0)
    rig.meter.ticked(101.0, 0.0)
    assert rig.meter.look(131.0)[0] <= 1.0, "nobody looked for 30 s: the whole process stood"
    assert rig.until(134.0) >= 3.0, "but then it could have run"


def test_waiting_for_a_cpu_is_no_blocking() -> None:
    rig = Rig()
    rig.until(101.0)
    rig.reading = Reading("R", 1.5, 7.0)
    assert rig.until(103.0) < 2.0


def test_the_kernel_knows_a_thread_by_its_id() -> None:
    found = measure.read(threading.get_native_id())
    assert found.state == "R"
    assert found.run_delay is not None


def test_the_stacks_show_what_the_other_threads_do() -> None:
    go = threading.Event()

    def waits_for_the_test() -> None:
        go.wait(20)

    thread = threading.Thread(target=waits_for_the_test, name="the waiter")
    thread.start()
    try:
        text = stacks()
    finally:
        go.set()
        thread.join()
    assert "the waiter" in text
    assert "waits_for_the_test" in text
