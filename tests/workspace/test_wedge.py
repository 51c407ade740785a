from __future__ import annotations

import threading

from truebeat.workspace import wedge
from truebeat.workspace.wedge import REASON_LIMIT, WedgeFlag


def test_the_first_reason_wins_until_cleared() -> None:
    flag = WedgeFlag()
    assert flag.mark("first")
    assert not flag.mark("second")
    assert flag.reason == "first"
    assert flag.clear()
    assert flag.reason is None
    assert not flag.clear()
    assert flag.mark("third")
    assert flag.reason == "third"


def test_listeners_hear_changes_at_once_and_in_order() -> None:
    flag, heard = WedgeFlag(), []
    stop = flag.listen(heard.append)
    flag.mark("a")
    flag.mark("b")
    flag.clear()
    flag.clear()
    assert heard == ["a", None]
    stop()
    flag.mark("c")
    assert heard == ["a", None]


def test_a_late_listener_hears_of_the_present_wedge() -> None:
    flag, heard = WedgeFlag(), []
    flag.mark("already")
    flag.listen(heard.append)
    assert heard == ["already"]


def test_a_broken_listener_hides_nothing() -> None:
    flag, heard = WedgeFlag(), []

    def broken(reason: str | None) -> None:
        raise RuntimeError("no")

    flag.listen(broken)
    flag.listen(heard.append)
    assert flag.mark("why")
    assert heard == ["why"]


def test_a_listener_may_clear() -> None:
    flag = WedgeFlag()
    flag.listen(lambda reason: flag.clear() if reason else None)
    flag.mark("brief")
    assert flag.reason is None


def test_a_reason_is_never_empty_and_never_endless() -> None:
    flag = WedgeFlag()
    flag.mark("  \n ")
    assert flag.reason
    flag.clear()
    flag.mark("x" * 10 * REASON_LIMIT)
    assert flag.reason is not None
    assert len(flag.reason) == REASON_LIMIT


def test_of_many_threads_one_marks() -> None:
    flag, won = WedgeFlag(), []
    barrier = threading.Barrier(8)

    def mark(name: str) -> None:
        barrier.wait()
        if flag.mark(name):
            won.append(name)

    threads = [threading.Thread(target=mark, args=(f"t{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [flag.reason]


def test_the_module_speaks_for_this_process() -> None:
    assert not wedge.is_wedged()
    assert wedge.wedge_reason() is None
    try:
        assert wedge.mark_wedged("why")
        assert wedge.is_wedged()
        assert wedge.wedge_reason() == "why"
    finally:
        assert wedge.clear_wedge()
    assert not wedge.is_wedged()
