"""What is done to the records by the way: taking over old reports, deleting what is old."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from bleagent.errors import SecretError, StoreError
from bleagent.records.record import RELATIVE_BELOW, TakenReport
from bleagent.records.report_parts import happenings_in, parts_of
from protocol import DpMap

from .record_rows import RecordTables, count_taken

ADOPTED_AT_ONCE = 64
"""Reports in one transaction: what others wait for."""
LOOKED_AT_ONCE = 256
"""Records that one transaction looks at, to delete those whose time has come."""

_ORPHANS = """
    SELECT seq, id, lock, taken_at, sealed FROM reports
    WHERE seq > ? AND NOT EXISTS (SELECT 1 FROM records WHERE report = reports.seq)
    ORDER BY seq LIMIT ?
"""
_LOOK = """
    SELECT seq, report,
        taken_at < ? AND may_return = 0 AND lock_seconds >= ? AND released_at IS NOT NULL
        AND NOT EXISTS (
            SELECT 1 FROM deliveries WHERE record = seq AND state IN ('waiting', 'parked'))
    FROM records WHERE seq > ? ORDER BY seq LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Adopted:
    """Records that became of old reports, and reports that were left as they are."""

    records: int
    left: int


class RecordKeeping(RecordTables):
    """For the start, and for the night."""

    async def adopt(self, device_ids: Mapping[str, str], dps: Mapping[str, DpMap]) -> Adopted:
        """Make records of the reports that an older agent stored without reading them.

        They are released at once and late: when they happened among others nobody knows. The
        quota does not stop them, for they are here already. A report that does not open or tells
        nothing, and one of a lock that is not known, stays as it is and is counted. Raises
        StoreError.
        """
        after = records = left = 0
        while True:
            work = partial(self._adopt, after=after, device_ids=device_ids, dps=dps)
            last, added, unread = await self._database.write(work)
            if last is None:
                return Adopted(records, left)
            after, records, left = last, records + added, left + unread

    def _adopt(
        self,
        connection: sqlite3.Connection,
        *,
        after: int,
        device_ids: Mapping[str, str],
        dps: Mapping[str, DpMap],
    ) -> tuple[int | None, int, int]:
        rows = connection.execute(_ORPHANS, (after, ADOPTED_AT_ONCE)).fetchall()
        added = left = 0
        for seq, name, lock, taken_at, sealed in rows:
            if lock not in device_ids or lock not in dps:
                left += 1
                continue
            try:
                raw = self._vault.open(sealed, table="reports", row=name, column="sealed")
                found = happenings_in(raw, dps[lock], taken_at=taken_at)
            except (SecretError, StoreError):
                left += 1
                continue
            report = TakenReport(
                lock=lock,
                device_id=device_ids[lock],
                raw=raw,
                happenings=found,
                taken_at=taken_at,
                live=True,
                only_copy=True,
                may_match=False,
                may_return=True,
                release=True,
            )
            parts = list(zip(parts_of(report), found, strict=True))
            new = self._add(connection, report, parts, report=seq, late=True)
            count_taken(connection, lock, taken=len(new), duplicate=0)
            added += len(new)
        return (rows[-1][0] if rows else None), added, left

    async def prune(self, unix: float, keep_for: float) -> int:
        """Delete records taken longer ago than that which no sink waits for; how many.

        Kept for ever: what may return, and what has no date. Their identities must not be given
        again (safety D3). ``unix`` is the time of a trusted clock. Raises StoreError.
        """
        after = deleted = 0
        while True:
            work = partial(_prune, after=after, before=unix - keep_for)
            last, gone = await self._database.write(work)
            if last is None:
                return deleted
            after, deleted = last, deleted + gone


def _prune(connection: sqlite3.Connection, *, after: int, before: float) -> tuple[int | None, int]:
    looked_at = (before, RELATIVE_BELOW, after, LOOKED_AT_ONCE)
    rows = connection.execute(_LOOK, looked_at).fetchall()
    old = [(seq, report) for seq, report, may_go in rows if may_go]
    connection.executemany("DELETE FROM deliveries WHERE record = ?", [(seq,) for seq, _ in old])
    connection.executemany("DELETE FROM records WHERE seq = ?", [(seq,) for seq, _ in old])
    connection.executemany(
        "DELETE FROM reports WHERE seq = ? "
        "AND NOT EXISTS (SELECT 1 FROM records WHERE report = reports.seq)",
        [(report,) for report in {report for _, report in old}],
    )
    return (rows[-1][0] if rows else None), len(old)
