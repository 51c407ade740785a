"""A child process that never outlives the worker, with its output as callbacks.

It leads a process group of its own, which is ended as a whole; on Linux the kernel kills it when the worker dies.
"""

from __future__ import annotations

import asyncio
import ctypes  # noqa: F401  (loaded before any fork: die_with_parent runs in the forked child)
import os
import shutil
import signal
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from truebeat.workspace.executors.base import ConfigurationError
from truebeat.workspace.executors.stderr import pass_on
from truebeat.workspace.processes import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: the end of stderr that is kept for error texts
_STDERR_KEPT: Final = 4000


def ending(code: int) -> str:
    """A return code in words."""
    if code < 0:
        with suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
        return f"killed by signal {-code}"
    return f"exited with status {code}"


class Child(asyncio.SubprocessProtocol):
    """Start one with `Child.start`. Futures: `exited` (return code), `closed` (exited and every pipe at its end)."""

    def __init__(self, on_output: Callable[[bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        self.pid = 0
        self.exited: asyncio.Future[int] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._on_output = on_output
        self._stderr: deque[bytes] = deque()
        self._transport: asyncio.SubprocessTransport | None = None
        self._stdin: asyncio.WriteTransport | None = None

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        cwd: str | None,
        on_output: Callable[[bytes], None],
        more: Mapping[str, str] | None = None,
    ) -> Child:
        """ConfigurationError if there is no such program or directory. more: environment variables besides ours."""
        check_program(argv, cwd)
        parent = os.getpid()
        try:
            _, child = await asyncio.get_running_loop().subprocess_exec(
                lambda: cls(on_output),
                *argv,
                cwd=cwd,
                env=os.environ | (more or {}),
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(parent),
            )
        except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
            raise ConfigurationError(f"can't run {argv[0]!r}: {error.strerror}") from error
        return child

    # -- asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self.pid = self._transport.get_pid()
        self._stdin = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 1:
            self._on_output(data)
            return
        self._stderr.append(data)
        while sum(map(len, self._stderr)) - len(self._stderr[0]) >= _STDERR_KEPT:
            self._stderr.popleft()
        pass_on(data)

    def process_exited(self) -> None:
        if self._transport is not None and not self.exited.done():
            self.exited.set_result(self._transport.get_returncode() or 0)

    def connection_lost(self, exc: Exception | None) -> None:
        self.process_exited()
        if not self.closed.done():
            self.closed.set_result(None)

    # -- what the executors do with it

    def write(self, data: bytes) -> None:
        """Never waits; what the child does not read stays in memory. BrokenPipeError once its stdin is closed."""
        if self._stdin is None or self._stdin.is_closing():
            raise BrokenPipeError(f"process {self.pid} reads no more")
        self._stdin.write(data)

    def end_input(self) -> None:
        if self._stdin is not None:
            self._stdin.close()

    def stderr_text(self) -> str:
        """The last of what it wrote to stderr."""
        return b"".join(self._stderr)[-_STDERR_KEPT:].decode(errors="replace").strip()

    def ending(self) -> str:
        """How it ended, with its last words; "" while it runs."""
        if not self.exited.done():
            return ""
        words = self.stderr_text()
        return ending(self.exited.result()) + (f": {words}" if words else "")

    async def end(self, grace: float = 1.0) -> None:
        """End the whole group: close its stdin, TERM, then KILL after `grace` seconds. Returns when it is gone."""
        self.end_input()
        if not self.exited.done():
            self._signal_group(signal.SIGTERM)
            # a stopped process hears nothing until it is continued
            self._signal_group(signal.SIGCONT)
            await asyncio.wait({self.exited}, timeout=grace)
        self._signal_group(signal.SIGKILL)
        await asyncio.wait({self.exited}, timeout=5)
        if self._transport is not None:
            self._transport.close()

    def kill(self) -> None:
        """The same without grace or waiting, for a cancelled turn."""
        self._signal_group(signal.SIGKILL)
        if self._transport is not None:
            self._transport.close()

    async def gone(self) -> None:
        """After a kill: until it is reaped; what SIGKILL does not end within a second is left to the kernel."""
        await asyncio.wait({self.exited}, timeout=1)

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def check_program(argv: Sequence[str], cwd: str | None) -> None:
    """ConfigurationError with what to do, before a process is tried."""
    if not argv or not argv[0]:
        raise ConfigurationError("the command is empty; give the program and its arguments")
    if cwd is not None and not Path(cwd).is_dir():
        raise ConfigurationError(f"the working directory {cwd!r} does not exist; create it or change the option cwd")
    # a relative path with a slash is relative to cwd, which `which` does not know
    if os.sep not in argv[0] and shutil.which(argv[0]) is None:
        raise ConfigurationError(f"the program {argv[0]!r} is not on the PATH; install it or give its full path")
