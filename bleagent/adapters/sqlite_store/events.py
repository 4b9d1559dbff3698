"""Events as the two databases tell them. Each implements ``events.EventSource``."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any

from bleagent.events import Mark, OperationEvent
from bleagent.records.record import RecordQuery, StoredRecord
from bleagent.vault import Vault

from .database import Database
from .ledger import COLUMNS, EVIDENCE, record_of
from .shelf import SqliteRecordShelf

_COLUMNS = ", ".join(f"o.{name}" for name in COLUMNS.split(", "))
_AFTER = f"""
    SELECT e.seq, e.kind, e.heard, {_COLUMNS}
    FROM operation_events AS e JOIN operations AS o ON o.seq = e.operation
    WHERE e.seq > ? ORDER BY e.seq LIMIT ?
"""  # noqa: S608 -- constants of ours


class SqliteOperationEvents:
    """What became of operations, from ``operations.db``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self) -> Mark:
        """Where it ends now."""
        return await self._database.read(lambda connection: _newest(connection, "operation_events"))

    async def after(self, seq: int, *, limit: int) -> list[OperationEvent]:
        """Those behind a number, oldest first."""
        return await self._database.read(
            lambda connection: [
                _event(row) for row in connection.execute(_AFTER, (seq, limit)).fetchall()
            ]
        )

    async def gone(self, seq: int) -> int:
        """How many of those behind a number are not stored any more."""
        return await self._database.read(
            lambda connection: _gone(connection, "operation_events", seq)
        )


class SqliteRecordEvents:
    """What was taken off the locks, from ``records.db``."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._shelf = SqliteRecordShelf(database, vault, sinks=(), capacity=0)

    async def newest(self) -> Mark:
        """Where it ends now."""
        return await self._database.read(lambda connection: _newest(connection, "records"))

    async def after(self, seq: int, *, limit: int) -> list[StoredRecord]:
        """Those behind a number, oldest first."""
        return await self._shelf.records(RecordQuery(after_seq=seq, limit=limit))

    async def gone(self, seq: int) -> int:
        """How many of those behind a number are not stored any more."""
        return await self._database.read(lambda connection: _gone(connection, "records", seq))


def _event(row: tuple[Any, ...]) -> OperationEvent:
    seq, kind, heard, *columns = row
    record = record_of(tuple(columns))
    if record.ending is None:
        return OperationEvent(seq=seq, record=record)
    evidence = record.ending.evidence[:heard]
    record = replace(record, ending=replace(record.ending, evidence=evidence))
    return OperationEvent(
        seq=seq, record=record, evidence=evidence[-1] if kind == EVIDENCE else None
    )


def _newest(connection: sqlite3.Connection, table: str) -> Mark:
    (name,) = connection.execute("SELECT name FROM event_source").fetchone()
    return Mark(name, _last(connection, table))


def _last(connection: sqlite3.Connection, table: str) -> int:
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return 0 if row is None else int(row[0])


def _gone(connection: sqlite3.Connection, table: str, seq: int) -> int:
    # No number is left out: what a commit did not keep is counted again.
    (here,) = connection.execute(f"SELECT count(*) FROM {table} WHERE seq > ?", (seq,)).fetchone()  # noqa: S608
    return max(0, _last(connection, table) - seq - int(here))
