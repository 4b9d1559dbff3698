"""Device information: the lock's answer to the first command of a connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from .errors import LocalProtocolError, PayloadError
from .keys import SRAND_SIZE, Secret

MIN_SIZE = 46
"""What the oldest locks (protocol 2.x) send."""
AUTH_SIZE = 32
VIRTUAL_ID_AT, VIRTUAL_ID_SIZE = 55, 22
MAC_AT, MAC_SIZE = 89, 6


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """Data of the 0x0000 answer, read by length: every lock generation added to its end.

    ======  ====  ==============  ==================================================
    offset  size  field           meaning
    ======  ====  ==============  ==================================================
    0       2     firmware        major, minor
    2       2     protocol        major, minor
    4       1     flags           b0 hw 3-byte valid, b1 adv encryption, b2 fw 3-byte
                                  valid, b3 auth on connect, b4 beacon key, b6 vos
    5       1     bound           1 bound, 0 not
    6       6     srand           new at *every* request; the session key hangs on it
    12      2     hardware        major, minor
    14      32    auth            the auth key itself (3.0, 3.1), or a register key of 16
                                  bytes and 16 zeros: a secret either way
    46      9     ...             3-byte versions, communication ability, reserved
    55      22    virtual_id      device id in the cloud; zeros before the first
                                  binding, kept by an unbinding (0x0005)
    77...   ...   ...             MCU versions, Wi-Fi mode, flag word, address type
    89      6     mac             (4.x; reversed on some devices)
    ======  ====  ==============  ==================================================

    46 bytes in 2.x, 77 in the lock SDK (3.0), 83 in 3.1, 84 in 3.2+, 96 and 101 in 4.x,
    121 with security V2. ``raw`` keeps everything; the repr shows nothing secret.
    Source: reference protocol §4.3; captures ``*-handshake``; field ``bt785-devinfo-resp-1``.
    """

    raw: bytes

    def __repr__(self) -> str:
        return (
            f"DeviceInfo(protocol={self.protocol[0]}.{self.protocol[1]}, "
            f"bound={self.bound}, {len(self.raw)} bytes)"
        )

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read any known length and anything longer.

        Raises:
            PayloadError: shorter than 46 bytes, or a protocol major outside 2-15.
        """
        if len(raw) < MIN_SIZE:
            raise PayloadError(f"device information has at least {MIN_SIZE} bytes, not {len(raw)}")
        if not 2 <= raw[2] <= 15:
            raise PayloadError(f"device information names protocol {raw[2]}.{raw[3]}")
        return cls(bytes(raw))

    def to_bytes(self) -> bytes:
        """The data as it goes over the air."""
        return self.raw

    @property
    def firmware(self) -> tuple[int, int]:
        """Major, minor."""
        return self.raw[0], self.raw[1]

    @property
    def protocol(self) -> tuple[int, int]:
        """Major, minor."""
        return self.raw[2], self.raw[3]

    @property
    def bound(self) -> bool:
        """Whether the lock belongs to an account."""
        return self.raw[5] == 1

    @property
    def srand(self) -> Secret:
        """The lock's random of this connection (6 bytes)."""
        return Secret(self.raw[6 : 6 + SRAND_SIZE])

    @property
    def hardware(self) -> tuple[int, int]:
        """Major, minor."""
        return self.raw[12], self.raw[13]

    @property
    def auth(self) -> Secret:
        """Bytes 14-45: auth key or register key."""
        return Secret(self.raw[14 : 14 + AUTH_SIZE])

    @property
    def virtual_id(self) -> str | None:
        """The device id; ``None`` where the lock does not send it (2.x, unbound, security V2)."""
        raw = self.raw[VIRTUAL_ID_AT : VIRTUAL_ID_AT + VIRTUAL_ID_SIZE]
        if len(raw) < VIRTUAL_ID_SIZE:
            return None
        return raw.rstrip(b"\0").decode("ascii", "replace") or None

    @property
    def mac(self) -> bytes | None:
        """Six bytes as sent, ``None`` where absent or zero."""
        raw = self.raw[MAC_AT : MAC_AT + MAC_SIZE]
        return raw if len(raw) == MAC_SIZE and any(raw) else None

    def with_srand(self, srand: bytes, *, bound: bool) -> Self:
        """The same lock's answer to another request, for a simulated lock.

        Raises:
            LocalProtocolError: srand is not 6 bytes.
        """
        if len(srand) != SRAND_SIZE:
            raise LocalProtocolError(f"srand has {SRAND_SIZE} bytes, not {len(srand)}")
        return type(self)(self.raw[:5] + bytes((bound,)) + srand + self.raw[12:])
