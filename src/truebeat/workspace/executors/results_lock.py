"""One workspace to one results file: two that share it would read, and drop, each other's results."""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING, Final

from truebeat.workspace.executors.base import ConfigurationError, TurnError

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX: Final = ".lock"
#: seconds that an earlier worker of the same workspace has to be gone
PATIENCE: Final = 5.0
_LOOK_EVERY: Final = 0.05
_OWNER_LIMIT: Final = 200


class ResultsLock:
    """Held until it is released or the process is gone. Blocks: to be called in a thread."""

    def __init__(self, path: Path, owner: str) -> None:
        self._path = path
        self._owner = owner
        self._descriptor: int | None = None

    def take(self) -> None:
        """Taking it again changes nothing. ConfigurationError if another workspace has it; TurnError if an earlier
        worker of this one does not go.
        """
        if self._descriptor is not None:
            return
        beside = self._path.with_name(self._path.name + SUFFIX)
        try:
            beside.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ConfigurationError(f"the results file {self._path} can't be had: {error.strerror}") from error
        try:
            self._lock(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, self._owner.encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _lock(self, descriptor: int) -> None:
        tries = int(PATIENCE / _LOOK_EVERY)
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, _OWNER_LIMIT, 0).decode(errors="replace")
                tries -= 1
                if tries > 0:
                    time.sleep(_LOOK_EVERY)
                elif holder == self._owner:
                    raise TurnError(f"an earlier process of this workspace still holds {self._path}") from None
                else:
                    raise ConfigurationError(
                        f"the results file {self._path} belongs to another workspace ({holder or 'unknown'}) that runs "
                        "now, and each needs its own: leave DELEGATION_RESULTS_FILE unset, which gives each workspace "
                        "one, or set the option results_file of each"
                    ) from None
            else:
                return
