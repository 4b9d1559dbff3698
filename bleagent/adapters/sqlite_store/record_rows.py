"""What the ports over ``records.db`` have in common: rows, sealed reports, counts."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from bleagent.errors import OutboxFull, SecretError, StoreError
from bleagent.records.record import (
    Carriage,
    Delivery,
    Happening,
    StoredRecord,
    TakenReport,
    TimeQuality,
    message_id,
)
from bleagent.records.report_parts import known_type, part_of
from bleagent.vault import Vault
from protocol import Secret
from protocol.records import RecordKind

from .database import Database

PARKED_QUOTA = 10_000
"""So many parked ones of a sink take no room from what waits (safety D6)."""
LIVE_ONLY_FROM = 0.9
"""From this part of the capacity on there is room for live records only (safety D6)."""

_SELECT = """
    SELECT r.seq, r.id, r.lock, r.device_id, r.dp, r.type, r.kind, r.value, r.wire_time, r.at,
        r.quality, r.taken_at, r.live, r.operation, r.released_at, r.late,
        r.part, p.id, p.sealed
    FROM records AS r JOIN reports AS p ON p.seq = r.report
"""
_INSERT = """
    INSERT INTO records (seq, id, report, part, lock, device_id, dp, type, kind, value, value_hash,
        wire_time, lock_seconds, at, quality, turn, taken_at, live, operation, may_return,
        converted, released_at, late)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_DELIVER = """
    INSERT INTO deliveries (sink, record, lock, at, turn, taken_at, released, state)
    SELECT ?, seq, lock, at, turn, taken_at, released_at IS NOT NULL, 'waiting'
    FROM records WHERE seq = ?
"""
_COUNT = """
    INSERT INTO sink_counts (sink, waiting, done, parked, dropped) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (sink) DO UPDATE
    SET waiting = waiting + excluded.waiting, done = done + excluded.done,
        parked = parked + excluded.parked, dropped = dropped + excluded.dropped
"""
_COUNT_TAKEN = """
    INSERT INTO taken_counts (lock, taken, duplicate) VALUES (?, ?, ?)
    ON CONFLICT (lock) DO UPDATE
    SET taken = taken + excluded.taken, duplicate = duplicate + excluded.duplicate
"""


class RecordTables:
    """``records.db`` with the vault that seals its reports.

    ``sinks`` are the configured ones: each new record waits for each of them. ``capacity`` is how
    many may wait for one sink.
    """

    def __init__(
        self, database: Database, vault: Vault, *, sinks: tuple[str, ...], capacity: int
    ) -> None:
        self._database = database
        self._vault = vault
        self._sinks = sinks
        self._capacity = capacity
        self._unopened: set[int] = set()

    @property
    def unopened(self) -> int:
        """How many records were met so far whose report was sealed with another key, or altered."""
        return len(self._unopened)

    def _seal(self, raw: Secret, name: str) -> bytes:
        try:
            return self._vault.seal(raw, table="reports", row=name, column="sealed")
        except SecretError as error:
            raise StoreError(str(error)) from error

    def _stored(
        self, connection: sqlite3.Connection, which: str, values: Sequence[object]
    ) -> list[StoredRecord]:
        """The records of a condition (and order) of ours, their deliveries with them.

        One whose report does not open is without data, and is noted in ``_unopened``.
        """
        rows = connection.execute(f"{_SELECT} WHERE {which}", values).fetchall()
        return [
            _record(row, self._data(row), deliveries=deliveries_of(connection, row[0]))
            for row in rows
        ]

    def _data(self, row: tuple[Any, ...]) -> Secret:
        seq, (part, name, sealed) = row[0], row[16:]
        if seq not in self._unopened:
            try:
                raw = self._vault.open(sealed, table="reports", row=name, column="sealed")
                return part_of(raw, part)
            except (SecretError, StoreError):
                self._unopened.add(seq)
        return Secret(b"")

    def _require_room(self, connection: sqlite3.Connection, *, reserve: bool) -> None:
        """Whether another record may wait (safety D6). Raises OutboxFull."""
        most = self._capacity if reserve else int(self._capacity * LIVE_ONLY_FROM)
        counts = connection.execute("SELECT sink, waiting, parked FROM sink_counts").fetchall()
        for sink, waiting, parked in counts:
            load = waiting + max(0, parked - PARKED_QUOTA)
            if sink in self._sinks and load >= most:
                whose = "records" if reserve else "records from a lock's backlog"
                raise OutboxFull(f"{load} records wait for {sink}; {whose} are taken below {most}")

    def _add(
        self,
        connection: sqlite3.Connection,
        taken: TakenReport,
        parts: Sequence[tuple[int, Happening]],
        *,
        report: int,
        late: bool = False,
    ) -> list[int]:
        """New records of a stored report, waiting for every sink; their numbers."""
        numbers: list[int] = []
        for part, happening in parts:
            seq = last_seq(connection) + 1
            numbers.append(seq)
            # In a backlog what comes later is older; the datapoints of one report are in order.
            turn = seq if taken.live else -numbers[0]
            value_hash = happening.value_hash
            connection.execute(
                _INSERT,
                (
                    seq, _new_id(connection, taken, happening, value_hash), report, part,
                    taken.lock, taken.device_id, happening.dp, int(happening.type), happening.kind,
                    happening.value, value_hash, happening.wire_time, happening.lock_seconds,
                    happening.at, happening.quality, turn, taken.taken_at, int(taken.live),
                    happening.operation, int(taken.may_return), int(taken.converted),
                    taken.taken_at if taken.release else None, int(late),
                ),
            )  # fmt: skip
            connection.executemany(_DELIVER, [(sink, seq) for sink in self._sinks])
        for sink in self._sinks:
            count(connection, sink, waiting=len(numbers))
        return numbers


