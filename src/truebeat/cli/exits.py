"""Exit codes that scripts can rely on, and which error means which."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from truebeat import errors


class Exit(IntEnum):
    OK = 0
    #: it was tried and it failed; `doctor` found a problem
    FAILURE = 1
    #: the command line, a file or a value in it is wrong
    USAGE = 2
    #: no token, a bad one, or one that may not do this
    REFUSED = 3
    #: there is no such thing, or no more
    NOT_FOUND = 4
    #: the state of things does not allow it now: a name taken, a port in use
    CONFLICT = 5
    #: the server or its database does not answer; the same call may succeed soon
    UNAVAILABLE = 6
    #: the agent asks something and waits for the reply
    ASKED = 7
    INTERRUPTED = 130


_BY_ERROR: Final[dict[type[errors.TruebeatError], Exit]] = {
    errors.Unauthenticated: Exit.REFUSED,
    errors.Forbidden: Exit.REFUSED,
    errors.NotFound: Exit.NOT_FOUND,
    errors.Gone: Exit.NOT_FOUND,
    errors.Conflict: Exit.CONFLICT,
    errors.TooLarge: Exit.USAGE,
    errors.Invalid: Exit.USAGE,
    errors.Unavailable: Exit.UNAVAILABLE,
}


def exit_for(error: errors.TruebeatError) -> Exit:
    return _BY_ERROR.get(type(error), Exit.FAILURE)
