"""The bounded reader and payloads of a fixed layout."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct
from typing import ClassVar, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import LocalProtocolError, PayloadError
from protocol.keys import Secret
from protocol.wire import Composed, Packed, Reader, bytes_of, fixed_sizes, write_byte


@dataclass(frozen=True, slots=True)
class Sample(Packed):
    """One field of each sort."""

    STRUCT: ClassVar[Struct] = Struct(">2s8sBhI")

    name: bytes
    code: Secret
    small: int
    signed: int
    large: int


RAW = bytes.fromhex("414235363233343536377f8000fffffffe")
VALUE = Sample(b"AB", Secret(b"56234567"), 0x7F, -32768, 2**32 - 2)


# -- Reader


def test_fields_come_off_the_front_in_order() -> None:
    reader = Reader(bytes.fromhex("0102fffe414243"), "sample")
    assert reader.number(2) == 0x0102
    assert reader.number(2, signed=True) == -2
    assert reader.left == 3
    assert reader.take(1) == b"A"
    assert reader.rest() == b"BC"
    assert reader.left == 0
    reader.end()


def test_running_out_says_what_was_read_where_and_how_much_was_missing() -> None:
    reader = Reader(b"\1\2\3", "sample")
    reader.take(1)
    with pytest.raises(PayloadError, match=r"sample: needs 4 more bytes at offset 1, has 2"):
        reader.number(4)


def test_a_refused_take_takes_nothing() -> None:
    reader = Reader(b"\1\2", "sample")
    with pytest.raises(PayloadError):
        reader.take(3)
    assert reader.rest() == b"\1\2"


def test_bytes_nobody_asked_for_are_refused() -> None:
    reader = Reader(b"\1\2\3", "sample")
    reader.take(1)
    with pytest.raises(PayloadError, match="2 bytes too many"):
        reader.end()


@given(st.binary(max_size=40), st.lists(st.integers(0, 12)))
def test_a_reader_gives_every_byte_once(raw: bytes, sizes: list[int]) -> None:
    reader = Reader(raw, "sample")
    parts = [reader.take(size) for size in sizes if size <= reader.left]
    assert b"".join([*parts, reader.rest()]) == raw


# -- Packed


def test_a_payload_is_read_and_written_in_wire_order() -> None:
    assert Sample.from_bytes(RAW) == VALUE
    assert VALUE.to_bytes() == RAW


def test_a_secret_field_is_masked() -> None:
    assert "56234567" not in repr(Sample.from_bytes(RAW))


@pytest.mark.parametrize("size", [size for size in range(len(RAW) + 3) if size != len(RAW)])
def test_any_other_length_is_refused(size: int) -> None:
    with pytest.raises(PayloadError, match=f"Sample has 17 bytes, not {size}"):
        Sample.from_bytes((RAW + bytes(2))[:size])


@pytest.mark.parametrize(
    "value",
    [
        Sample(b"A", Secret(b"56234567"), 0, 0, 0),
        Sample(b"ABC", Secret(b"56234567"), 0, 0, 0),
        Sample(b"AB", Secret(b"5623456"), 0, 0, 0),
        Sample(b"AB", Secret(b"562345678"), 0, 0, 0),
        Sample(b"AB", Secret(b"56234567"), 256, 0, 0),
        Sample(b"AB", Secret(b"56234567"), -1, 0, 0),
        Sample(b"AB", Secret(b"56234567"), 0, 32768, 0),
        Sample(b"AB", Secret(b"56234567"), 0, 0, 2**32),
    ],
)
def test_a_value_that_does_not_fit_is_our_bug(value: Sample) -> None:
    # struct would pad a short byte string with zeros and cut a long one: both silently.
    with pytest.raises(LocalProtocolError):
        value.to_bytes()


def test_only_a_secret_is_unwrapped() -> None:
    assert bytes_of(Secret(b"key")) == b"key"
    assert bytes_of(7) == 7


@pytest.mark.parametrize(
    ("layout", "sizes"),
    [
        (">2s8sBI", [2, 8, 0, 0]),
        (">HH8sBH8s", [0, 0, 8, 0, 0, 8]),
        (">s3B", [1, 0, 0, 0]),
        (">BH16s16s", [0, 0, 16, 16]),
    ],
)
def test_the_sizes_of_byte_strings_come_from_the_layout(layout: str, sizes: list[int]) -> None:
    assert fixed_sizes(layout) == sizes


# -- Composed


@dataclass(frozen=True, slots=True)
class Counted(Composed):
    """A count and as many bytes."""

    items: bytes

    @classmethod
    def _read(cls, reader: Reader) -> Self:
        return cls(reader.take(reader.number(1)))

    def _parts(self) -> Iterable[bytes]:
        return write_byte(len(self.items)), self.items


@given(st.binary(max_size=255))
def test_a_composed_payload_survives_the_round_trip(items: bytes) -> None:
    assert Counted.from_bytes(Counted(items).to_bytes()) == Counted(items)


@pytest.mark.parametrize("raw", [b"", b"\2A", b"\2ABC", b"\0A"])
def test_a_composed_payload_ends_where_its_last_part_ends(raw: bytes) -> None:
    with pytest.raises(PayloadError, match="Counted"):
        Counted.from_bytes(raw)


def test_a_byte_is_written_or_our_bug() -> None:
    assert write_byte(0) + write_byte(255) == b"\0\xff"
    for value in (-1, 256):
        with pytest.raises(LocalProtocolError):
            write_byte(value)
    with pytest.raises(LocalProtocolError):
        Counted(bytes(256)).to_bytes()
