"""What waits for the sinks. Implements ``ports.Outbox``."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing

from bleagent.records.record import Carriage, Receipt, ReceiptKind, StoredRecord

from .record_rows import RecordTables, count

FUTURE_SLACK = 60.0
"""Seconds; what was taken further ahead of now was taken before the date was set back."""

# One look at the index for each lock, however many records each has.
_HEAD = """
    SELECT lock, taken_at FROM deliveries
    WHERE sink = ? AND state = 'waiting' AND released = 1 AND lock > ?
    ORDER BY lock, at, turn, record LIMIT 1
"""
_QUEUE = """
    SELECT record FROM deliveries
    WHERE sink = ? AND state = 'waiting' AND released = 1 AND lock = ?
    ORDER BY at, turn, record
"""
_STATE = """
    UPDATE deliveries SET state = ?, code = ? WHERE sink = ? AND record = ? AND state = 'waiting'
"""
_LATER = """
    UPDATE deliveries SET attempts = attempts + 1, code = ?
    WHERE sink = ? AND record = ? AND state = 'waiting'
"""
_ENDS = {ReceiptKind.DONE: Carriage.DONE, ReceiptKind.POISON: Carriage.PARKED}


class SqliteOutbox(RecordTables):
    """Gives out what waits, and notes what became of it."""

    async def release_overdue(self, *, unix: float, held_for: float) -> int:
        """Release, marked late, what waited longer than that for its drain's end; how many.

        So is what was taken more than a minute from now in the future: the date went back, and
        it would be held for as long as that takes to come.
        """

        def work(connection: sqlite3.Connection) -> int:
            rows = connection.execute(
                "SELECT seq FROM records WHERE released_at IS NULL "
                "AND (taken_at < ? OR taken_at > ?)",
                (unix - held_for, unix + FUTURE_SLACK),
            ).fetchall()
            connection.executemany(
                "UPDATE records SET released_at = ?, late = 1 WHERE seq = ?",
                [(unix, seq) for (seq,) in rows],
            )
            connection.executemany("UPDATE deliveries SET released = 1 WHERE record = ?", rows)
            return len(rows)

        return await self._database.write(work)

    async def waiting(self, sink: str, *, limit: int, skip: Collection[str]) -> list[StoredRecord]:
        """Released records for a sink of the lock (none of ``skip``) whose oldest waited longest.

        At most ``limit``, all of one lock, ascending in time. One whose report does not open
        (``unopened``) is passed over; it stays waiting.
        """

        def work(connection: sqlite3.Connection) -> list[StoredRecord]:
            heads = [head for head in _heads(connection, sink) if head[1] not in skip]
            for _, lock in sorted(heads):
                if found := self._next(connection, sink, lock, limit):
                    return found
            return []

        return await self._database.read(work)

    def _next(
        self, connection: sqlite3.Connection, sink: str, lock: str, limit: int
    ) -> list[StoredRecord]:
        found: list[StoredRecord] = []
        # Read only as far as needed: it comes in the order of its index.
        with closing(connection.execute(_QUEUE, (sink, lock))) as queue:
            for (seq,) in queue:
                if seq in self._unopened:
                    continue
                (record,) = self._stored(connection, "r.seq = ?", (seq,))
                if seq not in self._unopened:
                    found.append(record)
                if len(found) == limit:
                    break
        return found

    async def settle(self, sink: str, receipts: Sequence[tuple[int, Receipt]]) -> None:
        """Note the sink's word about records, by their numbers, all in one commit.

        DONE and POISON end the waiting; the others count an attempt and keep the code. What does
        not wait any more stays as it is.
        """

        def work(connection: sqlite3.Connection) -> None:
            ended = dict.fromkeys(_ENDS.values(), 0)
            for seq, receipt in receipts:
                end = _ENDS.get(receipt.kind)
                if end is None:
                    connection.execute(_LATER, (receipt.code, sink, seq))
                else:
                    changed = connection.execute(_STATE, (end, receipt.code, sink, seq))
                    ended[end] += changed.rowcount
            done, parked = ended[Carriage.DONE], ended[Carriage.PARKED]
            count(connection, sink, waiting=-(done + parked), done=done, parked=parked)

        await self._database.write(work)

    async def close_route(self, sink: str, lock: str, code: str, *, unix: float) -> None:
        """The sink refuses this lock; its records stay waiting (safety D5)."""
        await self._database.execute(
            "INSERT INTO routes_closed (sink, lock, code, at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (sink, lock) DO UPDATE SET code = excluded.code, at = excluded.at",
            sink,
            lock,
            code,
            unix,
        )

    async def open_route(self, sink: str, lock: str) -> None:
        """It takes it again."""
        await self._database.execute(
            "DELETE FROM routes_closed WHERE sink = ? AND lock = ?", sink, lock
        )

    async def routes_closed(self, sink: str) -> dict[str, str]:
        """Lock and code."""
        return await self._database.read(lambda connection: routes_of(connection, sink))


def routes_of(connection: sqlite3.Connection, sink: str) -> dict[str, str]:
    """The locks that a sink refuses, and why."""
    return dict(
        connection.execute(
            "SELECT lock, code FROM routes_closed WHERE sink = ? ORDER BY lock", (sink,)
        ).fetchall()
    )


def _heads(connection: sqlite3.Connection, sink: str) -> Iterator[tuple[float, str]]:
    """Of each lock with something to carry: since when the first one waits, and the lock."""
    lock = ""
    while (row := connection.execute(_HEAD, (sink, lock)).fetchone()) is not None:
        lock, taken_at = row
        yield taken_at, lock
