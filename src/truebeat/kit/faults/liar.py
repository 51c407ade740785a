"""A worker that only pretends: `python -m truebeat.kit.faults.liar MODE CONFIG_JSON`, as RunConfig.worker_command.

It ticks on time and claims health. The generation after the first is the genuine worker.

frozen      passes canaries for a moment, then nothing moves any more
contrary    the same, and its canary fails twice, and it still claims health
never-ready says "starting" and never anything else
"""

from __future__ import annotations

import os
import select
import sys
from typing import Any, Final

import msgspec

from truebeat.clock import SystemClock
from truebeat.kit.faults import scene
from truebeat.workspace.config import ENV_PIPE_IN, ENV_PIPE_OUT

TICK: Final = 0.25
#: seconds of honesty before the lie
HONEST: Final = 2.0


class Liar:
    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._out = int(os.environ[ENV_PIPE_OUT])
        self._in = int(os.environ[ENV_PIPE_IN])
        self._clock = SystemClock()
        self._canaries = 0
        self._stamped = False

    def run(self) -> None:
        """Until the supervisor says Stop or is gone."""
        self._say("phase", name="starting")
        if self._mode == "never-ready":
            self._lie()
        else:
            self._canary(0)
            self._say("ready")
            self._say("phase", name="idle")
        began = self._clock.monotonic()
        due = began
        while not self._told_to_stop(max(0.0, due - self._clock.monotonic())):
            now = self._clock.monotonic()
            if now < due:
                continue
            due = now + TICK
            if not self._stamped and now - began > HONEST:
                self._lie()
            elif not self._stamped:
                self._canary(0)
            self._say("tick", lag=0.0, counters={"canaries_passed": self._canaries})

    def _lie(self) -> None:
        scene.stamp()
        self._stamped = True
        if self._mode == "contrary":
            self._canary(2)

    def _canary(self, failures: int) -> None:
        self._canaries += failures == 0
        self._say("canary", failures=failures, detail="no answer" if failures else "")

    def _say(self, kind: str, **fields: Any) -> None:
        os.write(self._out, msgspec.json.encode({"type": kind, **fields}) + b"\n")

    def _told_to_stop(self, wait: float) -> bool:
        if not select.select([self._in], [], [], wait)[0]:
            return False
        data = os.read(self._in, 65536)
        return not data or b'"stop"' in data


def main() -> int:
    mode, config = sys.argv[1], sys.argv[2]
    if not scene.once(f"liar-{mode}"):
        os.execv(sys.executable, [sys.executable, "-m", "truebeat.workspace.worker", config])  # noqa: S606
    Liar(mode).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
