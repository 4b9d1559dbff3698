"""Time questions of the lock (0x8011-0x8014) and our answers.

A lock without an answer has no usable record times; a wrong answer is worse than none, so
an untrusted clock answers *unknown* (reference: protocol §4.2, safety E1).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from .errors import LocalProtocolError, PayloadError
from .wire import Reader, write_byte

MS_DIGITS = 13
S_DIGITS = 10
_DATE = struct.Struct(">BBBBBBBh")
UNKNOWN_DATE = bytes(_DATE.size)


def zone_field(offset_seconds: int) -> int:
    """A UTC offset as the wire has it: hours times 100, signed (-3.5 h is -350)."""
    return round(offset_seconds / 36)


def read_digits(raw: bytes, what: str) -> int:
    """A decimal number in ASCII.

    Raises:
        PayloadError: anything but digits.
    """
    if not raw or not all(0x30 <= byte <= 0x39 for byte in raw):
        raise PayloadError(f"{what}: not {len(raw)} decimal digits")
    return int(raw)


def write_digits(value: int, size: int, what: str) -> bytes:
    """A decimal number in exactly ``size`` ASCII digits.

    Raises:
        LocalProtocolError: negative, or more digits.
    """
    if not 0 <= value < 10**size:
        raise LocalProtocolError(f"{what}: {value} does not fit {size} digits")
    return str(value).zfill(size).encode()


@dataclass(frozen=True, slots=True)
class TimeRequest:
    """0x8011 and 0x8012/0x8013 ask with no data, 0x8014 with a number of years."""

    years: int | None = None

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """No data, or one byte of years.

        Raises:
            PayloadError: longer.
        """
        if len(raw) > 1:
            raise PayloadError(f"a time question has 0 or 1 bytes, not {len(raw)}")
        return cls(raw[0] if raw else None)

    def to_bytes(self) -> bytes:
        """The data of the question.

        Raises:
            LocalProtocolError: years outside 0 .. 255.
        """
        return b"" if self.years is None else write_byte(self.years)


@dataclass(frozen=True, slots=True)
class ClockAnswer:
    """Answer to 0x8011: 13 ASCII digits of Unix milliseconds, then the zone (15 bytes).

    ``unix_ms`` is ``None`` for "unknown": 13 zero *bytes*, which the firmware ignores. (Digits
    "0" would set its clock to 1970.) ``zone`` is hours times 100 east of UTC.
    """

    unix_ms: int | None
    zone: int = 0

    @classmethod
    def unknown(cls) -> Self:
        """The answer of somebody who does not know the time."""
        return cls(None)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read 15 bytes.

        Raises:
            PayloadError: another length, or no digits.
        """
        reader = Reader(raw, "time answer")
        unix_ms = _read_moment(reader.take(MS_DIGITS), "time answer")
        zone = reader.number(2, signed=True)
        reader.end()
        return cls(unix_ms, zone)

    def to_bytes(self) -> bytes:
        """Write 15 bytes.

        Raises:
            LocalProtocolError: a time before 1970 or a zone outside 16 bits.
        """
        return _write_moment(self.unix_ms, MS_DIGITS, "time answer") + _write_zone(self.zone)


@dataclass(frozen=True, slots=True)
class DateAnswer:
    """Answer to 0x8012 and 0x8013: ``yy mm dd hh mm ss weekday zone2`` (9 bytes).

    ``weekday`` counts from Sunday = 0. All zero means unknown.
    """

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    weekday: int
    zone: int = 0

    @classmethod
    def at(cls, moment: datetime) -> Self:
        """The answer for an aware moment, in its own zone.

        Raises:
            LocalProtocolError: a moment without a zone, or outside 2000-2255.
        """
        offset = moment.utcoffset()
        if offset is None:
            raise LocalProtocolError("a date answer needs a moment with a time zone")
        return cls(
            moment.year - 2000, moment.month, moment.day, moment.hour, moment.minute,
            moment.second, moment.isoweekday() % 7, zone_field(int(offset.total_seconds())),
        )  # fmt: skip

    @classmethod
    def unknown(cls) -> Self:
        """The answer of somebody who does not know the time."""
        return cls.from_bytes(UNKNOWN_DATE)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read 9 bytes.

        Raises:
            PayloadError: another length.
        """
        if len(raw) != _DATE.size:
            raise PayloadError(f"a date answer has {_DATE.size} bytes, not {len(raw)}")
        return cls(*_DATE.unpack(raw))

    def to_bytes(self) -> bytes:
        """Write 9 bytes.

        Raises:
            LocalProtocolError: a field outside its byte.
        """
        try:
            return _DATE.pack(
                self.year, self.month, self.day, self.hour, self.minute, self.second,
                self.weekday, self.zone,
            )  # fmt: skip
        except struct.error as error:
            raise LocalProtocolError(f"date answer: {error}") from None


@dataclass(frozen=True, slots=True)
class SavingPeriod:
    """One period of daylight saving, Unix seconds. That start comes first is inferred."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SavingAnswer:
    """Answer to 0x8014: 10 ASCII digits of seconds, zone2, a count, then 20 digits each.

    ``unix_s`` is ``None`` for "unknown" (10 zero bytes).
    """

    unix_s: int | None
    zone: int = 0
    periods: tuple[SavingPeriod, ...] = ()

    @classmethod
    def unknown(cls) -> Self:
        """The answer of somebody who does not know the time."""
        return cls(None)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read the whole answer.

        Raises:
            PayloadError: lengths or digits that do not fit.
        """
        reader = Reader(raw, "daylight saving answer")
        unix_s = _read_moment(reader.take(S_DIGITS), "daylight saving answer")
        zone = reader.number(2, signed=True)
        periods = tuple(
            SavingPeriod(
                read_digits(reader.take(S_DIGITS), "start of a period"),
                read_digits(reader.take(S_DIGITS), "end of a period"),
            )
            for _ in range(reader.number(1))
        )
        reader.end()
        return cls(unix_s, zone, periods)

    def to_bytes(self) -> bytes:
        """Write the answer.

        Raises:
            LocalProtocolError: a number that does not fit, or more than 255 periods.
        """
        if len(self.periods) > 0xFF:
            raise LocalProtocolError(f"{len(self.periods)} periods do not fit one byte")
        parts = [
            _write_moment(self.unix_s, S_DIGITS, "daylight saving answer"),
            _write_zone(self.zone),
            bytes((len(self.periods),)),
        ]
        for period in self.periods:
            parts.append(write_digits(period.start, S_DIGITS, "start of a period"))
            parts.append(write_digits(period.end, S_DIGITS, "end of a period"))
        return b"".join(parts)


TimeAnswer = ClockAnswer | DateAnswer | SavingAnswer


def _read_moment(raw: bytes, what: str) -> int | None:
    return read_digits(raw, what) if any(raw) else None


def _write_moment(value: int | None, size: int, what: str) -> bytes:
    return bytes(size) if value is None else write_digits(value, size, what)


def _write_zone(zone: int) -> bytes:
    if not -(2**15) <= zone < 2**15:
        raise LocalProtocolError(f"a zone of {zone / 100} hours does not fit")
    return zone.to_bytes(2, "big", signed=True)
