"""The audit log's rows. They are only appended; the database itself refuses anything else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """Who did what, when (Unix seconds). ``detail`` holds no secret: it is stored in clear."""

    at: float
    event: str
    principal: str | None = None
    lock: str | None = None
    operation: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


class SqliteAudit:
    """Appends and lists audit rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, row: AuditRow) -> None:
        """On disk when this returns. Raises StoreError."""
        detail = json.dumps(dict(row.detail), default=lambda value: f"<{type(value).__name__}>")
        await self._database.execute(
            "INSERT INTO audit (at, event, principal, lock, operation, detail) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            row.at,
            row.event,
            row.principal,
            row.lock,
            row.operation,
            detail,
        )

    async def rows(self, *, after: int = 0, limit: int = 256) -> list[tuple[int, AuditRow]]:
        """Rows with their numbers, behind number ``after``, oldest first."""
        found = await self._database.read(
            lambda connection: connection.execute(
                "SELECT seq, at, event, principal, lock, operation, detail FROM audit "
                "WHERE seq > ? ORDER BY seq LIMIT ?",
                (after, limit),
            ).fetchall()
        )
        return [
            (
                seq,
                AuditRow(
                    at=at,
                    event=event,
                    principal=principal,
                    lock=lock,
                    operation=operation,
                    detail=json.loads(detail),
                ),
            )
            for seq, at, event, principal, lock, operation, detail in found
        ]
