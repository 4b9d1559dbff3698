"""An audit in a state directory, and what somebody who has the file can do to it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import anyio

from bleagent.adapters.sqlite_store import AuditFile, Bounds, SqliteStore, StateDirectory
from bleagent.audit.chain import Audit, AuditRow, ChainedRow, Head, Root, digest_of
from bleagent.audit.verify import Verdict, verify
from bleagent.vault import Vault
from protocol import Secret

NOON = 1_795_348_800.0
VAULT_KEY = Secret(bytes(32))


class HeardAudit(Audit):
    """What was told, in memory."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def tell(self, event: str, **about: Any) -> None:
        self.told.append({"event": event, **about})

    def of(self, event: str) -> list[dict[str, Any]]:
        return [one for one in self.told if one["event"] == event]


def a_vault() -> Vault:
    return Vault({1: VAULT_KEY}, new_nonce=lambda: os.urandom(12))


def some_rows(count: int, *, first: int = 1) -> list[AuditRow]:
    return [
        AuditRow(
            at=NOON + number, event="operation.finished", principal=f"token:{number}",
            lock="front", operation=f"op-{number}", detail={"code": "ok", "n": number},
        )
        for number in range(first, first + count)
    ]  # fmt: skip


class AuditSite:
    """One state directory."""

    def __init__(self, folder: Path, *, bounds: Bounds | None = None) -> None:
        self.folder = folder
        self.path = folder / "audit.db"
        self._bounds = bounds

    @contextmanager
    def store(self) -> Iterator[SqliteStore]:
        """As the daemon opens it."""
        with (
            StateDirectory(self.folder) as directory,
            SqliteStore(directory, a_vault(), boot_id="boot-1", audit_bounds=self._bounds) as store,
        ):
            yield store

    def append(self, rows: Sequence[AuditRow], *, at_once: int = 3) -> list[Head]:
        """Written by an agent that is started for it; where the chain ended each time."""
        heads = []

        async def write(store: SqliteStore) -> None:
            for start in range(0, len(rows), at_once):
                heads.append(await store.audit.append(rows[start : start + at_once]))  # noqa: PERF401

        with self.store() as store:
            anyio.run(write, store)
        return heads

    def root(self) -> Root:
        """As ``audit init`` draws it."""
        with self.store() as store:
            return store.audit.root(NOON)

    def verdict(self, root: Root | None = None, anchors: Sequence[Head] = ()) -> Verdict:
        """As ``audit verify`` says it."""
        with closing(AuditFile(self.path)) as audit:
            kept = audit.kept()
            assert kept is not None
            return verify(audit.rows(), kept, root=root, anchors=anchors)

    def rows(self) -> list[ChainedRow]:
        with closing(AuditFile(self.path)) as audit:
            return list(audit.rows())

    @contextmanager
    def tampered(self) -> Iterator[sqlite3.Connection]:
        """Whoever can write the file can also take its triggers away."""
        with closing(sqlite3.connect(self.path)) as connection:
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
            ).fetchall():
                connection.execute(f"DROP TRIGGER {name}")
            yield connection
            connection.commit()

    def make_digests_fit(self, connection: sqlite3.Connection) -> None:
        """All of them anew, as whoever has no key would: the file is in order by its own word."""
        columns = "number, at_ms, event, principal, lock, operation, detail, digest, mac"
        names = columns.split(", ")
        (digest,) = connection.execute("SELECT cut_digest FROM audit_head").fetchone()
        number, mac = 0, b""
        for found in connection.execute(
            f"SELECT {columns} FROM audit ORDER BY number"  # noqa: S608
        ).fetchall():
            row = ChainedRow(**dict(zip(names, found, strict=True)))
            digest, number, mac = digest_of(digest, row), row.number, row.mac
            connection.execute("UPDATE audit SET digest = ? WHERE number = ?", (digest, number))
        connection.execute("UPDATE audit_head SET number = ?, digest = ?, mac = ?",
                           (number, digest, mac))  # fmt: skip
