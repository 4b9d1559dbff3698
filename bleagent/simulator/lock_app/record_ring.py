"""The 64 places for records, with the habits that cost careless centrals their records.

One at a time, newest first, no end marker, no retransmission. Acknowledgements are counted,
not matched: each one deletes what ``_sent`` points at, which after a power cut is place 0, and
the write position moves there: whatever lies beyond is stranded (reference: protocol §6.7,
captures ``lock-records-*``).
"""

from __future__ import annotations

from dataclasses import dataclass

from .flash import Flash, StoredRecord

PLACES = 64


@dataclass(frozen=True, slots=True)
class Kept:
    """A record was stored at ``slot``; ``overwritten`` is the one that was there."""

    slot: int
    overwritten: StoredRecord | None


class RecordRing:
    """The ring of one power-up: the places are in flash, the positions in RAM."""

    def __init__(self, flash: Flash) -> None:
        self._flash = flash
        self._next = flash.next_record or 0
        self._sent = 0

    def store(self, record: StoredRecord) -> Kept:
        """Put one into the next place, over whatever is there."""
        slot = self._next
        kept = Kept(slot, self._flash.records.get(slot))
        self._flash.records[slot] = record
        self._next = self._flash.next_record = (slot + 1) % PLACES
        return kept

    def forget_sent(self) -> int | None:
        """An acknowledgement with status 0: delete what was sent last; its place, if any."""
        if self._flash.records.pop(self._sent, None) is None:
            return None
        self._flash.next_record = self._sent
        return self._sent

    def newest(self) -> tuple[int, StoredRecord] | None:
        """The record to hand out now; an empty place is the silence at the end."""
        if self._flash.next_record is not None:
            self._next = self._flash.next_record
        self._sent = (self._next - 1) % PLACES
        record = self._flash.records.get(self._sent)
        return None if record is None else (self._sent, record)
