"""The ports for records: where they are kept, and those to whom they are carried."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from .record import Kept, Receipt, RecordQuery, SinkState, StoredRecord, TakenCounts, TakenReport


class RecordBook(Protocol):
    """Records on disk, each once (safety D3). All raise StoreError.

    Each method returns only when its change is on disk.
    """

    async def take(self, report: TakenReport) -> Kept:
        """Store a report, and a record for each of its happenings that is not known already.

        In one commit: what it ``proves`` returns no more; then each happening is matched, one to
        one, with a record of the lock that may return (``identity.is_same``), or becomes a new one
        that waits for every sink.

        Raises:
            OutboxFull: no room for one from the backlog, or none at all (safety D6). Nothing has
                changed.
        """
        ...

    async def drained(self, lock: str, *, up_to: int, keep: Collection[int], unix: float) -> None:
        """A drain reached its end, so that nothing older than what is here can come (safety D4).

        What was taken up to ``up_to`` returns no more, ``keep`` apart; all of the lock's records
        are released.
        """
        ...

    async def last_seq(self) -> int:
        """The number of the record taken last; 0 before the first."""
        ...

    async def note_gap(self, lock: str, *, unix: float, reason: str) -> None:
        """Something may have been lost on the air (safety D2)."""
        ...


class Outbox(Protocol):
    """What waits for the sinks. All raise StoreError; each change is on disk when it returns."""

    async def release_overdue(self, *, unix: float, held_for: float) -> int:
        """Release, marked late, what waited longer than that for its drain's end; how many."""
        ...

    async def waiting(self, sink: str, *, limit: int, skip: Collection[str]) -> list[StoredRecord]:
        """Released records for a sink of the lock (none of ``skip``) whose oldest waited longest.

        At most ``limit``, all of one lock, ascending in time.
        """
        ...

    async def settle(self, sink: str, receipts: Sequence[tuple[int, Receipt]]) -> None:
        """Note the sink's word about records, by their numbers, all in one commit.

        DONE and POISON end the waiting; the others count an attempt and keep the code.
        """
        ...

    async def close_route(self, sink: str, lock: str, code: str, *, unix: float) -> None:
        """The sink refuses this lock; its records stay waiting (safety D5)."""
        ...

    async def open_route(self, sink: str, lock: str) -> None:
        """It takes it again."""
        ...

    async def routes_closed(self, sink: str) -> dict[str, str]:
        """Lock and code."""
        ...


class RecordShelf(Protocol):
    """Records for people: to look at, and to decide about parked ones. All raise StoreError."""

    async def records(self, query: RecordQuery) -> list[StoredRecord]:
        """Those that a query asks for, with their deliveries."""
        ...

    async def record(self, record_id: str) -> StoredRecord | None:
        """One, by its ``message_id``."""
        ...

    async def retry(self, record_id: str, *, sink: str | None = None) -> int:
        """Let a parked record wait again; how many deliveries changed."""
        ...

    async def drop(self, record_id: str, *, sink: str | None = None) -> int:
        """Give a parked record up; it stays in the book. How many deliveries changed."""
        ...

    async def forget(self, sink: str) -> int:
        """Give up all that waits or is parked for a sink that is not configured; how many.

        For one that is configured nothing changes.
        """
        ...

    async def sinks(self) -> list[SinkState]:
        """Every sink that is configured or still has something waiting."""
        ...

    async def counts(self) -> dict[str, TakenCounts]:
        """By lock."""
        ...


class RecordSink(Protocol):
    """Somewhere that records are carried to."""

    @property
    def name(self) -> str:
        """The operator's name for it; the outbox knows it by this."""
        ...

    @property
    def batch(self) -> int:
        """How many records one call may carry."""
        ...

    async def deliver(self, records: Sequence[StoredRecord]) -> list[Receipt]:
        """Carry records of one lock, ascending in time; its word about each, in their order.

        Returns within a bound of its own. Whatever goes wrong outside is a receipt, not an
        exception. DONE only on the receiver's own word.
        """
        ...
