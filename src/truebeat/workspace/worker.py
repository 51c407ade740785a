"""The worker: `python -m truebeat.workspace.worker CONFIG_JSON`, started by a supervisor, never by hand.

Holds the executor and tells over the pipe what it measures. Exit status: 0 stopped, 1 the start failed or a loop kept
crashing (restarting may help), 78 a configuration error (it can't).
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import msgspec

from truebeat.clock import SystemClock
from truebeat.domain.symptoms import means_wedged
from truebeat.protocol import pipe
from truebeat.protocol.link import Counters
from truebeat.workspace import executors, processes, wedge
from truebeat.workspace.config import ENV_PIPE_IN, ENV_PIPE_OUT, RunConfig, decode
from truebeat.workspace.executors import threads
from truebeat.workspace.executors.base import ConfigurationError, Executor, Options
from truebeat.workspace.turns import Turns, error_text
from truebeat.workspace.watch import Watch
from truebeat.workspace.worker_pipe import FrameWriter, frames

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: seconds between ticks
TICK: Final = 0.25
#: seconds to finish in when the supervisor is gone, or a signal gave no grace
DEFAULT_GRACE: Final = 5.0
EXIT_CONFIGURATION: Final = 78
#: seconds to wait for the supervisor's Stop after Fatal
_FATAL_WAIT: Final = 10.0
#: crashes of one loop before the worker gives up; a loop that ran _FORGIVEN seconds starts anew
_CRASH_LIMIT: Final = 10
_FORGIVEN: Final = 60.0

_log = logging.getLogger(__name__)


class Worker:
    """One generation. `serve` runs until stopped and returns the exit status."""

    def __init__(self, config: RunConfig, writer: FrameWriter, inbound: int, flag: wedge.WedgeFlag) -> None:
        self._config = config
        self._writer = writer
        self._inbound = inbound
        self._flag = flag
        self._stop = asyncio.Event()
        self._status = 0
        self._grace = DEFAULT_GRACE
        self._executor: Executor | None = None
        self._turns: Turns | None = None

    async def serve(self) -> int:
        """Returns once the executor is closed. Ends this process by force if that takes longer than the grace."""
        send = self._writer.send
        send(pipe.Phase(name="starting"))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._finish, 0, DEFAULT_GRACE)
        stop_listening = self._flag.listen(self._admit)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._keep("tick", self._tick)),
                    group.create_task(self._keep("pipe", self._obey)),
                    group.create_task(self._work()),
                ]
                await self._stop.wait()
                send(pipe.Phase(name="draining"))
                self._force_later()
                for task in tasks:
                    task.cancel()
            if self._executor is not None:
                await self._executor.close()
        finally:
            stop_listening()
        return self._status

    # -- the work

    async def _work(self) -> None:
        config = self._config
        options = Options(config.options)
        try:
            # in a thread: a slow import must not look like a blocked event loop
            executor = self._executor = await threads.call(
                lambda: executors.create(config.agent, config.target, config.options), name="import"
            )
            turns = self._turns = Turns(executor, self._writer.send, SystemClock(), self._flag)
            watch = Watch(executor, options, turns, self._flag)
            await executor.start()
        except ConfigurationError as error:
            await self._fatal(error_text(error))
        except Exception as error:
            text = error_text(error)
            if means_wedged(text):
                # stay: the supervisor has to see the admission, and ends this process when it has
                self._flag.mark(text)
                return
            _log.debug("the start failed", exc_info=True)
            print(f"the {config.agent} executor did not start: {text}", file=sys.stderr, flush=True)
            self._finish(1, DEFAULT_GRACE)
        else:
            self._writer.send(pipe.Ready())
            self._writer.send(pipe.Phase(name="idle"))
            await self._keep("watch", watch.run)

    async def _fatal(self, reason: str) -> None:
        print(reason, file=sys.stderr, flush=True)
        self._status = EXIT_CONFIGURATION
        self._writer.send(pipe.Fatal(reason=reason))
        await asyncio.sleep(_FATAL_WAIT)
        self._finish(EXIT_CONFIGURATION, DEFAULT_GRACE)

    # -- the loops

    async def _tick(self) -> None:
        now = asyncio.get_running_loop().time
        due = now()
        while True:
            due += TICK
            await asyncio.sleep(max(0.0, due - now()))
            lag = max(0.0, now() - due)
            due += lag
            self._writer.send(pipe.Tick(lag=lag, counters=Counters()))
            if self._turns is not None:
                self._turns.refresh()

    async def _obey(self) -> None:
        async with aclosing(frames(self._inbound)) as orders:
            async for order in orders:
                if isinstance(order, pipe.Stop):
                    self._finish(self._status, order.grace)
        # the pipe's end: no supervisor, no reason to be
        self._finish(self._status, DEFAULT_GRACE)

    async def _keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Run a loop; start it again when it crashes. One that crashes over and over ends the worker."""
        now = asyncio.get_running_loop().time
        crashes = 0
        while True:
            started = now()
            try:
                await loop()
            except Exception as error:
                crashes = 1 if now() - started > _FORGIVEN else crashes + 1
                _log.exception("the worker's %s loop crashed (%d)", name, crashes)
                if crashes >= _CRASH_LIMIT:
                    print(f"the worker's {name} loop keeps crashing: {error_text(error)}", file=sys.stderr, flush=True)
                    self._finish(1, DEFAULT_GRACE)
                    return
                await asyncio.sleep(min(0.05 * 2**crashes, 5.0))
            else:
                return

    # -- ending, telling

    def _admit(self, reason: str | None) -> None:
        self._writer.send(pipe.Cleared() if reason is None else pipe.Wedged(reason=reason))

    def _finish(self, status: int, grace: float) -> None:
        if not self._stop.is_set():
            self._status = status
            self._grace = grace
            self._stop.set()

    def _force_later(self) -> None:
        """A runtime or a thread that does not end must not keep the worker."""
        timer = threading.Timer(self._grace, os._exit, (self._status,))
        timer.daemon = True
        timer.start()


def main() -> int:
    try:
        # out of the environment: the agent's own children must not believe that they are workers
        inbound, outbound = (int(os.environ.pop(name)) for name in (ENV_PIPE_IN, ENV_PIPE_OUT))
        config = decode(sys.argv[1])
    except (KeyError, IndexError, ValueError, msgspec.MsgspecError) as error:
        print(f"the worker is started by a supervisor, not by hand ({type(error).__name__}: {error})", file=sys.stderr)
        return EXIT_CONFIGURATION
    if processes.MARKER in os.environ:
        processes.watch_parent_pipe(inbound)
    logging.basicConfig(level=config.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    writer = FrameWriter(outbound)

    async def run() -> int:
        return await Worker(config, writer, inbound, wedge.FLAG).serve()

    return asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
