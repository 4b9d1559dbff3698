"""What the lock reports (0x8001-0x8007), and what it must be answered.

The community's most expensive mistake lives here: an acknowledgement of no data, or of the
wrong length, makes a lock keep or lose records (reference: locks in the field §3). So the
codec builds each acknowledgement itself, and none where the report asks for none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, Self

from .datapoint import Datapoint, LengthWidth, read_datapoints, write_datapoints
from .errors import LocalProtocolError, PayloadError
from .times import MS_DIGITS, read_digits, write_digits
from .wire import Reader

NO_ANSWER = 0x80
"""Bit of a 4.x report's type byte: no acknowledgement wanted."""


class TimeKind(IntEnum):
    """How a report writes its time."""

    TEXT_MS = 0  # 13 ASCII digits, Unix milliseconds
    UNIX = 1  # 4 bytes, Unix seconds


class ReportMode(IntEnum):
    """For whom a report is meant; carried, never acted on."""

    CLOUD_AND_PANEL = 0
    CLOUD = 1
    PANEL = 2
    NONE = 3


@dataclass(frozen=True, slots=True)
class ReportTime:
    """The time of a record as the lock wrote it.

    ``raw`` (4 bytes or 13 digits) is kept because a record's identity hangs on it
    (reference: safety D3). Below about 30 years it is seconds since power-up.
    """

    kind: TimeKind
    raw: bytes

    @classmethod
    def unix(cls, seconds: int) -> Self:
        """Seconds in 4 bytes.

        Raises:
            LocalProtocolError: outside 0 .. 2**32 - 1.
        """
        if not 0 <= seconds < 2**32:
            raise LocalProtocolError(f"{seconds} s do not fit 4 bytes")
        return cls(TimeKind.UNIX, seconds.to_bytes(4, "big"))

    @classmethod
    def text(cls, milliseconds: int) -> Self:
        """Milliseconds in 13 digits.

        Raises:
            LocalProtocolError: negative, or more digits.
        """
        return cls(TimeKind.TEXT_MS, write_digits(milliseconds, MS_DIGITS, "report time"))

    @property
    def seconds(self) -> float:
        """Seconds on the lock's clock."""
        if self.kind is TimeKind.UNIX:
            return float(int.from_bytes(self.raw, "big"))
        return int(self.raw) / 1000

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Take a time off the front.

        Raises:
            PayloadError: unknown kind, too short, or no digits.
        """
        kind = reader.number(1)
        if kind == TimeKind.UNIX:
            return cls(TimeKind.UNIX, reader.take(4))
        if kind == TimeKind.TEXT_MS:
            raw = reader.take(MS_DIGITS)
            read_digits(raw, "report time")
            return cls(TimeKind.TEXT_MS, raw)
        raise PayloadError(f"a report time of kind {kind}, where 0 and 1 are known")

    def to_bytes(self) -> bytes:
        """Kind byte and time."""
        return bytes((self.kind,)) + self.raw


@dataclass(frozen=True, slots=True)
class _Shape:
    """Fields of one report command: size of the report's own sn, type byte, time, widths."""

    sn_size: Literal[0, 2, 4]
    typed: bool
    timed: bool
    width: LengthWidth

    @property
    def ack_size(self) -> int:
        return {0: 1, 2: 4, 4: 8}[self.sn_size]


SHAPES = {
    0x8001: _Shape(sn_size=0, typed=False, timed=False, width=1),
    0x8003: _Shape(sn_size=0, typed=False, timed=True, width=1),
    0x8004: _Shape(sn_size=2, typed=False, timed=False, width=1),
    0x8005: _Shape(sn_size=2, typed=False, timed=True, width=1),
    0x8006: _Shape(sn_size=4, typed=True, timed=False, width=2),
    0x8007: _Shape(sn_size=4, typed=True, timed=True, width=2),
}
REPORT_CODES = frozenset(SHAPES)
TIMED_CODES = frozenset(code for code, shape in SHAPES.items() if shape.timed)


