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
from truebeat.protocol.delivery import Cancel, Deliver, HandedBack
from truebeat.tools.place import Place, tokens_of
from truebeat.workspace import executors, processes, stack, wedge
from truebeat.workspace.config import ENV_PIPE_IN, ENV_PIPE_OUT, RunConfig, decode
from truebeat.workspace.evidence import Evidence
from truebeat.workspace.executors import stderr, threads
from truebeat.workspace.executors.base import ConfigurationError, Executor, Options
from truebeat.workspace.keeper import keep
from truebeat.workspace.turns import Turns, error_text
from truebeat.workspace.watch import Watch
from truebeat.workspace.work import Work
from truebeat.workspace.worker_pipe import FrameWriter, frames

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: seconds between ticks
TICK: Final = 0.25
#: seconds to finish in when a signal gave no grace
DEFAULT_GRACE: Final = 5.0
EXIT_CONFIGURATION: Final = 78
#: seconds to wait for the supervisor's Stop after Fatal
_FATAL_WAIT: Final = 10.0
#: what is kept of the grace for ending the turns and closing the executor: a share of it, and seconds at most
_RESERVE_SHARE: Final = 0.5
_RESERVE: Final = 2.5
#: seconds for the last log lines to go out
_LAST_LINES: Final = 0.2
#: characters of a note
_NOTE_LIMIT: Final = 500

_log = logging.getLogger(__name__)


class Worker:
    """One generation. `serve` runs until stopped and returns the exit status."""

    def __init__(self, config: RunConfig, writer: FrameWriter, inbound: int, flag: wedge.WedgeFlag) -> None:
        self._config = config
        self._writer = writer
        self._inbound = inbound
        self._flag = flag
        self._evidence = Evidence(writer.send, SystemClock())
        self._stop = asyncio.Event()
        self._status = 0
        self._grace = DEFAULT_GRACE
        #: whether anybody can still hear how a turn ended
        self._heard = True
        self._executor: Executor | None = None
        self._turns: Turns | None = None
        self._watch: Watch | None = None
        #: takes tasks once the worker is ready
        self._work: Work | None = None
        self._note = ""

    async def serve(self) -> int:
        """Returns once the executor is closed. Ends this process by force if that takes longer than the grace."""
        loop = asyncio.get_running_loop()
        self._writer.attach(loop)
        self._evidence.enter("starting")
        loop.add_signal_handler(signal.SIGTERM, self._finish, 0, DEFAULT_GRACE)
        stop_listening = self._flag.listen(self._admit)
        try:
            async with asyncio.TaskGroup() as group:
                ticking = group.create_task(self._keep("tick", self._tick))
                listening = group.create_task(self._keep("pipe", self._obey))
                working = group.create_task(self._live())
                await self._stop.wait()
                self._force_later()
                self._evidence.enter("draining")
                working.cancel()
                await self._drain()
                ticking.cancel()
                listening.cancel()
            await self._writer.flushed(self._grace)
        finally:
            stop_listening()
            self._writer.attach(None)
        return self._status

    async def _drain(self) -> None:
        if self._work is not None:
            reserve = min(_RESERVE, self._grace * _RESERVE_SHARE)
            patience = self._grace - reserve if self._heard else 0.0
            await self._work.drain(patience, reserve / 2)
        if self._executor is not None:
            await self._executor.close()

    # -- the executor's life

    async def _live(self) -> None:
        config = self._config
        try:
            executor, watch, work = await self._open()
            await executor.start()
            failure = await watch.first()
            if failure is not None:
                raise RuntimeError(f"it started, but its canary failed: {failure}")
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
            self._writer.send(pipe.Ready(capacity=executor.capacity))
            self._evidence.enter("idle")
            self._work = work
            await self._keep("watch", watch.run)

    async def _open(self) -> tuple[Executor, Watch, Work]:
        """Make the executor and all that depends on it."""
        config, send = self._config, self._writer.send
        options = Options(config.options)
        # in a thread: a slow import must not look like a blocked event loop
        executor = self._executor = await threads.call(
            lambda: executors.create(config.agent, config.target, config.options), name="import"
        )
        executor.note = self._noted
        executor.place = Place(config.url, config.workspace_id, tokens_of(config.token_file))
        capacity = options.integer("capacity", executor.capacity)
        if capacity != executor.capacity:
            raise ConfigurationError(
                f"option capacity={capacity}: the {config.agent} executor does {executor.capacity} turns at a time"
            )
        turns = self._turns = Turns(executor, send, SystemClock(), self._flag, self._evidence)
        watch = self._watch = Watch(
            executor, options, turns, self._flag, suspects=config.suspects, bounds=config.bounds
        )
        work = Work(
            executor,
            turns,
            watch,
            capacity=capacity,
            cancel_timeout=options.seconds("cancel_timeout", 10.0),
            room=self._writer.room,
        )
        turns.on_wedge = watch.accuse
        return executor, watch, work

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
        noted = ""
        while True:  # the first at once: only a loop that ticked before can be found blocked
            lag = max(0.0, now() - due)
            due += lag
            self._writer.send(pipe.Tick(lag=lag, counters=self._evidence.counters()))
            if self._note != noted:
                noted = self._note
                self._writer.send(pipe.Note(text=noted))
            if self._turns is not None:
                self._turns.refresh()
            due += TICK
            await asyncio.sleep(max(0.0, due - now()))

    async def _obey(self) -> None:
        async with aclosing(frames(self._inbound)) as orders:
            async for order in orders:
                match order:
                    case pipe.Stop():
                        self._finish(self._status, order.grace)
                    case Deliver():
                        self._deliver(order)
                    case Cancel():
                        if self._work is not None:
                            self._work.cancel(order)
                    case pipe.Probe():
                        if self._watch is not None:
                            self._watch.ask()
        # the pipe's end: no supervisor, no reason to be
        self._heard = False
        self._finish(self._status, DEFAULT_GRACE)

    def _deliver(self, order: Deliver) -> None:
        if self._work is not None:
            self._work.deliver(order)
            return
        self._writer.send(
            HandedBack(
                task_id=order.task_id,
                generation=order.generation,
                attempt=order.attempt,
                begun=False,
                reason="the worker is not ready",
            )
        )

    async def _keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        await keep(name, loop, lambda: self._finish(1, DEFAULT_GRACE))

    # -- ending, telling

    def _admit(self, reason: str | None) -> None:
        self._writer.send(pipe.Cleared() if reason is None else pipe.Wedged(reason=reason))

    def _noted(self, text: str) -> None:
        """From any thread, as often as it likes: told with the next tick."""
        self._note = text[:_NOTE_LIMIT]

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
    stack.register()
    if processes.MARKER in os.environ:
        processes.watch_parent_pipe(inbound)
    logging.basicConfig(
        level=config.log_level.upper(), format="%(levelname)s %(name)s: %(message)s", handlers=[stderr.LogHandler()]
    )
    # a line for each request says nothing that people here look for
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    writer = FrameWriter(outbound)

    async def run() -> int:
        return await Worker(config, writer, inbound, wedge.FLAG).serve()

    try:
        return asyncio.run(run())
    finally:
        stderr.flush(_LAST_LINES)


if __name__ == "__main__":
    sys.exit(main())
