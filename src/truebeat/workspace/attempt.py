"""One attempt at a task as it is told: Begun, chunks in order, and exactly one frame that ends it.

Text goes out at once when it is the first, then at most every PAUSE seconds; it is cut at CHUNK_LIMIT characters. After
the end nothing more is told, whatever a late executor still says.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from truebeat.protocol.delivery import CHUNK_LIMIT, RESULT_LIMIT, Begun, Chunk, Deliver, Finished, HandedBack
from truebeat.workspace.executors.base import Artifact, Output, Progress, Text, ToolStarted, TurnError

if TYPE_CHECKING:
    from collections.abc import Callable

#: seconds that tiny pieces of text wait for each other
PAUSE: Final = 0.05
#: characters of a progress note
_NOTE_LIMIT: Final = 2000
#: characters of an artifact's name
_NAME_LIMIT: Final = 200
#: a NUL in JSON text; behind an escaped backslash the same letters are only text
_NUL: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


class TooLargeError(TurnError):
    """The turn put out more than can be delivered."""


def clean(text: str) -> str:
    """Text that JSON, UTF-8 and a database take: no lone surrogates, no NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


class Attempt:
    """Text and artifacts together are bounded by RESULT_LIMIT, in characters and as the bytes that are sent."""

    def __init__(
        self,
        order: Deliver,
        send: Callable[[Begun | Chunk | Finished | HandedBack], None],
        *,
        tells_tools: bool = False,
    ) -> None:
        self.order = order
        self._send = send
        self._tools: int | None = 0 if tells_tools else None
        self._key: dict[str, Any] = {
            "task_id": order.task_id,
            "generation": order.generation,
            "attempt": order.attempt,
        }
        self.begun = False
        self.over = False
        self._index = 0
        self._size = 0
        self._text: list[str] = []
        self._waiting = 0
        self._note: str | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        self.begun = True
        self._send(Begun(**self._key))

    def output(self, output: Output) -> None:
        """One output of the turn; raises TooLargeError when it is too much."""
        if self.over:
            return
        match output:
            case Text():
                self._add(clean(output.text))
            case Progress():
                self._note = clean(output.note)[:_NOTE_LIMIT]
                self._soon()
            case Artifact():
                parts = _plain(output.parts)
                self._count(len(msgspec.json.encode(parts)))
                self._flush()
                self._chunk("artifact", name=clean(output.name)[:_NAME_LIMIT], parts=parts)
            case ToolStarted() if self._tools is not None:
                self._tools += 1
            case _:
                pass

    def finish(
        self, state: Literal["completed", "failed", "canceled", "input-required", "auth-required"], text: str
    ) -> None:
        """The end of it. A text that is too large for one frame becomes an honest failure."""
        if self.over:
            return
        text = clean(text)
        if len(text) > RESULT_LIMIT or len(text.encode()) > RESULT_LIMIT:
            state, text = (
                "failed",
                f"the answer is larger than {RESULT_LIMIT} bytes, which is all that can be delivered",
            )
        self._flush()
        self.over = True
        self._send(Finished(**self._key, state=state, text=text, tool_calls=self._tools))

    def hand_back(self, reason: str) -> None:
        """The end of it without a result: somebody else, or a later generation, has to do it."""
        if self.over:
            return
        self._flush()
        self.over = True
        self._send(HandedBack(**self._key, begun=self.begun, reason=clean(reason)))

    # -- chunks

    def _add(self, text: str) -> None:
        if not text:
            return
        self._count(len(text.encode()))
        self._text.append(text)
        self._waiting += len(text)
        if self._waiting >= CHUNK_LIMIT:
            self._flush()
        else:
            self._soon()

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > RESULT_LIMIT:
            raise TooLargeError(f"the turn put out more than {RESULT_LIMIT} bytes, which is all that can be delivered")

    def _soon(self) -> None:
        """Now, if nothing was sent within the last PAUSE; else when it is over."""
        if self._timer is None:
            self._flush()
            self._timer = asyncio.get_running_loop().call_later(PAUSE, self._pause_over)

    def _pause_over(self) -> None:
        self._timer = None
        if not self.over and (self._text or self._note is not None):
            self._soon()

    def _flush(self) -> None:
        text, self._text, self._waiting = "".join(self._text), [], 0
        for start in range(0, len(text), CHUNK_LIMIT):
            self._chunk("text", text=text[start : start + CHUNK_LIMIT])
        if self._note is not None:
            note, self._note = self._note, None
            self._chunk("progress", text=note)

    def _chunk(self, kind: Literal["text", "progress", "artifact"], **what: Any) -> None:
        self._send(Chunk(**self._key, index=self._index, kind=kind, **what))
        self._index += 1


def _plain(parts: Any) -> list[dict[str, Any]]:
    """Parts as they arrive: JSON objects, and nothing that JSON or a database would refuse."""
    try:
        text = _NUL.sub("\\1\N{REPLACEMENT CHARACTER}", msgspec.json.encode(parts).decode())
        return msgspec.json.decode(text, type=list[dict[str, Any]])
    except (TypeError, ValueError, UnicodeError, RecursionError) as error:
        raise TurnError(f"an artifact's parts are not a list of JSON objects: {error}") from error
