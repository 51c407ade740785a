"""The one translation of errors to HTTP: RFC 9457 problem details with a stable `code`. Internals never leak."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.responses import Response

from truebeat.protocol.resources import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from truebeat.errors import TruebeatError

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"

_TITLES: Final = {
    "unauthenticated": "A valid token is needed",
    "forbidden": "This token may not do that",
    "not_found": "No such thing",
    "method_not_allowed": "Not by this method",
    "conflict": "Not in its present state",
    "gone": "It is gone",
    "too_large": "Over a stated bound",
    "invalid": "A field is wrong",
    "unavailable": "Something this needs is down",
    "internal": "The server failed",
}


def problem(error: TruebeatError) -> Problem:
    """The document alone: error frames carry it too."""
    return _document(error.code, error.http_status, error.message, error.facts)


def problem_response(error: TruebeatError) -> Response:
    """The answer to a request that raised this."""
    headers: dict[str, str] = {}
    if error.http_status == 401:
        headers["www-authenticate"] = "Bearer"
    if (retry_after := error.facts.get("retry_after")) is not None:
        headers["retry-after"] = str(retry_after)
    return _response(problem(error), headers)


def unexpected_response(error: Exception, where: str) -> Response:
    """The answer to a fault of ours: logged in full here, told in one sentence there."""
    log.error("a request failed unexpectedly", where=where, exc_info=error)
    return _response(_document("internal", 500, "the server failed; the operator's log has the reason", {}), {})


def from_starlette(request: Request, error: Exception) -> Response:
    """The router's own 404 and 405."""
    if not isinstance(error, HTTPException):
        return unexpected_response(error, request.url.path)
    if error.status_code == 405:
        code, detail = "method_not_allowed", "this path does not know that method; see the Allow header and /docs"
    elif error.status_code == 404:
        code, detail = "not_found", "there is no such path; /docs lists them all"
    else:
        code, detail = "invalid", error.detail
    return _response(_document(code, error.status_code, detail, {}), error.headers or {})


def _document(code: str, status: int, detail: str, facts: dict[str, object]) -> Problem:
    return Problem(
        type=f"urn:truebeat:problem:{code}",
        title=_TITLES[code],
        status=status,
        detail=detail,
        code=code,
        facts=facts,
    )


def _response(document: Problem, headers: Mapping[str, str]) -> Response:
    return Response(msgspec.json.encode(document), document.status, dict(headers), MEDIA_TYPE)
