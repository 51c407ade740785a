"""Keeping one worker: start it, hear it, measure it, take its stack, end its tree. The brain decides, this performs."""

from __future__ import annotations

import contextlib
import os
import selectors
from typing import TYPE_CHECKING, Final

from truebeat.workspace import events as ev
from truebeat.workspace import logs, measure, pipe, processes
from truebeat.workspace.child import Child, event_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from truebeat.clock import Clock
    from truebeat.protocol import pipe as worker_frames
    from truebeat.workspace.config import RunConfig

#: seconds between two looks at a tree that is being ended, or at a stack that is being written
STEP: Final = 0.05
STACK_STEP: Final = 0.02


class Warden:
    """At most one worker at a time. What it finds out goes to `tell`."""

    def __init__(
        self,
        config: RunConfig,
        boot: int,
        clock: Clock,
        log: logs.Log,
        selector: selectors.BaseSelector,
        tell: Callable[[ev.Event], None],
    ) -> None:
        self._config = config
        self._boot = boot
        self._clock = clock
        self._log = log
        self._selector = selector
        self._tell = tell
        self._child: Child | None = None
        self._ending: processes.TreeKill | None = None
        self._capturing = False
        #: the grace of an end that waits for the stack
        self._end_after: float | None = None

    # --- commands ---

    def start(self, generation: int) -> None:
        """A new worker; answered by WorkerStarted or WorkerExited."""
        try:
            child = Child(self._config, self._boot, generation)
        except OSError as error:
            self._tell(ev.WorkerExited(generation, f"it could not be started: {error}"))
            return
        self._child = child
        self._selector.register(child.frames_fd, selectors.EVENT_READ, self._frames_readable)
        self._selector.register(child.stderr_fd, selectors.EVENT_READ, self._stderr_readable)
        self._log("info", "worker started", generation=generation, pid=child.pid)
        self._tell(ev.WorkerStarted(generation, child.pid))

    def tell_worker(self, frame: worker_frames.ToWorker) -> None:
        """Write a frame, without waiting for the worker to read it."""
        if self._child is not None:
            self._written(self._child, open_=self._child.tell(frame))

    def measure(self, generation: int) -> None:
        """Look at the process; answered by WorkerMeasured at once."""
        child = self._child
        reading = measure.read(child.pid) if child is not None else measure.Reading("")
        if child is not None and reading.state in "ZX":  # "" too: no process
            self.reap()
        self._tell(ev.WorkerMeasured(generation, reading))

    def capture(self, generation: int) -> None:
        """Ask for the stack; answered by StackCaptured."""
        child = self._child
        if child is None or child.reaped:
            self._tell(ev.StackCaptured(generation, "", "the worker is gone"))
        elif not self._capturing:
            missing = child.stack.ask(child.pid, self._clock.monotonic())
            if missing:
                self._tell(ev.StackCaptured(generation, "", missing, child.tail))
            else:
                self._capturing = True

    def end(self, generation: int, grace: float) -> None:
        """End the tree; answered by TreeGone. With no grace: hurry what is under way."""
        now = self._clock.monotonic()
        if self._child is None:
            self._tell(ev.TreeGone(generation))
        elif self._ending is not None:
            if grace == 0:
                self._ending.hurry(now)
        elif self._capturing and grace > 0:
            self._end_after = grace
        else:
            self._ending = processes.TreeKill(self._child.find, grace, now)

    # --- the loop's part ---

    def next_due(self, now: float) -> float | None:
        """When `step` is wanted; None for never."""
        if self._capturing:
            return now + STACK_STEP
        return now + STEP if self._ending is not None else None

    def step(self, now: float) -> None:
        """Go on with what takes time: a stack that is being written, a tree that is being ended."""
        if self._capturing and self._child is not None and self._child.stack.poll(now):
            self._captured(self._child)
        if self._ending is not None and self._ending.poll(now):
            self._ended()

    def reap(self) -> None:
        """Every child that ended: the worker, and orphans that this process adopted."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._child
            if child is not None and pid == child.pid:
                self._exited(child, status)

    def leave(self) -> None:
        """Kill what is left, at the very end."""
        if self._child is not None:
            processes.kill_now(self._child.find)

    # --- the worker ---

    def _frames_readable(self) -> None:
        child = self._child
        if child is None:
            return
        arrived = child.frames()
        if arrived is None:
            self._unwatch(child.frames_fd)
            self._tell(ev.PipeClosed(child.generation))
            return
        for frame in arrived:
            self._heard(child, frame)

    def _heard(self, child: Child, frame: worker_frames.FromWorker | pipe.Garbage) -> None:
        event = event_of(frame, child.generation)
        if event is not None:
            self._tell(event)
        elif isinstance(frame, pipe.Garbage):
            self._log("warning", "the worker sends garbage; ignored", why=frame.why, sample=frame.sample)

    def _stderr_readable(self) -> None:
        child = self._child
        if child is None:
            return
        lines = child.errors()
        if lines is None:
            self._unwatch(child.stderr_fd)
            return
        for line in lines:
            logs.write(2, line)

    def _writable(self) -> None:
        if self._child is not None:
            self._written(self._child, open_=self._child.write())

    def _written(self, child: Child, *, open_: bool) -> None:
        """Watch the pipe for as long as something waits for the worker to read."""
        fd = child.write_fd
        watched = child.watched_fd
        if fd is not None and watched is None:
            self._selector.register(fd, selectors.EVENT_WRITE, self._writable)
        elif fd is None and watched is not None:
            self._unwatch(watched)
        child.watched_fd = fd
        if not open_:
            self._tell(ev.PipeClosed(child.generation))

    def _exited(self, child: Child, status: int) -> None:
        child.reaped = True
        for frame in child.last_frames():
            self._heard(child, frame)
        self._stderr_readable()
        if self._capturing:
            self._captured(child)
        self._tell(ev.WorkerExited(child.generation, child.exit_reason(status), child.tail))

    def _captured(self, child: Child) -> None:
        self._capturing = False
        stack = child.stack.text()
        missing = "" if stack else "the worker did not answer in time"
        self._tell(ev.StackCaptured(child.generation, stack, missing, child.tail))
        grace, self._end_after = self._end_after, None
        if grace is not None:
            self.end(child.generation, grace)

    def _ended(self) -> None:
        if self._ending is not None and self._ending.left:
            self._log("error", "could not be killed", pids=[process.pid for process in self._ending.left])
        self._ending = None
        self.reap()
        child = self._child
        if child is not None and self._capturing:
            self._captured(child)
        if child is not None:
            self._unwatch(child.frames_fd)
            self._unwatch(child.stderr_fd)
            if child.watched_fd is not None:
                self._unwatch(child.watched_fd)
            child.close()
            self._child = None
            self._tell(ev.TreeGone(child.generation))

    def _unwatch(self, fd: int) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(fd)
