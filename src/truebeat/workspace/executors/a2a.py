"""`truebeat run NAME --agent a2a URL`: bridges a remote A2A agent into the fleet, dialling out from the workspace.

URL is the agent's base: its card is below it at /.well-known/agent-card.json. Options: token_env (the name of the
environment variable that holds a bearer token), stream_idle (seconds of silence after which a stream is given up and
the task asked for instead, default 60), poll_interval (seconds between two of those questions, default 1), capacity,
version (of the wire: newest, 1.0 or 0.3).

The probe asks the remote for a task that does not exist: an answer by the way that work goes, and no work.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections import OrderedDict
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import httpx2
import msgspec

from truebeat.domain import envelope
from truebeat.protocol.delivery import RESULT_LIMIT
from truebeat.workspace.executors.a2a_wire import ASKING, FINAL, Answer, place_of, result_of
from truebeat.workspace.executors.base import (
    AnsweredError,
    Artifact,
    ConfigurationError,
    Executor,
    InPhase,
    InputRequired,
    Options,
    Output,
    Progress,
    Result,
    Step,
    Text,
    Turn,
    TurnError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

CARD: Final = "/.well-known/agent-card.json"
#: seconds for a connection, and for an answer that is no stream
CONNECT: Final = 10.0
ANSWER: Final = 20.0
#: seconds to tell the remote of a cancel
CANCEL: Final = 2.0
#: conversations and open questions that are remembered
REMEMBERED: Final = 1000
#: bytes of one event, and of one answer
EVENT_LIMIT: Final = RESULT_LIMIT + 64 * 1024
#: questions about a task that may fail in a row
PATIENCE: Final = 5


class A2aExecutor(Executor):
    """Speaks JSON-RPC: a stream for the turn, and, if that breaks, questions about the task until it has ended."""

    probe_timeout = 5.0

    def __init__(self, target: str | Sequence[str], options: Options) -> None:
        super().__init__(target, options)
        self._base = (target if isinstance(target, str) else " ".join(target)).rstrip("/")
        self._idle = options.seconds("stream_idle", 60.0)
        self._poll = options.seconds("poll_interval", 1.0)
        self.capacity = max(options.integer("capacity", 4), 1)
        self._token_env = options.text("token_env")
        self._version = options.choice("version", "newest", ("newest", "1.0", "0.3"))
        #: the remote's context of each of ours, and the remote task that asked in one of ours
        self._contexts: OrderedDict[str, str] = OrderedDict()
        self._asked: OrderedDict[str, str] = OrderedDict()

    async def start(self) -> None:
        if not self._base.startswith(("http://", "https://")):
            raise ConfigurationError(f"{self._base!r} is not the URL of an A2A agent; give one like https://host/agent")
        headers = {}
        if self._token_env:
            token = os.environ.get(self._token_env)
            if not token:
                raise ConfigurationError(f"the environment has no {self._token_env}, which token_env names")
            headers["Authorization"] = f"Bearer {token}"
        limits = httpx2.Timeout(ANSWER, connect=CONNECT)
        self._http = httpx2.AsyncClient(headers=headers, timeout=limits, follow_redirects=False)
        self._place = place_of(await self._card(), self._base, self._version)
        await self.probe()

    async def run(self, turn: Turn) -> AsyncGenerator[Output, None]:
        answer = Answer()
        yield InPhase("waiting_model")
        try:
            async with aclosing(self._follow(turn, answer)) as results:
                async for result in results:
                    for kind, text, parts in answer.hear(result):
                        if kind == "text":
                            yield Text(text)
                        elif kind == "note":
                            yield Progress(text)
                        else:
                            yield Artifact(text, tuple(parts))
        finally:
            if answer.task_id and answer.state not in FINAL | ASKING:
                with contextlib.suppress(TurnError, TimeoutError):
                    async with asyncio.timeout(CANCEL):
                        await self._call("CancelTask", {"id": answer.task_id})
        _keep(self._contexts, turn.context_id, answer.context_id)
        yield self._last(turn, answer)

    def _last(self, turn: Turn, answer: Answer) -> Result | InputRequired:
        if answer.state in ASKING:
            _keep(self._asked, turn.task_id, answer.task_id)
            return InputRequired(answer.said or answer.text, auth=answer.state == "auth-required")
        if answer.state != "completed":
            raise AnsweredError(
                f"the remote agent ended the task as {answer.state}: {answer.said or 'no reason given'}"
            )
        return Result(answer.text)

    async def _follow(self, turn: Turn, answer: Answer) -> AsyncGenerator[Any, None]:
        """Every result, until the task has ended or asks."""
        parts = [dict(part) for part in turn.parts] or [{"text": turn.text}]
        if turn.results:
            parts.insert(0, {"text": envelope.render(turn.results)})
        reply_to = self._asked.pop(turn.task_id, None) if turn.reply else None
        params = self._place.message(str(uuid.uuid4()), parts, self._contexts.get(turn.context_id), reply_to)
        try:
            async with aclosing(self._stream(params)) as results:
                async for result in results:
                    yield result
                    if answer.state in FINAL | ASKING:
                        return
        except httpx2.TransportError as error:
            if not answer.task_id:
                raise TurnError(f"the remote agent can't be reached: {_why(error)}") from error
        failures = 0
        while answer.state not in FINAL | ASKING:
            if not answer.task_id:
                raise TurnError("the remote agent's stream ended without a task")
            await asyncio.sleep(self._poll)
            try:
                result = await self._call("GetTask", {"id": answer.task_id})
                failures = 0
            except AnsweredError:
                raise
            except TurnError:
                failures += 1
                if failures >= PATIENCE:
                    raise
            else:
                yield result

    async def _stream(self, params: dict[str, Any]) -> AsyncGenerator[Any, None]:
        """The results of one SendStreamingMessage; a server that does not stream answers with one."""
        body = self._place.body("SendStreamingMessage", params)
        limits = httpx2.Timeout(ANSWER, connect=CONNECT, read=self._idle)
        headers = {**self._place.headers, "Accept": "text/event-stream"}
        async with self._http.stream("POST", self._place.url, json=body, headers=headers, timeout=limits) as response:
            streams = response.headers.get("content-type", "").startswith("text/event-stream")
            if response.status_code != 200 or not streams:
                yield _decoded(await _bounded(response), response.status_code)
                return
            event: list[bytes] = []
            async with aclosing(_lines(response)) as lines:
                async for line in lines:
                    if line.startswith(b"data:"):
                        event.append(line.removeprefix(b"data:").strip())
                    elif not line and event:
                        yield _decoded(b"\n".join(event), 200)
                        event = []

    async def probe(self) -> None:
        with contextlib.suppress(AnsweredError):
            await self._call("GetTask", {"id": "00000000-0000-4000-8000-000000000000"})

    async def recover(self, reason: str) -> AsyncGenerator[Step, None]:
        """The card again: the agent may have moved to another address or version."""
        try:
            self._place = place_of(await self._card(), self._base, self._version)
        except (TurnError, ConfigurationError) as error:
            yield Step("read the card again", ok=False, detail=str(error))
        else:
            yield Step("read the card again", ok=True)

    async def close(self) -> None:
        if hasattr(self, "_http"):
            await self._http.aclose()

    async def _card(self) -> Any:
        try:
            response = await self._http.get(self._base + CARD)
        except httpx2.TransportError as error:
            raise TurnError(f"the remote agent can't be reached: {_why(error)}") from error
        if response.status_code in {401, 403, 404, 410}:
            raise ConfigurationError(f"{self._base + CARD} answers HTTP {response.status_code}: check URL and token")
        try:
            return msgspec.json.decode(response.content)
        except msgspec.DecodeError as error:
            raise TurnError(f"{self._base + CARD} answers HTTP {response.status_code} and no card") from error

    async def _call(self, method: str, params: dict[str, Any]) -> Any:
        """One answer. AnsweredError: the remote agent itself said no."""
        body = self._place.body(method, params)
        try:
            async with self._http.stream("POST", self._place.url, json=body, headers=self._place.headers) as response:
                return _decoded(await _bounded(response), response.status_code)
        except httpx2.TransportError as error:
            raise TurnError(f"the remote agent can't be reached: {_why(error)}") from error


async def _bounded(response: httpx2.Response) -> bytes:
    data = bytearray()
    async for piece in response.aiter_bytes():
        data += piece
        if len(data) > EVENT_LIMIT:
            raise TurnError(f"the remote agent's answer is larger than {EVENT_LIMIT} bytes")
    return bytes(data)


async def _lines(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """Lines without their ends, bounded."""
    rest = b""
    async with aclosing(response.aiter_bytes()) as pieces:
        async for piece in pieces:
            *lines, rest = (rest + piece).replace(b"\r\n", b"\n").split(b"\n")
            for line in lines:
                yield line
            if len(rest) > EVENT_LIMIT:
                raise TurnError(f"an event of the remote agent is larger than {EVENT_LIMIT} bytes")


def _decoded(data: bytes, status: int) -> Any:
    try:
        answer = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise TurnError(f"the remote agent answers HTTP {status} and no JSON") from error
    try:
        return result_of(answer)
    except TurnError as error:
        if isinstance(answer, dict) and "error" in answer:
            raise AnsweredError(str(error)) from None
        raise TurnError(f"{error} (HTTP {status})") from None


def _keep(known: OrderedDict[str, str], ours: str, theirs: str) -> None:
    if ours and theirs:
        known[ours] = theirs
        known.move_to_end(ours)
        while len(known) > REMEMBERED:
            known.popitem(last=False)


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__
