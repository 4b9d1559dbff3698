"""The daemon on a disk that is full for its records: ``filling_daemon.py FILE run ...``.

While ``FILE`` exists no commit into ``records.db`` finds room: SQLite itself says so, behind
everything that the transaction did. Each failure is a line in ``FILE``.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import Any

from bleagent import start
from bleagent.adapters.sqlite_store.database import Database, Work
from bleagent.adapters.sqlite_store.records import SqliteRecords
from bleagent.records.record import Kept, TakenReport

BALLAST = "CREATE TABLE ballast AS SELECT zeroblob(1000000)"
ROOM = "PRAGMA max_page_count=%d"
ENOUGH = 1_000_000


class FullDisk:
    """Has no room as long as the file exists."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._write = Database.write
        self._take = SqliteRecords.take

    async def write(self, database: Database, work: Work[Any]) -> Any:
        """``Database.write``."""

        def without_room(connection: sqlite3.Connection) -> Any:
            done = work(connection)
            connection.execute(BALLAST)
            return done

        full = self._file.exists() and database.path.name == "records.db"
        database.at_start(lambda one: one.execute(ROOM % (1 if full else ENOUGH)).close())
        return await self._write(database, without_room if full else work)

    async def take(self, book: SqliteRecords, report: TakenReport) -> Kept:
        """``SqliteRecords.take``: the test is told what was tried."""
        try:
            return await self._take(book, report)
        except Exception:
            if self._file.exists():
                with self._file.open("a") as out:
                    print("live" if report.live else "from the ring", file=out)
            raise


if __name__ == "__main__":
    disk = FullDisk(Path(sys.argv.pop(1)))

    async def write(database: Database, work: Work[Any]) -> Any:
        """On this disk."""
        return await disk.write(database, work)

    async def take(book: SqliteRecords, report: TakenReport) -> Kept:
        """The same."""
        return await disk.take(book, report)

    for owner, name, new in ((Database, "write", write), (SqliteRecords, "take", take)):
        setattr(owner, name, new)
    raise SystemExit(start.main(sys.argv[2:]))
