"""What the kit does from the outside. Each makes its fault and returns when it took effect (monotonic clock)."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Final

import psutil

from truebeat.kit.faults import scene
from truebeat.kit.not_started import NotStarted

if TYPE_CHECKING:
    from collections.abc import Callable

    from truebeat.kit.subject import Subject

    How = Callable[[Subject], float]

#: seconds
STALL: Final = 10.0
STARVATION: Final = 15.0
PAUSE: Final = 1.2
PAUSE_MOST: Final = 1.6
IDLE: Final = 12.0
#: busy processes for each core
CROWD: Final = 3
_BURN: Final = "import os\nwhile os.getppid() == {parent}: pass"


def signal_worker(number: signal.Signals) -> How:
    """To the worker alone, as the kernel or an operator would."""

    def how(subject: Subject) -> float:
        pid = subject.worker_pid()
        at = subject.stage.clock.monotonic()
        os.kill(pid, number)
        return at

    return how


def signal_runtime(number: signal.Signals) -> How:
    """To the process that the worker holds to do the work."""

    def how(subject: Subject) -> float:
        pid = subject.need_runtime()
        at = subject.stage.clock.monotonic()
        os.kill(pid, number)
        return at

    return how


def signal_supervisor(number: signal.Signals) -> How:
    """To the supervisor, which leaves nobody to tell."""

    def how(subject: Subject) -> float:
        assert subject.supervisor is not None  # noqa: S101 - it was started
        at = subject.stage.clock.monotonic()
        subject.supervisor.send_signal(number)
        return at

    return how


def order_worker(name: str) -> How:
    """Let the saboteur in the worker do it (worker.py)."""

    def how(subject: Subject) -> float:
        scene.write_order(subject.directory, name)
        os.kill(subject.worker_pid(), scene.order_signal())
        return subject.stamped()

    return how


def order_runtime(name: str) -> How:
    """Let the runtime do it (runtime.py)."""

    def how(subject: Subject) -> float:
        scene.write_order(subject.directory, name)
        os.kill(subject.need_runtime(), scene.order_signal())
        return subject.stamped()

    return how


def turn(text: str, number: signal.Signals | None = None) -> How:
    """Send a task whose text names the fault, or which is on when the runtime gets a signal."""

    def how(subject: Subject) -> float:
        subject.send(text)
        at = subject.stamped()
        return at if number is None else signal_runtime(number)(subject)

    return how


def turns(*texts: str) -> How:
    """Several tasks; the fault's process says when it took effect."""

    def how(subject: Subject) -> float:
        for text in texts:
            subject.send(text)
        return subject.stamped()

    return how


def as_it_says(subject: Subject) -> float:
    """The fault makes itself and says when."""
    return subject.stamped()


def at_once(subject: Subject) -> float:
    """Nothing is to be done: the start itself is the hardship."""
    return subject.stage.clock.monotonic()


def file_appears(name: str) -> How:
    """The fault can only leave a file when it takes effect."""

    def how(subject: Subject) -> float:
        path = subject.directory / name
        if not subject.stage.until(path.exists, 40.0):
            raise NotStarted(f"the fault never took effect: {subject.log(400)}")
        return subject.stage.clock.monotonic()

    return how


def stall_server(subject: Subject) -> float:
    """Stop the server's process for a while."""
    at = subject.stage.clock.monotonic()
    os.kill(subject.stage.server_pid, signal.SIGSTOP)
    try:
        subject.stage.rest(STALL)
    finally:
        os.kill(subject.stage.server_pid, signal.SIGCONT)
    return at


def starve(subject: Subject) -> float:
    """More busy processes than cores, at the same priority as everybody else."""
    at = subject.stage.clock.monotonic()
    code = _BURN.format(parent=os.getpid())
    crowd = [subject.beside([sys.executable, "-S", "-c", code]) for _ in range(CROWD * (psutil.cpu_count() or 1))]
    subject.stage.rest(STARVATION)
    for process in crowd:
        process.kill()
        process.wait()
    return at


def pause_worker(subject: Subject) -> float:
    """Stop the worker for less than its bound, as a debugger or a slow disk does."""
    pid = subject.worker_pid()
    at = subject.stage.clock.monotonic()
    os.kill(pid, signal.SIGSTOP)
    try:
        subject.stage.rest(PAUSE)
    finally:
        os.kill(pid, signal.SIGCONT)
    took = subject.stage.clock.monotonic() - at
    if took > PAUSE_MOST:
        raise NotStarted(f"this machine is too busy for it: the pause of {PAUSE:g} s took {took:.1f} s")
    subject.stage.rest(2.0)
    return at


def nothing(subject: Subject) -> float:
    """An idle workspace, looked at for longer than its canary's interval."""
    at = subject.stage.clock.monotonic()
    subject.stage.rest(IDLE)
    return at


# --- what an operator does once it was found ------------------------------------------------------------------------


def continue_worker(subject: Subject) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(subject.worker_pid(), signal.SIGCONT)


def continue_supervisor(subject: Subject) -> None:
    assert subject.supervisor is not None  # noqa: S101 - it was started
    subject.supervisor.send_signal(signal.SIGCONT)


def run_again(subject: Subject) -> None:
    """Start its supervisor again, as a service manager does."""
    subject.stop()
    subject.start()


def order_restart(subject: Subject) -> None:
    subject.stage.client.workspaces.restart(subject.id)


def cancel_turn(text: str) -> How:
    """Cancel the task once it is on."""

    def how(subject: Subject) -> float:
        subject.send(text)
        subject.stamped()
        subject.stage.rest(0.5)
        at = subject.stage.clock.monotonic()
        subject.cancel()
        return at

    return how


def patience_then_cancel(text: str, wait: float = 10.0) -> How:
    """A turn that will never move by itself: wait for longer than any suspicion lasts, then cancel it."""

    def how(subject: Subject) -> float:
        subject.send(text)
        at = subject.stamped()
        subject.stage.rest(wait)
        subject.cancel()
        return at

    return how
