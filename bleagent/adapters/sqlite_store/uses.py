"""How often a guest has opened a door: counted in the commits that store the operations (F2)."""

from __future__ import annotations

import sqlite3

from bleagent.authority.shared import PREFIX
from bleagent.errors import UsesSpent
from bleagent.model import Action, Ending, OperationRequest, Outcome


def reserve_use(connection: sqlite3.Connection, request: OperationRequest) -> None:
    """One use with the intent, where they are counted. Raises UsesSpent."""
    caller = request.principal
    if caller.times is None or request.action is not Action.UNLOCK:
        return
    query = "SELECT count(*) FROM token_uses WHERE principal = ?"
    (used,) = connection.execute(query, (caller.counted_as,)).fetchone()
    if used >= caller.times:
        raise UsesSpent(f"all {caller.times} openings are used: {used} were made")
    connection.execute(
        "INSERT INTO token_uses (operation, principal) VALUES (?, ?)",
        (request.operation_id, caller.counted_as),
    )


def give_back_use(connection: sqlite3.Connection, operation_id: str, ending: Ending) -> None:
    """Where certainly nothing came of it: unreached, or refused before anything was sent."""
    if ending.outcome not in (Outcome.UNREACHED, Outcome.REFUSED):
        return
    connection.execute(
        "DELETE FROM token_uses WHERE operation = ? AND "
        "(? OR (SELECT sn FROM operations WHERE id = operation) IS NULL)",
        (operation_id, ending.outcome is Outcome.UNREACHED),
    )


def forget_uses(connection: sqlite3.Connection) -> None:
    """Those of sharing tickets, with their operations: a ticket lives for minutes.

    A guest's stay as long as its token.
    """
    connection.execute(
        "DELETE FROM token_uses WHERE principal GLOB ? "
        "AND operation NOT IN (SELECT id FROM operations)",
        (f"{PREFIX}*",),
    )
