"""Records on disk, each once (safety D3). Implements ``ports.RecordBook``."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Collection

from bleagent.records.identity import Candidate, choose
from bleagent.records.record import Happening, Kept, TakenReport
from bleagent.records.report_parts import parts_of

from .record_rows import RecordTables, count_taken, last_seq

MOST_GAPS = 10_000
"""Of one lock; where more was lost, it is said that it was so many."""

_MAY_RETURN = """
    SELECT seq, wire_time, lock_seconds, at, converted FROM records
    WHERE may_return = 1 AND lock = ? AND dp = ? AND value_hash = ? AND seq > ?
"""


class SqliteRecordBook(RecordTables):
    """Takes reports, and says what may return."""

    async def take(self, report: TakenReport) -> Kept:
        """Store a report, and a record for each of its happenings that is not known already.

        One that tells only what is known, or nothing, is not stored; it needs no room either.

        Raises:
            OutboxFull: no room for one from the backlog, or none at all (safety D6).
            StoreError: a happening that its report does not tell; or as ``Database.write``.
        """
        parts = parts_of(report)
        name = secrets.token_hex(16)
        sealed = self._seal(report.raw, name)

        def work(connection: sqlite3.Connection) -> Kept:
            _return_no_more(connection, report.lock, report.proves)
            found: list[int | None] = []
            for happening in report.happenings:
                besides = {seq for seq in found if seq is not None} | set(report.is_not)
                found.append(_known(connection, report, happening, besides=besides))
            new = [
                pair
                for pair, seq in zip(zip(parts, report.happenings, strict=True), found, strict=True)
                if seq is None
            ]
            added: list[int] = []
            if new:
                self._require_room(connection, reserve=report.only_copy)
                number = _keep_report(connection, report, name, sealed)
                added = self._add(connection, report, new, report=number)
            matched = len(found) - len(added)
            count_taken(connection, report.lock, taken=len(added), duplicate=matched)
            left = iter(added)
            numbers = tuple(next(left) if seq is None else seq for seq in found)
            return Kept(records=numbers, ids=_ids(connection, numbers), new=tuple(added))

        return await self._database.write(work)

    async def drained(self, lock: str, *, up_to: int, keep: Collection[int], unix: float) -> None:
        """A drain reached its end: all of the lock's records are released (safety D4).

        What was taken up to ``up_to`` returns no more, ``keep`` apart.
        """
        kept = frozenset(keep)

        def work(connection: sqlite3.Connection) -> None:
            rows = connection.execute(
                "SELECT seq FROM records WHERE may_return = 1 AND lock = ? AND seq <= ?",
                (lock, up_to),
            ).fetchall()
            _return_no_more(connection, lock, [seq for (seq,) in rows if seq not in kept])
            connection.execute(
                "UPDATE records SET released_at = ? WHERE lock = ? AND released_at IS NULL",
                (unix, lock),
            )
            connection.execute(
                "UPDATE deliveries SET released = 1 WHERE lock = ? AND released = 0", (lock,)
            )

        await self._database.write(work)

    async def last_seq(self) -> int:
        """The number of the record taken last; 0 before the first."""
        return await self._database.read(last_seq)

    async def note_gap(self, lock: str, *, unix: float, reason: str) -> None:
        """Something may have been lost on the air (safety D2)."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO gaps (lock, at, reason) VALUES (?, ?, ?)", (lock, unix, reason)
            )
            connection.execute(_FORGET_GAPS, (lock, lock, MOST_GAPS))

        await self._database.write(work)


_FORGET_GAPS = """
    DELETE FROM gaps WHERE lock = ? AND seq <= (
        SELECT seq FROM gaps WHERE lock = ? ORDER BY seq DESC LIMIT 1 OFFSET ?
    )
"""


def _ids(connection: sqlite3.Connection, numbers: Collection[int]) -> tuple[str, ...]:
    query = "SELECT id FROM records WHERE seq = ?"
    return tuple(connection.execute(query, (seq,)).fetchone()[0] for seq in numbers)


def _return_no_more(connection: sqlite3.Connection, lock: str, numbers: Collection[int]) -> None:
    connection.executemany(
        "UPDATE records SET may_return = 0 WHERE seq = ? AND lock = ?",
        [(seq, lock) for seq in numbers],
    )


def _known(
    connection: sqlite3.Connection,
    report: TakenReport,
    happening: Happening,
    *,
    besides: Collection[int],
) -> int | None:
    """The record that this is once more, if it may be one; it keeps its identity."""
    if not report.may_match:
        return None
    asked = (report.lock, happening.dp, happening.value_hash, report.behind)
    rows = connection.execute(_MAY_RETURN, asked)
    chosen = choose([Candidate(*row) for row in rows if row[0] not in besides], happening)
    if chosen is None:
        return None
    connection.execute(
        "UPDATE records SET may_return = ? WHERE seq = ?", (int(report.may_return), chosen.seq)
    )
    return chosen.seq


def _keep_report(
    connection: sqlite3.Connection, report: TakenReport, name: str, sealed: bytes
) -> int:
    cursor = connection.execute(
        "INSERT INTO reports (id, lock, taken_at, sealed) VALUES (?, ?, ?, ?)",
        (name, report.lock, report.taken_at, sealed),
    )
    assert cursor.lastrowid is not None  # noqa: S101 -- a row was inserted
    return cursor.lastrowid
