"""How far temporary passwords have come, on disk. Implements ``password_desk.PasswordBook``.

A file of its own, for which neither an opening nor a record waits. It has no digits.
"""

from __future__ import annotations

import json
from typing import Any

from bleagent.errors import StoreDamaged, StoreError
from bleagent.sync.passwords import Doing, Item, State, Why

from .database import Database
from .files import moved_aside

QUOTA = 1024
"""Pages: a row for each password that the cloud or a lock has."""
_COLUMNS = "password_id, terms, state, doing, hardid, before, result, why, tries"


class SqlitePasswords:
    """The passwords of all locks.

    While a file that was damaged lies there it gives none: what that one knew is at the locks, and
    whoever goes on without it brings them a second time.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._moved = moved_aside(database.path)

    async def items(self, lock: str) -> tuple[Item, ...]:
        """All of a lock's. Raises StoreDamaged, StoreError."""
        if self._moved is not None:
            raise StoreDamaged(f"what was known of passwords is in {self._moved.name}")
        query = f"SELECT {_COLUMNS} FROM passwords WHERE lock = ?"  # noqa: S608 -- ours
        rows = await self._database.read(
            lambda connection: connection.execute(query, (lock,)).fetchall()
        )
        return tuple(map(_item, rows))

    async def keep(self, lock: str, item: Item) -> None:
        """On disk when this returns. Raises StoreError."""
        await self._database.execute(
            f"INSERT OR REPLACE INTO passwords (lock, {_COLUMNS}) "  # noqa: S608 -- ours
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            lock, item.password_id, item.terms, item.state, item.doing, item.hardid,
            json.dumps(sorted(item.before)), item.result, item.why, item.tries,
        )  # fmt: skip

    async def forget(self, lock: str, password_id: str) -> None:
        """Nothing is known of it any more. Raises StoreError."""
        await self._database.execute(
            "DELETE FROM passwords WHERE lock = ? AND password_id = ?", lock, password_id
        )


def _item(row: tuple[Any, ...]) -> Item:
    password_id, terms, state, doing, hardid, before, result, why, tries = row
    try:
        return Item(
            password_id=password_id,
            terms=terms,
            state=State(state),
            doing=None if doing is None else Doing(doing),
            hardid=hardid,
            before=frozenset(map(int, json.loads(before))),
            result=result,
            why=None if why is None else Why(why),
            tries=tries,
        )
    except (ValueError, TypeError) as error:
        raise StoreError("a password's way cannot be read") from error