def _new_id(
    connection: sqlite3.Connection, taken: TakenReport, happening: Happening, value_hash: str
) -> str:
    """The first identity that nobody has: the next ordinal, or a later one.

    Later where the lock was renamed, or an equal record was deleted in the meantime.
    """
    (ordinal,) = connection.execute(
        "SELECT count(*) FROM records WHERE lock = ? AND dp = ? AND value_hash = ? "
        "AND wire_time = ? AND device_id = ?",
        (taken.lock, happening.dp, value_hash, happening.wire_time, taken.device_id),
    ).fetchone()
    while True:
        chosen = message_id(taken.device_id, happening, ordinal)
        known = connection.execute("SELECT 1 FROM records WHERE id = ?", (chosen,)).fetchone()
        if known is None:
            return chosen
        ordinal += 1


def last_seq(connection: sqlite3.Connection) -> int:
    """The highest number that a record ever had; 0 before the first."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'records'").fetchone()
    return 0 if row is None else int(row[0])


def deliveries_of(connection: sqlite3.Connection, seq: int) -> tuple[Delivery, ...]:
    """How far one record is, by sink."""
    rows = connection.execute(
        "SELECT sink, state, attempts, code FROM deliveries WHERE record = ? ORDER BY sink", (seq,)
    )
    return tuple(
        Delivery(sink=sink, state=Carriage(state), attempts=attempts, code=code)
        for sink, state, attempts, code in rows
    )


def count(
    connection: sqlite3.Connection,
    sink: str,
    *,
    waiting: int = 0,
    done: int = 0,
    parked: int = 0,
    dropped: int = 0,
) -> None:
    """Add to a sink's counts."""
    change = (waiting, done, parked, dropped)
    if any(change):
        connection.execute(_COUNT, (sink, *change))


def count_taken(connection: sqlite3.Connection, lock: str, *, taken: int, duplicate: int) -> None:
    """Add to a lock's counts."""
    if taken or duplicate:
        connection.execute(_COUNT_TAKEN, (lock, taken, duplicate))


def _record(
    row: tuple[Any, ...], data: Secret, *, deliveries: tuple[Delivery, ...]
) -> StoredRecord:
    return StoredRecord(
        seq=row[0],
        id=row[1],
        lock=row[2],
        device_id=row[3],
        dp=row[4],
        type=known_type(row[5]),
        kind=RecordKind(row[6]),
        value=row[7],
        data=data,
        wire_time=row[8],
        at=row[9],
        quality=TimeQuality(row[10]),
        taken_at=row[11],
        live=bool(row[12]),
        operation=row[13],
        released_at=row[14],
        late=bool(row[15]),
        deliveries=deliveries,
    )
