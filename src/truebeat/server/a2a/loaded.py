"""The SDK's dispatchers over our handler. Importing this module takes the SDK's second: endpoint.py does it late."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from a2a.extensions.common import HTTP_EXTENSION_HEADER, get_requested_extensions
from a2a.server.context import ServerCallContext
from a2a.server.request_handlers import response_helpers
from a2a.server.routes.common import ServerCallContextBuilder
from a2a.server.routes.jsonrpc_dispatcher import JsonRpcDispatcher
from a2a.server.routes.rest_routes import create_rest_routes
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import UnsupportedOperationError
from google.protobuf.json_format import MessageToDict
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Match, Route

from truebeat.server.a2a import faults, views
from truebeat.server.a2a.caller import KEY
from truebeat.server.a2a.wire import invalid_params, no_such_method

if TYPE_CHECKING:
    from a2a.server.request_handlers.request_handler import RequestHandler
    from starlette.responses import Response
    from starlette.types import Message, Receive, Scope, Send

    from truebeat.protocol.tasks import TaskView
    from truebeat.server.a2a.caller import Caller


_OWN_TYPE: Final = b"application/a2a+json"


class _Decoded(Request):
    """A request whose JSON is decoded, and completed, already."""

    def __init__(self, scope: Scope, receive: Receive, body: Any) -> None:
        super().__init__(scope, receive)
        self._decoded = body

    async def json(self) -> Any:
        return self._decoded


class _Contexts(ServerCallContextBuilder):
    """What handlers get of a request: who asks, the version, the extensions."""

    def build(self, request: Request) -> ServerCallContext:
        caller: Caller = request.scope[KEY]
        return ServerCallContext(
            state={KEY: caller, "headers": {"a2a-version": caller.version}},
            requested_extensions=get_requested_extensions(request.headers.getlist(HTTP_EXTENSION_HEADER)),
        )


class Loaded:
    """Serves both bindings. `below` is the path below the workspace's endpoint, with its slash."""

    def __init__(self, handler: RequestHandler) -> None:
        faults.register()
        # It would log every hostile request with its traceback; what matters our handler logs itself.
        logging.getLogger("a2a").setLevel(logging.CRITICAL)
        contexts = _Contexts()
        self._rpc = JsonRpcDispatcher(handler, contexts, enable_v0_3_compat=True)
        self._rest = [
            route
            for old in (False, True)
            for route in create_rest_routes(
                handler, contexts, enable_v0_3_compat=old, path_prefix="/v0.3" if old else ""
            )
            if isinstance(route, Route) and route.path.startswith("/v0.3/v1/") is old
        ]

    async def rpc(self, scope: Scope, receive: Receive, send: Send, body: Any) -> None:
        """Errors: RefusedError (parameters of a 0.3 method that are no use)."""
        if scope[KEY].legacy:
            _check_legacy(body)
        response = await self._rpc.handle_requests(_Decoded(scope, receive, body))
        await response(scope, receive, send)

    def told(self, view: TaskView, request_id: str | int) -> Response:
        """The answer to a SendMessage that came another way."""
        reply = views.message(view, legacy=False)
        shown = pb.SendMessageResponse(message=reply) if reply is not None else None
        return _result(shown or pb.SendMessageResponse(task=views.task(view)), request_id)

    def refused(self, error: Exception, request_id: str | int) -> Response:
        """The same, if it failed."""
        translated = faults.translate(error, UnsupportedOperationError)
        return JSONResponse(response_helpers.build_error_response(request_id, translated))

    async def rest(self, scope: Scope, receive: Receive, send: Send, below: str) -> None:
        """Errors: RefusedError (no such path or method)."""
        inner = {**scope, "path": below, "root_path": "", "path_params": {}}
        partial = False
        for route in self._rest:
            match, found = route.matches(inner)
            if match is Match.FULL:
                inner.update(found)
                await route.handle(inner, receive, send if _wants_own_type(scope) else _as_json(send))
                return
            partial = partial or match is Match.PARTIAL
        if partial:
            raise no_such_method("this path does not know that method", 405)
        raise no_such_method("there is no such path below this agent's endpoint")


def _result(result: pb.SendMessageResponse, request_id: str | int) -> Response:
    return JSONResponse({"jsonrpc": "2.0", "id": request_id, "result": MessageToDict(result)})


def _wants_own_type(scope: Scope) -> bool:
    return _OWN_TYPE in b",".join(value for name, value in scope["headers"] if name == b"accept")


def _as_json(send: Send) -> Send:
    """The SDK labels REST answers with A2A's media type, which clients that did not ask for it may not know."""

    async def relabelled(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [
                (name, b"application/json" if value == _OWN_TYPE else value) for name, value in message["headers"]
            ]
            message = {**message, "headers": headers}
        await send(message)

    return relabelled


def _check_legacy(body: dict[str, Any]) -> None:
    # The SDK's modules import each other in a circle, which only this order gets through.
    from a2a.compat.v0_3.jsonrpc_adapter import JSONRPC03Adapter

    model: Any = JSONRPC03Adapter.METHOD_TO_MODEL[body["method"]]
    try:
        model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise invalid_params(f"{where}: {first['msg']}") from None
