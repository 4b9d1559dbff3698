"""Reports as an older agent stored them: raw and sealed, and without being read."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from bleagent.adapters.sqlite_store import SqliteStore
from protocol import Secret


@dataclass(frozen=True, slots=True)
class OldReport:
    """One of them."""

    seq: int
    taken_at: float
    report: Secret


async def keep_report(store: SqliteStore, lock: str, report: bytes, *, unix: float) -> None:
    """What the older agent did with a timed report."""
    name = secrets.token_hex(16)
    sealed = store._vault.seal(Secret(report), table="reports", row=name, column="sealed")
    await store._records.execute(
        "INSERT INTO reports (id, lock, taken_at, sealed) VALUES (?, ?, ?, ?)",
        name, lock, unix, sealed,
    )  # fmt: skip


async def old_reports(store: SqliteStore, lock: str, *, after: int = 0) -> list[OldReport]:
    """What it had of a lock; whatever does not open is an error."""
    rows = await store._records.read(
        lambda connection: connection.execute(
            "SELECT seq, id, taken_at, sealed FROM reports WHERE lock = ? AND seq > ? ORDER BY seq",
            (lock, after),
        ).fetchall()
    )
    return [
        OldReport(seq, at, store._vault.open(sealed, table="reports", row=name, column="sealed"))
        for seq, name, at, sealed in rows
    ]
