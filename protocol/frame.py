"""The plaintext frame and its checksum."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Self

from .errors import ChecksumError, FrameError, LocalProtocolError

HEADER = struct.Struct(">IIHH")  # sn, ack_sn, code, length
CRC_SIZE = 2
OVERHEAD = HEADER.size + CRC_SIZE
MAX_SN = 2**32 - 1
MAX_SURPLUS = 16
"""Most bytes after the CRC: a whole block, from peers that pad aligned frames too."""

# Each byte with its bits in the other order: MODBUS sends the lowest bit first.
_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_GENERATOR_FACTOR = 0x8003  # x^15 + x + 1; times (x + 1) it is the CRC polynomial 0x18005
# (15 * s, s, mask of the low 15 * s bits) for s = 4096 ... 1; the first fits 61,440 bits.
_FOLDS = [(15 * s, s, (1 << 15 * s) - 1) for s in (1 << k for k in range(12, -1, -1))]


def crc16(data: bytes) -> int:
    """CRC-16/MODBUS (reflected 0x8005, start 0xFFFF), without a loop over the bytes.

    The message is one polynomial P in a big integer; its CRC is P mod G with
    G = x^16 + x^15 + x^2 + 1 = (x + 1) * (x^15 + x + 1). Modulo the second factor
    x^(15 s) = x^s + 1 whenever s is a power of two, so the upper bits fold down onto the lower
    ones with two XORs, halving P each time. Modulo (x + 1) P is its parity. The two remainders
    together give the CRC. (The usual table walk takes 5 to 15 times as long on long frames;
    ``tests/oracle`` has the bit-by-bit definition.)
    """
    bits = 8 * len(data)
    poly = (int.from_bytes(data.translate(_MIRROR), "big") << 16) ^ (0xFFFF << bits)
    parity = poly.bit_count() & 1
    for size, s, mask in _FOLDS[_first_fold(bits + 16) :]:
        while high := poly >> size:
            poly = (poly & mask) ^ (high << s) ^ high
    if poly.bit_count() & 1 != parity:
        poly ^= _GENERATOR_FACTOR
    return _MIRROR[poly & 0xFF] << 8 | _MIRROR[poly >> 8]


def _first_fold(bits: int) -> int:
    """Index of the first fold that shortens a polynomial of this many bits."""
    return max(0, len(_FOLDS) - (bits // 15).bit_length())


@dataclass(frozen=True, slots=True)
class Frame:
    """One plaintext frame. Big-endian; the checksum too, although MODBUS usually is not.

    ======  ====  ======  ====================================================
    offset  size  field   meaning
    ======  ====  ======  ====================================================
    0       4     sn      1 .. 2**32 - 1, one counter per direction, grows
    4       4     ack_sn  the sn being answered, 0 when unsolicited
    8       2     code    command; unknown ones are kept as numbers
    10      2     length  bytes in data
    12      n     data
    12 + n  2     crc16   CRC-16/MODBUS over bytes 0 .. 11 + n
    ======  ====  ======  ====================================================

    Source: reference protocol §3; every capture. ``data`` may hold keys and PINs, so the repr
    shows its size only.
    """

    sn: int
    ack_sn: int
    code: int
    data: bytes

    def __repr__(self) -> str:
        return (
            f"Frame(sn={self.sn}, ack_sn={self.ack_sn}, code={self.code:#06x}, "
            f"{len(self.data)} bytes)"
        )

    def to_bytes(self) -> bytes:
        """The frame with its CRC, without padding.

        Raises:
            LocalProtocolError: a number that does not fit its field, or sn 0.
        """
        if self.sn == 0:
            raise LocalProtocolError("sn 0 is never accepted by a lock")
        try:
            body = HEADER.pack(self.sn, self.ack_sn, self.code, len(self.data)) + self.data
        except struct.error as error:
            raise LocalProtocolError(f"{self!r}: {error}") from None
        return body + crc16(body).to_bytes(CRC_SIZE, "big")

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read a deciphered frame; up to one block after the CRC is padding and ignored.

        The CRC is always compared: a length that points behind the end, or leaves more than
        a block over, is an error of its own.

        Raises:
            FrameError: the lengths contradict each other.
            ChecksumError: the CRC does not match.
        """
        if len(raw) < OVERHEAD:
            raise FrameError(f"a frame has at least {OVERHEAD} bytes, not {len(raw)}")
        sn, ack_sn, code, length = HEADER.unpack_from(raw)
        end = HEADER.size + length
        surplus = len(raw) - end - CRC_SIZE
        if not 0 <= surplus <= MAX_SURPLUS:
            raise FrameError(
                f"length says {length} bytes of data; {len(raw)} bytes of plaintext do not fit it"
            )
        expected = crc16(raw[:end])
        received = int.from_bytes(raw[end : end + CRC_SIZE], "big")
        if received != expected:
            raise ChecksumError(expected=expected, received=received)
        return cls(sn, ack_sn, code, raw[HEADER.size : end])
