"""The thread of an embedded workspace: holds the link, watches the loop, performs what the core commands.

Everything about the link happens in this thread; others only put something into its inbox and wake it, so that a beat
leaves at once and no caller ever waits for the network.
"""

from __future__ import annotations

import logging
import queue
import random
import selectors
import socket
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from truebeat.errors import Unauthenticated
from truebeat.protocol import link
from truebeat.workspace import embed_commands as do
from truebeat.workspace.embed_commands import Facts, Measured
from truebeat.workspace.embed_meter import stacks
from truebeat.workspace.events import LinkLost, Refusal
from truebeat.workspace.link import WELCOME_TIMEOUT, Address, Dialled, Link, Unknown
from truebeat.workspace.outbox import TaskFrame

if TYPE_CHECKING:
    from collections.abc import Callable

    from truebeat.clock import Clock
    from truebeat.workspace.embed_core import Core
    from truebeat.workspace.embed_meter import LoopMeter
    from truebeat.workspace.tokens import TokenCache

_log = logging.getLogger("truebeat.embed")
#: seconds that the end waits for the socket to take the last words
LAST_WORDS: Final = 1.0


class Wedge(NamedTuple):
    """The wedge flag changed."""

    reason: str | None


class Canary(NamedTuple):
    """A canary came through the loop, or did not. start: see `do.Renew`; 0 for the first."""

    failures: int
    detail: str
    start: int


class Stop(NamedTuple):
    """Leave."""


#: TaskFrame: what becomes of a task. Facts: a new picture of the process, as a whole.
Message = Wedge | Canary | Stop | Facts | TaskFrame | Dialled
#: None: the server acknowledged a beat, for the first time
Told = do.Begin | do.Interrupt | do.Renew | do.Refused | do.End | None


