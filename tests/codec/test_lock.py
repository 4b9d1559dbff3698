"""The lock application's own payloads: check code, opening, remote keys, accessories."""

from __future__ import annotations

from typing import Protocol, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import lock
from protocol.errors import LocalProtocolError, PayloadError
from protocol.keys import Secret
from protocol.lock import (
    APP_CENTRAL,
    METHOD_MEMBER,
    NO_CODE,
    AccessoryReply,
    AccessoryResult,
    AccessorySet,
    CheckCodeOperation,
    CheckCodeReply,
    CheckCodeResult,
    CheckCodeSet,
    OldOpen,
    OldOpenReply,
    OpenOperation,
    OpenRecord,
    OpenReply,
    OpenRequest,
    OpenResult,
    RemoteKeyCheckedReply,
    RemoteKeyResult,
    RemoteKeySet,
    RemoteKeySetChecked,
    RemoteOpen,
    RemoteOpenResult,
    RemoteOpenSource,
    RemoteReply,
)


class Payload(Protocol):
    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read it."""

    def to_bytes(self) -> bytes:
        """Write it."""


SIZES: dict[type[Payload], int] = {
    CheckCodeSet: 23,
    CheckCodeReply: 16,
    OpenReply: 19,
    OldOpen: 2,
    OldOpenReply: 2,
    RemoteKeySet: 21,
    RemoteReply: 3,
    RemoteOpen: 12,
    RemoteKeySetChecked: 33,
    RemoteKeyCheckedReply: 16,
    AccessorySet: 45,
    AccessoryReply: 14,
}
OPENINGS: list[type[Payload]] = [OpenRequest, OpenRecord]


# -- literal bytes


def test_the_cloud_example_of_a_first_check_code_is_read_field_by_field() -> None:
    # Source: project brief, doorLock.getIssuedConfig example (field entry seed-wake_up_ins).
    raw = bytes.fromhex("ffff0005000000000000000000ffff3532373737393530")
    request = CheckCodeSet.from_bytes(raw)
    assert request == CheckCodeSet(
        central=APP_CENTRAL,
        peripheral=5,
        code=NO_CODE,
        operation=CheckCodeOperation.ADD,
        new_central=APP_CENTRAL,
        new_code=Secret("52777950"),
    )
    assert request.to_bytes() == raw


def test_the_answer_of_a_lock_that_has_a_code_already_is_read() -> None:
    # Source: tests/captures/firmware/lock-code-results.jsonl.
    reply = CheckCodeReply.from_bytes(bytes.fromhex("1f4bffff313233343536373800ffff04"))
    assert (reply.peripheral, reply.central, reply.new_central) == (0x1F4B, 0xFFFF, 0xFFFF)
    assert reply.code == Secret("12345678")
    assert reply.result == CheckCodeResult.WRONG_CODE


@pytest.mark.parametrize(
    ("raw", "timestamp"),
    [
        # Source: ShonP40/Tuya-BLE @e7c909c tuya_ble.py:1573-1597, as the official app sends it
        # (MIT; code and time blanked by them; field entry raykube-a1ultra-unlock-template).
        ("ffff0001303030303030303001000000000001", 0),
        # Source: unit test vector of a public library (MIT; field entry vec-menelike-unlock).
        ("ffff0001303030303030303001112233440001", 0x11223344),
    ],
    ids=["raykube", "menelike"],
)
def test_openings_of_public_projects_are_the_ones_we_would_write(raw: str, timestamp: int) -> None:
    request = OpenRequest(
        central=APP_CENTRAL,
        peripheral=1,
        code=Secret("00000000"),
        operation=OpenOperation.OPEN,
        timestamp=timestamp,
        method=METHOD_MEMBER,
        info=b"\x01",
    )
    assert request.to_bytes().hex() == raw
    assert OpenRequest.from_bytes(bytes.fromhex(raw)) == request
    assert request.member == 1


def test_the_answer_of_a_real_lock_has_its_ids_swapped() -> None:
    # Source: frankhommers/tuya_ble_lock @1a936ae tests/test_dp_parsing.py:73-88, K3 BLE PRO 2
    # (field entry k3-dp71-echo; the datapoint's own bytes).
    raw = bytes.fromhex("0001ffff33353237333638360169de185f0000")
    assert OpenReply.from_bytes(raw) == OpenReply(
        peripheral=1,
        central=APP_CENTRAL,
        code=Secret("35273686"),
        operation=OpenOperation.OPEN,
        timestamp=1776162911,
        method=METHOD_MEMBER,
        result=OpenResult.OK,
    )
    assert OpenReply.from_bytes(raw).to_bytes() == raw


@pytest.mark.parametrize(
    ("raw", "result"),
    [
        ("d4f0ffff3138363239393034016988b0f60000", OpenResult.OK),
        ("d4f0ffff3138363239393034016988b0f60002", OpenResult.UNKNOWN_CENTRAL),
        ("d4f1ffff3138363239393034016988b0f60003", OpenResult.WRONG_PERIPHERAL),
        ("d4f0ffff3038363239393034016988b0f60004", OpenResult.WRONG_CODE),
        ("d4f0ffff3138363239393034026988b0f60005", OpenResult.BAD_OPERATION),
    ],
)
def test_answers_to_an_opening_name_the_reason(raw: str, result: OpenResult) -> None:
    # Source: tests/captures/firmware/lock-open-refused.jsonl.
    assert OpenReply.from_bytes(bytes.fromhex(raw)).result == result


@pytest.mark.parametrize(
    ("raw", "result"),
    [
        ("25850001373438373337383401000802", RemoteKeyResult.UNKNOWN_CENTRAL),
        ("2585ffff303030303030303001000804", RemoteKeyResult.WRONG_CODE),
        ("2585ffff373438373337383401000800", RemoteKeyResult.OK),
    ],
)
def test_answers_to_a_checked_remote_key_name_the_reason(raw: str, result: RemoteKeyResult) -> None:
    # Source: tests/captures/firmware/lock-remote-key-checked.jsonl.
    assert RemoteKeyCheckedReply.from_bytes(bytes.fromhex(raw)).result == result


def test_results_have_the_numbers_of_the_reference() -> None:
    # Source: reference protocol §6.5 and §6.6.
    assert [result.value for result in CheckCodeResult] == [0, 2, 3, 4, 5, 6, 7]
    assert [result.value for result in OpenResult] == [0, 1, 2, 3, 4, 5]
    assert [result.value for result in RemoteOpenResult] == [0, 1, 2, 3, 4, 5]
    assert [result.value for result in RemoteKeyResult] == [0, 1, 2, 3, 4]
    assert [result.value for result in AccessoryResult] == [0, 2, 3, 7]


def test_an_opening_and_its_record_differ_in_the_order_of_ids_only() -> None:
    # Source: tests/captures/firmware/lock-open-method.jsonl, method 1 with three bytes of info.
    request = OpenRequest.from_bytes(bytes.fromhex("ffff0c2e3337383331333136016741cccc01050607"))
    record = OpenRecord.from_bytes(bytes.fromhex("0c2effff3337383331333136016741cccc01050607"))
    assert (request.central, request.peripheral) == (0xFFFF, 0x0C2E)
    assert (record.central, record.peripheral) == (0xFFFF, 0x0C2E)
    assert record.info == request.info == b"\x05\x06\x07"
    assert (request.code, request.timestamp) == (record.code, record.timestamp)


def test_an_opening_by_another_method_or_without_info_has_no_member() -> None:
    # Source: tests/captures/firmware/lock-open-method.jsonl, method 2 without info.
    by_method_2 = OpenRequest.from_bytes(bytes.fromhex("ffff0c2e3337383331333136016741cccd02"))
    assert by_method_2.info == b""
    assert by_method_2.member is None
    assert OpenRequest.from_bytes(by_method_2.to_bytes()[:-1] + b"\0").member is None
    assert OpenRequest.from_bytes(by_method_2.to_bytes() + b"\7").member is None


@pytest.mark.parametrize(
    ("raw", "result"),
    [
        ("000007", RemoteOpenResult.OK),
        ("020007", RemoteOpenResult.NO_KEY),
        ("030007", RemoteOpenResult.USED_UP),
        ("040007", RemoteOpenResult.OUT_OF_TIME),
        ("050007", RemoteOpenResult.WRONG_KEY),
    ],
)
def test_answers_to_a_remote_opening_name_the_reason(raw: str, result: RemoteOpenResult) -> None:
    # Source: tests/captures/firmware/lock-remote-key.jsonl.
    assert RemoteReply.from_bytes(bytes.fromhex(raw)) == RemoteReply(result, 7)


def test_a_remote_key_and_its_use_are_read_field_by_field() -> None:
    # Source: tests/captures/firmware/lock-remote-key.jsonl.
    key_set = RemoteKeySet.from_bytes(bytes.fromhex("010007662b48a1662b6fb1000252656d4b65793031"))
    assert key_set == RemoteKeySet(
        valid=1, member=7, begin=0x662B48A1, end=0x662B6FB1, count=2, key=Secret("RemKey01")
    )
    use = RemoteOpen.from_bytes(bytes.fromhex("01000752656d4b6579303102"))
    assert use == RemoteOpen(OpenOperation.OPEN, 7, Secret("RemKey01"), RemoteOpenSource.VOICE)


def test_a_checked_remote_key_is_a_remote_key_behind_ids_and_code() -> None:
    # Source: tests/captures/firmware/lock-remote-key-checked.jsonl.
    raw = bytes.fromhex("ffff25853734383733373834010008663f60e6663f87f6000247774b6579313233")
    checked = RemoteKeySetChecked.from_bytes(raw)
    inner = RemoteKeySet.from_bytes(raw[12:])
    assert (checked.central, checked.peripheral) == (0xFFFF, 0x2585)
    assert (checked.valid, checked.member, checked.count) == (1, 8, 2)
    assert (checked.begin, checked.end, checked.key) == (inner.begin, inner.end, inner.key)
    reply = RemoteKeyCheckedReply.from_bytes(bytes.fromhex("2584ffff373438373337383401000803"))
    assert (reply.peripheral, reply.member) == (0x2584, 8)
    assert reply.result == RemoteKeyResult.WRONG_PERIPHERAL


def test_an_old_opening_reports_success_as_1() -> None:
    # Source: tests/captures/firmware/lock-open-jammed.jsonl.
    assert OldOpen.from_bytes(b"\1\5") == OldOpen(open=1, member=5)
    assert OldOpenReply.from_bytes(b"\0\5") == OldOpenReply(result=0, member=5)


def test_an_accessory_is_told_lock_and_code_in_45_bytes() -> None:
    # Layout: reference protocol §6.6 (official central, tuya_ble_master.c:83-101).
    told = AccessorySet(
        operation=CheckCodeOperation.ADD,
        central=2,
        code=Secret("12345678"),
        peripheral=0x1F4B,
        device_id=b"0123456789abcdef",
        login_key=Secret(bytes(range(16))),
    )
    assert told.to_bytes().hex() == (
        "00000231323334353637381f4b30313233343536373839616263646566000102030405060708090a0b0c0d0e0f"
    )
    reply = AccessoryReply.from_bytes(bytes.fromhex("00000231323334353637381f4b03"))
    assert (reply.central, reply.peripheral) == (2, 0x1F4B)
    assert reply.result == AccessoryResult.FULL


# -- for all


@pytest.mark.parametrize(("kind", "size"), list(SIZES.items()))
def test_a_fixed_payload_has_one_length_only(kind: type[Payload], size: int) -> None:
    raw = bytes(range(size))
    assert kind.from_bytes(raw).to_bytes() == raw
    for wrong in (b"", raw[:-1], raw + b"\0"):
        with pytest.raises(PayloadError):
            kind.from_bytes(wrong)


@pytest.mark.parametrize("kind", OPENINGS)
def test_an_opening_has_18_bytes_or_more(kind: type[Payload]) -> None:
    for size in range(18):
        with pytest.raises(PayloadError):
            kind.from_bytes(bytes(size))
    assert kind.from_bytes(bytes(18)).to_bytes() == bytes(18)


@pytest.mark.parametrize("kind", [*SIZES, *OPENINGS])
@given(raw=st.binary(max_size=60))
@settings(deadline=None)
def test_garbage_is_read_back_unchanged_or_refused(kind: type[Payload], raw: bytes) -> None:
    try:
        payload = kind.from_bytes(raw)
    except PayloadError:
        return
    assert payload.to_bytes() == raw


codes = st.binary(min_size=8, max_size=8).map(Secret)
ids = st.integers(0, 0xFFFF)
byte = st.integers(0, 0xFF)
openings = st.tuples(ids, ids, codes, byte, st.integers(0, 2**32 - 1), byte, st.binary())


@given(openings)
def test_every_opening_survives_the_wire(
    fields: tuple[int, int, Secret, int, int, int, bytes],
) -> None:
    request, record = OpenRequest(*fields), OpenRecord(*fields)
    assert OpenRequest.from_bytes(request.to_bytes()) == request
    assert OpenRecord.from_bytes(record.to_bytes()) == record
    assert request.to_bytes()[:4] == record.to_bytes()[2:4] + record.to_bytes()[:2]


@pytest.mark.parametrize(
    "change",
    [{"central": 0x10000}, {"peripheral": -1}, {"code": Secret("1234567")}, {"method": 256}],
    ids=str,
)
def test_an_opening_of_our_own_that_does_not_fit_is_our_own_fault(change: dict[str, int]) -> None:
    fields = {
        "central": APP_CENTRAL,
        "peripheral": 1,
        "code": Secret("12345678"),
        "operation": OpenOperation.OPEN,
        "timestamp": 0,
        "method": METHOD_MEMBER,
        "info": b"\1",
    }
    with pytest.raises(LocalProtocolError):
        OpenRequest(**{**fields, **change}).to_bytes()  # type: ignore[arg-type]


def test_no_code_and_no_key_is_shown() -> None:
    code = b"83619274"
    shown = repr(
        (
            CheckCodeSet.from_bytes(bytes(4) + code + bytes(3) + code),
            CheckCodeReply.from_bytes(bytes(4) + code + bytes(4)),
            OpenRequest.from_bytes(bytes(4) + code + bytes(7)),
            OpenRecord.from_bytes(bytes(4) + code + bytes(7)),
            OpenReply.from_bytes(bytes(4) + code + bytes(7)),
            RemoteKeySet.from_bytes(bytes(13) + code),
            RemoteKeySetChecked.from_bytes(bytes(4) + code + bytes(13) + code),
            RemoteKeyCheckedReply.from_bytes(bytes(4) + code + bytes(4)),
            RemoteOpen.from_bytes(bytes(3) + code + bytes(1)),
            AccessorySet.from_bytes(bytes(3) + code + bytes(18) + code + code),
            AccessoryReply.from_bytes(bytes(3) + code + bytes(3)),
        )
    )
    assert code.decode() not in shown
    assert shown.count("Secret(8 bytes)") == 13


def test_results_that_no_document_names_survive() -> None:
    reply = OpenReply.from_bytes(bytes(18) + b"\x63")
    assert reply.result == 0x63
    assert reply.result not in set(lock.OpenResult)
