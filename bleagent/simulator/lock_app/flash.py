"""What survives a power cut; everything else of the lock application lives in RAM."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol.credentials import Freeze


@dataclass(slots=True)
class Credential:
    """One way of opening, under its hardid."""

    method: int
    admin: int
    member: int
    validity: bytes
    count: int
    digits: bytes = field(default=b"", repr=False)
    freeze: int = Freeze.ACTIVE


@dataclass(frozen=True, slots=True)
class RemoteKey:
    """The one remote key there is; a new one replaces it."""

    valid: int
    begin: int
    end: int
    count: int
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OfflineEntry:
    """An offline password that was used: ``number`` is its plaintext behind the type."""

    type: int
    number: int = field(repr=False)
    valid: bool = False


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One place of the ring: the lock's time, and the first 32 bytes of the reply buffer."""

    time: int
    head: bytes = field(repr=False)


@dataclass(slots=True)
class Flash:
    """Empty after production and after unbinding."""

    centrals: dict[int, tuple[int, bytes]] = field(default_factory=dict, repr=False)
    """Slot to central id and check code."""
    peripheral: int | None = None
    credentials: dict[int, Credential] = field(default_factory=dict)
    records: dict[int, StoredRecord] = field(default_factory=dict)
    next_record: int | None = None
    remote_key: RemoteKey | None = None
    t0: int | None = None
    offline: dict[int, OfflineEntry] = field(default_factory=dict)
    settings: dict[str, bytes] = field(default_factory=dict)

    def erase(self) -> None:
        """Forget everything."""
        empty = Flash()
        for name in self.__slots__:
            setattr(self, name, getattr(empty, name))
