"""Which records a lock has certainly deleted, as far as one connection shows it. Pure.

An acknowledgement that left may be lost with the link: only the next record of the backlog, come
in after it, proves that it worked (reference: safety D3). Until then the lock may hand the record
out once more, on this connection or a later one.
"""

from __future__ import annotations

from dataclasses import dataclass

REMEMBERED = 256
"""Acknowledgements that nothing has proved; a connection can be held for months."""


@dataclass(frozen=True, slots=True)
class _Ack:
    number: int
    records: tuple[int, ...]
    deletes: bool


class Deletions:
    """The bookkeeping of one connection. Records are known by their numbers in the book."""

    def __init__(self) -> None:
        self.unproven: set[int] = set()
        """Taken here from the backlog, and possibly still at the lock."""
        self.acknowledged = 0
        """Acknowledgements whose last fragment was handed over."""
        self._open: list[_Ack] = []
        self._before: dict[int, int] = {}
        """Acknowledgements that were out when a report came in, by the report's number."""

    def came_in(self, sn: int) -> None:
        """A report came in; when it is taken in hand, more may have been acknowledged."""
        self._before[sn] = self.acknowledged

    def dealt_with(self, sn: int) -> None:
        """It is on disk, or will not be taken."""
        self._before.pop(sn, None)

    def taken(self, records: tuple[int, ...]) -> None:
        """Records of the backlog are on disk."""
        self.unproven.update(records)

    def handed_over(self, records: tuple[int, ...], *, deletes: bool) -> None:
        """An acknowledgement is out. ``records`` are what it was about, none if nobody knows.

        ``deletes``: it has the lock delete them; that of a live record on 4.x does not, for a copy
        of it may be in the backlog.
        """
        self.acknowledged += 1
        self._open = [*self._open[1 - REMEMBERED :], _Ack(self.acknowledged, records, deletes)]

    def acknowledged_before(self, sn: int, *, deletes: bool) -> tuple[int, ...]:
        """What was acknowledged when this report came in; only what that deletes, or all of it."""
        before = self._before.get(sn, 0)
        acks = [one for one in self._open if one.number <= before and one.deletes >= deletes]
        return tuple(record for one in acks for record in one.records)

    def proven_by(self, sn: int) -> tuple[int, ...]:
        """What is deleted now that this report, the next of the backlog, has come in."""
        proven = self.acknowledged_before(sn, deletes=True)
        before = self._before.get(sn, 0)
        self._open = [one for one in self._open if one.number > before or not one.deletes]
        self.unproven.difference_update(proven)
        return proven
