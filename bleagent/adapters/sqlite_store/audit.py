"""The audit on disk: ``audit.db``, rows in a chain, appended and cut off at the old end only.

Rows and the key of the next one are one commit, so that whatever interrupts it leaves a chain
that verifies. The key is opened, used and sealed again within that commit and held by nobody in
between.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bleagent.audit.chain import (
    CUT,
    ROOTED,
    AuditRow,
    ChainedRow,
    Head,
    Kept,
    Root,
    beginning,
    chained,
)
from bleagent.errors import AuditGone, AuditUnusable, SecretError
from bleagent.vault import Sealed, Vault
from protocol import Secret

from .database import Database, look_at

MOST_ROWS = 200_000
MOST_BYTES = 96 * 1024 * 1024
"""Of the file in use. What comes first, this or ``MOST_ROWS``, cuts off the oldest rows."""
CUT_AT_ONCE = 2_000
QUOTA = 128 * 1024 * 1024 // 4096
"""Pages: whatever else happens, the file takes no more from the disk."""

_PLACE: dict[str, str] = {"table": "audit_head", "column": "sealed"}
_COLUMNS = "number, at_ms, event, principal, lock, operation, detail, digest, mac"
_NO_MAC = bytes(32)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept."""

    rows: int = MOST_ROWS
    size: int = MOST_BYTES
    cut_at_once: int = CUT_AT_ONCE


def sealed_key(connection: sqlite3.Connection) -> list[Sealed]:
    """The sealed key of the next row, where a chain has begun."""
    rows = connection.execute("SELECT sealed, chain FROM audit_head").fetchall()
    return [Sealed(sealed, _PLACE["table"], chain) for sealed, chain in rows]


class SqliteAudit:
    """Appends rows. ``random`` gives so many bytes that nobody can foretell."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        *,
        random: Callable[[int], bytes],
        bounds: Bounds | None = None,
    ) -> None:
        self._database = database
        self._vault = vault
        self._random = random
        self._bounds = bounds or Bounds()
        self._file = _identity(database.path)

    async def append(self, rows: Sequence[AuditRow]) -> Head:
        """On disk when this returns, all or none; where the chain ends now.

        Raises:
            AuditGone: the file is no longer where it was.
            AuditUnusable: the key of the next row does not open.
            StoreError: nothing was written.
        """
        head = await self._database.write(lambda connection: self._append(connection, rows))
        await self._database.empty_log()
        return head

    def root(self, at: float) -> Root:
        """Draw a root key that holds from here on, before anybody else uses the database.

        A chain that has begun gets one more row, under the keys that held until now.

        Raises:
            AuditUnusable: the key of the next row does not open.
            StoreError: nothing has changed.
        """

        def work(connection: sqlite3.Connection) -> Root:
            connection.execute("BEGIN IMMEDIATE")
            try:
                state = self._state(connection)
                if state.head.number:
                    state.add(connection, AuditRow(at=at, event=ROOTED))
                key = self._random(32)
                state.key[:] = key
                self._keep(connection, state)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            return Root(chain=state.head.chain, first=state.head.number + 1, key=Secret(key))

        root = self._database.at_start(work)
        self._database.at_start(lambda found: found.execute(EMPTY_LOG).fetchone())
        return root

    def _append(self, connection: sqlite3.Connection, rows: Sequence[AuditRow]) -> Head:
        if self._file is None or _identity(self._database.path) != self._file:
            # SQLite goes on writing to a file that has no name any more.
            raise AuditGone(f"{self._database.path} is not the file that was opened")
        state = self._state(connection)
        for row in rows:
            state.add(connection, row)
        self._cut(connection, state, rows[-1].at)
        self._keep(connection, state)
        return state.head

    def _state(self, connection: sqlite3.Connection) -> _State:
        found = connection.execute(
            "SELECT chain, number, digest, mac, sealed, cut, cut_digest FROM audit_head"
        ).fetchone()
        if found is None:
            chain = self._random(8).hex()
            start = beginning(chain)
            head = Head(chain=chain, number=0, digest=start, mac=_NO_MAC)
            return _State(head, bytearray(self._random(32)), 0, start)
        chain, number, digest, mac, sealed, cut, cut_digest = found
        try:
            key = self._vault.open(sealed, row=chain, **_PLACE)
        except SecretError as error:
            raise AuditUnusable(f"{self._database.path.name}: {error}") from None
        head = Head(chain=chain, number=number, digest=digest, mac=mac)
        return _State(head, bytearray(key.reveal()), cut, cut_digest)

    def _keep(self, connection: sqlite3.Connection, state: _State) -> None:
        head = state.head
        sealed = self._vault.seal(Secret(bytes(state.key)), row=head.chain, **_PLACE)
        state.key[:] = bytes(len(state.key))
        connection.execute(
            "INSERT OR REPLACE INTO audit_head VALUES (1, ?, ?, ?, ?, ?, ?, ?)",
            (head.chain, head.number, head.digest, head.mac, sealed, state.cut, state.cut_digest),
        )

    def _cut(self, connection: sqlite3.Connection, state: _State, at: float) -> None:
        """Where there are too many rows the oldest go, and a row says so."""
        kept = state.head.number - state.cut
        if kept <= self._bounds.rows and _used(connection) <= self._bounds.size:
            return
        last = state.cut + min(self._bounds.cut_at_once, kept - 1)
        (digest,) = connection.execute(
            "SELECT digest FROM audit WHERE number = ?", (last,)
        ).fetchone()
        gone = last - state.cut
        state.cut, state.cut_digest = last, digest
        connection.execute("UPDATE audit_head SET cut = ?", (last,))
        connection.execute("DELETE FROM audit WHERE number <= ?", (last,))
        detail = {"up_to": last, "rows": gone, "digest": digest.hex()}
        state.add(connection, AuditRow(at=at, event=CUT, detail=detail))


@dataclass(slots=True)
class _State:
    """Where the chain stands within one commit; ``key`` is that of the next row."""

    head: Head
    key: bytearray
    cut: int
    cut_digest: bytes

    def add(self, connection: sqlite3.Connection, row: AuditRow) -> None:
        """One row behind the last."""
        one = chained(row, self.head.number + 1, self.head.digest, self.key)
        connection.execute(
            f"INSERT INTO audit ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 -- ours
            (
                one.number, one.at_ms, one.event, one.principal, one.lock, one.operation,
                one.detail, one.digest, one.mac,
            ),
        )  # fmt: skip
        self.head = replace(self.head, number=one.number, digest=one.digest, mac=one.mac)


EMPTY_LOG = "PRAGMA wal_checkpoint(TRUNCATE)"


def _used(connection: sqlite3.Connection) -> int:
    """Bytes of the file that hold something."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


