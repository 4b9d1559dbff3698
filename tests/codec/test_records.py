"""What a lock reports: recorded events, the request for them, plain values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.datapoint import Datapoint, DpType
from protocol.dpmap import DpMap, DpName, LockGeneration
from protocol.errors import LocalProtocolError, PayloadError
from protocol.keys import Secret
from protocol.lock import OpenRecord
from protocol.records import (
    Alarm,
    BatteryClass,
    DoorContact,
    GetRecords,
    OfflineT0,
    RecordEvent,
    RecordKind,
    RecordTrigger,
    read_battery,
    read_switch,
)

V3_3 = DpMap.default(LockGeneration.V3_3)
DOCUMENT = DpMap.default(LockGeneration.DOCUMENT_2_7)


# -- recorded events


@pytest.mark.parametrize(
    ("number", "dp_type", "raw", "kind", "value"),
    [
        # Source: tests/captures/firmware/lock-records-64.jsonl, lock-remote-key.jsonl,
        # lock-offline-password.jsonl and lock-state-reports.jsonl.
        (12, DpType.VALUE, "00000015", RecordKind.FINGERPRINT, 21),
        (13, DpType.VALUE, "00000001", RecordKind.PASSWORD, 1),
        (15, DpType.VALUE, "0000000b", RecordKind.CARD, 11),
        (18, DpType.BOOL, "00", RecordKind.FROM_INSIDE, 0),
        (19, DpType.VALUE, "000000ff", RecordKind.BLUETOOTH, 255),
        (21, DpType.ENUM, "0a", RecordKind.ALARM, Alarm.LOW_BATTERY),
        (55, DpType.VALUE, "00000028", RecordKind.TEMPORARY_PASSWORD, 40),
        (57, DpType.ENUM, "03", RecordKind.COMBINED, 3),
        (62, DpType.VALUE, "00000800", RecordKind.REMOTE_PHONE, 8),
        (63, DpType.VALUE, "00000700", RecordKind.REMOTE_VOICE, 7),
        (66, DpType.RAW, "ff5c14cd8fec4d2c20462ed51242db89", RecordKind.OFFLINE_CLEARED_ALL, None),
        (67, DpType.RAW, "4d5de81cf3d1abdf9a4b5bad33cad874", RecordKind.OFFLINE_PASSWORD, None),
    ],
)
def test_a_recorded_event_is_read_and_made_again(
    number: int, dp_type: DpType, raw: str, kind: RecordKind, value: int | None
) -> None:
    datapoint = Datapoint(number, dp_type, bytes.fromhex(raw))
    event = RecordEvent.read(datapoint, V3_3)
    assert (event.kind, event.value, event.raw.hex()) == (kind, value, raw)
    content = datapoint.data if value is None else value
    assert RecordEvent.of(kind, content, V3_3) == event


def test_the_general_record_carries_an_opening() -> None:
    # Source: tests/captures/firmware/lock-open-method.jsonl.
    raw = bytes.fromhex("0c2effff3337383331333136016741cccd02")
    event = RecordEvent.read(Datapoint.raw(V3_3.number(DpName.OPEN_RECORD), raw), V3_3)
    assert (event.kind, event.value) == (RecordKind.OPENED, None)
    assert OpenRecord.from_bytes(event.raw).method == 2


def test_the_same_number_is_another_event_in_another_generation() -> None:
    datapoint = Datapoint.raw(56, bytes(16))
    assert RecordEvent.read(datapoint, DOCUMENT).kind is RecordKind.OFFLINE_PASSWORD
    assert RecordEvent.read(datapoint, V3_3).kind is RecordKind.UNKNOWN


def test_an_event_nobody_knows_is_kept_whole() -> None:
    event = RecordEvent.read(Datapoint.number(200, 7), V3_3)
    assert (event.kind, event.value, event.raw) == (RecordKind.UNKNOWN, None, b"\0\0\0\7")


def test_an_event_whose_data_are_no_number_is_kept_without_a_value() -> None:
    event = RecordEvent.read(Datapoint.raw(12, b""), V3_3)
    assert (event.kind, event.value) == (RecordKind.FINGERPRINT, None)
    assert RecordEvent.read(Datapoint.raw(12, bytes(5)), V3_3).value is None


def test_an_alarm_that_no_document_names_keeps_its_number() -> None:
    event = RecordEvent.read(Datapoint.enum(21, 0x63), V3_3)
    assert (event.kind, event.value) == (RecordKind.ALARM, 0x63)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (RecordKind.UNKNOWN, 1),
        (RecordKind.REMOTE, 1),  # of the other numbering
        (RecordKind.FINGERPRINT, b"\1"),
        (RecordKind.FINGERPRINT, -1),
        (RecordKind.FINGERPRINT, 2**31),
        (RecordKind.FROM_INSIDE, 2),
        (RecordKind.ALARM, 256),
        (RecordKind.OPENED, 1),
    ],
)
def test_an_event_that_cannot_be_is_not_made(kind: RecordKind, content: int | bytes) -> None:
    with pytest.raises(LocalProtocolError):
        RecordEvent.of(kind, content, V3_3)


def test_the_bytes_of_an_event_are_not_shown() -> None:
    # They may be a check code (general record) or a sealed password.
    event = RecordEvent.of(RecordKind.OPENED, b"\0\1\xff\xff83619274", V3_3)
    assert "83619274" not in repr(event)


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=40))
def test_no_datapoint_is_refused_as_an_event(number: int, dp_type: int, data: bytes) -> None:
    datapoint = Datapoint(number, dp_type, data)
    assert RecordEvent.read(datapoint, V3_3).datapoint == datapoint


@given(st.integers(0, 0xFFFF))
def test_remote_members_survive_their_swapped_bytes(member: int) -> None:
    event = RecordEvent.of(RecordKind.REMOTE_VOICE, member, V3_3)
    assert event.value == member
    assert event.raw == b"\0\0" + member.to_bytes(2, "little")


def test_alarms_have_the_numbers_of_the_reference() -> None:
    # Source: reference protocol §6.2.
    assert [alarm.value for alarm in Alarm] == list(range(0x0E))
    assert (Alarm.FALSE_LOCK, Alarm.LEFT_OPEN, Alarm.PRIED, Alarm.SHOCK) == (4, 6, 8, 0x0C)


# -- asking for them


def test_the_documented_request_has_ids_and_code() -> None:
    # Source: tests/captures/firmware/lock-records-passthrough.jsonl (command 0x0023).
    raw = bytes.fromhex("ffff6597383735393037323500")
    trigger = RecordTrigger(central=0xFFFF, peripheral=0x6597, code=Secret("87590725"))
    assert trigger.to_bytes() == raw
    assert RecordTrigger.from_bytes(raw) == trigger
    assert GetRecords.with_code(trigger).to_bytes() == raw
    assert GetRecords.from_bytes(raw).trigger == trigger


def test_any_other_request_is_legal_too() -> None:
    # Source: tests/captures/firmware/lock-records-5.jsonl, one zero byte.
    request = GetRecords.from_bytes(b"\0")
    assert request.trigger is None
    assert request.to_bytes() == b"\0"


@given(st.binary(max_size=40))
def test_every_request_for_records_survives_the_wire(raw: bytes) -> None:
    request = GetRecords.from_bytes(raw)
    assert request.to_bytes() == raw
    assert (request.trigger is None) == (len(raw) != 13)


@pytest.mark.parametrize("size", [0, 12, 14])
def test_a_trigger_has_13_bytes(size: int) -> None:
    with pytest.raises(PayloadError):
        RecordTrigger.from_bytes(bytes(size))


# -- plain values


def test_t0_is_ten_digits() -> None:
    # Source: tests/captures/firmware/lock-offline-password.jsonl.
    assert OfflineT0.from_bytes(b"1735157930") == OfflineT0(1735157930)
    assert OfflineT0(60).to_bytes() == b"0000000060"


@pytest.mark.parametrize("seconds", [-1, 10**10])
def test_a_t0_of_another_length_is_our_own_fault(seconds: int) -> None:
    with pytest.raises(LocalProtocolError):
        OfflineT0(seconds).to_bytes()


@given(st.binary(max_size=12) | st.text("0123456789 +-_", max_size=11).map(str.encode))
def test_only_ten_digits_are_a_t0(raw: bytes) -> None:
    try:
        t0 = OfflineT0.from_bytes(raw)
    except PayloadError:
        assert len(raw) != 10 or set(raw) - set(b"0123456789")
    else:
        assert t0.to_bytes() == raw


def test_a_battery_is_read_whatever_its_type_byte_claims() -> None:
    # Source: tests/captures/firmware/lock-counter.jsonl, and the status of a K3 BLE PRO 2
    # (frankhommers/tuya_ble_lock @1a936ae; field entry k3-status-bundle): 00000064.
    assert read_battery(Datapoint(8, DpType.VALUE, b"\0\0\0\x64")) == 100
    assert read_battery(Datapoint(8, DpType.RAW, b"\x05")) == 5


@pytest.mark.parametrize("data", ["", "65", "ffffffff", "0000000064"])
def test_no_battery_is_above_100_percent(data: str) -> None:
    with pytest.raises(PayloadError):
        read_battery(Datapoint(8, DpType.VALUE, bytes.fromhex(data)))


def test_a_switch_is_read_whatever_its_type_byte_claims() -> None:
    # Source: ShonP40/Tuya-BLE @e7c909c tuya_ble.py:1552 (MIT; field entry raykube-a1ultra-lock):
    # the official app writes 46 as raw 01.
    assert read_switch(Datapoint(46, DpType.RAW, b"\1"))
    assert not read_switch(Datapoint(47, DpType.BOOL, b"\0"))


@pytest.mark.parametrize("data", [b"", b"\2", b"\0\1"])
def test_a_switch_is_0_or_1(data: bytes) -> None:
    with pytest.raises(PayloadError):
        read_switch(Datapoint(47, DpType.BOOL, data))


def test_battery_class_and_door_are_numbers_with_names() -> None:
    # Source: tests/captures/firmware/lock-state-reports.jsonl.
    assert Datapoint(9, DpType.ENUM, b"\2").as_int == BatteryClass.LOW
    assert Datapoint(40, DpType.ENUM, b"\1").as_int == DoorContact.OPEN
