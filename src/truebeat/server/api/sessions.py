"""Handlers of /session: the canvas's login."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from truebeat.errors import Forbidden, Invalid
from truebeat.protocol.resources import SessionView
from truebeat.server.services.sessions import SESSION_LIFE

if TYPE_CHECKING:
    from truebeat.protocol.resources import Login
    from truebeat.server.api.call import Call
    from truebeat.server.main import Services


async def show(_services: Services, call: Call) -> SessionView:
    """Who this is."""
    return SessionView(name=call.by.name, role=call.by.role.value, workspace_id=call.by.workspace_id)


async def open_(services: Services, call: Call) -> Response:
    """Trade a token or a login code for a cookie. Another site's page could else log its visitor in as somebody."""
    if not call.same_origin:
        raise Forbidden("this page is not the server's own: a session is opened by the canvas itself")
    login: Login = call.body
    if bool(login.token) == bool(login.code):
        raise Invalid("body: give a token or a code, and not both")
    secret = await services.sessions.open(token=login.token, code=login.code)
    principal = await services.tokens.authenticate(b"Session " + secret.encode())
    view = SessionView(name=principal.name, role=principal.role.value, workspace_id=principal.workspace_id)
    answer = Response(msgspec.json.encode(view), 201, media_type="application/json")
    _set(answer, call, secret, int(SESSION_LIFE.total_seconds()))
    return answer


async def close(services: Services, call: Call) -> Response:
    """Log out."""
    await services.sessions.close(call.credentials or b"")
    answer = Response(status_code=204)
    _set(answer, call, "", 0)
    return answer


def _set(answer: Response, call: Call, secret: str, seconds: int) -> None:
    answer.set_cookie(
        call.cookie, secret, max_age=seconds, httponly=True, samesite="strict", secure=call.secure, path="/"
    )
