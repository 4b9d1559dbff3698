"""Records for people: to look at, and to decide about. Implements ``ports.RecordShelf``."""

from __future__ import annotations

import sqlite3
from typing import Any

from bleagent.records.record import Carriage, RecordQuery, SinkState, StoredRecord, TakenCounts

from .outbox import routes_of
from .record_rows import RecordTables, count

FEW = 1000
"""Records in one state; how they are looked for turns at this many."""

_COUNTS = """
    SELECT lock, sum(taken), sum(duplicate), sum(gaps) FROM (
        SELECT lock, taken, duplicate, 0 AS gaps FROM taken_counts
        UNION ALL SELECT lock, 0, 0, count(*) FROM gaps GROUP BY lock
    ) GROUP BY lock ORDER BY lock
"""
_FORGET = "UPDATE deliveries SET state = 'dropped' WHERE sink = ? AND state = ?"
# Held ones are few, and an index has them alone: SQLite would rather look at all that wait.
_HELD = """
    SELECT count(*) FROM deliveries INDEXED BY deliveries_held
    WHERE released = 0 AND sink = ? AND state = 'waiting'
"""


class SqliteRecordShelf(RecordTables):
    """Shows records and counts; lets parked ones go on, or be given up."""

    async def records(self, query: RecordQuery) -> list[StoredRecord]:
        """Those that a query asks for, with their deliveries.

        ``since`` is included, ``until`` is not. One whose report does not open (``unopened``)
        comes with no data.
        """
        where, values = _conditions(query)
        order = "r.seq" if query.after_seq is not None else "r.at DESC, r.seq DESC"

        def work(connection: sqlite3.Connection) -> list[StoredRecord]:
            state = [] if query.state is None else [_in_state(connection, query.state)]
            conditions = " AND ".join((*where, *state))
            which = f"{conditions} ORDER BY {order} LIMIT ?"
            return self._stored(connection, which, (*values, query.limit))

        return await self._database.read(work)

    async def record(self, record_id: str) -> StoredRecord | None:
        """One, by its ``message_id``."""
        found = await self._database.read(
            lambda connection: self._stored(connection, "r.id = ?", (record_id,))
        )
        return found[0] if found else None

    async def retry(self, record_id: str, *, sink: str | None = None) -> int:
        """Let a parked record wait again; how many deliveries changed."""
        return await self._decide(record_id, sink, Carriage.WAITING)

    async def drop(self, record_id: str, *, sink: str | None = None) -> int:
        """Give a parked record up; it stays in the book. How many deliveries changed."""
        return await self._decide(record_id, sink, Carriage.DROPPED)

    async def _decide(self, record_id: str, sink: str | None, state: Carriage) -> int:
        def work(connection: sqlite3.Connection) -> int:
            parked = connection.execute(
                "SELECT d.sink, d.record FROM records AS r JOIN deliveries AS d "
                "ON d.record = r.seq WHERE r.id = ? AND d.state = 'parked'",
                (record_id,),
            ).fetchall()
            chosen = [one for one in parked if sink in (None, one[0])]
            for name, seq in chosen:
                connection.execute(
                    "UPDATE deliveries SET state = ? WHERE sink = ? AND record = ?",
                    (state, name, seq),
                )
                count(connection, name, parked=-1, **{state.value: 1})
            return len(chosen)

        return await self._database.write(work)

    async def forget(self, sink: str) -> int:
        """Give up all that waits or is parked for a sink that is not configured; how many.

        For one that is configured nothing changes.
        """
        if sink in self._sinks:
            return 0

        def work(connection: sqlite3.Connection) -> int:
            gone = {
                state: connection.execute(_FORGET, (sink, state)).rowcount
                for state in (Carriage.WAITING, Carriage.PARKED)
            }
            # One of that name that comes later starts anew.
            connection.execute("DELETE FROM routes_closed WHERE sink = ?", (sink,))
            number = sum(gone.values())
            lost = {state.value: -changed for state, changed in gone.items()}
            if number:
                count(connection, sink, **lost, dropped=number)
            return number

        return await self._database.write(work)

    async def sinks(self) -> list[SinkState]:
        """Every sink that is configured or still has something waiting or parked.

        What was carried or given up is counted since the store was made.
        """
        return await self._database.read(self._sink_states)

    def _sink_states(self, connection: sqlite3.Connection) -> list[SinkState]:
        rows = connection.execute(
            "SELECT sink, waiting, done, parked, dropped FROM sink_counts ORDER BY sink"
        ).fetchall()
        counts = {row[0]: row[1:] for row in rows}
        left = (name for name, (waiting, _, parked, _) in counts.items() if waiting or parked)
        states = []
        for name in dict.fromkeys((*self._sinks, *left)):
            waiting, done, parked, dropped = counts.get(name, (0, 0, 0, 0))
            (oldest,) = connection.execute(
                "SELECT min(taken_at) FROM deliveries WHERE sink = ? AND state = 'waiting'", (name,)
            ).fetchone()
            (held,) = connection.execute(_HELD, (name,)).fetchone()
            states.append(
                SinkState(
                    sink=name,
                    waiting=waiting,
                    held=held,
                    done=done,
                    parked=parked,
                    dropped=dropped,
                    oldest_waiting=oldest,
                    routes_closed=routes_of(connection, name),
                    configured=name in self._sinks,
                )
            )
        return states

    async def counts(self) -> dict[str, TakenCounts]:
        """By lock, since the store was made."""
        rows = await self._database.read(lambda connection: connection.execute(_COUNTS).fetchall())
        return {
            lock: TakenCounts(taken=taken, duplicate=duplicate, gaps=gaps)
            for lock, taken, duplicate, gaps in rows
        }


def _conditions(query: RecordQuery) -> tuple[list[str], list[Any]]:
    where, values = ["1"], []
    for condition, value in (
        ("r.lock = ?", query.lock),
        ("r.at >= ?", query.since),
        ("r.at < ?", query.until),
        ("r.seq > ?", query.after_seq),
    ):
        if value is not None:
            where.append(condition)
            values.append(value)
    if query.before is not None:
        where.append("(r.at, r.seq) < (?, ?)")
        values.extend(query.before)
    if query.kinds:
        where.append(f"r.kind IN ({', '.join('?' * len(query.kinds))})")
        values.extend(query.kinds)
    return where, values


def _in_state(connection: sqlite3.Connection, state: Carriage) -> str:
    """The condition that a record has a delivery in a state, as SQLite finds it soonest.

    Few are looked up in the index of their state; of many the next one is soon met on the way.
    The state stands in the condition itself, for only so the index of a state is used.
    """
    counts = connection.execute(f"SELECT total({state.value}) FROM sink_counts")  # noqa: S608
    (number,) = counts.fetchone()
    in_state = f"SELECT record FROM deliveries WHERE state = '{state.value}'"  # noqa: S608 -- ours
    if number > FEW:
        return f"EXISTS ({in_state} AND record = r.seq)"
    return f"r.seq IN ({in_state})"
