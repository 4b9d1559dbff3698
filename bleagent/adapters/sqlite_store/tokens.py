"""Tokens on disk. Implements ``ports.TokenBook``."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from bleagent.authority.guests import GuestTerms
from bleagent.authority.tokens import PREFIX, StoredToken
from bleagent.errors import StoreError

from .database import Database

_COLUMNS = "id, label, digest, scopes, created, expires, revoked, guest"


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
            f"INSERT INTO tokens ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 -- ours
            token.id,
            token.label,
            token.digest,
            " ".join(sorted(token.scopes)),
            token.created,
            token.expires,
            token.revoked,
            None if token.guest is None else _to_json(token.guest),
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

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM tokens WHERE id = ?", (token_id,))
            connection.execute("DELETE FROM token_uses WHERE principal = ?", (PREFIX + token_id,))

        await self._operations.write(work)

    async def used(self) -> dict[str, int]:
        """How many openings of guests are used or reserved, by the token's id."""
        query = "SELECT principal, count(*) FROM token_uses GROUP BY principal"
        rows = await self._operations.read(lambda connection: connection.execute(query).fetchall())
        return {principal.removeprefix(PREFIX): count for principal, count in rows}


def _token(row: Any) -> StoredToken:
    token_id, label, digest, scopes, created, expires, revoked, guest = row
    return StoredToken(
        id=token_id, label=label, digest=digest, scopes=frozenset(scopes.split()), created=created,
        expires=expires, revoked=revoked, guest=None if guest is None else _from_json(guest),
    )  # fmt: skip


def _to_json(terms: GuestTerms) -> str:
    fields = {"begins": terms.begins, "weekdays": sorted(terms.weekdays)}
    return json.dumps(fields | {"between": terms.between, "times": terms.times})


def _from_json(text: str) -> GuestTerms:
    """The reverse. Raises StoreError for what ``_to_json`` does not write."""
    try:
        fields = json.loads(text)
        between = fields["between"]
        return GuestTerms(
            begins=fields["begins"], weekdays=frozenset(fields["weekdays"]),
            between=None if between is None else (between[0], between[1]), times=fields["times"],
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise StoreError(f"a stored token cannot be read: {error!r}") from error
