"""Fragments: one sealed message in several ATT payloads.

======================  ====================================================================
fragment 0              ``varint(0) varint(total) (major << 4 | counter & 15) bytes...``
fragment n              ``varint(n) bytes...``
======================  ====================================================================

A varint is 7 bits per byte, lowest group first, bit 7 = more to come, at most 4 bytes.
``total`` counts the message only. There is no acknowledgement and no repetition here.
Source: reference protocol §2; captures ``*-damaged``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .errors import FragmentError, LocalProtocolError
from .gatt import MAX_ATT_PAYLOAD, MIN_ATT_PAYLOAD

MAX_VARINT_SIZE = 4
MIN_MAJOR = 2
MAX_TOTAL = 1536
"""Longest message any known firmware takes (SDK 4.x); older ones take less."""


def write_varint(value: int) -> bytes:
    """Encode 0 .. 2**28 - 1.

    Raises:
        LocalProtocolError: negative or too large.
    """
    if not 0 <= value < 1 << (7 * MAX_VARINT_SIZE):
        raise LocalProtocolError(f"{value} does not fit a varint of {MAX_VARINT_SIZE} bytes")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(raw: bytes, at: int) -> tuple[int, int]:
    """Decode at an offset; returns the value and the offset behind it.

    Raises:
        FragmentError: cut off, or longer than 4 bytes.
    """
    value = 0
    for index, byte in enumerate(raw[at : at + MAX_VARINT_SIZE]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise FragmentError("a fragment number or length that does not end")


def split(message: bytes, *, att_payload: int, major: int, counter: int = 0) -> list[bytes]:
    """Cut a sealed message into ATT payloads.

    Args:
        message: 1 .. 1536 bytes.
        att_payload: bytes in one write or notification (ATT_MTU - 3), 20 .. 509.
        major: our protocol major version, 2 .. 15: 3 to a 3.x lock, 4 to a 4.x one.
        counter: low nibble of the version byte; a central sends 0, locks count (and stick).

    Raises:
        LocalProtocolError: an argument out of its range.
    """
    if not 0 < len(message) <= MAX_TOTAL:
        raise LocalProtocolError(f"a message has 1-{MAX_TOTAL} bytes, not {len(message)}")
    if not MIN_ATT_PAYLOAD <= att_payload <= MAX_ATT_PAYLOAD:
        raise LocalProtocolError(
            f"an ATT payload has {MIN_ATT_PAYLOAD}-{MAX_ATT_PAYLOAD} bytes, not {att_payload}"
        )
    if not MIN_MAJOR <= major <= 15:
        raise LocalProtocolError(f"protocol major {major} is not {MIN_MAJOR}-15")
    if not 0 <= counter <= 15:
        raise LocalProtocolError(f"a counter of {counter} does not fit its 4 bits")
    head = b"\0" + write_varint(len(message)) + bytes((major << 4 | counter,))
    at = att_payload - len(head)
    fragments = [head + message[:at]]
    # Numbers below 128 are one byte, and 1,536 bytes need no more than 81 fragments of 20.
    step = att_payload - 1
    fragments += [
        bytes((number,)) + message[start : start + step]
        for number, start in enumerate(range(at, len(message), step), 1)
    ]
    return fragments


@dataclass(slots=True)
class Joiner:
    """Puts fragments together, as forgiving and as strict as the firmware.

    Taken as they come: any fragment size, any counter nibble, any major from 2, bytes beyond
    the total (trimmed), and fragment 0 in the middle of a message (starts over). A repeated
    number is *appended again*, as the firmware does: the message then fails its CRC.

    ``major`` is the version nibble of the message in progress or last completed. ``max_total``
    is what this side takes at most.
    """

    max_total: int = MAX_TOTAL
    major: int = 0
    _number: int = -1
    _total: int = 0
    _parts: bytearray = field(default_factory=bytearray)

    def feed(self, fragment: bytes) -> bytes | None:
        """Take one ATT payload; returns the message when it is whole.

        Raises:
            FragmentError: cut-off header, a number out of order, a total of 0 or above
                ``max_total``, a version below 2. The message in progress is dropped; the next
                fragment 0 starts a new one.
        """
        try:
            return self._feed(fragment)
        except FragmentError:
            self.reset()
            raise

    def reset(self) -> None:
        """Forget the message in progress, as both sides do when the link ends."""
        self._number = -1
        self._parts.clear()

    @property
    def missing(self) -> int:
        """Bytes still to come of the message in progress; 0 when there is none."""
        return self._total - len(self._parts) if self._number >= 0 else 0

    def _feed(self, fragment: bytes) -> bytes | None:
        number, at = read_varint(fragment, 0)
        if number == 0:
            at = self._start(fragment, at)
        elif self._number < 0:
            raise FragmentError(f"fragment {number} of a message whose beginning is missing")
        elif number not in (self._number, self._number + 1):
            raise FragmentError(f"fragment {number} after fragment {self._number}")
        self._number = number
        self._parts += fragment[at:]
        if len(self._parts) < self._total:
            return None
        message = bytes(self._parts[: self._total])
        self.reset()
        return message

    def _start(self, fragment: bytes, at: int) -> int:
        self.reset()
        total, at = read_varint(fragment, at)
        if not 0 < total <= self.max_total:
            raise FragmentError(f"a message of {total} bytes, where 1-{self.max_total} are taken")
        if at >= len(fragment):
            raise FragmentError("fragment 0 without its version byte")
        self.major = fragment[at] >> 4
        if self.major < MIN_MAJOR:
            raise FragmentError(f"protocol major {self.major}, where {MIN_MAJOR}-15 are taken")
        self._total = total
        return at + 1
