"""The MCP server over streamable HTTP, on this machine only.

Who speaks to it has to show the workspace's own token on every request: being on this machine gives nobody anything.
Names of hosts and origins are checked by the mcp package, so that a page in a browser can't reach it by rebinding.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from truebeat import errors
from truebeat.tools.mcp_server import build

if TYPE_CHECKING:
    from truebeat.client.credentials import TokenSource
    from truebeat.tools.catalog import Tools

HOST: Final = "127.0.0.1"
PATH: Final = "/mcp"
#: seconds that calls which are on may take once the server is told to stop
GRACE: Final = 2


class _TokenAsked:
    """Passes on what carries the token; 401 for all else, whatever it asks for."""

    def __init__(self, app: Any, tokens: TokenSource) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" or await self._shown(scope):
            await self._app(scope, receive, send)
            return
        body = json.dumps({"error": "send this workspace's token: Authorization: Bearer ..."}).encode()
        headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _shown(self, scope: Any) -> bool:
        given = [value for name, value in scope.get("headers", ()) if name == b"authorization"]
        if len(given) != 1 or not given[0].startswith(b"Bearer "):
            return False
        token = given[0][7:]
        if _same(token, self._tokens.current()):
            return True
        # it may have been rotated under us
        return _same(token, await asyncio.to_thread(self._tokens.refresh))


def _same(given: bytes, wanted: str | None) -> bool:
    return wanted is not None and hmac.compare_digest(given, wanted.encode())


def listen(port: int) -> socket.socket:
    """On loopback, and nowhere else; port 0 takes any free one."""
    try:
        return socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise errors.Conflict(f"cannot listen on {HOST}:{port} ({why}); choose another port") from None


def address(listening: socket.socket) -> str:
    """What a client is told to connect to."""
    return f"http://{HOST}:{listening.getsockname()[1]}{PATH}"


async def serve_http(tools: Tools, tokens: TokenSource, listening: socket.socket) -> None:
    """Until it is signalled or canceled."""
    server = build(tools)
    import uvicorn

    # stateless: a client goes on as if nothing had been when this process was restarted
    app = server.streamable_http_app(streamable_http_path=PATH, stateless_http=True, host=HOST)
    config = uvicorn.Config(
        _TokenAsked(app, tokens), log_level="warning", access_log=False, ws="none", timeout_graceful_shutdown=GRACE
    )
    running = uvicorn.Server(config)
    serving = asyncio.ensure_future(running.serve(sockets=[listening]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        running.should_exit = True
        with suppress(asyncio.CancelledError):
            await serving
        raise
