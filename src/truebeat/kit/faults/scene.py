"""What a fault's process and the kit share: a directory named in the environment.

DIRECTORY/stamp       when the fault took effect, on the machine's monotonic clock, which all its processes share
DIRECTORY/order       what the process that gets ORDER_SIGNAL shall do
DIRECTORY/once-NAME   that the lie NAME was told: the next generation is honest, or nothing could ever recover
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from truebeat.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: environment variable with the directory of the case
DIRECTORY: Final = "TRUEBEAT_CHECK_DIR"


def order_signal() -> int:
    """A signal that nobody else uses. Its Python handler runs in the main thread, where the event loop is."""
    return signal.SIGRTMIN + 9 if sys.platform == "linux" else signal.SIGUSR2


def directory() -> Path:
    return Path(os.environ[DIRECTORY])


def stamp() -> None:
    """The fault takes effect now. The first one counts."""
    place = directory()
    new = place / f".stamp-{os.getpid()}"
    new.write_text(repr(SystemClock().monotonic()))
    with suppress(FileExistsError):
        os.link(new, place / "stamp")
    new.unlink()


def stamped(place: Path) -> float | None:
    """When the fault of this case took effect; None before."""
    try:
        return float((place / "stamp").read_text())
    except (OSError, ValueError):
        return None


def once(name: str) -> bool:
    """True for whoever asks first."""
    try:
        (directory() / f"once-{name}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def write_order(place: Path, name: str) -> None:
    (place / "order").write_text(name)


def obey(faults: Mapping[str, Callable[[], None]]) -> None:
    """From now on, do what the order file says when ORDER_SIGNAL comes, in the main thread, whatever it was doing."""

    def handle(*_: object) -> None:
        name = (directory() / "order").read_text()
        stamp()
        faults[name]()

    signal.signal(order_signal(), handle)


def hang() -> NoReturn:
    """Do nothing for ever."""
    while True:
        time.sleep(3600)


def spin() -> NoReturn:
    """Use a core for ever."""
    while True:
        pass
