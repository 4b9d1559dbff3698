"""Events in memory, for rehearsals in virtual time. As the store tells them, without the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import anyio

from bleagent.errors import StoreError
from bleagent.events import Mark, OperationEvent
from bleagent.records.record import StoredRecord
from bleagent.webhooks import Progress

from .fakes import MemoryLedger
from .record_fakes import MemoryRecords


class Numbered(Protocol):
    """An event."""

    @property
    def seq(self) -> int:
        """Its number."""
        ...


EventT = TypeVar("EventT", bound=Numbered)


@dataclass(slots=True)
class MemoryEvents(Generic[EventT]):
    """Implements ``events.EventSource`` over ``told``, all events there ever were.

    Those of ``forgotten`` numbers are deleted; a read fails on demand.
    """

    told: Callable[[], Sequence[EventT]]
    name: str = "00000001"
    forgotten: set[int] = field(default_factory=set)
    fails: bool = False
    furthest: int = 0
    """The highest number that was read."""

    async def newest(self) -> Mark:
        """Where it ends now."""
        return Mark(self.name, max((one.seq for one in await self._read()), default=0))

    async def after(self, seq: int, *, limit: int) -> list[EventT]:
        """Those behind a number, oldest first."""
        behind = [one for one in await self._read() if one.seq > seq]
        found = [one for one in behind if one.seq not in self.forgotten][:limit]
        self.furthest = max([self.furthest, *(one.seq for one in found)])
        return found

    async def gone(self, seq: int) -> int:
        """How many of those behind a number are deleted."""
        return sum(one.seq > seq for one in await self._read() if one.seq in self.forgotten)

    async def _read(self) -> Sequence[EventT]:
        await anyio.lowlevel.checkpoint()
        if self.fails:
            raise StoreError("the disk does not answer")
        return self.told()


def events_of_ledger(ledger: MemoryLedger) -> MemoryEvents[OperationEvent]:
    """What became of its operations."""
    return MemoryEvents(lambda: ledger.events)


def events_of_records(records: MemoryRecords) -> MemoryEvents[StoredRecord]:
    """What it took."""
    return MemoryEvents(lambda: [row.shown() for row in records.rows])


@dataclass(slots=True)
class MemoryWebhooks:
    """Implements ``webhooks.WebhookBook``; fails on demand."""

    places: dict[str, Progress] = field(default_factory=dict)
    damaged: bool = False
    fails: bool = False

    async def progress(self, name: str) -> Progress | None:
        """None: it has not begun."""
        await self._answer()
        return self.places.get(name)

    async def keep(self, name: str, progress: Progress) -> None:
        """Kept for as long as this is."""
        await self._answer()
        self.places[name] = progress

    async def _answer(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.fails:
            raise StoreError("the disk does not answer")
