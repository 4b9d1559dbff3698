"""What happened, for those who follow it: in which order, from where on, and when to look again.

Nothing is kept for events alone, and nothing waits for them: they are read from what is stored
anyway, by numbers that only rise and are written in the same commit. So they survive whatever
the store survives, and can never tell anything else than it does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import anyio

from .model import OperationRecord

OPERATIONS, RECORDS = "operations", "records"
SOURCES = (OPERATIONS, RECORDS)

_UNKNOWN = "-"
_MARK = re.compile(r"([0-9a-f]{8}):([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a source: its name, and the number of the last event that was seen."""

    source: str
    """Eight hexadecimal digits. A store that had to begin anew has another one."""
    seq: int

    def __str__(self) -> str:
        return f"{self.source}:{self.seq}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationEvent:
    """An operation ended, or the lock said more about it."""

    seq: int
    record: OperationRecord
    """As it was then: with the evidence until there, and none of what came later."""
    evidence: Mapping[str, Any] | None = None
    """What the lock said; None: it ended."""


EventT_co = TypeVar("EventT_co", covariant=True)


class EventSource(Protocol[EventT_co]):
    """Events of one kind, in the order in which they were committed. All raise StoreError."""

    async def newest(self) -> Mark:
        """Where it ends now."""
        ...

    async def after(self, seq: int, *, limit: int) -> Sequence[EventT_co]:
        """Those behind a number, oldest first."""
        ...

    async def gone(self, seq: int) -> int:
        """How many of those behind a number are not stored any more."""
        ...


Position = dict[str, Mark]
"""A mark for each of ``SOURCES``, as far as it is known."""


def position_text(position: Mapping[str, Mark]) -> str:
    """A position as the id of an event."""
    return "/".join(str(position.get(name, _UNKNOWN)) for name in SOURCES)


def parse_position(text: str) -> Position:
    """The reverse; what cannot be read is not known."""
    parts = text.split("/")
    if len(parts) != len(SOURCES):
        return {}
    found = {name: _MARK.fullmatch(part) for name, part in zip(SOURCES, parts, strict=True)}
    return {
        name: Mark(match[1], int(match[2])) for name, match in found.items() if match is not None
    }


class Bell:
    """Rung when there may be something new; whoever rings it waits for nobody."""

    def __init__(self) -> None:
        self._rung = anyio.Event()
        self.closed = False
        """The agent stops: nothing more comes."""

    def next(self) -> anyio.Event:
        """Set when it is rung next. To be had before one looks, so that nothing is missed."""
        return self._rung

    def ring(self) -> None:
        """There may be something new."""
        self._rung.set()
        self._rung = anyio.Event()

    def close(self) -> None:
        """Let those who wait go."""
        self.closed = True
        self.ring()
