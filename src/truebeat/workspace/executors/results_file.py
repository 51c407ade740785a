"""DELEGATION_RESULTS_FILE: how a program that reads files gets the results that were given with its turn.

One JSON object a line (pure ASCII: no character of a result can end a line or reach a terminal), mode 0600. The
server's ledger is what counts, this file is a copy of what it gave, so every step may be the last one before a crash:

    given       appended with fsync, each result once, before the turn begins
                a crash here: the server gives them again; lines that are there already are not written again
    the turn    reads the file; one that fails or is interrupted leaves it as it is, and the server gives them again
    consumed    renamed away before the turn's end is told
                a crash here: the server never heard of the end and gives them again; nothing is lost
    told        the server marks them as consumed: no line of them is left that a later turn could read again

At a start whatever an earlier process left is moved aside: what still waits is given again with the next turn.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from truebeat.domain import envelope
from truebeat.tools import place as places
from truebeat.workspace.executors import threads
from truebeat.workspace.executors.base import TurnError
from truebeat.workspace.executors.results_lock import ResultsLock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from truebeat.protocol.delivery import ResultEnvelope
    from truebeat.tools.place import Place
    from truebeat.workspace.executors.base import Turn

ENV_FILE: Final = "DELEGATION_RESULTS_FILE"
#: who sent the turn, for its process: "person", "client" or "workspace"; its id; and a name, which proves nothing
ENV_SENDER_KIND: Final = "TRUEBEAT_SENDER_KIND"
ENV_SENDER_ID: Final = "TRUEBEAT_SENDER_ID"
ENV_SENDER_NAME: Final = "TRUEBEAT_SENDER_NAME"
#: where what was consumed, and what an earlier process left, is kept until the next one
CONSUMED: Final = ".consumed"
LEFT: Final = ".left"


def place_of(given: str, workspace_id: str) -> Path:
    """The option or the environment of the operator, else the user's place for state."""
    named = given or os.environ.get(ENV_FILE)
    if named:
        return Path(named).absolute()
    base = os.environ.get("XDG_STATE_HOME")
    state = Path(base) if base else Path.home() / ".local" / "state"
    return state / "truebeat" / (workspace_id or f"process-{os.getpid()}") / "delegation-results.jsonl"


def line_of(result: ResultEnvelope) -> bytes:
    """One result as a line."""
    text = json.dumps(msgspec.to_builtins(result), ensure_ascii=True, separators=(",", ":"))
    return text.replace("\x7f", "\\u007f").encode("ascii") + b"\n"


class Handed:
    """What a command's process is told of its place, and the results that are handed to it. For the event loop."""

    def __init__(self, given: str, place: Place | None) -> None:
        self._place = place
        workspace_id = place.workspace_id if place is not None else ""
        self._file = ResultsFile(place_of(given, workspace_id))
        #: without a place there is no other workspace to keep away, and the file is this process's
        self._lock = ResultsLock(self._file.path, workspace_id) if workspace_id else None

    async def start(self) -> None:
        """Before a runtime may read the file. ConfigurationError if another workspace uses it."""
        if self._lock is not None:
            await threads.call(self._lock.take, name="results")
        await threads.call(self._file.start, name="results")

    def close(self) -> None:
        """When no runtime can read it any more."""
        if self._lock is not None:
            self._lock.release()

    def environment(self, turn: Turn | None = None) -> dict[str, str]:
        """For the process: where its results are, and what `truebeat mcp` needs if the agent starts it. For the process
        of a turn also who sent that, as the server knows it.
        """
        told = {ENV_FILE: str(self._file.path)}
        if self._place is not None:
            told |= {places.ENV_URL: self._place.url, places.ENV_WORKSPACE: self._place.workspace_id}
        if turn is None:
            return told
        if turn.task_id:
            told[places.ENV_TASK] = turn.task_id
        return told | {
            ENV_SENDER_KIND: turn.sender_kind,
            ENV_SENDER_ID: _plain(turn.sender_id),
            ENV_SENDER_NAME: _plain(turn.sender_name),
        }

    async def give(self, turn: Turn) -> None:
        """The turn may begin when this returns; TurnError if it must not."""
        if not turn.results and not self._file.path.exists():
            return
        try:
            await threads.call(lambda: self._file.give(_key(turn), turn.results), name="results")
        except OSError as error:
            raise TurnError(f"the results can't be written to {self._file.path}: {error.strerror}") from error

    async def succeeded(self, turn: Turn) -> None:
        """Before the turn's end is told."""
        if turn.results:
            await threads.call(lambda: self._file.consumed(_key(turn)), name="results")

    def over(self, turn: Turn) -> None:
        """However the turn ended."""
        self._file.failed(_key(turn))


