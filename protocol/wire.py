"""Small tools for reading and writing fields: a bounded reader and fixed-size payloads."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import fields
from typing import ClassVar, Self

from .errors import LocalProtocolError, PayloadError
from .keys import Secret


class Reader:
    """Takes fields off the front of received bytes; running out is a ``PayloadError``."""

    __slots__ = ("_at", "_raw", "_what")

    def __init__(self, raw: bytes, what: str) -> None:
        self._raw = raw
        self._at = 0
        self._what = what

    @property
    def left(self) -> int:
        """Bytes not taken yet."""
        return len(self._raw) - self._at

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        if size > self.left:
            raise PayloadError(
                f"{self._what}: needs {size} more bytes at offset {self._at}, has {self.left}"
            )
        self._at += size
        return self._raw[self._at - size : self._at]

    def number(self, size: int, *, signed: bool = False) -> int:
        """The next ``size`` bytes as a big-endian integer."""
        return int.from_bytes(self.take(size), "big", signed=signed)

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.take(self.left)

    def end(self) -> None:
        """Refuse bytes that nobody asked for."""
        if self.left:
            raise PayloadError(f"{self._what}: {self.left} bytes too many")


class Packed:
    """Base of payloads with a fixed layout: the dataclass fields, in wire order.

    A subclass is a frozen dataclass that sets ``STRUCT`` (big-endian). A field annotated
    ``Secret`` is bytes on the wire and masked everywhere else.
    """

    __slots__ = ()

    STRUCT: ClassVar[struct.Struct]

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read exactly ``STRUCT.size`` bytes.

        Raises:
            PayloadError: another length.
        """
        if len(raw) != cls.STRUCT.size:
            raise PayloadError(f"{cls.__name__} has {cls.STRUCT.size} bytes, not {len(raw)}")
        values = [
            Secret(value) if field.type == "Secret" else value
            for field, value in zip(fields(cls), cls.STRUCT.unpack(raw), strict=True)  # type: ignore[arg-type]
        ]
        return cls(*values)

    def to_bytes(self) -> bytes:
        """Write the fields.

        Raises:
            LocalProtocolError: a value that does not fit its field.
        """
        values = [getattr(self, field.name) for field in fields(self)]  # type: ignore[arg-type]
        for part, value in zip(fixed_sizes(self.STRUCT.format), values, strict=True):
            if part and len(value) != part:
                raise LocalProtocolError(
                    f"{type(self).__name__}: a field of {part} bytes got {len(value)}"
                )
        try:
            return self.STRUCT.pack(*(bytes_of(value) for value in values))
        except struct.error as error:
            raise LocalProtocolError(f"{type(self).__name__}: {error}") from None


def bytes_of(value: object) -> object:
    """The bytes inside a ``Secret``; anything else as it is."""
    return value.reveal() if isinstance(value, Secret) else value


def fixed_sizes(layout: str) -> list[int]:
    """For each field of a struct format: its bytes if it is a byte string, else 0.

    >>> fixed_sizes(">2s8sBI")
    [2, 8, 0, 0]
    """
    sizes: list[int] = []
    digits = ""
    for sign in layout.lstrip("<>=!@"):
        if sign.isdigit():
            digits += sign
        elif sign == "s":
            sizes.append(int(digits or 1))
            digits = ""
        else:
            sizes.extend([0] * int(digits or 1))
            digits = ""
    return sizes


class Composed:
    """Base of payloads of variable length, made of parts; they end where their last part ends."""

    __slots__ = ()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read all of ``raw``.

        Raises:
            PayloadError: shorter or longer than its parts say.
        """
        reader = Reader(raw, cls.__name__)
        value = cls._read(reader)
        reader.end()
        return value

    def to_bytes(self) -> bytes:
        """Write the parts.

        Raises:
            LocalProtocolError: a value that does not fit its field.
        """
        return b"".join(self._parts())

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        raise NotImplementedError

    def _parts(self) -> Iterable[bytes]:
        raise NotImplementedError


def write_byte(value: int) -> bytes:
    """One byte.

    Raises:
        LocalProtocolError: outside 0 .. 255.
    """
    if not 0 <= value <= 0xFF:
        raise LocalProtocolError(f"{value} does not fit a byte")
    return bytes((value,))