# -- read by others, while it is written


class AuditFile:
    """``audit.db`` as it is now, looked at while an agent may write it; to be closed.

    Raises StoreError: there is none, or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._database = look_at(path, "audit")

    def close(self) -> None:
        """Let go of it."""
        self._database.close()

    def kept(self) -> Kept | None:
        """Where the chain begins and ends; ``None`` before its first row. Raises StoreError."""
        query = "SELECT chain, number, digest, mac, cut, cut_digest FROM audit_head"
        found = self._database.at_start(lambda one: one.execute(query).fetchone())
        if found is None:
            return None
        chain, number, digest, mac, cut, cut_digest = found
        head = Head(chain=chain, number=number, digest=digest, mac=mac)
        return Kept(head=head, cut=cut, cut_digest=cut_digest)

    def rows(
        self,
        *,
        lock: str | None = None,
        since: float | None = None,
        until: float | None = None,
        last: int | None = None,
    ) -> Iterator[ChainedRow]:
        """Rows, oldest first. Times are Unix seconds; ``last``: so many at most, the newest.

        Raises StoreError, also while they are read.
        """
        where, values = ["1"], list[Any]()
        for condition, value in (
            ("lock = ?", lock),
            ("at_ms >= ?", None if since is None else round(since * 1000)),
            ("at_ms < ?", None if until is None else round(until * 1000)),
        ):
            if value is not None:
                where.append(condition)
                values.append(value)
        query = f"SELECT {_COLUMNS} FROM audit WHERE {' AND '.join(where)}"  # noqa: S608 -- ours
        if last is None:
            query += " ORDER BY number"
        else:
            query = f"SELECT * FROM ({query} ORDER BY number DESC LIMIT ?) ORDER BY number"  # noqa: S608
            values.append(last)
        with closing(self._database.at_start(lambda one: one.execute(query, values))) as found:
            while batch := self._database.at_start(lambda _: found.fetchmany(512)):
                for row in batch:
                    yield ChainedRow(**dict(zip(_NAMES, row, strict=True)))


_NAMES = tuple(_COLUMNS.split(", "))
