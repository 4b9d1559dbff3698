"""What a virtual lock does that somebody else can see, in the order in which it happens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Notification:
    """One GATT value for the central.

    ``connection`` and ``sn`` say which frame of which connection it is a part of; ``last`` is
    on the packet that completes the frame.
    """

    value: bytes
    connection: int
    sn: int
    code: int
    last: bool


@dataclass(frozen=True, slots=True)
class HungUp:
    """The lock ended the connection."""

    reason: str


@dataclass(frozen=True, slots=True)
class Opened:
    """The motor drew the bolt back, because a command over the radio asked for it."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The motor put the bolt out, because a command over the radio asked for it."""


Action = Notification | HungUp | Opened | Closed
