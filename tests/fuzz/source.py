"""How a target reads its input, and how a seed for it is written: two sides of one format.

Whatever the bytes are, reading never fails: what is missing counts as zero. So every mutation
of an input is an input.
"""

from __future__ import annotations

from protocol.commands import CommandCode

CODES: tuple[int, ...] = tuple(CommandCode)
MAX_CHUNK = 0xFF
ANY_CODE = 0xFF
"""Stands before a code of two bytes that has no place in ``CODES``."""


class Source:
    """Takes pieces off the front of a fuzzer's bytes."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def more(self) -> bool:
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        """At most ``size`` bytes."""
        self._at += size
        return self._data[self._at - size : self._at]

    def byte(self) -> int:
        return self.number(1)

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def chunk(self) -> bytes:
        """A length of one byte, and so many bytes or what is left of them."""
        return self.take(self.byte())

    def code(self) -> int:
        """A command: by its place among the known ones, or ``ANY_CODE`` and two bytes."""
        place = self.byte()
        return self.number(2) if place == ANY_CODE else CODES[place % len(CODES)]

    def rest(self) -> bytes:
        return self.take(max(0, len(self._data) - self._at))


def chunk(data: bytes) -> bytes:
    """What ``Source.chunk`` reads; longer data are cut off."""
    return bytes((len(data[:MAX_CHUNK]),)) + data[:MAX_CHUNK]


def code_bytes(code: int) -> bytes:
    """What ``Source.code`` reads."""
    if code in CODES:
        return bytes((CODES.index(code),))
    return bytes((ANY_CODE,)) + code.to_bytes(2, "big")
