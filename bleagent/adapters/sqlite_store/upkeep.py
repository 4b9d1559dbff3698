"""What need not be told or asked of a lock again. Implements ``upkeep_desk.UpkeepBook``.

In the file of the passwords, for which neither an opening nor a record waits. Where that is lost,
everything is told once more.
"""

from __future__ import annotations

from bleagent.errors import StoreError
from bleagent.sync.upkeep import Note, Progress, Subject

from .database import Database


class SqliteUpkeep:
    """The notes of all locks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def notes(self, lock: str) -> tuple[Note, ...]:
        """All of a lock's. Raises StoreError."""
        query = "SELECT subject, progress, at, digest, silent FROM upkeep WHERE lock = ?"
        rows = await self._database.read(
            lambda connection: connection.execute(query, (lock,)).fetchall()
        )
        try:
            return tuple(
                Note(
                    subject=Subject(subject), progress=Progress(progress), at=at, digest=digest,
                    silent=silent,
                )
                for subject, progress, at, digest, silent in rows
            )  # fmt: skip
        except ValueError as error:
            raise StoreError("what is kept of a lock's upkeep cannot be read") from error

    async def note(self, lock: str, note: Note) -> None:
        """On disk when this returns. Raises StoreError."""
        await self._database.execute(
            "INSERT OR REPLACE INTO upkeep (lock, subject, progress, at, digest, silent) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            lock, note.subject, note.progress, note.at, note.digest, note.silent,
        )  # fmt: skip