def _shape(code: int) -> _Shape:
    try:
        return SHAPES[code]
    except KeyError:
        raise LocalProtocolError(f"{code:#06x} is not a report") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One report. What a command does not carry keeps its default.

    ======  ==========================================================
    code    data
    ======  ==========================================================
    0x8001  datapoints
    0x8003  time datapoints
    0x8004  sn2 mode1 datapoints
    0x8005  sn2 mode1 time datapoints
    0x8006  version1 sn4 type1 mode1 datapoints (2-byte lengths)
    0x8007  version1 sn4 type1 mode1 time datapoints (2-byte lengths)
    ======  ==========================================================

    ``sn`` is the report's own number, not the frame's. Source: reference protocol §4.2,
    captures ``sdk33-reports``, ``sdk44-*-reports``.
    """

    code: int
    datapoints: tuple[Datapoint, ...]
    time: ReportTime | None = None
    sn: int = 0
    mode: int = 0
    version: int = 0
    type: int = 0

    @property
    def wants_ack(self) -> bool:
        """Whether an acknowledgement is expected at all."""
        return not self.type & NO_ANSWER

    @property
    def passive(self) -> bool:
        """Whether it answers a query or a command (4.x)."""
        return self.type & 0x0F == 1

    @classmethod
    def from_bytes(cls, code: int, raw: bytes) -> Self:
        """Read the data of a report command.

        Raises:
            PayloadError: a shape that is not the command's.
        """
        shape = _shape(code)
        reader = Reader(raw, f"report {code:#06x}")
        version = reader.number(1) if shape.typed else 0
        sn = reader.number(shape.sn_size)
        kind = reader.number(1) if shape.typed else 0
        mode = reader.number(1) if shape.sn_size else 0
        time = ReportTime.read(reader) if shape.timed else None
        datapoints = read_datapoints(reader.rest(), shape.width)
        return cls(
            code=code, datapoints=datapoints, time=time, sn=sn, mode=mode, version=version,
            type=kind,
        )  # fmt: skip

    def to_bytes(self) -> bytes:
        """Write the data of the report.

        Raises:
            LocalProtocolError: a field its command does not have, or that does not fit.
        """
        shape = _shape(self.code)
        if (self.time is not None) != shape.timed:
            raise LocalProtocolError(f"report {self.code:#06x}: time does not belong or is missing")
        parts = [_header(shape, self)]
        if self.time is not None:
            parts.append(self.time.to_bytes())
        parts.append(write_datapoints(self.datapoints, shape.width))
        return b"".join(parts)

    def ack(self, status: int = 0) -> ReportAck | None:
        """The acknowledgement this report wants, ``None`` where it wants none."""
        if not self.wants_ack:
            return None
        return ReportAck(
            code=self.code, status=status, sn=self.sn, mode=self.mode, version=self.version,
            type=self.type,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportAck:
    """Answer to a report, under the same code: 1, 4 or 8 bytes with the status last.

    Status 0 is "done" (and makes a 3.x lock forget a record), 1 "failed".
    """

    code: int
    status: int
    sn: int = 0
    mode: int = 0
    version: int = 0
    type: int = 0

    @classmethod
    def from_bytes(cls, code: int, raw: bytes) -> Self:
        """Read the data of an acknowledgement; bytes behind a status of one byte are ignored.

        Raises:
            PayloadError: not the length the command wants.
        """
        shape = _shape(code)
        if shape.ack_size == 1:  # the SDK looks at the first byte only
            return cls(code=code, status=Reader(raw, f"ack {code:#06x}").number(1))
        if len(raw) != shape.ack_size:
            raise PayloadError(
                f"ack {code:#06x} has {shape.ack_size} bytes, not {len(raw)}: the lock drops it"
            )
        reader = Reader(raw, f"ack {code:#06x}")
        version = reader.number(1) if shape.typed else 0
        sn = reader.number(shape.sn_size)
        kind = reader.number(1) if shape.typed else 0
        return cls(
            code=code, sn=sn, version=version, type=kind, mode=reader.number(1),
            status=reader.number(1),
        )  # fmt: skip

    def to_bytes(self) -> bytes:
        """Write the acknowledgement.

        Raises:
            LocalProtocolError: a field that does not fit.
        """
        if not 0 <= self.status <= 0xFF:
            raise LocalProtocolError(f"status {self.status} is not a byte")
        return _header(_shape(self.code), self) + bytes((self.status,))


def _header(shape: _Shape, message: Report | ReportAck) -> bytes:
    try:
        return (
            (bytes((message.version,)) if shape.typed else b"")
            + message.sn.to_bytes(shape.sn_size, "big")
            + (bytes((message.type,)) if shape.typed else b"")
            + (bytes((message.mode,)) if shape.sn_size else b"")
        )
    except (ValueError, OverflowError) as error:
        raise LocalProtocolError(f"report {message.code:#06x}: {error}") from None
