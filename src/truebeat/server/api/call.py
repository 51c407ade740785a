"""One request on its way to a handler: authenticated, bounded, decoded; and the answer encoded. Only here.

What a handler gets is typed and within its bounds; what it raises becomes a problem document.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from truebeat.errors import Forbidden, Invalid, NotFound, TooLarge, TruebeatError, Unauthenticated
from truebeat.protocol.resources import VISIBLE
from truebeat.server.api.problems import problem_response, unexpected_response
from truebeat.server.background.tasks import spawn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from truebeat.domain.access import Permission, Principal
    from truebeat.server.api.routes import Route
    from truebeat.server.services.tokens import Tokens

#: the one pattern of bodies, which says nothing to people
_PATTERN: Final = re.compile(r"`str` matching regex '.*'", re.DOTALL)

#: the canvas's login; HttpOnly, SameSite=Strict. A port follows it: see session_cookie
SESSION_COOKIE: Final = b"truebeat_session"


@dataclass(frozen=True, slots=True)
class Call:
    """`principal` is None only on public routes. `body` and `query` have the types the route names."""

    principal: Principal | None
    ids: dict[str, UUID]
    query: Any
    body: Any
    #: what the principal was known by: an Authorization header, or a session cookie as one
    credentials: bytes | None = None
    #: over TLS, as far as this server knows
    secure: bool = False
    #: whether no page of another site sent it
    same_origin: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    #: the name of the session's cookie
    cookie: str = SESSION_COOKIE.decode()

    @property
    def by(self) -> Principal:
        """The principal of a route that asks for a permission."""
        if self.principal is None:
            raise Unauthenticated("a token is needed: Authorization: Bearer <token>")
        return self.principal


def authorization(headers: list[tuple[bytes, bytes]]) -> bytes | None:
    """The one Authorization header, else the session cookie in the form of one ("Session <secret>").

    Two headers would let a proxy and this server believe different ones: Unauthenticated. A cookie that comes with a
    foreign Origin was sent by another site's page: Forbidden. Browsers name the Origin of each WebSocket and of each
    request that changes something.
    """
    found = [value for name, value in headers if name == b"authorization"]
    if len(found) > 1:
        raise Unauthenticated("send exactly one Authorization header")
    if found:
        return found[0]
    session = _session_cookie(headers)
    if session is not None and not _same_origin(headers):
        raise Forbidden("this page is not the server's own: a session cookie counts only from the canvas itself")
    return session


def session_cookie(headers: list[tuple[bytes, bytes]]) -> bytes:
    """The cookie's name. Browsers send the cookies of a host to all its ports: two servers need two names."""
    host = next((value for name, value in headers if name == b"host"), b"")
    port = host.rpartition(b":")[2]
    return SESSION_COOKIE + b"_" + port if b":" in host and port.isdigit() else SESSION_COOKIE


def _session_cookie(headers: list[tuple[bytes, bytes]]) -> bytes | None:
    wanted = session_cookie(headers)
    for name, value in headers:
        if name == b"cookie":
            for pair in value.split(b";"):
                key, _, secret = pair.strip().partition(b"=")
                if key == wanted and secret:
                    return b"Session " + secret
    return None


def _same_origin(headers: list[tuple[bytes, bytes]]) -> bool:
    origins = [value for name, value in headers if name == b"origin"]
    hosts = [value for name, value in headers if name == b"host"]
    return not origins or (len(origins) == 1 and len(hosts) == 1 and origins[0].partition(b"://")[2] == hosts[0])


def permit(principal: Principal, access: Permission) -> None:
    if not principal.may(access):
        raise Forbidden(f'a token of the role "{principal.role}" may not do this; it needs the permission "{access}"')


