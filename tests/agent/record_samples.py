"""Records as sinks get them."""

from __future__ import annotations

from bleagent.records.record import StoredRecord, TimeQuality
from protocol import DpType, Secret
from protocol.records import RecordKind

NOON = 1_700_000_000.0


def sample(
    seq: int = 1,
    *,
    kind: RecordKind = RecordKind.FINGERPRINT,
    dp: int = 12,
    value: int | None = 3,
    lock: str = "front",
    at: float = NOON,
    data: bytes = b"\0\0\0\3",
    type_: int = DpType.VALUE,
) -> StoredRecord:
    """A released record; its id is made of its number."""
    return StoredRecord(
        seq=seq, id=f"{seq:032x}", lock=lock, device_id=f"device-{lock}", dp=dp, type=type_,
        kind=kind, value=value, data=Secret(data), wire_time=str(int(at)), at=at,
        quality=TimeQuality.LOCK, taken_at=at + 100, live=False, operation=None,
        released_at=at + 200, late=False,
    )  # fmt: skip


class Nobody:
    """Knows no name. Implements ``sinks.view.People``."""

    def name_of(self, _lock: str, _record: StoredRecord) -> str | None:
        """Never."""
        return None

    def is_duress(self, _lock: str, _record: StoredRecord) -> bool:
        """Never."""
        return False


class Household(Nobody):
    """Knows one person, whose finger calls for help."""

    def name_of(self, _lock: str, _record: StoredRecord) -> str | None:
        """Her."""
        return "Anna"

    def is_duress(self, _lock: str, _record: StoredRecord) -> bool:
        """Yes."""
        return True
