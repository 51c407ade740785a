"""Which error texts mean that the runtime is wedged. Narrow on purpose: a rate limit must never degrade a workspace."""

from __future__ import annotations

import re
from typing import Final

#: the Claude SDK's bare Exception when its CLI does not answer on the control channel
_WEDGE: Final = re.compile(r"control request timeout", re.IGNORECASE)


def means_wedged(error_text: str) -> bool:
    """True if an error with this text means that every later call will hang or fail until a restart."""
    return _WEDGE.search(error_text) is not None
