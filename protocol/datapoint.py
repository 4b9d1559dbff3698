"""Datapoints: what a lock is made of, as ``id type length value``.

The length has one byte in protocol 3.x and two in 4.x; which one a list uses follows from
the command that carries it (reference: protocol §5). The type byte is a claim, not a fact:
the official app writes the boolean 46 as raw, and the lock application never looks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, Self

from .errors import LocalProtocolError, PayloadError
from .wire import Reader

LengthWidth = Literal[1, 2]
"""Bytes of the length field: 1 in 0x0002 and 0x8001-0x8005, 2 in 0x0027 and 0x8006-0x8007."""


class DpType(IntEnum):
    """The type byte. Unknown ones are kept as plain integers."""

    RAW = 0
    BOOL = 1  # 1 byte
    VALUE = 2  # 4 bytes, signed
    STRING = 3
    ENUM = 4  # 1 byte; newer stacks also take 2 and 4
    BITMAP = 5  # 1, 2 or 4 bytes


@dataclass(frozen=True, slots=True)
class Datapoint:
    """One datapoint. ``data`` is kept out of the repr: it may be a PIN or a check code."""

    id: int
    type: int
    data: bytes

    def __repr__(self) -> str:
        return f"Datapoint(id={self.id}, type={type_name(self.type)}, {len(self.data)} bytes)"

    # -- writing: one constructor per type

    @classmethod
    def raw(cls, dp_id: int, data: bytes) -> Self:
        """Bytes whose meaning the product defines."""
        return cls(dp_id, DpType.RAW, bytes(data))

    @classmethod
    def boolean(cls, dp_id: int, value: bool) -> Self:  # noqa: FBT001 - the value itself
        """One byte, 0 or 1."""
        return cls(dp_id, DpType.BOOL, bytes([value]))

    @classmethod
    def number(cls, dp_id: int, value: int) -> Self:
        """Four bytes, signed.

        Raises:
            LocalProtocolError: outside -2**31 .. 2**31 - 1.
        """
        if not -(2**31) <= value < 2**31:
            raise LocalProtocolError(f"datapoint {dp_id}: {value} does not fit 4 signed bytes")
        return cls(dp_id, DpType.VALUE, value.to_bytes(4, "big", signed=True))

    @classmethod
    def text(cls, dp_id: int, value: str) -> Self:
        """UTF-8."""
        return cls(dp_id, DpType.STRING, value.encode())

    @classmethod
    def enum(cls, dp_id: int, value: int) -> Self:
        """One byte.

        Raises:
            LocalProtocolError: outside 0 .. 255.
        """
        if not 0 <= value <= 0xFF:
            raise LocalProtocolError(f"datapoint {dp_id}: {value} is not an enum value of 1 byte")
        return cls(dp_id, DpType.ENUM, bytes([value]))

    @classmethod
    def bitmap(cls, dp_id: int, value: int, size: Literal[1, 2, 4] = 1) -> Self:
        """``size`` bytes of flags.

        Raises:
            LocalProtocolError: more bits than ``size`` bytes hold.
        """
        if not 0 <= value < 1 << (8 * size):
            raise LocalProtocolError(f"datapoint {dp_id}: {value:#x} does not fit {size} bytes")
        return cls(dp_id, DpType.BITMAP, value.to_bytes(size, "big"))

    # -- reading

    @property
    def value(self) -> bool | int | str | bytes:
        """The data as its type says; as bytes where type and length contradict each other."""
        size = len(self.data)
        match self.type:
            case DpType.BOOL if size == 1 and self.data[0] <= 1:
                return self.data == b"\x01"
            case DpType.VALUE if size == 4:
                return int.from_bytes(self.data, "big", signed=True)
            case DpType.STRING:
                try:
                    return self.data.decode()
                except UnicodeDecodeError:
                    return self.data
            case DpType.ENUM | DpType.BITMAP if size in (1, 2, 4):
                return int.from_bytes(self.data, "big")
            case _:
                return self.data

    @property
    def as_int(self) -> int:
        """The data as an unsigned number, whatever the type byte claims.

        Raises:
            PayloadError: not 1 to 4 bytes.
        """
        if not 1 <= len(self.data) <= 4:
            raise PayloadError(f"datapoint {self.id}: a number has 1-4 bytes, not {len(self.data)}")
        return int.from_bytes(self.data, "big")


def type_name(dp_type: int) -> str:
    """``raw``, ``bool`` ...; the number of an unknown type."""
    try:
        return DpType(dp_type).name.lower()
    except ValueError:
        return str(dp_type)


def read_datapoints(raw: bytes, width: LengthWidth) -> tuple[Datapoint, ...]:
    """Read a whole list; zero-length datapoints are legal (newer SDKs take them).

    Raises:
        PayloadError: the lengths do not end exactly at the end of ``raw``.
    """
    reader = Reader(raw, "datapoints")
    found: list[Datapoint] = []
    while reader.left:
        dp_id, dp_type = reader.number(1), reader.number(1)
        found.append(Datapoint(dp_id, dp_type, reader.take(reader.number(width))))
    return tuple(found)


def write_datapoints(datapoints: Iterable[Datapoint], width: LengthWidth) -> bytes:
    """Write a list.

    Raises:
        LocalProtocolError: an id, a type or a length that does not fit its field.
    """
    parts: list[bytes] = []
    for dp in datapoints:
        if not (0 <= dp.id <= 0xFF and 0 <= dp.type <= 0xFF):
            raise LocalProtocolError(f"datapoint {dp.id}, type {dp.type}: both are single bytes")
        if len(dp.data) >= 1 << (8 * width):
            raise LocalProtocolError(
                f"datapoint {dp.id}: {len(dp.data)} bytes do not fit a length of {width} byte(s)"
            )
        parts += (bytes((dp.id, dp.type)), len(dp.data).to_bytes(width, "big"), dp.data)
    return b"".join(parts)
