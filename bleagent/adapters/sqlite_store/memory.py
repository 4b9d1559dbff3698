"""What is remembered about a lock between visits. Implements ``ports.LockMemory``."""

from __future__ import annotations

import sqlite3

from bleagent.errors import SecretError, StoreError
from bleagent.model import CodeAttempt, IssuedConfig, LockFacts, Proven
from bleagent.vault import Vault
from protocol import Secret

from .database import Database
from .values import (
    attempt_from_bytes,
    attempt_to_bytes,
    config_from_bytes,
    config_to_bytes,
    facts_from_bytes,
    facts_to_bytes,
)

MARK_LIMIT = 2**31  # B2
LAST_TIMESTAMP = 2**32 - 1  # it travels in four bytes

_RAISE_MARK = """
    INSERT INTO sealed_marks (lock, sn) VALUES (?, ?)
    ON CONFLICT (lock) DO UPDATE SET sn = max(sn, excluded.sn)
"""
_KEEP_TIMESTAMP = """
    INSERT INTO timestamps (lock, used) VALUES (?, ?)
    ON CONFLICT (lock) DO UPDATE SET used = excluded.used
"""


def raise_mark(connection: sqlite3.Connection, lock: str, sn: int) -> None:
    """Raise a lock's mark within a transaction; a lower number changes nothing.

    Raises:
        StoreError: not within 0 .. 2**31; see ``reset_sealed_mark``.
    """
    if not 0 <= sn <= MARK_LIMIT:
        raise StoreError(f"{sn} cannot be a mark of {lock}; marks end at {MARK_LIMIT}")
    connection.execute(_RAISE_MARK, (lock, sn))


