"""The embedded store: SQLite files in a state directory that one agent holds.

``operations.db`` has what an unlock needs and nothing that grows: operations, idempotency keys,
marks, timestamps, issued configs, device facts, tokens. ``records.db`` and ``audit.db`` have what
grows: raw reports, the records in them and how far each was carried; and who did what.
``webhooks.db``, where there are subscriptions, has how far each of them is, and ``passwords.db``,
where temporary passwords are brought to locks or their upkeep is kept, how far that has come. So a
full or damaged one of these never keeps a door shut, and each has a worker thread of its own, so
that a slow write of the one does not delay the others (safety H2). Nor does a disk that something
else has filled keep one shut: ``reserve`` is room for ``operations.db`` alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from bleagent.clock import boot_seconds
from bleagent.errors import StoreDamaged, StoreError
from bleagent.vault import Sealed, Vault, VaultKeys

from .audit import QUOTA, AuditFile, Bounds, SqliteAudit, sealed_key
from .database import Database, Reader, Unusable
from .events import SqliteOperationEvents, SqliteRecordEvents
from .files import StateLock, free_bytes, make_directory, moved_aside
from .ledger import SqliteLedger
from .memory import SqliteLockMemory
from .passwords import QUOTA as PASSWORD_PAGES
from .passwords import SqlitePasswords
from .record_keeping import Adopted
from .records import SqliteRecords
from .reserve import Reserve
from .rotation import (
    OPERATIONS,
    one_of_each_version,
    seal_anew_now,
    seal_reports_anew,
    sealed_in,
)
from .tokens import SqliteTokens
from .upkeep import SqliteUpkeep
from .webhooks import QUOTA as WEBHOOK_PAGES
from .webhooks import SqliteWebhooks

__all__ = [
    "Adopted",
    "AuditFile",
    "Bounds",
    "SqliteAudit",
    "SqliteLedger",
    "SqliteLockMemory",
    "SqlitePasswords",
    "SqliteRecords",
    "SqliteStore",
    "SqliteTokens",
    "SqliteWebhooks",
    "StateDirectory",
    "kernel_boot_id",
]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def kernel_boot_id() -> str:
    """What tells one boot from another. Raises StoreError where the kernel does not say."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError as error:
        raise StoreError(f"{_BOOT_ID} cannot be read: {error.strerror}") from error


