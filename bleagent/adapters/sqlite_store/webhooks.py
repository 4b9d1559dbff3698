"""How far subscriptions are, on disk. Implements ``webhooks.WebhookBook``.

A file of its own: what a receiver took is one commit each, and neither an opening nor a record
that a lock waits for has to queue behind it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict

from bleagent.errors import StoreError
from bleagent.events import Mark
from bleagent.webhooks import Lost, Progress

from .database import Database
from .files import moved_aside

QUOTA = 256
"""Pages: a row for each subscription."""


class SqliteWebhooks:
    """The places of the subscriptions ``names``; those of others are forgotten."""

    def __init__(self, database: Database, names: Collection[str]) -> None:
        self._database = database
        self.damaged = moved_aside(database.path) is not None
        """Until somebody has taken that file away: who begins meanwhile says too much."""
        with suppress(StoreError):  # told by the next word about it
            database.at_start(lambda connection: _forget_others(connection, names))

    async def progress(self, name: str) -> Progress | None:
        """How far one is; None: it has not begun. Raises StoreError."""
        query = "SELECT source, seq, delivered, given_up, lost FROM webhooks WHERE name = ?"
        row = await self._database.read(
            lambda connection: connection.execute(query, (name,)).fetchone()
        )
        if row is None:
            return None
        source, seq, delivered, given_up, lost = row
        return Progress(
            mark=Mark(source, seq), delivered=delivered, given_up=given_up, lost=_lost(lost)
        )

    async def keep(self, name: str, progress: Progress) -> None:
        """On disk when this returns. Raises StoreError."""
        lost = None if progress.lost is None else json.dumps(asdict(progress.lost))
        await self._database.execute(
            "INSERT OR REPLACE INTO webhooks VALUES (?, ?, ?, ?, ?, ?)",
            name, progress.mark.source, progress.mark.seq, progress.delivered, progress.given_up,
            lost,
        )  # fmt: skip


def _lost(text: str | None) -> Lost | None:
    if text is None:
        return None
    try:
        return Lost(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise StoreError(f"what was lost cannot be read: {error!r}") from error


def _forget_others(connection: sqlite3.Connection, names: Collection[str]) -> None:
    known = [name for (name,) in connection.execute("SELECT name FROM webhooks").fetchall()]
    for name in known:
        if name not in names:
            connection.execute("DELETE FROM webhooks WHERE name = ?", (name,))