class SqliteLockMemory:
    """Marks, and secrets sealed by the vault."""

    def __init__(self, operations: Database, vault: Vault) -> None:
        self._operations = operations
        self._vault = vault

    async def sealed_mark(self, lock: str) -> int:
        """The highest number ever used in a sealed frame (safety B3); 0 before the first."""
        query = "SELECT sn FROM sealed_marks WHERE lock = ?"

        def work(connection: sqlite3.Connection) -> int:
            row = connection.execute(query, (lock,)).fetchone()
            return 0 if row is None else int(row[0])

        return await self._operations.read(work)

    async def raise_sealed_mark(self, lock: str, sn: int) -> None:
        """As ``raise_mark``, outside of an operation. Raises StoreError."""
        await self._operations.write(lambda connection: raise_mark(connection, lock, sn))

    async def reset_sealed_mark(self, lock: str) -> None:
        """Start again from 0: only after the lock was paired anew.

        A new local key makes every frame sealed before worthless; with the old key this would
        make frames that were overheard on earlier visits good again.
        """
        await self._operations.execute("DELETE FROM sealed_marks WHERE lock = ?", lock)

    async def next_timestamp(self, lock: str, unix: int) -> int:
        """``max(unix, last used + 1)``, stored (safety C5).

        Raises:
            StoreError: it would not fit in four bytes.
        """

        def work(connection: sqlite3.Connection) -> int:
            query = "SELECT used FROM timestamps WHERE lock = ?"
            row = connection.execute(query, (lock,)).fetchone()
            chosen = max(unix, 0 if row is None else int(row[0]) + 1)
            if not 0 <= chosen <= LAST_TIMESTAMP:
                raise StoreError(f"{chosen} is no timestamp for {lock}")
            connection.execute(_KEEP_TIMESTAMP, (lock, chosen))
            return chosen

        return await self._operations.write(work)

    async def issued_config(self, lock: str) -> IssuedConfig | None:
        """The last one. Raises StoreError where the vault's key does not open it."""
        plain = await self._unsealed("issued_configs", lock)
        return None if plain is None else config_from_bytes(plain)

    async def keep_issued_config(self, lock: str, config: IssuedConfig) -> None:
        """Replace the last one."""
        await self._keep_sealed("issued_configs", lock, config_to_bytes(config))

    async def proven(self, lock: str) -> Proven | None:
        """What the lock was when it first took our key (safety H1)."""
        query = "SELECT major, security_v2, virtual_id FROM proven_locks WHERE lock = ?"
        row = await self._operations.read(
            lambda connection: connection.execute(query, (lock,)).fetchone()
        )
        if row is None:
            return None
        return Proven(major=row[0], security_v2=bool(row[1]), virtual_id=row[2])

    async def keep_proven(self, lock: str, proven: Proven) -> None:
        """Pin it; a lock that is pinned already is left as it is."""
        await self._operations.execute(
            "INSERT INTO proven_locks (lock, major, security_v2, virtual_id) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (lock) DO NOTHING",
            lock,
            proven.major,
            int(proven.security_v2),
            proven.virtual_id,
        )

    async def keep_address(self, lock: str, address: str) -> None:
        """Where a proven lock was connected to: a connection that outlives us is known by it."""
        await self._operations.execute(
            "UPDATE proven_locks SET address = ? WHERE lock = ?", address, lock
        )

    async def addresses(self) -> dict[str, str]:
        """The addresses of the proven locks, by name."""
        rows = await self._operations.read(
            lambda connection: connection.execute(
                "SELECT lock, address FROM proven_locks WHERE address IS NOT NULL"
            ).fetchall()
        )
        return dict(rows)

    async def forget_proven(self, lock: str) -> bool:
        """Let the next lock that takes our key be pinned; whether one was."""

        def work(connection: sqlite3.Connection) -> bool:
            deleted = connection.execute("DELETE FROM proven_locks WHERE lock = ?", (lock,))
            return deleted.rowcount > 0

        return await self._operations.write(work)

    async def begin_code(self, lock: str, attempt: CodeAttempt) -> None:
        """A check code is about to be written (safety C6)."""
        await self._keep_sealed("code_attempts", lock, attempt_to_bytes(attempt))

    async def code_attempt(self, lock: str) -> CodeAttempt | None:
        """The attempt that the lock has not answered yet. Raises StoreError."""
        plain = await self._unsealed("code_attempts", lock)
        return None if plain is None else attempt_from_bytes(plain)

    async def settle_code(self, lock: str) -> None:
        """The lock's own matched reply came."""
        await self._operations.execute("DELETE FROM code_attempts WHERE lock = ?", lock)

    async def facts(self, lock: str) -> LockFacts | None:
        """What the cloud said last about this lock. Raises StoreError as ``issued_config``."""
        plain = await self._unsealed("device_facts", lock)
        return None if plain is None else facts_from_bytes(plain)

    async def keep_facts(self, facts: LockFacts) -> None:
        """Replace what is known, keys included."""
        await self._keep_sealed("device_facts", facts.name, facts_to_bytes(facts))

    async def _keep_sealed(self, table: str, lock: str, plain: Secret) -> None:
        sealed = self._seal(plain, table, lock)
        statement = (
            f"INSERT INTO {table} (lock, sealed) VALUES (?, ?) "  # noqa: S608 -- ours
            "ON CONFLICT (lock) DO UPDATE SET sealed = excluded.sealed"
        )
        await self._operations.execute(statement, lock, sealed)

    async def _unsealed(self, table: str, lock: str) -> Secret | None:
        query = f"SELECT sealed FROM {table} WHERE lock = ?"  # noqa: S608 -- ours
        row = await self._operations.read(
            lambda connection: connection.execute(query, (lock,)).fetchone()
        )
        return None if row is None else self._open(row[0], table, lock)

    def _seal(self, plain: Secret, table: str, row: str) -> bytes:
        try:
            return self._vault.seal(plain, table=table, row=row, column="sealed")
        except SecretError as error:
            raise StoreError(str(error)) from error

    def _open(self, sealed: bytes, table: str, row: str) -> Secret:
        try:
            return self._vault.open(sealed, table=table, row=row, column="sealed")
        except SecretError as error:
            raise StoreError(str(error)) from error
