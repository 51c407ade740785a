"""Our errors as A2A errors. Whatever else a handler raises becomes one sentence: internals never leak."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import structlog
from a2a.server.jsonrpc_models import JSONRPCError
from a2a.server.request_handlers import response_helpers
from a2a.utils import errors as sdk
from a2a.utils.errors import (
    A2AError,
    ContentTypeNotSupportedError,
    ErrorMapping,
    InternalError,
    InvalidParamsError,
    TaskNotFoundError,
)

from truebeat.errors import Conflict, Forbidden, Gone, Invalid, NotFound, TooLarge, TruebeatError, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

log = structlog.get_logger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


class AgentUnavailableError(A2AError):
    """The agent can't take work now, or never will: the details have the facts."""

    message = "The agent can't take work now"


class AccessDeniedError(A2AError):
    """The token is valid and may not do this."""

    message = "This token may not do that"


_OURS: Final[dict[type[A2AError], tuple[int, ErrorMapping]]] = {
    AgentUnavailableError: (-32050, ErrorMapping(503, "UNAVAILABLE", "AGENT_UNAVAILABLE")),
    AccessDeniedError: (-32051, ErrorMapping(403, "PERMISSION_DENIED", "ACCESS_DENIED")),
    # The SDK answers 400 here; the protocol's table says 415.
    ContentTypeNotSupportedError: (-32005, ErrorMapping(415, "INVALID_ARGUMENT", "CONTENT_TYPE_NOT_SUPPORTED")),
}


def register() -> None:
    """Teach the SDK's tables our errors: it answers an unknown class as an internal error."""
    for kind, (code, mapping) in _OURS.items():
        sdk.JSON_RPC_ERROR_CODE_MAP[kind] = code
        sdk.A2A_ERROR_MAPPING[kind] = mapping
        sdk.A2A_ERROR_REASONS[kind] = mapping.reason
        response_helpers.EXCEPTION_MAP[kind] = JSONRPCError


def as_a2a(error: TruebeatError, conflict: type[A2AError]) -> A2AError:
    """`conflict`: what a state that does not allow the call means for that call."""
    kinds: dict[type[TruebeatError], type[A2AError]] = {
        NotFound: TaskNotFoundError,
        Conflict: conflict,
        Forbidden: AccessDeniedError,
        Gone: AgentUnavailableError,
        Unavailable: AgentUnavailableError,
        Invalid: InvalidParamsError,
        TooLarge: InvalidParamsError,
    }
    kind = kinds.get(type(error), InternalError)
    return kind(error.message, data=_details(error.facts) or None)


def _details(facts: dict[str, Any]) -> dict[str, Any]:
    """ErrorInfo's metadata is text to text."""
    return {name: value if isinstance(value, str) else _plain(value) for name, value in facts.items()}


def _plain(value: Any) -> str:
    import msgspec

    return value.isoformat() if hasattr(value, "isoformat") else msgspec.json.encode(value).decode()


def translated(
    conflict: type[A2AError],
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]:
    """For the handler's methods that answer once."""

    def decorate(method: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        @wraps(method)
        async def answer(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return await method(*args, **kwargs)
            except Exception as error:
                raise translate(error, conflict) from None

        return answer

    return decorate


def translated_stream(
    conflict: type[A2AError],
) -> Callable[[Callable[P, AsyncGenerator[R, None]]], Callable[P, AsyncGenerator[R, None]]]:
    """For the handler's methods that stream."""

    def decorate(method: Callable[P, AsyncGenerator[R, None]]) -> Callable[P, AsyncGenerator[R, None]]:
        @wraps(method)
        async def answers(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[R, None]:
            stream = method(*args, **kwargs)
            try:
                async for item in stream:
                    yield item
            except Exception as error:
                raise translate(error, conflict) from None
            finally:
                await stream.aclose()

        return answers

    return decorate


def translate(error: Exception, conflict: type[A2AError]) -> A2AError:
    """Whatever a handler raised."""
    if isinstance(error, A2AError):
        return error
    if isinstance(error, TruebeatError):
        return as_a2a(error, conflict)
    log.error("an A2A request failed unexpectedly", exc_info=error)
    return InternalError("the server failed; the operator's log has the reason")
