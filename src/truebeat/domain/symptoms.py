"""Which error texts mean that the runtime is wedged. Narrow on purpose: a rate limit must never degrade a workspace."""

from __future__ import annotations

import re
from typing import Final

#: the Claude SDK's bare Exception when its CLI does not answer on the control channel
_WEDGE: Final = re.compile(r"control request timeout", re.IGNORECASE)


def means_wedged(error_text: str) -> bool:
    """True if an error with this text means that every later call will hang or fail until a restart."""
    return _WEDGE.search(error_text) is not None


#: the upstream throttles; HTTP 529 is the Messages API's "overloaded"
_RATE_LIMIT: Final = re.compile(
    r"rate[ _-]?limit|too many requests|overloaded_error|\b(?:http|status|code|error)\b\W{0,3}(?:429|529)\b",
    re.IGNORECASE,
)


def means_rate_limited(error_text: str) -> bool:
    """True if an error with this text says only that the upstream throttles: no fault of the workspace."""
    return _RATE_LIMIT.search(error_text) is not None
