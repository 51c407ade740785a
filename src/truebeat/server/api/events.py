"""GET /events, and the stream of events over WebSocket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final, cast
from uuid import UUID

import msgspec
import structlog
from msgspec import Meta, Struct
from starlette.websockets import WebSocket, WebSocketDisconnect

from truebeat.domain.access import Permission
from truebeat.errors import Invalid, TruebeatError, Unauthenticated
from truebeat.protocol.events import Pulse
from truebeat.server.api.call import authorization, permit
from truebeat.server.api.problems import problem
from truebeat.server.background.tasks import spawn
from truebeat.server.services.events import Pulsing
from truebeat.server.store.events import FLEET

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from truebeat.clock import Clock
    from truebeat.protocol.events import EventPage
    from truebeat.server.api.call import Call
    from truebeat.server.main import Services
    from truebeat.server.services.events import EventLog
    from truebeat.server.services.tokens import Tokens

log = structlog.get_logger(__name__)

#: close code of a stream that ends because the server stops: dial again
CLOSE_RESTART: Final = 1012


class EventsQuery(Struct, kw_only=True):
    """`since` is the `seq` of the last event that was seen; `workspace_id`: of that one only. `before`: the last ones
    before that `seq`, instead of the first after `since`; also oldest first, and as far back as the log goes. `fleet`:
    only those of no workspace.
    """

    since: Annotated[int, Meta(ge=0, le=2**62)] = 0
    before: Annotated[int, Meta(ge=0, le=2**62)] | None = None
    workspace_id: UUID | None = None
    fleet: bool = False
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class StreamQuery(Struct, kw_only=True):
    """Without `since` the stream begins now. `pulse`: seconds; when everything was told, and so often after that, a
    frame {"type": "pulse"} says so.
    """

    since: Annotated[int, Meta(ge=0, le=2**62)] | None = None
    pulse: Annotated[float, Meta(ge=0.1, le=60)] | None = None


class ErrorFrame(Struct, kw_only=True, tag="error"):
    """The last frame of a stream that ends with an error; the close code is 4000 + `status`."""

    code: str
    status: int
    detail: str
    facts: dict[str, Any]


async def read(services: Services, call: Call) -> EventPage:
    query: EventsQuery = call.query
    if query.fleet and query.workspace_id is not None:
        raise Invalid("query: events of no workspace (fleet) and of one (workspace_id) exclude each other")
    whose = FLEET if query.fleet else query.workspace_id
    if query.before is not None:
        return await services.events.read_back(query.before, query.limit, call.by, whose)
    return await services.events.read(query.since, query.limit, call.by, whose)


class EventStream:
    """The WebSocket endpoint; one event a text frame. What the client sends is ignored."""

    def __init__(self, events: EventLog, tokens: Tokens, unsure: Callable[[], str], clock: Clock) -> None:
        """`unsure` says why no status may be believed now, or "" ."""
        self._events = events
        self._tokens = tokens
        self._unsure = unsure
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        sender = spawn(self._send(socket), name="event stream")
        reader = spawn(_until_gone(socket), name="event stream's client")
        try:
            await asyncio.wait({sender, reader}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sender.cancel()
            reader.cancel()
            await asyncio.gather(sender, reader, return_exceptions=True)

    async def _send(self, socket: WebSocket) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                stream = await self._subscribe(socket)
                recheck = group.create_task(self._tokens.until_ended(authorization(socket.scope["headers"])))
                async for text in stream:
                    await socket.send_text(text.decode())
                recheck.cancel()
            await _close(socket, CLOSE_RESTART, "the server stops; dial again")
        except* TruebeatError as errors:
            error = _first(errors)
            told = problem(error)
            frame = ErrorFrame(code=told.code, status=told.status, detail=told.detail, facts=told.facts)
            await _close(socket, 4000 + told.status, told.detail, msgspec.json.encode(frame).decode())
        except* (WebSocketDisconnect, RuntimeError):
            log.debug("an event stream's client went away")

    async def _subscribe(self, socket: WebSocket) -> Any:
        if "token" in socket.query_params:
            raise Unauthenticated("tokens in URLs end in logs; send it as Authorization: Bearer <token>")
        principal = await self._tokens.authenticate(authorization(socket.scope["headers"]))
        permit(principal, Permission.SEE)
        try:
            query = msgspec.convert(dict(socket.query_params), StreamQuery, strict=False)
        except msgspec.ValidationError as error:
            raise Invalid(f"query: {error}") from None
        pulse = None if query.pulse is None else Pulsing(query.pulse, self._pulse)
        return await self._events.subscribe(query.since, principal, pulse)

    def _pulse(self, seq: int) -> bytes:
        return msgspec.json.encode(Pulse(at=self._clock.now(), seq=seq, unsure=self._unsure()))


def _first(errors: BaseExceptionGroup[TruebeatError]) -> TruebeatError:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return cast("TruebeatError", error)


async def _until_gone(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _close(socket: WebSocket, code: int, reason: str, last_frame: str = "") -> None:
    try:
        if last_frame:
            await socket.send_text(last_frame)
        await socket.close(code, reason.encode()[:120].decode(errors="ignore"))
    except (WebSocketDisconnect, RuntimeError):
        log.debug("an event stream's client went away first")