class StateDirectory:
    """A state directory, held. To be taken before radio, listener and vault key (safety A5).

    Raises:
        AlreadyRunning: another process holds it.
        StoreError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        make_directory(path)
        self.path = path
        self._lock = StateLock(path)

    def close(self) -> None:
        """Let the next one in."""
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class SqliteStore:
    """All databases, open: ``ledger``, ``memory``, ``tokens``, ``records``, and ``audit``.

    ``operation_events`` and ``record_events`` read what happened in them, by connections of their
    own: no commit waits for who looks.

    ``damaged`` is the operations database that had to be moved aside, now or at an earlier
    start, for as long as it lies in the state directory: the one in use began empty, so that
    idempotency keys and sealed marks from before are gone. What to do about it is the caller's
    decision; it must not go unsaid. ``damage`` has an error to log for each database concerned.

    With ``VaultKeys`` everything in ``operations.db`` that an older key sealed is sealed anew at
    once (``sealed_anew`` says how many values were), and reports by ``seal_reports_anew``.

    Where ``records.db`` cannot be used (a newer agent's, another program's, unreadable) it stays
    as it is, the store opens all the same, and ``without_records`` says why: keeping a report or a
    record raises that, and whatever needs ``operations.db`` alone goes on (safety H2). The same
    goes for ``audit.db`` and ``without_audit``, and for ``webhooks.db`` and ``passwords.db``:
    ``webhooks`` and ``passwords`` raise it.

    The quotas are in pages of 4096 bytes; none by default but for the audit. ``sinks`` are the
    names of those that records are carried to, and ``capacity`` is how many may wait for one of
    them (safety D6); ``subscriptions`` are those whose place in what happens is kept, and
    ``passwords`` says whether any are brought to a lock, or its upkeep is kept.

    Raises:
        VaultKeyMissing: something that is needed opens with none of the keys.
        StoreFull, StoreTooNew, StoreForeign, StoreError: ``operations.db`` cannot be used.
    """

    def __init__(  # noqa: PLR0913 -- nearly all of them have defaults
        self,
        directory: StateDirectory,
        vault: Vault | VaultKeys,
        *,
        boot_id: str | None = None,
        operations_pages: int | None = None,
        records_pages: int | None = None,
        audit_pages: int = QUOTA,
        audit_bounds: Bounds | None = None,
        sinks: tuple[str, ...] = (),
        capacity: int = 100_000,
        subscriptions: tuple[str, ...] = (),
        passwords: bool = False,
        free: Callable[[Path], int] = free_bytes,
        boottime: Callable[[], float] = boot_seconds,
        utcnow: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        folder = directory.path
        boot_id = kernel_boot_id() if boot_id is None else boot_id
        self.reserve = Reserve(folder, lambda: free(folder))
        self.reserve.make_room()
        self._operations = Database.open(
            folder, "operations", max_pages=operations_pages, utcnow=utcnow
        )
        with ExitStack() as opened:
            opened.callback(self._operations.close)
            self._records, self.without_records = _open(folder, "records", records_pages, utcnow)
            opened.callback(self._records.close)
            self._audit, self.without_audit = _open(folder, "audit", audit_pages, utcnow)
            opened.callback(self._audit.close)
            self._webhooks = _open_webhooks(folder, utcnow, wanted=bool(subscriptions))
            opened.callback(self._webhooks.close)
            self._passwords = _open_passwords(folder, utcnow, wanted=passwords)
            opened.callback(self._passwords.close)
            self._vault, self.sealed_anew = self._open_vault(vault)
            opened.pop_all()
        self._operations.room = self.reserve.make_room
        for grown in self._databases[1:]:
            grown.room = self.reserve.leave_room
        self.unopened = 0
        """Reports whose key is not here, as far as ``seal_reports_anew`` found them."""
        self.ledger = SqliteLedger(
            self._operations,
            boot_id=boot_id,
            free_bytes=self.reserve.free,
            boottime=boottime,
        )
        self.memory = SqliteLockMemory(self._operations, self._vault)
        self.tokens = SqliteTokens(self._operations)
        self.records = SqliteRecords(self._records, self._vault, sinks=sinks, capacity=capacity)
        self.audit = SqliteAudit(
            self._audit, self._vault, random=secrets.token_bytes, bounds=audit_bounds
        )
        self.webhooks = SqliteWebhooks(self._webhooks, subscriptions)
        self.passwords = SqlitePasswords(self._passwords)
        self.upkeep = SqliteUpkeep(self._passwords)
        self._readers = (Reader(self._operations.path), Reader(self._records.path))
        operations, records = self._readers
        self.operation_events = SqliteOperationEvents(operations)
        self.record_events = SqliteRecordEvents(records, self._vault)
        self.damaged = moved_aside(self._operations.path)
        self.damage = tuple(
            StoreDamaged(f"{database.path.name} was damaged and is now {moved.name}")
            for database in self._databases
            if (moved := moved_aside(database.path)) is not None
        )

    @property
    def _databases(self) -> tuple[Database, ...]:
        grown = (self._records, self._audit, self._webhooks, self._passwords)
        return self._operations, *grown

    def _open_vault(self, vault: Vault | VaultKeys) -> tuple[Vault, int]:
        if isinstance(vault, Vault):
            return vault, 0
        needed = self._operations.at_start(
            lambda connection: [one for table in OPERATIONS for one in sealed_in(connection, table)]
        )
        wanted: list[Sealed] = []
        with suppress(StoreError):  # what is wrong with the records keeps no door shut
            wanted += self._records.at_start(one_of_each_version)
        with suppress(StoreError):  # nor with the audit
            wanted += self._audit.at_start(sealed_key)
        fitting = vault.vault(needed, wanted=wanted)
        return fitting, self._operations.at_start(lambda found: seal_anew_now(found, fitting))

    async def seal_reports_anew(self) -> int:
        """Seal with the newest key what others sealed; how many reports. Raises StoreError."""
        changed, self.unopened = await seal_reports_anew(self._records, self._vault)
        return changed

    async def highest_trusted(self) -> float:
        """The stored maximum of trusted time, Unix seconds; 0 if there was none (safety E2)."""
        row = await self._operations.read(
            lambda connection: connection.execute("SELECT highest FROM trusted_time").fetchone()
        )
        return 0.0 if row is None else float(row[0])

    async def raise_highest_trusted(self, unix: float) -> None:
        """Store it; a lower one changes nothing."""
        await self._operations.execute(
            "INSERT INTO trusted_time (only, highest) VALUES (1, ?) "
            "ON CONFLICT (only) DO UPDATE SET highest = max(highest, excluded.highest)",
            unix,
        )

    def close(self) -> None:
        """Close the files. The directory stays held until it is closed itself."""
        for database in (*self._readers, *self._databases):
            database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _open(
    folder: Path, name: str, max_pages: int | None, utcnow: Callable[[], datetime]
) -> tuple[Database, StoreError | None]:
    """A database that the doors can do without, and why it cannot be used, if so."""
    try:
        return Database.open(folder, name, max_pages=max_pages, utcnow=utcnow), None
    except StoreError as error:
        return Unusable(folder / f"{name}.db", error), error


def _open_webhooks(folder: Path, utcnow: Callable[[], datetime], *, wanted: bool) -> Database:
    """Made for the first subscription; it stays, so that none goes on where it once was."""
    path = folder / "webhooks.db"
    if not wanted and not path.exists():
        return Unusable(path, StoreError("no webhooks are configured"))
    return _open(folder, "webhooks", WEBHOOK_PAGES, utcnow)[0]


def _open_passwords(folder: Path, utcnow: Callable[[], datetime], *, wanted: bool) -> Database:
    """Made where the first lock's passwords are brought; it stays, for it knows what is there."""
    path = folder / "passwords.db"
    if not wanted:
        return Unusable(path, StoreError("nothing is brought to locks"))
    return _open(folder, "passwords", PASSWORD_PAGES, utcnow)[0]
