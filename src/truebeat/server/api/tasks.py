"""Handlers of tasks: send, read, wait, cancel; and the stream of one task's updates over WebSocket."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

import msgspec
import structlog
from msgspec import Meta, Struct
from starlette.websockets import WebSocket, WebSocketDisconnect

from truebeat.domain.access import Permission
from truebeat.domain.delivery import State
from truebeat.errors import Invalid, NotFound, TruebeatError, Unauthenticated
from truebeat.protocol.delivery import TaskId
from truebeat.server.api.call import authorization, permit
from truebeat.server.api.problems import problem, problem_response
from truebeat.server.background.tasks import spawn
from truebeat.server.services.task_views import moment

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from truebeat.domain.access import Principal
    from truebeat.protocol.tasks import TaskPage, TaskView
    from truebeat.server.api.call import Call
    from truebeat.server.main import Services
    from truebeat.server.services.mailbox import Mailbox
    from truebeat.server.services.tokens import Tokens
    from truebeat.server.services.waiters import Waiters

log = structlog.get_logger(__name__)

#: close codes of a stream: nothing follows; the server stops, dial again
CLOSE_DONE: Final = 1000
CLOSE_RESTART: Final = 1012


class TasksQuery(Struct, kw_only=True):
    """`after` is the `next` of the page before; `state` may name several, with commas."""

    after: Annotated[str, Meta(max_length=2000)] = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    state: Annotated[str, Meta(max_length=200)] = ""
    context_id: TaskId | None = None
    updated_after: datetime | None = None


class TaskQuery(Struct, kw_only=True):
    """`wait`: seconds to wait for the end, less if the workspace can't work now."""

    wait: Annotated[float, Meta(ge=0, le=3600)] = 0


class UpdatesQuery(Struct, kw_only=True):
    """`after` is the `seq` of the last update that was seen."""

    after: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0


async def send(services: Services, call: Call) -> TaskView:
    return await services.mailbox.send(
        call.ids["workspace_id"], call.body, call.by, idempotency_key=call.headers.get("idempotency-key", "")
    )


async def page(services: Services, call: Call) -> TaskPage:
    query: TasksQuery = call.query
    return await services.mailbox.page(
        call.by,
        workspace_id=call.ids.get("workspace_id"),
        context_id=query.context_id,
        states=_states(query.state),
        after=query.after,
        limit=query.limit,
        updated_after=None if query.updated_after is None else moment(query.updated_after, "updated_after"),
    )


async def show(services: Services, call: Call) -> TaskView:
    query: TaskQuery = call.query
    if query.wait:
        return await services.mailbox.wait(call.ids["task_id"], call.by, seconds=query.wait)
    return await services.mailbox.get(call.ids["task_id"], call.by)


async def cancel(services: Services, call: Call) -> TaskView:
    return await services.mailbox.cancel(call.ids["task_id"], call.by)


def _states(text: str) -> list[State]:
    try:
        return [State(name.strip()) for name in text.split(",") if name.strip()]
    except ValueError:
        known = ", ".join(state.value for state in State)
        raise Invalid(f"state: one or more of {known}") from None


class TaskStream:
    """The WebSocket endpoint; one update a text frame, until the last. What the client sends is ignored."""

    def __init__(self, mailbox: Mailbox, tokens: Tokens, waiters: Waiters) -> None:
        self._mailbox = mailbox
        self._tokens = tokens
        self._waiters = waiters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        with ExitStack() as place:
            try:
                principal, task_id, after = await self._asked(socket)
                place.enter_context(self._waiters.place(principal))
                await self._mailbox.get(task_id, principal)
            except TruebeatError as error:
                await socket.send_denial_response(problem_response(error))
                return
            await self._stream(socket, principal, task_id, after)

    async def _stream(self, socket: WebSocket, principal: Principal, task_id: UUID, after: int) -> None:
        await socket.accept()
        scope = socket.scope
        sender = spawn(self._send(socket, principal, task_id, after), name="task stream")
        token = spawn(self._tokens.until_ended(authorization(scope["headers"])), name="task stream's token")
        reader = spawn(_until_gone(socket), name="task stream's client")
        try:
            await asyncio.wait({sender, reader, token}, return_when=asyncio.FIRST_COMPLETED)
            ended = token.exception() if token.done() and not token.cancelled() else None
            if isinstance(ended, TruebeatError):
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
                await _end(socket, ended)
        finally:
            for task in (sender, reader, token):
                task.cancel()
            await asyncio.gather(sender, reader, token, return_exceptions=True)

    async def _asked(self, socket: WebSocket) -> tuple[Principal, UUID, int]:
        if "token" in socket.query_params:
            raise Unauthenticated("tokens in URLs end in logs; send it as Authorization: Bearer <token>")
        principal = await self._tokens.authenticate(authorization(socket.scope["headers"]))
        permit(principal, Permission.SEE)
        try:
            task_id = UUID(socket.path_params["task_id"])
        except ValueError:
            raise NotFound("task_id: not a UUID, so there is no such thing") from None
        try:
            query = msgspec.convert(dict(socket.query_params), UpdatesQuery, strict=False)
        except msgspec.ValidationError as error:
            raise Invalid(f"query: {error}") from None
        return principal, task_id, query.after

    async def _send(self, socket: WebSocket, principal: Principal, task_id: UUID, after: int) -> None:
        last = False
        try:
            async for update in self._mailbox.updates(task_id, principal, after):
                await socket.send_text(msgspec.json.encode(update).decode())
                last = update.final
            view = await self._mailbox.get(task_id, principal)
            done = last or view.final or view.paused
            await socket.close(CLOSE_DONE if done else CLOSE_RESTART, "" if done else "the server stops; dial again")
        except TruebeatError as error:
            await _end(socket, error)
        except (WebSocketDisconnect, RuntimeError):
            log.debug("a task stream's client went away")


async def _until_gone(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _end(socket: WebSocket, error: TruebeatError) -> None:
    """The last frame of a stream that ends with an error; the close code is 4000 + its status."""
    told = problem(error)
    frame: dict[str, Any] = {"type": "error", "code": told.code, "status": told.status, "detail": told.detail}
    try:
        await socket.send_text(msgspec.json.encode(frame | {"facts": told.facts}).decode())
        await socket.close(4000 + told.status, told.detail.encode()[:120].decode(errors="ignore"))
    except (WebSocketDisconnect, RuntimeError):
        log.debug("a task stream's client went away first")
