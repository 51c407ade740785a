"""The loop's meter with a clock of the test's own."""

from __future__ import annotations

import os
import threading

import pytest

from truebeat.workspace.embed_meter import TICK, LoopMeter, cpu_wait, stacks


def looked(meter: LoopMeter, start: float, end: float) -> float:
    """Look at every TICK from after `start` to `end`; what the last look says."""
    found, now = 0.0, start
    while now + TICK <= end:
        now += TICK
        found = meter.blocked(now)
    return found


def test_a_loop_that_stands_is_blocked_for_as_long() -> None:
    meter = LoopMeter(100.0)
    assert looked(meter, 100.0, 103.0) == pytest.approx(3.0 - TICK)
    meter.ticked(103.0, 2.75)
    assert meter.blocked(103.1) == 0.0
    assert (meter.lag, meter.age(103.1)) == (2.75, pytest.approx(0.1))


def test_a_process_that_was_stopped_accuses_nobody() -> None:
    meter = LoopMeter(100.0)
    looked(meter, 100.0, 101.0)
    meter.ticked(101.0, 0.0)
    assert meter.blocked(111.0) == pytest.approx(0.0), "nobody looked for 10 s: the whole process stood"
    assert looked(meter, 111.0, 114.0) == pytest.approx(3.0), "but then it could have run"


def test_lateness_before_the_tick_excuses_nothing_after_it() -> None:
    meter = LoopMeter(100.0)
    meter.blocked(105.0)
    meter.ticked(105.0, 0.0)
    assert looked(meter, 105.0, 108.0) == pytest.approx(3.0 - TICK)


def test_a_tick_within_a_late_look_counts_from_itself() -> None:
    meter = LoopMeter(100.0)
    meter.ticked(104.0, 0.0)
    assert meter.blocked(105.0) == pytest.approx(0.0)
    assert looked(meter, 105.0, 107.0) == pytest.approx(2.0, abs=TICK)


def test_waiting_for_a_cpu_is_no_blocking() -> None:
    waited = 5.0
    meter = LoopMeter(100.0, lambda: waited)
    meter.ticked(100.0, 0.0)
    waited = 7.5
    assert looked(meter, 100.0, 103.0) == pytest.approx(3.0 - TICK - 2.5)


def test_what_a_thread_waited_for_a_cpu() -> None:
    assert cpu_wait(threading.get_native_id()) >= 0.0
    assert cpu_wait(2**22 + os.getpid()) == 0.0, "a thread that is not ours"


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
