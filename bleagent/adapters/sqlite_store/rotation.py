"""Sealing anew under the newest vault key what older ones sealed.

Row by row, each replaced only by itself (compare and set), some rows to a transaction: whatever
interrupts it, every row is under one key or the other, and both are configured until it is done.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from functools import partial

from bleagent.errors import SecretError
from bleagent.vault import Sealed, Vault

from .database import Database

BATCH = 64
"""Rows in one transaction: what a power cut can undo, and what others wait for."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with sealed values, and the column that names a row to the seal."""

    name: str
    row: str


OPERATIONS = (
    Table("issued_configs", "lock"),
    Table("device_facts", "lock"),
    Table("code_attempts", "lock"),
)
REPORTS = Table("reports", "id")


def sealed_in(connection: sqlite3.Connection, table: Table) -> list[Sealed]:
    """Everything sealed in a table that stays small."""
    rows = connection.execute(f"SELECT {table.row}, sealed FROM {table.name}")  # noqa: S608 -- ours
    return [Sealed(value, table.name, row) for row, value in rows]


def one_of_each_version(connection: sqlite3.Connection) -> list[Sealed]:
    """One report for each key version in use; there may be many reports."""
    rows = connection.execute(
        "SELECT id, sealed FROM reports WHERE seq IN "
        "(SELECT max(seq) FROM reports GROUP BY substr(sealed, 1, 1))"
    )
    return [Sealed(value, REPORTS.name, row) for row, value in rows]


def seal_anew_now(connection: sqlite3.Connection, vault: Vault) -> int:
    """All of ``OPERATIONS``, before anybody uses the store; returns how many rows changed."""
    changed = 0
    for table in OPERATIONS:
        old = [one for one in sealed_in(connection, table) if not vault.is_current(one.value)]
        for start in range(0, len(old), BATCH):
            connection.execute("BEGIN IMMEDIATE")
            try:
                for one in old[start : start + BATCH]:
                    changed += _replace(connection, table, one, vault)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
    if changed:
        # The log still has the rows as they were.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return changed


async def seal_reports_anew(database: Database, vault: Vault) -> tuple[int, int]:
    """All reports, some at a time, others let in between; how many, and how many did not open."""
    changed = unopened = last = 0
    while rows := await database.read(partial(_older, vault=vault, after=last)):
        last = rows[-1][0]
        done = await database.write(partial(_replace_all, rows=rows, vault=vault))
        changed += done
        unopened += len(rows) - done
    return changed, unopened


def _older(connection: sqlite3.Connection, *, vault: Vault, after: int) -> list[tuple[int, Sealed]]:
    rows = connection.execute(
        "SELECT seq, id, sealed FROM reports WHERE seq > ? AND substr(sealed, 1, 1) <> ? "
        "ORDER BY seq LIMIT ?",
        (after, vault.prefix, BATCH),
    )
    return [(seq, Sealed(value, REPORTS.name, row)) for seq, row, value in rows]


def _replace_all(
    connection: sqlite3.Connection, *, rows: list[tuple[int, Sealed]], vault: Vault
) -> int:
    done = 0
    for _, one in rows:
        try:
            done += _replace(connection, REPORTS, one, vault)
        except SecretError:
            continue  # its key is not here: it stays as it is
    return done


def _replace(connection: sqlite3.Connection, table: Table, one: Sealed, vault: Vault) -> int:
    place = {"table": table.name, "row": one.row, "column": one.column}
    anew = vault.seal(vault.open(one.value, **place), **place)
    return connection.execute(
        f"UPDATE {table.name} SET sealed = ? WHERE {table.row} = ? AND sealed = ?",  # noqa: S608
        (anew, one.row, one.value),
    ).rowcount