class Herald:
    """Runs from `start` until it ended by itself or `say(Stop())`.

    `tell` is called in this thread; it must not block.
    """

    def __init__(
        self,
        to: Address,
        tokens: TokenCache,
        core: Core,
        meter: LoopMeter,
        clock: Clock,
        tell: Callable[[Told], None],
        *,
        loop_bound: float,
        alive: Callable[[], bool],
    ) -> None:
        self._to = to
        self._tokens = tokens
        self._core = core
        self._meter = meter
        self._clock = clock
        self._tell = tell
        self._loop_bound = loop_bound
        self._alive = alive
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        self._link: Link | None = None
        self._told_proved = False
        self._over = False
        self._dice = random.Random().random  # noqa: S311 - jitter
        self._thread = threading.Thread(target=self._run, name="truebeat", daemon=True)

    def start(self) -> None:
        for end in (self._wake_read, self._wake_write):
            end.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._thread.start()

    def say(self, message: Message) -> None:
        """From any thread, at once. After the end it says nothing to nobody."""
        self._inbox.put(message)
        if self._over:
            self._abandon()
            return
        try:
            self._wake_write.send(b"!")
        except OSError:
            return  # a full pipe wakes as well; a closed one has nobody to wake

    def join(self, timeout: float) -> None:
        if self._thread.ident is not None:
            self._thread.join(timeout)

    # --- the thread ---

    def _run(self) -> None:
        try:
            self._perform(self._core.begin(self._clock.monotonic()))
            while not self._core.ended:
                self._turn()
        except Exception:
            _log.exception("the embedded workspace's thread failed")
            self._tell(do.End(Refusal.INVALID, "its thread failed; the log says why"))
        finally:
            self._goodbye()

    def _turn(self) -> None:
        clock, core = self._clock.monotonic, self._core
        now = clock()
        deadline = self._link.deadline if self._link is not None and not core.linked else float("inf")
        wait = max(0.0, min(self._meter.due, core.next_due(), deadline) - now)
        for key, mask in self._selector.select(wait):
            if key.fileobj is self._wake_read:
                self._woken()
            else:
                self._on_socket(mask)
        now = clock()
        if now >= self._meter.due:
            self._look(now)
        self._read_inbox()
        if self._link is not None and not core.linked and now >= self._link.deadline:
            self._lose(LinkLost("the server sent no welcome in time"))
        core.timers(now)
        self._perform(core.take(now))
        self._register()

    def _woken(self) -> None:
        try:
            while self._wake_read.recv(4096):
                pass
        except BlockingIOError:
            return

    def _read_inbox(self) -> None:
        core = self._core
        while True:
            try:
                message = self._inbox.get_nowait()
            except queue.Empty:
                return
            now = self._clock.monotonic()
            match message:
                case Wedge():
                    core.wedged(message.reason, now)
                case Canary():
                    core.probed(message.failures, message.detail, now, message.start)
                case Facts():
                    core.told(message, now)
                case Stop():
                    core.stop(now)
                case Dialled():
                    self._dialled(message)
                case _:
                    core.said(message, now)
            self._perform(core.take(now))

    def _look(self, now: float) -> None:
        core = self._core
        blocked, state = self._meter.look(now)
        core.measured = Measured(self._meter.age(now), self._meter.lag, state)
        if not self._alive():
            core.stop(now)
        elif blocked > self._loop_bound:
            if not core.stall:
                core.stalled(f"the event loop has been blocked for {blocked:.1f} s", stacks(), now)
        elif core.stall:
            core.stalled("", "", now)

    # --- the link ---

    def _perform(self, commands: list[do.Command]) -> None:
        for command in commands:
            match command:
                case do.Dial():
                    self._dial()
                case do.Send():
                    if self._link is not None:
                        self._link.send(command.frame)
                case do.Drop():
                    self._lose(LinkLost(command.reason))
                case do.RefreshToken():
                    self._tokens.refresh()
                case do.Log():
                    _log.log(logging.getLevelNamesMapping()[command.level.upper()], "%s", command.text)
                case _:
                    self._tell(command)
        if self._core.proved and not self._told_proved:
            self._told_proved = True
            self._tell(None)
        self._flush()

    def _dial(self) -> None:
        now = self._clock.monotonic()
        try:
            token = self._tokens.current()
        except Unauthenticated as error:
            self._lose(LinkLost(error.message, Refusal.UNAUTHENTICATED))
            return
        self._link = Link(self._to, token, self._core.hello, now + WELCOME_TIMEOUT)
        self._link.dial(self.say)

    def _dialled(self, dialled: Dialled) -> None:
        if dialled.link is not self._link or self._core.ended:
            if dialled.sock is not None:
                dialled.sock.close()
        elif dialled.sock is None:
            self._lose(LinkLost(dialled.error))
        else:
            dialled.link.opened(dialled.sock)
            self._selector.register(dialled.sock, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def _on_socket(self, mask: int) -> None:
        current = self._link
        if current is None:
            return
        if mask & selectors.EVENT_WRITE:
            self._flush()
        if mask & selectors.EVENT_READ:
            for received in current.readable():
                now = self._clock.monotonic()
                match received:
                    case LinkLost():
                        self._lose(received)
                    case link.Welcome():
                        self._core.welcomed(received, now)
                    case Unknown():
                        _log.debug("an unknown frame: %s", received.type)
                    case _:
                        self._core.received(received, now)
                self._perform(self._core.take(now))
                if self._link is not current:
                    return

    def _flush(self) -> None:
        if self._link is not None and (lost := self._link.writable()) is not None:
            self._lose(lost)

    def _lose(self, lost: LinkLost) -> None:
        self._drop_socket()
        now = self._clock.monotonic()
        self._core.link_lost(lost, now, self._dice())
        self._perform(self._core.take(now))

    def _drop_socket(self) -> None:
        if self._link is not None:
            gone, self._link = self._link, None
            if gone.sock is not None and gone.sock in self._selector.get_map():
                self._selector.unregister(gone.sock)
            gone.close()

    def _register(self) -> None:
        current = self._link
        if current is None or current.sock is None or current.sock not in self._selector.get_map():
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if current.wants_write else 0)
        if self._selector.get_key(current.sock).events != wanted:
            self._selector.modify(current.sock, wanted)

    def _goodbye(self) -> None:
        """The last words leave before the close, if the socket takes them."""
        end = self._clock.monotonic() + LAST_WORDS
        while self._link is not None and self._link.wants_write and self._clock.monotonic() < end:
            if self._link.sock is None:
                break
            self._selector.select(0.05)
            self._flush()
        self._drop_socket()
        self._over = True
        self._abandon()
        self._selector.close()
        self._wake_read.close()
        self._wake_write.close()

    def _abandon(self) -> None:
        """Nobody reads the inbox any more; a connection that comes late is closed."""
        while True:
            try:
                message = self._inbox.get_nowait()
            except queue.Empty:
                return
            if isinstance(message, Dialled) and message.sock is not None:
                message.sock.close()
