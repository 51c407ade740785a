"""The wedge flag of this process: for authors of executors, and for the worker.

A runtime that knows it can't do the work any more says so: `mark_wedged(reason)`. The first reason stays until the
wedge is cleared, because later errors are usually consequences. Listeners run at once, in the marking thread, so that
the admission leaves the process within milliseconds. Safe to call from any thread. A new process starts
without a wedge.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

#: called with the reason when marked, with None when cleared
Listener = Callable[[str | None], None]

#: characters of a reason that are kept
REASON_LIMIT = 2000

_log = logging.getLogger(__name__)


class WedgeFlag:
    """One flag. Listeners are called under the lock, so they hear marks and clears in the order they happened."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._reason: str | None = None
        self._listeners: list[Listener] = []

    def mark(self, reason: str) -> bool:
        """Admit a wedge. True if this was the first reason; a later one changes nothing."""
        with self._lock:
            if self._reason is not None:
                return False
            self._reason = reason.strip()[:REASON_LIMIT] or "wedged; no reason was given"
            self._tell(self._reason)
            return True

    def clear(self) -> bool:
        """The wedge is over. True if there was one."""
        with self._lock:
            if self._reason is None:
                return False
            self._reason = None
            self._tell(None)
            return True

    @property
    def reason(self) -> str | None:
        """The first reason, or None while there is no wedge."""
        with self._lock:
            return self._reason

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` on every change; at once if there is a wedge already. Returns the way to stop it."""
        with self._lock:
            self._listeners.append(listener)
            if self._reason is not None:
                listener(self._reason)

        def stop() -> None:
            with self._lock:
                self._listeners.remove(listener)

        return stop

    def _tell(self, reason: str | None) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(reason)
            except Exception:
                # one broken listener must not hide the wedge from the others
                _log.exception("a wedge listener failed")


#: the flag of this process
FLAG = WedgeFlag()


def mark_wedged(reason: str) -> bool:
    """Admit that this runtime can't do its work until it is restarted. The first reason wins."""
    return FLAG.mark(reason)


def clear_wedge() -> bool:
    """Take the admission back: a turn really produced content."""
    return FLAG.clear()


def is_wedged() -> bool:
    """True from the first mark until the clear."""
    return FLAG.reason is not None


def wedge_reason() -> str | None:
    """The first reason, or None."""
    return FLAG.reason
