"""Memory: a supervisor stands beside every agent, so it stays small."""

from __future__ import annotations

import contextlib
import gc


def shrink() -> None:
    """Give back the memory that starting took."""
    gc.collect()
    gc.freeze()
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)  # glibc only