def endpoint(route: Route, services: Any, tokens: Tokens) -> Callable[[Request], Awaitable[Response]]:
    """The route as Starlette calls it."""
    handler = route.handler
    if handler is None:
        raise ValueError(f"{route.method} {route.path} is done by a bare endpoint")

    async def answer(request: Request) -> Response:
        try:
            call = await _call(route, request, tokens)
            if _waits(call):
                with services.waiters.place(call.by):
                    reply = await _while_connected(request, handler(services, call))
            else:
                reply = await handler(services, call)
        except TruebeatError as error:
            return problem_response(error)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:
            return unexpected_response(error, f"{route.method} {route.path}")
        if isinstance(reply, Response):
            return reply
        if reply is None:
            return Response(status_code=204)
        return Response(msgspec.json.encode(reply), route.status, media_type="application/json")

    return answer


def _waits(call: Call) -> bool:
    """It was asked to answer later than it could."""
    return bool(getattr(call.query, "wait", 0) or getattr(call.body, "wait_seconds", 0))


async def _while_connected(request: Request, work: Awaitable[Any]) -> Any:
    """What waits, waits for somebody. Errors: ClientDisconnect, and its own."""
    try:
        async with asyncio.timeout(None) as limit:

            def left(client: asyncio.Task[None]) -> None:
                if not client.cancelled():
                    limit.reschedule(0)

            client = spawn(_until_gone(request), name="waiting client")
            client.add_done_callback(left)
            try:
                return await work
            finally:
                client.remove_done_callback(left)
                client.cancel()
    except TimeoutError:
        if limit.expired():
            raise ClientDisconnect from None
        raise


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _call(route: Route, request: Request, tokens: Tokens) -> Call:
    header = authorization(request.scope["headers"])
    principal: Principal | None = None
    if route.access is not None:
        principal = await tokens.authenticate(header)
        permit(principal, route.access)
    elif route.optional_token and header is not None:
        principal = await tokens.authenticate(header)
    ids = {name: _id(name, text) for name, text in request.path_params.items()}
    query = None if route.query is None else _query(route.query, request)
    body = None if route.body is None else _decode(route.body, await _read(request, route.body_limit))
    own = _same_origin(request.scope["headers"])
    cookie = session_cookie(request.scope["headers"]).decode()
    return Call(principal, ids, query, body, header, request.url.scheme == "https", own, request.headers, cookie)


def _id(name: str, text: str) -> UUID:
    try:
        return msgspec.convert(text, UUID)
    except msgspec.ValidationError:
        raise NotFound(f"{name}: not a UUID, so there is no such thing") from None


def _query(kind: type[Any], request: Request) -> Any:
    given = dict(request.query_params)
    if "\x00" in "".join(given.values()):
        raise Invalid("query: NUL characters are refused")
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(f"query: {error}") from None


async def _read(request: Request, limit: int) -> bytes:
    """At most `limit` bytes; a larger body is refused before it is read, or as soon as it proves larger."""
    too_large = TooLarge(f"a body is at most {limit} bytes", limit=limit)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > limit:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


def _decode(kind: type[Any], content: bytes) -> Any:
    try:
        body = msgspec.json.decode(content, type=kind)
        nul = _nul(msgspec.to_builtins(body), "$") if b"\\u0000" in content else ""
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"body: {_PATTERN.sub(VISIBLE, str(error))}") from None
    except RecursionError:
        raise Invalid("body: nested too deeply") from None
    if nul:
        raise Invalid(f"body: NUL characters are refused - at `{nul}`")
    return body


def _nul(value: Any, where: str) -> str:
    """The path of a text that holds NUL, which PostgreSQL can't store; "" if there is none."""
    if isinstance(value, str):
        return where if "\x00" in value else ""
    if isinstance(value, dict):
        found = (where if "\x00" in str(key) else _nul(item, f"{where}.{key}") for key, item in value.items())
        return next(filter(None, found), "")
    if isinstance(value, list):
        return next(filter(None, (_nul(item, f"{where}[{place}]") for place, item in enumerate(value))), "")
    return ""
