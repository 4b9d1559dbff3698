"""All of ``records.db`` that has to do with records: the three ports over it, in one object."""

from __future__ import annotations

from .outbox import SqliteOutbox
from .record_book import SqliteRecordBook
from .record_keeping import RecordKeeping
from .shelf import SqliteRecordShelf


class SqliteRecords(SqliteRecordBook, SqliteOutbox, SqliteRecordShelf, RecordKeeping):
    """Implements ``ports.RecordBook``, ``ports.Outbox`` and ``ports.RecordShelf``.

    A sink that was not configured when a record was taken never gets it; one that is configured
    no more keeps what waits for it, and takes no room. Nothing that waits is ever deleted.
    """
