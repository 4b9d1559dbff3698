"""One SQLite file: opened, checked, migrated, and touched by one thread at a time."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TypeVar

import anyio
import anyio.to_thread

from bleagent.errors import (
    StoreDamaged,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreTooNew,
)

from . import files

SCHEMA = Path(__file__).parent.parent / "schema"
APPLICATION_ID = 0x424C4541  # "BLEA": says whose file this is
LITTLE_SPACE = 64 * 1024  # bytes; an I/O error on a disk with less is taken for a full disk

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class Database:
    """A database and its one worker thread.

    ``max_pages`` is a quota in pages of 4096 bytes. A change that was asked for happens whole
    or not at all, and is on disk when the call returns (WAL with synchronous=FULL). A caller
    that is cancelled either has not started or waits for the end. ``room`` is asked first, in
    the database's thread; it may raise StoreFull.
    """

    room: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._connection = connection
        # Of its own: a stalled write of another database must not delay this one.
        self._one_at_a_time = anyio.CapacityLimiter(1)

    @classmethod
    def open(
        cls,
        folder: Path,
        name: str,
        *,
        max_pages: int | None = None,
        utcnow: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> Self:
        """Open ``folder/name.db``, making it if there is none; damaged ones are moved aside.

        Only the holder of the state directory may call this. ``files.moved_aside`` tells
        whether something was.

        Raises:
            StoreFull: no space for it.
            StoreTooNew, StoreForeign: written by a newer agent, or by another program.
            StoreError: it cannot be opened.
        """
        path = folder / f"{name}.db"
        migrations = migrations_of(name)
        if not _open_checked(path, utcnow):
            _create(path, migrations)
        connection = _connect(path)
        try:
            with _Translated(path):
                _require_ours(connection, path, newest=max(migrations))
                connection.execute("PRAGMA journal_mode=WAL")
                _migrate(connection, migrations)
                if max_pages is not None:
                    connection.execute(f"PRAGMA max_page_count={max_pages:d}")
        except BaseException:
            connection.close()
            raise
        return cls(connection, path)

    def at_start(self, work: Work[T]) -> T:
        """Run ``work`` at once, before anybody else uses the database. Raises StoreError."""
        with _Translated(self.path):
            return work(self._connection)

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` on one consistent state. Raises StoreError."""
        return await self._run(work, "BEGIN")

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` as one transaction, on disk when this returns.

        Raises:
            StoreFull: no space; nothing has changed.
            StoreDamaged: the file cannot be read any more.
            StoreError: anything else; nothing has changed.
        """

        def with_room(connection: sqlite3.Connection) -> T:
            self.room()
            return work(connection)

        return await self._run(with_room, "BEGIN IMMEDIATE")

    async def execute(self, statement: str, *values: object) -> None:
        """Run one statement as a transaction; as ``write``."""
        # A cursor that outlives the call would keep the file open behind our back.
        await self.write(lambda connection: connection.execute(statement, values).close())

    async def empty_log(self) -> None:
        """Take what was replaced out of the log beside the file, as far as nobody reads it."""

        def empty() -> None:
            # What is committed stays so, and the next time takes more out.
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

        await anyio.to_thread.run_sync(empty, limiter=self._one_at_a_time)

    async def _run(self, work: Work[T], begin: str) -> T:
        def transaction() -> T:
            with _Translated(self.path):
                connection = self._connected()
                try:
                    connection.execute(begin)
                    result = work(connection)
                    connection.execute("COMMIT")
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
            return result

        return await anyio.to_thread.run_sync(transaction, limiter=self._one_at_a_time)

    def _connected(self) -> sqlite3.Connection:
        return self._connection

    def close(self) -> None:
        """Close the file; what was committed is kept either way."""
        self._connection.close()


class Reader(Database):
    """Another connection to the file of an open database: it only reads, on a thread of its own.

    No write ever waits for it (WAL). It is opened when it is used first; to be closed before the
    database itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: sqlite3.Connection | None = None
        self._one_at_a_time = anyio.CapacityLimiter(1)

    def _connected(self) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = _connect(self.path, mode="ro")
        return self._opened

    def close(self) -> None:
        """Close it, if it was ever opened."""
        if self._opened is not None:
            self._opened.close()


class Unusable(Database):
    """Stands for a database that could not be opened: whatever is asked of it raises ``why``."""

    def __init__(self, path: Path, why: StoreError) -> None:
        self.path = path
        self.why = why

    def at_start(self, work: Work[T]) -> T:
        """Raises StoreError."""
        del work
        raise self._again()

    async def _run(self, work: Work[T], begin: str) -> T:
        del work, begin
        raise self._again()

    def _again(self) -> StoreError:
        return type(self.why)(str(self.why))  # one of its own: a traceback grows with each raise

    def close(self) -> None:
        """There is nothing to close."""


def look_at(path: Path, name: str) -> Database:
    """A database ``name``, or a copy of one, for reading beside whoever writes it.

    It stays as it is now until it is closed.

    Raises:
        StoreTooNew, StoreForeign: written by a newer agent, or by another program.
        StoreError: there is none, or it cannot be read.
    """
    with files.file_errors():
        path.stat()
    connection = _connect(path, mode="ro")
    try:
        with _Translated(path):
            _require_ours(connection, path, newest=max(migrations_of(name)))
            connection.execute("BEGIN")
    except BaseException:
        connection.close()
        raise
    return Database(connection, path)


class _Translated:
    """Turns SQLite's errors into the agent's."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise self._meaning(error) from error
        if isinstance(error, OverflowError | UnicodeError):
            # A value that no column can hold; its text could show it.
            raise StoreError(f"{self._path.name}: not a value to store") from None

    def _meaning(self, error: sqlite3.Error) -> StoreError:
        text = f"{self._path.name}: {error}"
        name: str = getattr(error, "sqlite_errorname", None) or ""
        if name == "SQLITE_FULL":
            return StoreFull(text)
        if _is_damage(error):
            return StoreDamaged(text)
        if name.startswith("SQLITE_IOERR") and files.free_bytes(self._path.parent) < LITTLE_SPACE:
            return StoreFull(text)
        return StoreError(text)


def _is_damage(error: sqlite3.Error) -> bool:
    name: str = getattr(error, "sqlite_errorname", None) or ""
    return name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def migrations_of(name: str) -> dict[int, str]:
    """The numbered scripts of one database: ``schema/<name>_<number>.sql``."""
    found = {
        int(match[1]): path.read_text(encoding="utf-8")
        for path in sorted(SCHEMA.glob(f"{name}_*.sql"))
        if (match := re.fullmatch(rf"{name}_(\d{{4}})\.sql", path.name))
    }
    if sorted(found) != list(range(1, len(found) + 1)) or not found:
        raise StoreError(f"the scripts of {name}.db are not numbered 1, 2, ...: {sorted(found)}")
    return found


def _connect(path: Path, *, mode: str = "rw") -> sqlite3.Connection:
    with _Translated(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,  # any of anyio's threads, but one at a time
        )
        try:
            for setting in (
                "synchronous=FULL",
                "foreign_keys=ON",
                "secure_delete=ON",
                "trusted_schema=OFF",
                "cell_size_check=ON",
                "temp_store=MEMORY",
            ):
                connection.execute(f"PRAGMA {setting}")
        except BaseException:
            connection.close()
            raise
        return connection


def _open_checked(path: Path, utcnow: Callable[[], datetime]) -> bool:
    """Whether a healthy file is in its place; a damaged one is moved aside."""
    with files.file_errors():
        beside = any(one.exists() and one.stat().st_size for one in files.with_side_files(path))
        empty = not path.exists() or not path.stat().st_size
    if empty:
        # We never leave an empty file, and never a log without its database: both are remains.
        if beside or path.exists():
            files.move_aside(path, utcnow())
        return False
    files.tighten(path)
    connection: sqlite3.Connection | None = None
    try:
        # Read only, and moved before it is closed: SQLite would write the log into the damaged
        # file when it is closed, and remove the log.
        connection = _connect(path, mode="ro")
        healthy = _is_healthy(connection, path)
        if not healthy:
            files.move_aside(path, utcnow())
    except StoreDamaged:
        files.move_aside(path, utcnow())
        healthy = False
    finally:
        if connection is not None:
            connection.close()
    return healthy


def _is_healthy(connection: sqlite3.Connection, path: Path) -> bool:
    try:
        answer = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        if _is_damage(error):
            return False
        raise StoreError(f"{path.name}: {error}") from error
    return bool(answer == ("ok",))


def _create(path: Path, migrations: dict[int, str]) -> None:
    """Make a database under another name and move it in place when it is whole."""
    fresh = path.with_name(path.name + ".new")
    with files.file_errors():
        for remains in files.with_side_files(fresh):
            remains.unlink(missing_ok=True)
    files.make_file(fresh)
    connection = _connect(fresh)
    try:
        with _Translated(fresh):
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            _migrate(connection, migrations)
    finally:
        connection.close()
    with files.file_errors():
        fresh.rename(path)
    files.sync_directory(path.parent)


def _require_ours(connection: sqlite3.Connection, path: Path, *, newest: int) -> None:
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    if owner != APPLICATION_ID:
        raise StoreForeign(f"{path} is a database of another program (application id {owner:#x})")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > newest:
        raise StoreTooNew(
            f"{path} was written by a newer agent: "
            f"found schema {version}, expected at most {newest}"
        )


def _migrate(connection: sqlite3.Connection, migrations: dict[int, str]) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number in range(version + 1, max(migrations) + 1):
        script = f"BEGIN IMMEDIATE;\n{migrations[number]}\nPRAGMA user_version={number};\nCOMMIT;"
        try:
            connection.executescript(script)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
