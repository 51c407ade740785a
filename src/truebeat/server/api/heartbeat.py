"""POST /registry/heartbeat as bare ASGI: the hot path skips the router.

A beat that changes nothing skips the database too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from truebeat.domain.health import Status
from truebeat.errors import Forbidden, Invalid, TooLarge, TruebeatError
from truebeat.protocol.resources import BODY_LIMIT, Heartbeat, HeartbeatReply
from truebeat.server.api.problems import problem_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from truebeat.domain.access import Principal
    from truebeat.server.services.heartbeats import Heartbeats
    from truebeat.server.services.tokens import Tokens

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_decode = msgspec.json.Decoder(Heartbeat).decode


class HeartbeatEndpoint:
    """One instance a server. `beat_interval` and `lease` (seconds) go into every answer."""

    def __init__(self, heartbeats: Heartbeats, tokens: Tokens, *, beat_interval: float, lease: float) -> None:
        self._heartbeats = heartbeats
        self._tokens = tokens
        self._answers: dict[Status, tuple[MutableMapping[str, Any], MutableMapping[str, Any]]] = {}
        for status in Status:
            body = msgspec.json.encode(
                HeartbeatReply(status=status, next_beat_seconds=beat_interval, lease_seconds=lease)
            )
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            self._answers[status] = (
                {"type": "http.response.start", "status": 200, "headers": headers},
                {"type": "http.response.body", "body": body},
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # One long function: of a beat's few microseconds here each call would be a part that one can measure.
        authorization = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
                break
        try:
            principal = self._tokens.known(authorization) or await self._tokens.authenticate(authorization)
            message = await receive()
            content = message.get("body", b"")
            if message.get("more_body"):
                content = await _rest(content, receive)
            if len(content) > BODY_LIMIT:
                raise TooLarge(f"a heartbeat is at most {BODY_LIMIT} bytes; shorten sample_error", limit=BODY_LIMIT)
            try:
                beat = _decode(content)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise Invalid(f"not a heartbeat: {error}") from None
            lease = self._heartbeats.lease(beat.workspace_id)
            if principal.workspace_id != lease.id:
                raise _not_its_own(principal)
            observation = self._heartbeats.accept(lease, beat)
            if observation is not None:
                await self._heartbeats.settle(lease, observation)
        except TruebeatError as error:
            await problem_response(error)(scope, receive, send)
            return
        start, body = self._answers[lease.status]
        await send(start)
        await send(body)


async def _rest(content: bytes, receive: Receive) -> bytes:
    chunks = [content]
    size = len(content)
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Invalid("the client went away before its heartbeat was complete")
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size > BODY_LIMIT:
            raise TooLarge(f"a heartbeat is at most {BODY_LIMIT} bytes; shorten sample_error", limit=BODY_LIMIT)
        chunks.append(chunk)
    return b"".join(chunks)


def _not_its_own(principal: Principal) -> TruebeatError:
    if principal.workspace_id is None:
        return Forbidden("only the workspace's own token may beat for it; use the token from its registration")
    return Forbidden("this token belongs to another workspace; a workspace beats only for itself")
