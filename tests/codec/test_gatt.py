"""GATT names and sizes (reference: protocol §1.1, §1.2; locks in the field §1)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import gatt
from protocol.advertisement import Advertisement
from protocol.errors import LocalProtocolError, PayloadError, RemoteProtocolError

CAPTURES = Path(__file__).parent.parent / "captures" / "firmware"
FILES = sorted(CAPTURES.glob("*.jsonl"))

OLD = ["00002b10-0000-1000-8000-00805f9b34fb", "00002b11-0000-1000-8000-00805f9b34fb"]
NEW = ["00000001-0000-1001-8001-00805f9b07d0", "00000002-0000-1001-8001-00805f9b07d0"]
GENERIC = ["00002a00-0000-1000-8000-00805f9b34fb", "00002a05-0000-1000-8000-00805f9b34fb"]


def test_each_generation_is_found_by_its_characteristics() -> None:
    assert gatt.find_profile(GENERIC + OLD) is gatt.OLD_PROFILE
    assert gatt.find_profile(NEW + GENERIC) is gatt.NEW_PROFILE
    assert gatt.find_profile([*NEW, "00000003-0000-1001-8001-00805f9b07d0"]) is gatt.NEW_PROFILE


def test_upper_case_is_the_same() -> None:
    assert gatt.find_profile(uuid.upper() for uuid in OLD) is gatt.OLD_PROFILE
    assert gatt.find_profile(uuid.upper() for uuid in NEW) is gatt.NEW_PROFILE


def test_a_device_with_both_is_spoken_to_in_the_newer_way() -> None:
    assert gatt.find_profile(OLD + NEW) is gatt.NEW_PROFILE


@pytest.mark.parametrize("missing", OLD + NEW)
def test_half_a_set_is_not_enough(missing: str) -> None:
    generation = OLD if missing in OLD else NEW
    assert gatt.find_profile(uuid for uuid in generation if uuid != missing) is None


def test_services_are_not_characteristics() -> None:
    assert gatt.find_profile([]) is None
    assert gatt.find_profile([gatt.OLD_PROFILE.service, gatt.NEW_PROFILE.service]) is None


def test_the_old_generation_has_nothing_to_read() -> None:
    assert gatt.OLD_PROFILE.read is None
    assert gatt.NEW_PROFILE.read == "00000003-0000-1001-8001-00805f9b07d0"
    assert gatt.OLD_PROFILE.service == "00001910-0000-1000-8000-00805f9b34fb"
    assert gatt.NEW_PROFILE.service == "0000fd50-0000-1000-8000-00805f9b34fb"


def test_what_to_scan_for() -> None:
    assert [uuid[4:8] for uuid in gatt.ADVERTISED_UUIDS] == ["a201", "a300", "fd50"]
    assert all(uuid[8:] == "-0000-1000-8000-00805f9b34fb" for uuid in gatt.ADVERTISED_UUIDS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_captures_name_their_generation(file: Path) -> None:
    header = json.loads(file.read_text().splitlines()[0])
    generation = gatt.GattGeneration(header["gatt"])
    assert gatt.PROFILES[generation].generation is generation
    assert gatt.MIN_ATT_PAYLOAD <= header["att_payload"] <= gatt.PREFERRED_ATT_PAYLOAD_V4


@pytest.mark.parametrize(
    ("negotiated", "major", "usable"),
    [
        pytest.param(20, 4, 20, id="v4-on-a-default-link"),
        pytest.param(21, 4, 21, id="v4-takes-what-there-is"),
        pytest.param(182, 4, 182, id="v4-on-an-mtu-of-185"),
        pytest.param(244, 4, 244, id="v4-at-its-best"),
        pytest.param(245, 4, 244, id="v4-never-more-than-244"),
        pytest.param(514, 5, 244, id="v5-on-the-largest-mtu"),
        pytest.param(244, 3, 20, id="v3-cuts-off-longer-writes"),
        pytest.param(244, 2, 20, id="v2"),
        pytest.param(244, None, 20, id="not-known-yet"),
    ],
)
def test_writes_are_longer_than_20_bytes_only_for_protocol_4(
    negotiated: int, major: int | None, usable: int
) -> None:
    assert gatt.usable_att_payload(negotiated, major) == usable


def test_no_connection_has_less_than_20_bytes() -> None:
    with pytest.raises(LocalProtocolError, match="at least 20"):
        gatt.usable_att_payload(19, 4)


@given(st.integers(20, 514), st.one_of(st.none(), st.integers(0, 255)))
@settings(deadline=None)
def test_a_usable_payload_is_always_legal(negotiated: int, major: int | None) -> None:
    usable = gatt.usable_att_payload(negotiated, major)
    assert gatt.MIN_ATT_PAYLOAD <= usable <= min(negotiated, gatt.MAX_ATT_PAYLOAD)


@pytest.mark.parametrize("number", [-1, 0x10000])
def test_a_short_uuid_has_16_bits(number: int) -> None:
    with pytest.raises(LocalProtocolError, match="16-bit"):
        gatt.expand_uuid(number)


# The value of the read characteristic was never recorded; the layout is the vendor's source,
# the advertising data are those of capture v4-bound.
ADV = bytes.fromhex("020106030250fd0f1650fd490000089756b323a65a70ec")
SCAN_RSP = bytes.fromhex("17ffd00700000100a7c525a6583e7bb9ecc8984be274a57203095459")
READ_VALUE = bytes.fromhex(
    "0033"
    "020106030250fd0f1650fd490000089756b323a65a70ec"
    "17ffd00700000100a7c525a6583e7bb9ecc8984be274a57203095459"
    "00"
)


def test_the_read_characteristic_gives_the_advertisement_in_one_piece() -> None:
    assert gatt.build_read_value(ADV, SCAN_RSP) == READ_VALUE
    structures = gatt.parse_read_value(READ_VALUE)
    assert structures == ADV + SCAN_RSP
    assert Advertisement.parse(structures) == Advertisement.parse(ADV, SCAN_RSP)
    assert Advertisement.parse(structures).uuid == "tuya78e8360aa3f5"


def test_the_zero_of_the_vendors_buffer_may_be_missing() -> None:
    assert gatt.parse_read_value(READ_VALUE[:-1]) == ADV + SCAN_RSP


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0", id="no-length"),
        pytest.param(b"\1" + READ_VALUE[1:], id="another-first-byte"),
        pytest.param(READ_VALUE[:-2], id="cut-off"),
        pytest.param(READ_VALUE + b"\1", id="more-than-announced"),
    ],
)
def test_another_read_value_is_refused(value: bytes) -> None:
    with pytest.raises(PayloadError):
        gatt.parse_read_value(value)


@given(st.binary(max_size=80))
@settings(deadline=None)
def test_any_read_value_ends_in_bytes_or_one_error(value: bytes) -> None:
    try:
        structures = gatt.parse_read_value(value)
    except RemoteProtocolError:
        return
    assert value.startswith(bytes((0, len(structures))) + structures)


def test_a_read_value_has_room_for_255_bytes() -> None:
    assert gatt.parse_read_value(gatt.build_read_value(bytes(200), bytes(55))) == bytes(255)
    with pytest.raises(LocalProtocolError, match="256 bytes"):
        gatt.build_read_value(bytes(200), bytes(56))
