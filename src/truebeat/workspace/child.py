"""One generation of the worker: its process, its pipe, its last words."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from typing import TYPE_CHECKING, Final

from truebeat.protocol import pipe as worker_frames
from truebeat.protocol.delivery import Begun, Cancel, Chunk, Finished, HandedBack
from truebeat.workspace import config as run_config
from truebeat.workspace import events as ev
from truebeat.workspace import logs, pipe, processes
from truebeat.workspace.stack import ENV_STACK, StackFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from truebeat.workspace.config import RunConfig

#: lines of stderr that are kept, and characters of each
LAST_LINES: Final = 40
LINE_KEPT: Final = 500
#: bytes waiting for a worker, beyond which it is not told what can be told again
BACKLOG: Final = 64 * 1024
_CHUNK: Final = 64 * 1024


class Child:
    """Started in its own session. `frames_fd` and `stderr_fd` are to be watched; both are non-blocking."""

    def __init__(self, config: RunConfig, boot: int, generation: int) -> None:
        self.generation = generation
        self.marker = f"{config.workspace_id}/{boot}-{generation}"
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        #: its exit status was read: the pid may be another's by now
        self.reaped = False
        #: the descriptor that the selector watches for writing
        self.watched_fd: int | None = None
        self._outgoing = bytearray()
        self._reader = pipe.from_worker()
        self._stderr = pipe.Lines()
        command = config.worker_command or [sys.executable, "-m", "truebeat.workspace.worker"]
        # what was opened is closed again if the next step fails: a shortage of descriptors must not become permanent
        with contextlib.ExitStack() as opened, contextlib.ExitStack() as theirs:
            #: where it writes the stack of its threads when it is asked to
            self.stack = StackFile()
            opened.callback(self.stack.close)
            from_supervisor, self._to_worker = _pipe(theirs, opened)
            self.frames_fd, to_supervisor = _pipe(opened, theirs)
            self.stderr_fd, their_stderr = _pipe(opened, theirs)
            self._process = subprocess.Popen(
                [*command, run_config.encode(config)],
                stdin=subprocess.DEVNULL,
                stderr=their_stderr,
                env={
                    **os.environ,
                    run_config.ENV_PIPE_IN: str(from_supervisor),
                    run_config.ENV_PIPE_OUT: str(to_supervisor),
                    run_config.ENV_GENERATION: str(generation),
                    ENV_STACK: str(self.stack.fd),
                    processes.MARKER: self.marker,
                    processes.SUPERVISOR: processes.identity(os.getpid()),
                },
                pass_fds=(from_supervisor, to_supervisor, self.stack.fd),
                start_new_session=True,
            )
            opened.pop_all()
        for fd in (self._to_worker, self.frames_fd, self.stderr_fd):
            os.set_blocking(fd, False)
        self.pid = self._process.pid

    def find(self, known: Iterable[int] = ()) -> list[processes.Process]:
        """The living members of this worker's tree; an orphan adopted by this supervisor is one."""
        return processes.tree(self.pid, self.marker, (os.getpid(), *known), reaped=self.reaped)

    def frames(self) -> Iterator[worker_frames.FromWorker | pipe.Garbage] | None:
        """What the worker said, a piece; None at the end of its pipe."""
        data = self._read(self.frames_fd)
        return None if data == b"" else self._reader.feed(data or b"")

    def last_frames(self) -> Iterator[worker_frames.FromWorker | pipe.Garbage]:
        """All that is left in the pipe of a worker that is gone; bounded, because a child of it may hold the pipe."""
        for _ in range(worker_frames.LINE_LIMIT // _CHUNK):
            data = self._read(self.frames_fd)
            if not data:
                return
            yield from self._reader.feed(data)

    def errors(self) -> list[str] | None:
        """Lines from its stderr, also kept as its last words; None at the end."""
        data = self._read(self.stderr_fd)
        if data == b"":
            return None
        lines = [self._text(line) for line in self._stderr.feed(data or b"")]
        self.last_lines.extend(lines)
        return lines

    @property
    def write_fd(self) -> int | None:
        """To be watched while there is something that the worker did not read yet."""
        return self._to_worker if self._outgoing else None

    def tell(self, frame: worker_frames.ToWorker) -> bool:
        """Queue a frame and write what the pipe takes. False: the worker closed its end.

        A worker that does not read is not waited for. What is kept for it is bounded: tasks by its own capacity, and
        what could be asked again and again is dropped while much is waiting.
        """
        if len(self._outgoing) > BACKLOG and isinstance(frame, worker_frames.Probe | Cancel):
            return True
        self._outgoing += pipe.encode(frame)
        return self.write()

    def write(self) -> bool:
        """Write what the pipe takes now. False: the worker closed its end."""
        try:
            while self._outgoing:
                del self._outgoing[: os.write(self._to_worker, self._outgoing[:_CHUNK])]
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            self._outgoing.clear()
            return False
        return True

    @property
    def tail(self) -> str:
        """Its last lines on stderr."""
        return "\n".join(self.last_lines)

    def exit_reason(self, status: int) -> str:
        """A sentence part for the wait status: "killed by SIGKILL", "exit code 3 (its last line on stderr)"."""
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code  # it was reaped elsewhere: Popen must not wait for the pid again
        if code < 0:
            try:
                return f"killed by {signal.Signals(-code).name}"
            except ValueError:
                return f"killed by signal {-code}"
        lines = [*self.last_lines, self._text(self._stderr.rest)]
        last = next((line for line in reversed(lines) if line.strip()), "")
        return f"exit code {code}" + (f" ({last.strip()})" if last else "")

    def close(self) -> None:
        """Close the pipes; a worker that still lives takes that as its supervisor's death."""
        self._close(self._to_worker, self.frames_fd, self.stderr_fd)
        self._to_worker = self.frames_fd = self.stderr_fd = -1
        self.stack.close()
        if self._process.returncode is None:
            self._process.returncode = -signal.SIGKILL

    @staticmethod
    def _close(*fds: int) -> None:
        for fd in fds:
            with contextlib.suppress(OSError):
                os.close(fd)

    @staticmethod
    def _read(fd: int) -> bytes | None:
        """None when there is nothing now, empty at the end."""
        try:
            return os.read(fd, _CHUNK)
        except (BlockingIOError, InterruptedError):
            return None

    @staticmethod
    def _text(line: bytes | pipe.Garbage) -> str:
        text = line.sample if isinstance(line, pipe.Garbage) else line.decode(errors="replace")
        return logs.printable(text[:LINE_KEPT])


def _pipe(read_end: contextlib.ExitStack, write_end: contextlib.ExitStack) -> tuple[int, int]:
    """Each end is closed by its own stack."""
    readable, writable = os.pipe()
    read_end.callback(os.close, readable)
    write_end.callback(os.close, writable)
    return readable, writable


def event_of(frame: worker_frames.FromWorker | pipe.Garbage, generation: int) -> ev.WorkerEvent | None:
    """What the brain hears of a frame; None when it hears nothing."""
    match frame:
        case worker_frames.Tick():
            return ev.WorkerTicked(generation, frame.lag, frame.counters)
        case worker_frames.Phase():
            return ev.PhaseChanged(generation, frame.name, frame.current_task, frame.bound)
        case worker_frames.Ready():
            return ev.WorkerReady(generation, frame.capacity)
        case worker_frames.Room():
            return ev.RoomTold(generation, frame.capacity)
        case worker_frames.Canary():
            return ev.CanaryTold(generation, frame.failures, frame.detail)
        case worker_frames.Recovered():
            return ev.RepairTold(generation, frame.step, frame.ok, frame.detail)
        case worker_frames.Note():
            return ev.NoteTold(generation, frame.text)
        case worker_frames.Wedged():
            return ev.WorkerWedged(generation, frame.reason)
        case worker_frames.Cleared():
            return ev.WorkerCleared(generation)
        case worker_frames.Outcomes():
            return ev.OutcomesChanged(generation, frame.error_rate, frame.sample_error)
        case worker_frames.Fatal():
            return ev.WorkerFatal(generation, frame.reason)
        case Begun() | Chunk() | Finished() | HandedBack():
            return ev.TaskTold(generation, frame)
        case _:
            return None
