"""The lock's own truth about what happened to it, for judging what others claim.

Nothing in here depends on what the central believes: an opening is an entry because the motor
ran, a delivery because the driver of the link said that the last packet arrived.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from protocol import DpName


class Move(StrEnum):
    """What the motor was asked for."""

    OPEN = "open"
    CLOSE = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A frame was whole, or could not be used. ``sn`` is None where none could be read."""

    at: float
    connection: int
    sn: int | None
    code: int | None
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Actuated:
    """The motor was asked to move; ``moved`` says whether it did. The fields are the request's.

    Counted once each: two of them for one intent is the failure this product exists to prevent.
    """

    at: float
    connection: int
    sn: int
    move: Move
    moved: bool
    dp: DpName
    central: int | None = None
    timestamp: int | None = None
    method: int | None = None
    member: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replied:
    """The lock's own word about the command ``command_sn`` went to the radio as ``sn``."""

    at: float
    connection: int
    sn: int
    command_sn: int
    dp: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The last packet of the lock's frame ``sn`` reached the central."""

    at: float
    connection: int
    sn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordStored:
    """A record went into the ring."""

    at: float
    slot: int
    dp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSent:
    """A record went to the radio: from the ring (``slot``) or as it happened (None)."""

    at: float
    connection: int
    sn: int
    dp: int
    time: int
    slot: int | None
    stored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDeleted:
    """An acknowledgement made the lock forget a slot of the ring."""

    at: float
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLost:
    """A record is gone without ever having been sent: ``reason`` says how."""

    at: float
    dp: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChanged:
    """A connection began or ended."""

    at: float
    connection: int
    up: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerChanged:
    """``off``, ``on``, ``restart``."""

    at: float
    power: str


Entry = (
    Received | Actuated | Replied | Delivered | RecordStored | RecordSent | RecordDeleted
    | RecordLost | LinkChanged | PowerChanged
)  # fmt: skip


@dataclass(slots=True)
class LockLog:
    """Entries in order, and the questions that are asked of them most."""

    entries: list[Entry] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Write one down."""
        self.entries.append(entry)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def actuations(self, move: Move | None = None) -> list[Actuated]:
        """Every time the motor was asked, or asked for this."""
        return [
            one for one in self if isinstance(one, Actuated) and (move is None or one.move is move)
        ]

    def openings(self) -> list[Actuated]:
        """Every time the bolt was really drawn back."""
        return [one for one in self.actuations(Move.OPEN) if one.moved]

    def replies(self, connection: int, command_sn: int) -> list[Replied]:
        """What the lock said about one command."""
        return [
            one
            for one in self
            if isinstance(one, Replied)
            and (one.connection, one.command_sn) == (connection, command_sn)
        ]

    def delivered(self, connection: int, sn: int) -> bool:
        """Whether a frame of the lock reached the central as a whole."""
        return any(
            isinstance(one, Delivered) and (one.connection, one.sn) == (connection, sn)
            for one in self
        )

    def lost_on_the_way(self) -> list[RecordSent]:
        """Records that were sent, reached nobody, and are not stored."""
        return [
            one
            for one in self
            if isinstance(one, RecordSent)
            and not one.stored
            and not self.delivered(one.connection, one.sn)
        ]

    def lost(self) -> list[RecordLost]:
        """Records that were never sent at all and are gone."""
        return [one for one in self if isinstance(one, RecordLost)]
