"""The journal, told in its own protocol: the line, its priority, and what one looks for as fields.

    journalctl -u bleagent BLEAGENT_LOCK=front BLEAGENT_EVENT=operation.finished

Source: systemd's "Native Journal Protocol". Only where stderr is the journal's anyway.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

import structlog

PLACE = Path("/run/systemd/journal/socket")
FIELDS = ("event", "lock", "operation", "outcome", "code", "sink", "webhook", "adapter")
"""Of a line's keys, those that are fields of their own; all of them are in the line."""
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""syslog(3)'s."""

_render = structlog.processors.JSONRenderer()


def goes_to_journal(environ: Mapping[str, str], file: int = 2) -> bool:
    """Whether a file descriptor is the journal's, as systemd says in ``JOURNAL_STREAM``."""
    try:
        found = os.fstat(file)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def with_fields(
    _logger: object, level: str, event: structlog.typing.EventDict
) -> tuple[tuple[str], dict[str, dict[str, str]]]:
    """A renderer for ``Journal``: the line as JSON, and its fields."""
    fields = {"PRIORITY": str(PRIORITIES.get(level, PRIORITIES["error"]))}
    fields |= {f"BLEAGENT_{key.upper()}": str(event[key]) for key in FIELDS if event.get(key)}
    line = _render(None, level, event)
    return (str(line),), {"fields": fields}


class Journal:
    """A logger of structlog's. What the journal does not take is written to stderr, as ever."""

    def __init__(self, *, place: Path = PLACE, other: TextIO | None = None) -> None:
        self._place = str(place)
        self._other = sys.stderr if other is None else other
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def msg(self, line: str, fields: Mapping[str, str]) -> None:
        """One line; never waits for a journal that is busy."""
        told = {"MESSAGE": line, "SYSLOG_IDENTIFIER": "bleagent", **fields}
        datagram = b"".join(_field(name, value) for name, value in told.items())
        try:
            self._socket.sendto(datagram, socket.MSG_DONTWAIT, self._place)
        except OSError:
            print(line, file=self._other, flush=True)

    def close(self) -> None:
        """Nothing is told after this."""
        self._socket.close()

    debug = info = warning = error = critical = msg


def _field(name: str, value: str) -> bytes:
    data = value.encode(errors="backslashreplace")
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
