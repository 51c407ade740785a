"""Where the server's log goes: standard error, so that standard output holds only what was asked for."""

from __future__ import annotations

import logging
import sys


def log_to_stderr(level: str) -> None:
    """One line an entry: for people in a terminal, else key=value for machines. `level` as in logging."""
    import structlog

    people = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer() if people else structlog.processors.LogfmtRenderer(key_order=["timestamp"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
