"""The eight errors. The docstring is the meaning; `code` is stable and goes over the wire.

Each is translated to HTTP in one place (`server/api/problems.py`) and to an exit code in one place (`cli/exits.py`).
A message says what to do, never what is inside.
"""

from __future__ import annotations

from typing import ClassVar


class TruebeatError(Exception):
    """Base of all; never raised itself."""

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        #: extra machine-readable facts for the problem document (JSON values only)
        self.facts = facts


class Unauthenticated(TruebeatError):
    """No token, or one that is not valid: get a token or re-read the token file."""

    code = "unauthenticated"
    http_status = 401


class Forbidden(TruebeatError):
    """The token is valid and may not do this."""

    code = "forbidden"
    http_status = 403


class NotFound(TruebeatError):
    """No such thing, or none that this token may see."""

    code = "not_found"
    http_status = 404


class Conflict(TruebeatError):
    """The state of the thing does not allow it now."""

    code = "conflict"
    http_status = 409


class Gone(TruebeatError):
    """It was removed, or the events asked for were pruned: stop, or take a new snapshot."""

    code = "gone"
    http_status = 410


class TooLarge(TruebeatError):
    """Over a stated bound."""

    code = "too_large"
    http_status = 413


class Invalid(TruebeatError):
    """A field is wrong; the message names it."""

    code = "invalid"
    http_status = 422


class Unavailable(TruebeatError):
    """Something this needs is down; the same call may succeed soon (`retry_after` seconds in the facts)."""

    code = "unavailable"
    http_status = 503
