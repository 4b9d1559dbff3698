"""Logs: JSON lines off a terminal, readable ones on it; one canonical line per operation."""

from __future__ import annotations

import logging
import sys

import structlog

from protocol import Secret


def _mask(
    _logger: object, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """No secret leaves by a log, whatever somebody passes: values of ``Secret`` stay masked."""
    return {key: str(value) if isinstance(value, Secret) else value for key, value in event.items()}


def set_up(level: str = "info", *, terminal: bool | None = None) -> None:
    """Configure logging of this process; other libraries are capped at INFO (safety G4)."""
    on_terminal = sys.stderr.isatty() if terminal is None else terminal
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s", force=True)
    for noisy in ("httpx", "httpcore", "uvicorn.access", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if on_terminal:
        renderer = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _mask,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
