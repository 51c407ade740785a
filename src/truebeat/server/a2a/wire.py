"""What is settled before the SDK sees a request: its body, its content type, and the errors of both bindings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.types import Receive, Scope

#: bytes of a request's body
BODY_LIMIT: Final = 1024 * 1024
#: levels of JSON in a body: protobuf reads 100 of its own, of which each level of free data takes three
DEPTH: Final = 32

_MEDIA_TYPES: Final = frozenset({"application/json", "application/a2a+json"})
_DOMAIN: Final = "a2a-protocol.org"


class RefusedError(Exception):
    """A request that no handler sees. `code` is JSON-RPC's, `status` and `grpc` are those of the REST binding."""

    def __init__(self, message: str, *, code: int, status: int, grpc: str, reason: str) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.grpc = grpc
        self.reason = reason
        #: of the JSON-RPC request, once it is known
        self.request_id: str | int | None = None

    def _info(self) -> list[dict[str, Any]]:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        return [{"@type": kind, "reason": self.reason, "domain": _DOMAIN, "metadata": {}}]

    def as_rpc(self) -> Response:
        error = {"code": self.code, "message": self.message, "data": self._info()}
        status = self.status if self.status in {405, 413} else 200
        return _json({"jsonrpc": "2.0", "id": self.request_id, "error": error}, status)

    def as_rest(self) -> Response:
        error = {"code": self.status, "status": self.grpc, "message": self.message, "details": self._info()}
        return _json({"error": error}, self.status)


def too_large() -> RefusedError:
    return RefusedError(
        f"a body is at most {BODY_LIMIT} bytes",
        code=-32600,
        status=413,
        grpc="INVALID_ARGUMENT",
        reason="INVALID_REQUEST",
    )


def wrong_content_type() -> RefusedError:
    return RefusedError(
        "send the body as application/json or application/a2a+json",
        code=-32005,
        status=415,
        grpc="INVALID_ARGUMENT",
        reason="CONTENT_TYPE_NOT_SUPPORTED",
    )


def not_json(why: str) -> RefusedError:
    return RefusedError(why, code=-32700, status=400, grpc="INVALID_ARGUMENT", reason="INVALID_REQUEST")


def invalid_params(why: str) -> RefusedError:
    return RefusedError(why, code=-32602, status=400, grpc="INVALID_ARGUMENT", reason="INVALID_PARAMS")


def no_such_method(why: str, status: int = 404) -> RefusedError:
    return RefusedError(why, code=-32601, status=status, grpc="NOT_FOUND", reason="METHOD_NOT_FOUND")


def header(scope: Scope, name: bytes) -> str:
    """The first header of this name (lower case), or ""."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def require_json(scope: Scope) -> None:
    """Raises RefusedError. A missing content type is refused too: any page may make a browser send that."""
    if header(scope, b"content-type").partition(";")[0].strip().lower() not in _MEDIA_TYPES:
        raise wrong_content_type()


async def read(scope: Scope, receive: Receive) -> bytes:
    """The whole body; one that is too large is refused as soon as that is known.

    Errors: RefusedError, ConnectionAbortedError (the client went away).
    """
    announced = header(scope, b"content-length")
    if announced.isdecimal() and int(announced[:20]) > BODY_LIMIT:
        raise too_large()
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionAbortedError
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size > BODY_LIMIT:
            raise too_large()
        chunks.append(chunk)
    return b"".join(chunks)


def decode(content: bytes) -> Any:
    """JSON. Errors: RefusedError: no JSON, nested too deeply, or with a character that can't be stored."""
    try:
        body = msgspec.json.decode(content)
        if b"\\u0000" in content and b"\\u0000" in msgspec.json.encode(body).replace(b"\\\\", b""):
            raise invalid_params("NUL characters are refused")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise not_json(f"the body is no JSON: {error}") from None
    except RecursionError:
        raise not_json("the body is nested too deeply") from None
    if is_deeper(body, DEPTH):
        raise invalid_params(f"the body is nested deeper than {DEPTH} levels")
    return body


def is_deeper(value: Any, levels: int) -> bool:
    """Whether JSON is nested deeper than that."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels <= 0 or any(is_deeper(one, levels - 1) for one in inner)


def _json(body: dict[str, Any], status: int) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
