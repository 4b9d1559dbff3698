"""The list of the credentials on a lock: datapoint ``sync``, and the older ``sync_old``.

Source: reference protocol §6.4; captures ``lock-sync``, ``lock-freeze``; no recording of the
older one is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct
from typing import ClassVar, Self

from .errors import PayloadError
from .frame import crc16
from .wire import Composed, Packed, Reader, write_byte

ENTRIES_PER_PAGE = 20
"""Most credentials that a lock puts on one page of its list."""
_PAGE, _END = 0, 1


@dataclass(frozen=True, slots=True)
class SyncRequest(Composed):
    """Ask for the list of some methods. The lock answers an unknown one with an empty list."""

    methods: tuple[int, ...]

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(tuple(reader.rest()))

    def _parts(self) -> Iterable[bytes]:
        return [write_byte(method) for method in self.methods]


@dataclass(frozen=True, slots=True)
class SyncEntry(Packed):
    """One credential on the lock. ``freeze`` is a Freeze: 0 is frozen."""

    STRUCT: ClassVar[Struct] = Struct(">BBBB")

    hardid: int
    method: int
    member: int
    freeze: int


@dataclass(frozen=True, slots=True)
class SyncPage(Composed):
    """``00 number`` and at most ``ENTRIES_PER_PAGE`` entries.

    The lock waits for an acknowledged 0x8001 before the next page, but not between the last
    page and the end.
    """

    number: int
    entries: tuple[SyncEntry, ...]

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        _expect(reader, _PAGE)
        number = reader.number(1)
        entries = []
        while reader.left:
            entries.append(SyncEntry.from_bytes(reader.take(SyncEntry.STRUCT.size)))
        return cls(number, tuple(entries))

    def _parts(self) -> Iterable[bytes]:
        return (
            write_byte(_PAGE),
            write_byte(self.number),
            *(entry.to_bytes() for entry in self.entries),
        )


@dataclass(frozen=True, slots=True)
class SyncEnd(Composed):
    """``01 pages``: the list is complete; 0 pages also where the request was not understood."""

    pages: int

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        _expect(reader, _END)
        return cls(reader.number(1))

    def _parts(self) -> Iterable[bytes]:
        return write_byte(_END), write_byte(self.pages)


def _expect(reader: Reader, stage: int) -> None:
    if (found := reader.number(1)) != stage:
        raise PayloadError(f"the list of credentials begins with {stage} here, not {found}")


def read_sync(raw: bytes) -> SyncPage | SyncEnd:
    """What a lock sends of its list.

    Raises:
        PayloadError: neither a page nor the end.
    """
    return SyncEnd.from_bytes(raw) if raw[:1] == bytes((_END,)) else SyncPage.from_bytes(raw)


# -- the older list (datapoint ``sync_old``): the central tells, the lock corrects


def sync_crc8(entry: SyncEntry) -> int:
    """What stands for the rest of an entry: low byte of the CRC-16 of method, member, freeze."""
    return crc16(entry.to_bytes()[1:]) & 0xFF


@dataclass(frozen=True, slots=True)
class OldSyncEntry(Packed):
    """What the central believes to be on the lock; ``crc8`` by ``sync_crc8``."""

    STRUCT: ClassVar[Struct] = Struct(">BBB")

    hardid: int
    method: int
    crc8: int


@dataclass(frozen=True, slots=True)
class OldSyncChange(Packed):
    """One correction by the lock. The sources do not say what ``operation`` can be."""

    STRUCT: ClassVar[Struct] = Struct(">BBBBB")

    operation: int
    hardid: int
    method: int
    member: int
    freeze: int


@dataclass(frozen=True, slots=True)
class OldSyncRequest(Composed):
    """``count`` and as many entries."""

    entries: tuple[OldSyncEntry, ...]

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        size, count = OldSyncEntry.STRUCT.size, reader.number(1)
        return cls(tuple(OldSyncEntry.from_bytes(reader.take(size)) for _ in range(count)))

    def _parts(self) -> Iterable[bytes]:
        return write_byte(len(self.entries)), *(entry.to_bytes() for entry in self.entries)


@dataclass(frozen=True, slots=True)
class OldSyncReply(Composed):
    """``count`` and as many corrections."""

    changes: tuple[OldSyncChange, ...]

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        size, count = OldSyncChange.STRUCT.size, reader.number(1)
        return cls(tuple(OldSyncChange.from_bytes(reader.take(size)) for _ in range(count)))

    def _parts(self) -> Iterable[bytes]:
        return write_byte(len(self.changes)), *(change.to_bytes() for change in self.changes)