def _plain(text: str) -> str:
    """In one line, for an environment: a name may be anything."""
    shown = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return envelope.disarmed(envelope.cut(shown, envelope.NAME_LIMIT)[0])


def _key(turn: Turn) -> str:
    return f"{turn.task_id}/{turn.attempt}"


class ResultsFile:
    """Blocks: to be called in a thread. A turn's `key` is any text that names it.

    While several turns are on it holds the results of all of them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        #: the ids that each turn which is on was given
        self._given: dict[str, frozenset[str]] = {}

    def start(self) -> None:
        """Before the runtime may read it."""
        with suppress(FileNotFoundError):
            self.path.replace(self._beside(LEFT))

    def give(self, key: str, results: Sequence[ResultEnvelope]) -> None:
        """On disk when this returns. Raises OSError; the turn must not begin then."""
        with self._lock:
            self._give(key, results)

    def _give(self, key: str, results: Sequence[ResultEnvelope]) -> None:
        self._given[key] = frozenset(str(result.delegation_id) for result in results)
        lines, whole = self._read()
        wanted = self._wanted()
        kept = {name: line for name, line in lines.items() if name in wanted}
        if not whole or len(kept) < len(lines):
            self._write(kept.values())
        new = [result for result in results if str(result.delegation_id) not in kept]
        if new:
            self._append(line_of(result) for result in new)

    def consumed(self, key: str) -> None:
        """The turn succeeded, and its end is not told yet. What the agent itself took away is no error."""
        with self._lock:
            self._consume(key)

    def _consume(self, key: str) -> None:
        ids = self._given.pop(key, frozenset()) - self._wanted()
        if not ids:
            return
        lines, _ = self._read()
        rest = [line for name, line in lines.items() if name not in ids]
        if rest:
            self._write(rest)
        else:
            with suppress(FileNotFoundError):
                self.path.replace(self._beside(CONSUMED))
                self._sync_directory()

    def failed(self, key: str) -> None:
        """The turn ended otherwise: its lines stay until they are given again or turn out to be consumed."""
        with self._lock:
            self._given.pop(key, None)

    def _wanted(self) -> frozenset[str]:
        return frozenset().union(*self._given.values())

    def _read(self) -> tuple[dict[str, bytes], bool]:
        """The lines by their result's id, and whether all of the file could be read: a crash may have torn its end."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return {}, True
        lines: dict[str, bytes] = {}
        whole = data.endswith(b"\n") or not data
        for line in data.splitlines(keepends=True):
            try:
                name = str(json.loads(line)["delegation_id"])
            except (ValueError, KeyError, TypeError, RecursionError):
                whole = False
            else:
                whole = whole and line.endswith(b"\n") and name not in lines
                lines[name] = line.rstrip(b"\n") + b"\n"
        return lines, whole

    def _append(self, lines: Iterable[bytes]) -> None:
        self._make_directory()
        fresh = not self.path.exists()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            for line in lines:
                _write_all(descriptor, line)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if fresh:
            self._sync_directory()

    def _write(self, lines: Iterable[bytes]) -> None:
        """Whole or not at all."""
        self._make_directory()
        new = self._beside(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            _write_all(descriptor, b"".join(lines))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        new.replace(self.path)
        self._sync_directory()

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    def _make_directory(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _sync_directory(self) -> None:
        descriptor = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
