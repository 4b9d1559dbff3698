"""Credentials: enrolment, temporary passwords, freezing, both kinds of lists."""

from __future__ import annotations

from typing import Protocol, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.credential_list import (
    ENTRIES_PER_PAGE,
    OldSyncChange,
    OldSyncEntry,
    OldSyncReply,
    OldSyncRequest,
    SyncEnd,
    SyncEntry,
    SyncPage,
    SyncRequest,
    read_sync,
    sync_crc8,
)
from protocol.credentials import (
    NO_HARDID,
    ChangeResult,
    CredentialAdd,
    CredentialDelete,
    CredentialDeleted,
    CredentialHead,
    CredentialModified,
    CredentialModify,
    CredentialProgress,
    Cycle,
    DeleteStyle,
    FailReason,
    Freeze,
    FreezeTarget,
    Grant,
    Method,
    Stage,
    TemporaryPasswordAdd,
    TemporaryPasswordDelete,
    TemporaryPasswordModify,
    TemporaryPasswordReply,
    TemporaryResult,
    TemporaryUse,
    Validity,
    digits,
)
from protocol.errors import LocalProtocolError, PayloadError
from protocol.keys import Secret


class Payload(Protocol):
    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read it."""

    def to_bytes(self) -> bytes:
        """Write it."""


TYPES: list[type[Payload]] = [
    CredentialAdd,
    CredentialDelete,
    CredentialDeleted,
    CredentialHead,
    CredentialModified,
    CredentialModify,
    CredentialProgress,
    FreezeTarget,
    Grant,
    OldSyncChange,
    OldSyncEntry,
    OldSyncReply,
    OldSyncRequest,
    SyncEnd,
    SyncEntry,
    SyncPage,
    SyncRequest,
    TemporaryPasswordAdd,
    TemporaryPasswordDelete,
    TemporaryPasswordModify,
    TemporaryPasswordReply,
    Validity,
]


# -- literal bytes


def test_an_enrolled_password_is_read_field_by_field() -> None:
    # Source: tests/captures/firmware/lock-credentials.jsonl.
    raw = bytes.fromhex("01000007ff000000007fffffff0000000000000000000006010203040506")
    add = CredentialAdd.from_bytes(raw)
    assert add == CredentialAdd(
        CredentialHead(Method.PASSWORD, Stage.START, admin=0, member=7, hardid=NO_HARDID),
        Grant(Validity.permanent(), count=0, digits=digits("123456")),
    )
    assert add.to_bytes() == raw


def test_a_real_lock_reports_a_finished_fingerprint() -> None:
    # Source: PlusPlus-ua/ha_tuya_ble issue 70 (public log; field entry kholoaew-dp1-report).
    raw = bytes.fromhex("03ff0101670000")
    progress = CredentialProgress.from_bytes(raw)
    assert progress == CredentialProgress(
        Method.FINGERPRINT, Stage.COMPLETE, admin=1, member=1, hardid=0x67, count=0, result=0
    )
    assert progress.to_bytes() == raw


@pytest.mark.parametrize(
    ("raw", "stage", "hardid"),
    [
        ("03000107ff0600", Stage.START, NO_HARDID),
        ("03fc0107140000", Stage.RUNNING, 20),
        ("01ff0007000000", Stage.COMPLETE, 0),
    ],
)
def test_the_stages_of_an_enrolment_are_read(raw: str, stage: Stage, hardid: int) -> None:
    # Source: tests/captures/firmware/lock-credentials.jsonl.
    progress = CredentialProgress.from_bytes(bytes.fromhex(raw))
    assert (progress.stage, progress.hardid, progress.member) == (stage, hardid, 7)


def test_why_an_enrolment_failed_stands_in_its_result() -> None:
    # Layout: reference protocol §6.2 and §6.4.
    failed = CredentialProgress.from_bytes(bytes.fromhex("01fd0007ff0005"))
    assert failed.stage == Stage.FAILED
    assert failed.result == FailReason.BAD_LENGTH


def test_deleting_one_credential_answers_ff_and_then_0() -> None:
    # Source: tests/captures/firmware/lock-credentials.jsonl.
    delete = CredentialDelete.from_bytes(bytes.fromhex("010000070001"))
    assert delete.style == DeleteStyle.ONE
    first = CredentialDeleted.from_bytes(bytes.fromhex("010000070001ff"))
    second = CredentialDeleted.from_bytes(bytes.fromhex("01000007000100"))
    assert (first.result, second.result) == (ChangeResult.OK, ChangeResult.FAILED)


def test_changing_an_absent_credential_answers_0() -> None:
    # Source: tests/captures/firmware/lock-credentials.jsonl.
    modify = CredentialModify.from_bytes(
        bytes.fromhex("0100000705000000007fffffff000000000000000000000409090909")
    )
    assert (modify.head.hardid, modify.grant.digits) == (5, digits("9999"))
    modified = CredentialModified.from_bytes(bytes.fromhex("01000007050000"))
    assert (modified.hardid, modified.result) == (5, ChangeResult.FAILED)


def test_a_permanent_validity_is_17_bytes_that_end_in_2038() -> None:
    # Source: reference protocol §6.3 (datapoint document 2.7, appendix 1).
    assert Validity.permanent().to_bytes().hex() == "000000007fffffff" + "00" * 9


def test_a_validity_with_a_cycle_is_written_field_by_field() -> None:
    weekdays = Validity(
        start=1,
        end=2,
        cycle=Cycle.WEEK,
        mask=0x3E,
        start_hour=8,
        start_minute=30,
        end_hour=17,
        end_minute=45,
    )
    assert weekdays.to_bytes().hex() == "0000000100000002020000003e081e112d"
    assert Validity.from_bytes(weekdays.to_bytes()) == weekdays


def test_a_temporary_password_that_opens_once_is_read_field_by_field() -> None:
    # Source: tests/captures/firmware/lock-temp-password.jsonl.
    raw = bytes.fromhex("0169a74dcf69a89f4f000000000000000000010701010101020203")
    add = TemporaryPasswordAdd.from_bytes(raw)
    assert add == TemporaryPasswordAdd(
        TemporaryUse.CYCLE,
        Grant(Validity(0x69A74DCF, 0x69A89F4F), count=1, digits=digits("1111223")),
    )
    assert add.to_bytes() == raw


def test_a_changed_temporary_password_names_its_hardid_first() -> None:
    # Source: tests/captures/firmware/lock-temp-password.jsonl.
    raw = bytes.fromhex("2800000000007fffffff0000000000000000000006090909000000")
    modify = TemporaryPasswordModify.from_bytes(raw)
    assert (modify.hardid, modify.use) == (40, TemporaryUse.COUNT)
    assert modify.grant == Grant(Validity.permanent(), 0, digits("999000"))
    assert modify.to_bytes() == raw


def test_a_real_lock_answers_a_restored_temporary_password() -> None:
    # Source: frankhommers/tuya_ble_lock @1a936ae tests/test_dp_parsing.py:73-88, K3 BLE PRO 2
    # (field entry k3-dp53-restore-resp).
    reply = TemporaryPasswordReply.from_bytes(bytes.fromhex("0100"))
    assert reply == TemporaryPasswordReply(hardid=1, result=TemporaryResult.OK)


def test_a_real_lock_lists_two_fingerprints_of_one_member() -> None:
    # Source: frankhommers/tuya_ble_lock @1a936ae tests/test_dp_parsing.py:73-88, K3 BLE PRO 2
    # (field entry k3-dp54-list).
    raw = bytes.fromhex("00000103010102030101")
    page = read_sync(raw)
    assert page == SyncPage(
        number=0,
        entries=(
            SyncEntry(hardid=1, method=Method.FINGERPRINT, member=1, freeze=Freeze.ACTIVE),
            SyncEntry(hardid=2, method=Method.FINGERPRINT, member=1, freeze=Freeze.ACTIVE),
        ),
    )
    assert page.to_bytes() == raw


def test_a_frozen_credential_is_0_in_the_list() -> None:
    # Source: tests/captures/firmware/lock-freeze.jsonl.
    page = SyncPage.from_bytes(bytes.fromhex("000000010700"))
    assert page.entries[0].freeze == Freeze.FROZEN


def test_the_end_of_the_list_says_how_many_pages_there_were() -> None:
    # Source: tests/captures/firmware/lock-sync.jsonl, two pages, and none after a bad request.
    assert read_sync(b"\1\2") == SyncEnd(pages=2)
    assert read_sync(b"\1\0") == SyncEnd(pages=0)


@pytest.mark.parametrize("raw", ["", "00", "01", "0200", "010000", "0000010301"])
def test_neither_a_page_nor_an_end_is_refused(raw: str) -> None:
    with pytest.raises(PayloadError):
        read_sync(bytes.fromhex(raw))


def test_a_full_page_fits_a_datapoint_of_protocol_3() -> None:
    page = SyncPage(0, (SyncEntry(1, 2, 3, 1),) * ENTRIES_PER_PAGE)
    assert len(page.to_bytes()) <= 200


def test_the_older_list_carries_the_low_byte_of_a_crc() -> None:
    # CRC-16/MODBUS of 01 07 01 by the bit-by-bit definition below.
    crc = 0xFFFF
    for byte in (1, 7, 1):
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    entry = SyncEntry(hardid=0, method=1, member=7, freeze=1)
    assert sync_crc8(entry) == crc & 0xFF
    request = OldSyncRequest((OldSyncEntry(0, 1, sync_crc8(entry)),))
    assert request.to_bytes() == bytes((1, 0, 1, crc & 0xFF))


def test_the_older_list_is_answered_with_corrections() -> None:
    # Layout: reference protocol §6.4.
    reply = OldSyncReply.from_bytes(bytes.fromhex("0200010107010128050001"))
    assert reply.changes == (OldSyncChange(0, 1, 1, 7, 1), OldSyncChange(1, 40, 5, 0, 1))


@pytest.mark.parametrize("raw", ["", "01", "010001", "0100010203", "00ff"])
def test_an_older_list_must_have_as_many_entries_as_it_says(raw: str) -> None:
    with pytest.raises(PayloadError):
        OldSyncRequest.from_bytes(bytes.fromhex(raw))


def test_enumerations_have_the_numbers_of_the_reference() -> None:
    # Source: reference protocol §6.2 and §6.4.
    assert [method.value for method in Method] == [1, 2, 3, 4, 5]
    assert [stage.value for stage in Stage] == [0x00, 0xFC, 0xFD, 0xFE, 0xFF]
    assert [reason.value for reason in FailReason] == [*range(0x0B), 0xFE]
    assert (TemporaryResult.OK, TemporaryResult.FAILED, TemporaryResult.FULL) == (0, 1, 2)
    assert (DeleteStyle.MEMBER, DeleteStyle.ONE) == (0, 1)
    assert [cycle.value for cycle in Cycle] == [0, 1, 2, 3]


# -- digits


def test_digits_are_bytes_and_not_ascii() -> None:
    assert digits("0905").reveal() == b"\0\x09\0\5"


@pytest.mark.parametrize("password", ["", "12a4", "12 4", "١٢٣٤", "-123"])
def test_what_is_no_row_of_digits_is_no_password(password: str) -> None:
    with pytest.raises(LocalProtocolError):
        digits(password)


def test_a_password_in_ascii_is_read_but_never_written() -> None:
    raw = Grant(Validity.permanent(), 0, Secret(b"")).to_bytes()[:-1] + b"\4" + b"1234"
    grant = Grant.from_bytes(raw)
    assert grant.digits == Secret("1234")
    with pytest.raises(LocalProtocolError, match="not ASCII"):
        grant.to_bytes()


def test_no_digit_is_shown() -> None:
    shown = repr(TemporaryPasswordAdd(0, Grant(Validity.permanent(), 0, Secret(b"\7\6\5\4\3\2"))))
    assert "Secret(6 bytes)" in shown
    assert "\\x07" not in shown


# -- for all


@pytest.mark.parametrize("kind", TYPES)
@given(raw=st.binary(max_size=60))
@settings(deadline=None)
def test_garbage_is_refused_or_read_back_unchanged(kind: type[Payload], raw: bytes) -> None:
    try:
        payload = kind.from_bytes(raw)
    except PayloadError:
        return
    try:
        assert payload.to_bytes() == raw
    except LocalProtocolError:
        assert digits_of(payload) > {0}


def digits_of(payload: object) -> set[int]:
    """Digits above 9 are the one thing that is read and not written."""
    grant = payload if isinstance(payload, Grant) else getattr(payload, "grant", None)
    assert isinstance(grant, Grant)
    return {0} | {digit for digit in grant.digits.reveal() if digit > 9}


byte = st.integers(0, 0xFF)
seconds = st.integers(0, 2**32 - 1)
validities = st.builds(Validity, seconds, seconds, byte, seconds, byte, byte, byte, byte)
passwords = st.text("0123456789", min_size=1, max_size=12).map(digits)
grants = st.builds(Grant, validities, byte, passwords | st.just(Secret(b"")))
heads = st.builds(CredentialHead, byte, byte, byte, byte, byte)
entries = st.builds(SyncEntry, byte, byte, byte, byte)
payloads: st.SearchStrategy[Payload] = st.one_of(
    st.builds(CredentialAdd, heads, grants),
    st.builds(CredentialModify, heads, grants),
    st.builds(TemporaryPasswordAdd, byte, grants),
    st.builds(TemporaryPasswordModify, byte, byte, grants),
    st.builds(SyncRequest, st.lists(byte).map(tuple)),
    st.builds(SyncPage, byte, st.lists(entries).map(tuple)),
    st.builds(SyncEnd, byte),
    st.builds(OldSyncRequest, st.lists(st.builds(OldSyncEntry, byte, byte, byte)).map(tuple)),
    st.builds(
        OldSyncReply,
        st.lists(st.builds(OldSyncChange, byte, byte, byte, byte, byte)).map(tuple),
    ),
)


@given(payloads)
@settings(deadline=None)
def test_every_payload_survives_the_wire(payload: Payload) -> None:
    assert type(payload).from_bytes(payload.to_bytes()) == payload


@given(payloads, st.data())
@settings(deadline=None)
def test_a_payload_cut_short_or_continued_is_never_read_as_itself(
    payload: Payload, data: st.DataObject
) -> None:
    raw = payload.to_bytes()
    cut = raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw + b"\0"
    try:
        other = type(payload).from_bytes(cut)
    except PayloadError:
        return
    assert (other == payload) == (cut == raw)


@pytest.mark.parametrize(
    "payload",
    [
        SyncRequest((256,)),
        SyncEnd(-1),
        SyncPage(0, (SyncEntry(256, 0, 0, 0),)),
        TemporaryPasswordAdd(0, Grant(Validity(-1, 0), 0, Secret(b""))),
        TemporaryPasswordAdd(0, Grant(Validity.permanent(), 256, Secret(b""))),
        TemporaryPasswordAdd(0, Grant(Validity.permanent(), 0, Secret(bytes(256)))),
        OldSyncRequest((OldSyncEntry(0, 0, 0),) * 256),
    ],
    ids=lambda payload: type(payload).__name__,
)
def test_what_does_not_fit_the_wire_is_our_own_fault(payload: Payload) -> None:
    with pytest.raises(LocalProtocolError):
        payload.to_bytes()
