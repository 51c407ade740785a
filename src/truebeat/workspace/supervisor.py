"""`python -m truebeat.workspace.supervisor CONFIG_JSON`: the loop that performs what the brain commands.

One thread and a selector: the link's socket, the worker's pipe and stderr, signals, and the dialling threads' results.
Nothing here blocks: a slow server, a silent worker or a full stderr delays no beat.

Exit codes: 0 stopped or retired, 1 broken, 2 bad configuration, 4 replaced by a newer supervisor.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import selectors
import signal
import socket
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from truebeat.clock import SystemClock
from truebeat.domain.phases import bounds_of
from truebeat.domain.restart import RestartPolicy
from truebeat.errors import Unauthenticated
from truebeat.protocol import delivery
from truebeat.protocol import link as frames
from truebeat.protocol import pipe as worker_frames
from truebeat.workspace import config as run_config
from truebeat.workspace import events as ev
from truebeat.workspace import link, logs, processes
from truebeat.workspace.brain import Brain
from truebeat.workspace.memory import shrink
from truebeat.workspace.stages import Rules
from truebeat.workspace.tokens import TokenCache
from truebeat.workspace.warden import Warden

if TYPE_CHECKING:
    from truebeat.clock import Clock
    from truebeat.workspace.config import RunConfig

#: the loop's errors within a minute after which it gives up
ERROR_LIMIT: Final = 10
ERROR_PAUSE: Final = 0.1
#: seconds after which the loop looks around although nothing happened
LONGEST_WAIT: Final = 1.0
EXIT_BROKEN: Final = 1
EXIT_CONFIG: Final = 2


class Supervisor:
    """Performs the brain's commands and tells it what happened."""

    def __init__(self, config: RunConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._log = logs.Log(clock, config.name, config.log_level)
        self._boot = int(clock.now().timestamp() * 1000)
        self._address = link.address(config.url, config.workspace_id)
        self._tokens = TokenCache(config.token_file)
        self._brain = Brain(rules_of(config))
        self._selector = selectors.DefaultSelector()
        self._link: link.Link | None = None
        self._warden = Warden(config, self._boot, clock, self._log, self._selector, self._tell)
        self._dialled: deque[link.Dialled] = deque()
        self._signals: deque[int] = deque()
        self._errors: deque[float] = deque(maxlen=ERROR_LIMIT)
        self._commands: deque[ev.Command] = deque()
        self._exit: int | None = None
        self._orphaned = False
        self._wake_in, self._wake_out = socket.socketpair()
        for end in (self._wake_in, self._wake_out):
            end.setblocking(False)

    def run(self) -> int:
        """Until there is nothing more to do; returns the exit code."""
        self._watch_signals()
        processes.adopt_orphans()
        self._reap_leftovers()
        self._selector.register(self._wake_in, selectors.EVENT_READ, self._woken)
        self._log("info", "supervisor started", pid=os.getpid(), boot=self._boot, server=self._config.url)
        self._commands.extend(self._brain.begin(self._clock.monotonic()))
        shrink()
        try:
            while self._exit is None:
                try:
                    self._step()
                except Exception as error:
                    self._survive(error)
        finally:
            self._leave()
        return self._exit

    # --- the loop ---

    def _step(self) -> None:
        while self._commands:
            self._perform(self._commands.popleft())
        if self._exit is not None:
            return
        for key, _ in self._selector.select(self._wait()):
            present = self._selector.get_map().get(key.fd)  # an earlier callback of this round may have closed it
            if present is not None:
                present.data()
        now = self._clock.monotonic()
        if now >= self._brain.next_due():
            self._tell(ev.TimerDue())
        if self._link is not None and not self._link.welcomed and now >= self._link.deadline:
            self._lost(ev.LinkLost("no welcome in time"))
        self._warden.step(now)
        self._watch_link()
        if self._config.parent_pid not in {None, os.getppid()} and not self._orphaned:
            self._orphaned = True
            self._log("warning", "what started this supervisor is gone")
            self._tell(ev.StopRequested())

    def _wait(self) -> float:
        now = self._clock.monotonic()
        until = min(self._brain.next_due(), now + LONGEST_WAIT)
        stepping = self._warden.next_due(now)
        if stepping is not None:
            until = min(until, stepping)
        if self._link is not None and not self._link.welcomed:
            until = min(until, self._link.deadline)
        return max(until - now, 0.0)

    def _tell(self, event: ev.Event) -> None:
        self._commands.extend(self._brain.handle(event, self._clock.monotonic(), random.random()))  # noqa: S311
        while self._commands:
            self._perform(self._commands.popleft())

    def _survive(self, error: Exception) -> None:
        now = self._clock.monotonic()
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace else "?"  # noqa: PTH119
        self._log("error", "the supervisor's loop failed; going on", error=repr(error), where=where)
        self._errors.append(now)
        if len(self._errors) == ERROR_LIMIT and now - self._errors[0] < 60:
            self._log("error", f"{ERROR_LIMIT} failures within a minute: giving up")
            self._exit = EXIT_BROKEN
        time.sleep(ERROR_PAUSE)  # what broke it may need a moment; a beat can wait that long

    # --- commands ---

    def _perform(self, command: ev.Command) -> None:
        generation = self._brain.generation
        match command:
            case ev.SendBeat():
                self._send(command.beat)
            case ev.SendFrame():
                self._send(command.frame)
            case ev.StartWorker():
                self._warden.start(command.generation)
            case ev.AskToStop():
                self._warden.tell_worker(worker_frames.Stop(grace=command.grace))
            case ev.TellWorker():
                self._warden.tell_worker(command.frame)
            case ev.Measure():
                self._warden.measure(generation)
            case ev.CaptureStack():
                self._warden.capture(generation)
            case ev.EndTree():
                self._warden.end(generation, command.grace)
            case ev.Dial():
                self._dial()
            case ev.DropLink():
                self._lost(ev.LinkLost(command.reason))
            case ev.RefreshToken():
                if self._tokens.refresh():
                    self._log("info", "found another token")
            case ev.Exit():
                self._log("info", f"exit {command.code}: {command.message}")
                self._exit = command.code
            case ev.Log():
                self._log(command.level, command.text, **command.facts)

    def _reap_leftovers(self) -> None:
        left = processes.leftovers(self._config.workspace_id)
        if left:
            self._log("warning", "killing what an earlier supervisor left", pids=[process.pid for process in left])
            processes.kill_now(lambda _known: processes.leftovers(self._config.workspace_id))

    # --- the link ---

    def _dial(self) -> None:
        if self._link is not None:
            return
        try:
            token = self._tokens.current()
        except Unauthenticated as error:
            self._tell(ev.LinkLost(error.message, ev.Refusal.UNAUTHENTICATED))
            return
        hello = frames.Hello(
            version=frames.VERSION,
            boot=self._boot,
            agent=self._config.agent[:200],
            pid=os.getpid(),
            bounds=self._config.bounds,
        )
        deadline = self._clock.monotonic() + link.WELCOME_TIMEOUT
        self._link = link.Link(self._address, token, hello, deadline)
        self._link.dial(self._dial_done)

    def _dial_done(self, dialled: link.Dialled) -> None:
        """In the dialling thread."""
        self._dialled.append(dialled)
        self._wake()

    def _take_dialled(self) -> None:
        while self._dialled:
            dialled = self._dialled.popleft()
            if dialled.link is not self._link or dialled.link.closed:
                if dialled.sock is not None:
                    dialled.sock.close()
            elif dialled.sock is None:
                self._lost(ev.LinkLost(f"no connection to {self._config.url}: {dialled.error}"))
            else:
                dialled.link.opened(dialled.sock)
                self._selector.register(dialled.sock, selectors.EVENT_READ, self._link_ready)
                self._flush()

    def _link_ready(self) -> None:
        current = self._link
        if current is None:
            return
        for received in current.readable():
            match received:
                case ev.LinkLost():
                    self._lost(received)
                case frames.Welcome():
                    self._tell(ev.LinkUp(received))
                case frames.Ack():
                    self._tell(ev.AckReceived(received.seq))
                case frames.Restart():
                    self._tell(
                        ev.RestartOrdered(received.restart_id, received.reason, received.above, received.by_operator)
                    )
                case frames.Retire():
                    self._tell(ev.Retired(received.reason))
                case delivery.Deliver():
                    self._tell(ev.Delivered(received))
                case delivery.Cancel():
                    self._tell(ev.CancelOrdered(received))
                case delivery.Settled():
                    self._tell(ev.FrameSettled(received.n))
                case frames.Probe():
                    self._tell(ev.ProbeOrdered(received.reason))
                case link.Unknown():
                    self._log("debug", "a frame of an unknown type; ignored", type=received.type)
            if current.closed:
                return
        self._flush()

    def _send(self, frame: frames.Up) -> None:
        if self._link is not None and self._link.welcomed:
            self._link.send(frame)
            self._flush()

    def _flush(self) -> None:
        if self._link is not None:
            before = self._link.sent
            lost = self._link.writable()
            if lost is not None:
                self._lost(lost)
            elif self._link.wants_write and self._link.sent > before:
                self._tell(ev.LinkMoved())
        self._watch_link()

    def _watch_link(self) -> None:
        current = self._link
        if current is not None and current.sock is not None and not current.closed:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if current.wants_write else 0)
            if self._selector.get_key(current.sock).events != wanted:
                self._selector.modify(current.sock, wanted, self._link_ready)

    def _lost(self, event: ev.LinkLost) -> None:
        current, self._link = self._link, None
        if current is not None:
            if current.sock is not None:
                self._unwatch(current.sock)
            current.close()
        self._tell(event)

    # --- signals and the end ---

    def _watch_signals(self) -> None:
        signal.set_wakeup_fd(self._wake_out.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda received, _frame: self._signals.append(received))

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_out.send(b"\0")

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_in.recv(4096):
                pass
        while self._signals:
            number = self._signals.popleft()
            if number != signal.SIGCHLD:
                self._tell(ev.StopRequested())
        self._warden.reap()
        self._take_dialled()

    def _unwatch(self, fd: int | socket.socket) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(fd)

    def _leave(self) -> None:
        self._warden.leave()
        if self._link is not None:
            self._link.close()


def rules_of(config: RunConfig) -> Rules:
    """The brain's bounds, from the configuration."""
    restart = config.restart
    start_bound = config.bounds.get("starting", bounds_of("starting").still_after)
    return Rules(
        restart=RestartPolicy(restart.limit, restart.window, restart.first_delay),
        stop_grace=config.stop_grace,
        kill_grace=config.kill_grace,
        ack_timeout=config.ack_timeout,
        loop_bound=config.loop_bound,
        loop_kill=max(config.loop_kill, config.loop_bound),
        start_bound=math.inf if start_bound is None else start_bound,
    )


def main() -> int:
    """The program."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m truebeat.workspace.supervisor CONFIG_JSON\n")
        return EXIT_CONFIG
    try:
        supervisor = Supervisor(run_config.decode(sys.argv[1]), SystemClock())
    except (msgspec.DecodeError, ValueError) as error:
        sys.stderr.write(f"truebeat: bad configuration: {logs.printable(str(error))}\n")
        return EXIT_CONFIG
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
