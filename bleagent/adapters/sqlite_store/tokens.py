"""Tokens on disk. Implements ``ports.TokenBook``."""

from __future__ import annotations

import sqlite3
from typing import Any

from bleagent.tokens import StoredToken

from .database import Database

_COLUMNS = "id, label, digest, scopes, created, expires, revoked"


class SqliteTokens:
    """The tokens of one gateway, without their secrets."""

    def __init__(self, operations: Database) -> None:
        self._operations = operations

    async def tokens(self) -> list[StoredToken]:
        """All of them, oldest first."""
        query = f"SELECT {_COLUMNS} FROM tokens ORDER BY created, id"  # noqa: S608 -- ours
        rows = await self._operations.read(lambda connection: connection.execute(query).fetchall())
        return [_token(row) for row in rows]

    async def add(self, token: StoredToken) -> None:
        """Store a new one. Raises StoreError, also where its id is taken."""
        await self._operations.execute(
            f"INSERT INTO tokens ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 -- ours
            token.id,
            token.label,
            token.digest,
            " ".join(sorted(token.scopes)),
            token.created,
            token.expires,
            token.revoked,
        )

    async def revoke(self, token_id: str, *, unix: float) -> StoredToken | None:
        """From now on it is good for nothing; ``None`` where there is none of that id."""

        def work(connection: sqlite3.Connection) -> StoredToken | None:
            connection.execute(
                "UPDATE tokens SET revoked = ? WHERE id = ? AND revoked IS NULL", (unix, token_id)
            )
            query = f"SELECT {_COLUMNS} FROM tokens WHERE id = ?"  # noqa: S608 -- ours
            row = connection.execute(query, (token_id,)).fetchone()
            return None if row is None else _token(row)

        return await self._operations.write(work)

    async def remove(self, token_id: str) -> None:
        """Forget one that is good for nothing any more."""
        await self._operations.execute("DELETE FROM tokens WHERE id = ?", token_id)


def _token(row: Any) -> StoredToken:
    token_id, label, digest, scopes, created, expires, revoked = row
    return StoredToken(
        id=token_id, label=label, digest=digest, scopes=frozenset(scopes.split()), created=created,
        expires=expires, revoked=revoked,
    )  # fmt: skip
