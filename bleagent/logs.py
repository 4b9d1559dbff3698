"""Logs: JSON lines off a terminal, readable ones on it; one canonical line per operation.

An exception nobody expected is told as its type and the places it came through, never by its
message, its values or its local variables: any of them could hold a secret (safety G1, G4). The
same goes for what other libraries log: the text as it stands in their source, one line of it,
without what they fill in.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from os import strerror
from traceback import extract_tb
from types import TracebackType
from typing import Any, TextIO

import structlog

from protocol import Secret

from .journal import Journal, goes_to_journal, with_fields

DEEPEST = 12
"""Places of a fault that are told, counted from where it was raised."""
LONGEST = 200
"""Characters of another library's text."""

log = structlog.get_logger()


def fault(error: BaseException) -> dict[str, Any]:
    """What an exception may be told by: ``error`` (its type) and ``where`` (``file:line``).

    Of a group, the first that is inside. ``cause`` is the type it was raised from, and
    ``errno`` the operating system's own words, where there are any.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    told: dict[str, Any] = {
        "error": type(error).__name__,
        "where": [f"{one.filename}:{one.lineno}" for one in extract_tb(error.__traceback__)][
            -DEEPEST:
        ],
    }
    if error.__cause__ is not None:
        told["cause"] = type(error.__cause__).__name__
    if isinstance(error, OSError) and error.errno is not None:
        told["errno"] = strerror(error.errno)
    return told


def set_up(level: str = "info", *, terminal: bool | None = None) -> None:
    """Configure logging of this process; other libraries are capped at INFO (safety G4).

    Also takes over what Python itself writes to stderr: exceptions that end a thread or the
    process or that nobody can catch, and warnings.
    """
    on_terminal = sys.stderr.isatty() if terminal is None else terminal
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    factory: Callable[..., Any] = structlog.PrintLoggerFactory(file=sys.stderr)
    if on_terminal:
        renderer = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    elif goes_to_journal(os.environ):
        renderer, journal = with_fields, Journal()
        factory = lambda *_: journal  # noqa: E731 - what structlog wants
    _wanted.start(logging.getLevelNamesMapping()[level.upper()])
    structlog.configure(
        processors=[
            _wanted.only,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _mask,
            renderer,
        ],
        # Nobody is filtered here: a logger keeps for ever what it was made of.
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.INFO, handlers=[_Others()], force=True)
    logging.raiseExceptions = False  # it would print the arguments of a line that fails
    for noisy in ("httpx", "httpcore", "uvicorn.access", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    sys.excepthook = _uncaught
    threading.excepthook = lambda found: _fault("thread.fault", found.exc_value)
    sys.unraisablehook = lambda found: _fault("unraisable.fault", found.exc_value)
    warnings.showwarning = _warned


def toggle_debug() -> None:
    """Log everything of ours, or again what was asked for at the start; masked as ever.

    Either is said in a line that is seen at any level.
    """
    before, _wanted.now = _wanted.now, logging.DEBUG
    if before == logging.DEBUG:
        log.info("log.level", now=logging.getLevelName(_wanted.given).lower())
        _wanted.now = _wanted.given
    else:
        log.info("log.level", now="debug")


class _Wanted:
    """From which level on something is logged: ``given`` at the start, and ``now``."""

    def __init__(self) -> None:
        self.given = self.now = logging.INFO

    def start(self, level: int) -> None:
        """As ``logging`` counts them."""
        self.given = self.now = level

    def only(
        self, _logger: object, name: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        """Drop what is below."""
        if _LEVELS.get(name.upper(), logging.ERROR) < self.now:
            raise structlog.DropEvent
        return event


_LEVELS = logging.getLevelNamesMapping()
_wanted = _Wanted()


class _Others(logging.Handler):
    """Where other libraries' log lines end up: in ours, without what they were filled with."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line; never raises."""
        found = record.msg
        told: dict[str, Any] = {"logger": record.name, "library_level": record.levelname}
        if isinstance(found, str):
            # asyncio puts values behind the first line, and others into the arguments.
            told["text"] = found.strip().partition("\n")[0][:LONGEST]
        elif isinstance(found, BaseException):
            told |= fault(found)
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is not None:
            told |= fault(error)
        level = max(logging.DEBUG, min(record.levelno, logging.ERROR))
        log.log(level, "library.message", **told)


def _mask(
    _logger: object, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """No secret leaves by a log, whatever somebody passes."""
    return {key: _shown(value) for key, value in event.items() if key != "exc_info"}


def _shown(value: object) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return str(value)
        case Secret():
            return repr(value)
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case Mapping():
            return {str(key): _shown(one) for key, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_shown(one) for one in value]
        case _:
            return f"<{type(value).__name__}>"


def _uncaught(
    _kind: type[BaseException], error: BaseException, _trace: TracebackType | None
) -> None:
    tell_fault(error)


def tell_fault(error: BaseException) -> None:
    """The exception that ends this process."""
    _fault("agent.fault", error)


def _fault(event: str, error: BaseException | None) -> None:
    if error is not None and not isinstance(error, SystemExit):
        log.error(
            event, **fault(error), advice="This is a fault of bleagent; report it with this line."
        )


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    del message, file, line
    log.warning("python.warning", category=category.__name__, where=f"{filename}:{lineno}")
