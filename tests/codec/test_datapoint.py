"""Datapoints: six types, two widths of the length field, and lists that end exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.datapoint import (
    Datapoint,
    DpType,
    LengthWidth,
    read_datapoints,
    type_name,
    write_datapoints,
)
from protocol.errors import LocalProtocolError, PayloadError

datapoints = st.builds(Datapoint, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=60))
widths = st.sampled_from([1, 2])


@pytest.mark.parametrize(
    ("raw", "width", "expected"),
    [
        # Source: tests/captures/firmware/sdk33-reports.jsonl and sdk44-20-reports.jsonl.
        ("08020400000050", 1, [Datapoint.number(8, 80)]),
        ("2f010101", 1, [Datapoint.boolean(47, True)]),
        ("15040103", 1, [Datapoint.enum(21, 3)]),
        ("080200040000005a", 2, [Datapoint.number(8, 90)]),
        ("080200040000005a2f01000101", 2, [Datapoint.number(8, 90), Datapoint.boolean(47, True)]),
        # lock-query.jsonl and lock-first-unlock.jsonl.
        ("45000100", 1, [Datapoint.raw(69, b"\0")]),
        # Source: github.com/ShonP40/Tuya-BLE @e7c909c (MIT), field.json "raykube-a1ultra-lock":
        # a boolean that the official app sends as raw.
        ("2e00000101", 2, [Datapoint.raw(46, b"\1")]),
        ("", 1, []),
        ("", 2, []),
        ("0a0300", 1, [Datapoint.text(10, "")]),
    ],
)
def test_recorded_lists_are_read_and_written(
    raw: str, width: LengthWidth, expected: list[Datapoint]
) -> None:
    assert list(read_datapoints(bytes.fromhex(raw), width)) == expected
    assert write_datapoints(expected, width).hex() == raw


@given(st.lists(datapoints, max_size=8), widths)
def test_lists_survive_the_round_trip(found: list[Datapoint], width: LengthWidth) -> None:
    assert list(read_datapoints(write_datapoints(found, width), width)) == found


@given(st.lists(datapoints, min_size=1, max_size=4), widths, st.data())
def test_a_truncated_list_is_refused_or_ends_between_two(
    found: list[Datapoint], width: LengthWidth, data: st.DataObject
) -> None:
    raw = write_datapoints(found, width)
    size = data.draw(st.integers(0, len(raw) - 1))
    try:
        read = read_datapoints(raw[:size], width)
    except PayloadError:
        return
    assert list(read) == found[: len(read)]
    assert write_datapoints(read, width) == raw[:size]


@pytest.mark.parametrize(("raw", "width"), [("2f010101", 1), ("2f01000101", 2)])
def test_every_truncation_of_one_datapoint_is_refused(raw: str, width: LengthWidth) -> None:
    whole = bytes.fromhex(raw)
    for size in range(1, len(whole)):
        with pytest.raises(PayloadError):
            read_datapoints(whole[:size], width)


@given(st.binary(max_size=80), widths)
def test_garbage_is_refused_or_written_back_as_it_was(raw: bytes, width: LengthWidth) -> None:
    try:
        found = read_datapoints(raw, width)
    except PayloadError:
        return
    assert write_datapoints(found, width) == raw
    for datapoint in found:
        assert isinstance(datapoint.value, bool | int | str | bytes)


def test_the_width_of_the_length_field_is_not_guessed() -> None:
    raw = bytes.fromhex("2f01000101")
    assert len(read_datapoints(raw, 2)) == 1
    with pytest.raises(PayloadError):
        read_datapoints(raw, 1)


def test_the_longest_datapoint_of_each_width() -> None:
    for width, most in ((1, 255), (2, 65_535)):
        datapoint = Datapoint.raw(1, bytes(most))
        raw = write_datapoints([datapoint], width)  # type: ignore[arg-type]
        assert read_datapoints(raw, width) == (datapoint,)  # type: ignore[arg-type]
        with pytest.raises(LocalProtocolError, match="do not fit"):
            write_datapoints([Datapoint.raw(1, bytes(most + 1))], width)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "datapoint",
    [Datapoint(-1, 0, b""), Datapoint(256, 0, b""), Datapoint(1, -1, b""), Datapoint(1, 256, b"")],
)
def test_ids_and_types_are_single_bytes(datapoint: Datapoint) -> None:
    with pytest.raises(LocalProtocolError):
        write_datapoints([datapoint], 1)


# -- values


@pytest.mark.parametrize(
    ("datapoint", "dp_type", "raw", "value"),
    [
        (Datapoint.raw(1, b"\xff\0"), DpType.RAW, "ff00", b"\xff\0"),
        (Datapoint.boolean(1, True), DpType.BOOL, "01", True),
        (Datapoint.boolean(1, False), DpType.BOOL, "00", False),
        (Datapoint.number(1, -2), DpType.VALUE, "fffffffe", -2),
        (Datapoint.number(1, 2**31 - 1), DpType.VALUE, "7fffffff", 2**31 - 1),
        (Datapoint.number(1, -(2**31)), DpType.VALUE, "80000000", -(2**31)),
        (Datapoint.text(1, "é"), DpType.STRING, "c3a9", "é"),
        (Datapoint.enum(1, 255), DpType.ENUM, "ff", 255),
        (Datapoint.bitmap(1, 0x81), DpType.BITMAP, "81", 0x81),
        (Datapoint.bitmap(1, 0x8001, 2), DpType.BITMAP, "8001", 0x8001),
        (Datapoint.bitmap(1, 2**32 - 1, 4), DpType.BITMAP, "ffffffff", 2**32 - 1),
    ],
)
def test_each_type_is_written_and_read(
    datapoint: Datapoint, dp_type: DpType, raw: str, value: object
) -> None:
    assert (datapoint.type, datapoint.data.hex()) == (dp_type, raw)
    assert datapoint.value == value
    assert type(datapoint.value) is type(value)


@pytest.mark.parametrize(
    ("dp_type", "raw"),
    [
        (DpType.BOOL, ""),
        (DpType.BOOL, "02"),
        (DpType.BOOL, "0000"),
        (DpType.VALUE, "00"),
        (DpType.VALUE, "0000000000"),
        (DpType.STRING, "ff"),
        (DpType.ENUM, "000000"),
        (DpType.ENUM, ""),
        (DpType.BITMAP, "0000000000"),
        (DpType.RAW, "01"),
        (6, "00000001"),
        (200, "01"),
    ],
)
def test_a_value_that_contradicts_its_type_stays_bytes(dp_type: int, raw: str) -> None:
    assert Datapoint(1, dp_type, bytes.fromhex(raw)).value == bytes.fromhex(raw)


@pytest.mark.parametrize(("raw", "value"), [("00", 0), ("0102", 258), ("ffffffff", 2**32 - 1)])
def test_a_number_is_read_whatever_the_type_claims(raw: str, value: int) -> None:
    for dp_type in (*DpType, 99):
        assert Datapoint(1, dp_type, bytes.fromhex(raw)).as_int == value


@pytest.mark.parametrize("size", [0, 5, 8])
def test_a_number_has_1_to_4_bytes(size: int) -> None:
    with pytest.raises(PayloadError):
        _ = Datapoint(1, DpType.VALUE, bytes(size)).as_int


def test_a_value_that_does_not_fit_its_type_is_our_bug() -> None:
    for value in (2**31, -(2**31) - 1):
        with pytest.raises(LocalProtocolError):
            Datapoint.number(1, value)
    for value in (-1, 256):
        with pytest.raises(LocalProtocolError):
            Datapoint.enum(1, value)
        with pytest.raises(LocalProtocolError):
            Datapoint.bitmap(1, value)
    with pytest.raises(LocalProtocolError):
        Datapoint.bitmap(1, 0x10000, 2)


def test_unknown_types_keep_their_number() -> None:
    (datapoint,) = read_datapoints(bytes.fromhex("01630101"), 1)
    assert datapoint.type == 99
    assert type_name(datapoint.type) == "99"
    assert type_name(DpType.BITMAP) == "bitmap"


def test_the_repr_shows_no_data() -> None:
    # It may be a PIN or a check code.
    datapoint = Datapoint.text(51, "canary")
    assert repr(datapoint) == "Datapoint(id=51, type=string, 6 bytes)"
