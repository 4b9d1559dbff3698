"""Typed payloads of every command, both ways, against every recorded frame."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.commands import (
    TIME_CODES,
    CommandCode,
    DeviceInfoRequest,
    DpQuery,
    DpWrite,
    DpWriteReply,
    DpWriteV4,
    Opaque,
    Sender,
    Status,
    code_name,
    read_payload,
)
from protocol.datapoint import Datapoint
from protocol.errors import LocalProtocolError, PayloadError
from protocol.keys import LockKeys, Secret
from protocol.pairing import PairRequest, PairStatus

FIRMWARE = Path(__file__).resolve().parents[1] / "captures/firmware"

# A central that misbehaves on purpose: acknowledgements of no data at all. The lock takes the
# next byte it has (reference: locks in the field §3); we would never send or accept one.
UNREADABLE = {("lock-records-empty-ack", CommandCode.REPORT_TIMED, ""): 2}


@cache
def recorded() -> tuple[tuple[str, Sender, int, str], ...]:
    """Name of the recording, sender, command and data (hex) of every recorded frame."""
    return tuple(_recorded())


def _recorded() -> Iterator[tuple[str, Sender, int, str]]:
    for path in sorted(FIRMWARE.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            event = json.loads(line)
            if frame := event.get("frame"):
                yield path.stem, Sender(event["dir"]), int(frame["cmd"], 16), frame["data"]


def test_every_recorded_payload_is_read_and_written_back_byte_for_byte() -> None:
    refused: Counter[tuple[str, int, str]] = Counter()
    count = 0
    for name, sender, code, data in recorded():
        try:
            payload = read_payload(sender, code, bytes.fromhex(data))
        except PayloadError:
            refused[name, code, data] += 1
            continue
        assert payload.to_bytes().hex() == data, f"{name}: {sender} {code:#06x} {payload}"
        count += 1
    assert refused == UNREADABLE
    assert count > 2000


@pytest.mark.parametrize(
    ("sender", "code", "kind", "at_least"),
    [
        (Sender.CENTRAL, 0x0000, "DeviceInfoRequest", 100),
        (Sender.CENTRAL, 0x0001, "PairRequest", 100),
        (Sender.CENTRAL, 0x0002, "DpWrite", 200),
        (Sender.CENTRAL, 0x0003, "DpQuery", 30),
        (Sender.CENTRAL, 0x0005, "Opaque", 2),
        (Sender.CENTRAL, 0x0014, "Opaque", 1),
        (Sender.CENTRAL, 0x0023, "Opaque", 4),
        (Sender.CENTRAL, 0x0027, "DpWriteV4", 20),
        (Sender.CENTRAL, 0x7777, "Opaque", 1),
        (Sender.CENTRAL, 0x8001, "ReportAck", 20),
        (Sender.CENTRAL, 0x8003, "ReportAck", 200),
        (Sender.CENTRAL, 0x8004, "ReportAck", 1),
        (Sender.CENTRAL, 0x8005, "ReportAck", 2),
        (Sender.CENTRAL, 0x8006, "ReportAck", 20),
        (Sender.CENTRAL, 0x8007, "ReportAck", 10),
        (Sender.CENTRAL, 0x8011, "ClockAnswer", 100),
        (Sender.CENTRAL, 0x8012, "DateAnswer", 3),
        (Sender.CENTRAL, 0x8013, "DateAnswer", 3),
        (Sender.CENTRAL, 0x8014, "SavingAnswer", 3),
        (Sender.LOCK, 0x0000, "DeviceInfo", 100),
        (Sender.LOCK, 0x0001, "Status", 100),
        (Sender.LOCK, 0x0002, "Status", 200),
        (Sender.LOCK, 0x0003, "Status", 10),
        (Sender.LOCK, 0x0005, "Status", 2),
        (Sender.LOCK, 0x0014, "Status", 1),
        (Sender.LOCK, 0x001E, "Status", 8),
        (Sender.LOCK, 0x0023, "Opaque", 1),
        (Sender.LOCK, 0x0027, "DpWriteReply", 20),
        (Sender.LOCK, 0x8001, "Report", 300),
        (Sender.LOCK, 0x8003, "Report", 250),
        (Sender.LOCK, 0x8004, "Report", 1),
        (Sender.LOCK, 0x8005, "Report", 2),
        (Sender.LOCK, 0x8006, "Report", 20),
        (Sender.LOCK, 0x8007, "Report", 10),
        (Sender.LOCK, 0x8011, "TimeRequest", 100),
        (Sender.LOCK, 0x8012, "TimeRequest", 3),
        (Sender.LOCK, 0x8013, "TimeRequest", 3),
        (Sender.LOCK, 0x8014, "TimeRequest", 3),
    ],
)
def test_the_recordings_have_each_type(sender: Sender, code: int, kind: str, at_least: int) -> None:
    kinds: Counter[str] = Counter()
    for name, who, found, data in recorded():
        if (who, found) == (sender, code) and (name, code, data) not in UNREADABLE:
            kinds[type(read_payload(who, found, bytes.fromhex(data))).__name__] += 1
    assert set(kinds) == {kind}
    assert kinds[kind] >= at_least


def test_no_recorded_command_was_forgotten_above() -> None:
    table = test_the_recordings_have_each_type.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {(who, code) for _, who, code, _ in recorded()} == {row[:2] for row in table}


def test_an_acknowledgement_without_data_is_refused() -> None:
    with pytest.raises(PayloadError):
        read_payload(Sender.CENTRAL, CommandCode.REPORT_TIMED, b"")


# -- garbage


CODES = sorted({*CommandCode, 0x0099, 0x7777, 0x8010, 0xFFFF})


@pytest.mark.parametrize("sender", Sender)
@pytest.mark.parametrize("code", CODES)
def test_every_length_of_nonsense_is_read_or_a_payload_error(sender: Sender, code: int) -> None:
    for size in range(140):
        for filler in (0x00, 0x01, 0x31, 0xFF):
            try:
                payload = read_payload(sender, code, bytes((filler,)) * size)
            except PayloadError:
                continue
            payload.to_bytes()


@given(st.sampled_from(Sender), st.sampled_from(CODES), st.binary(max_size=140))
def test_garbage_is_read_and_written_back_or_a_payload_error(
    sender: Sender, code: int, data: bytes
) -> None:
    try:
        payload = read_payload(sender, code, data)
    except PayloadError:
        return
    # A status ignores what follows it, as the SDK does.
    assert data.startswith(payload.to_bytes())
    assert repr(payload)


@pytest.mark.parametrize("sender", Sender)
def test_a_command_without_a_type_keeps_its_bytes(sender: Sender) -> None:
    payload = read_payload(sender, 0x7777, b"canary")
    assert payload == Opaque(b"canary")
    assert payload.to_bytes() == b"canary"
    assert "canary" not in repr(payload)


@pytest.mark.parametrize(
    ("code", "name"), [(0x0002, "dp_write"), (0x8007, "report_timed_v4"), (0x99, "0x0099")]
)
def test_a_command_is_shown_by_name_or_number(code: int, name: str) -> None:
    assert code_name(code) == name


def test_the_commands_that_ask_for_the_time() -> None:
    assert sorted(TIME_CODES) == [0x8011, 0x8012, 0x8013, 0x8014]


# -- device information request


def test_the_request_of_4_has_exactly_two_bytes() -> None:
    # Source: sdk44-244-handshake.jsonl (244), field.json "bt785-devinfo-req" (243).
    for packets, raw in ((244, "00f4"), (243, "00f3"), (20, "0014"), (0, "0000"), (65535, "ffff")):
        assert DeviceInfoRequest.for_packets(packets).to_bytes().hex() == raw
        assert DeviceInfoRequest.from_bytes(bytes.fromhex(raw)).packet_size == packets
    for wrong in (b"", b"\0", b"\0\0\0"):
        assert DeviceInfoRequest.from_bytes(wrong).packet_size is None
    for packets in (-1, 65536):
        with pytest.raises(LocalProtocolError):
            DeviceInfoRequest.for_packets(packets)


# -- pairing

# Source: tests/captures/firmware/lock-handshake.jsonl, secv2-244-handshake.jsonl.
KEYS = LockKeys(
    uuid="c44e2cbf2241829b",
    virtual_id="bfrzdf9t0bdmeeg6zxu1v7",
    local_key=Secret("wIWK4I68pHbZDsiv"),
)
PAIR = (
    "6334346532636266323234313832396277" + "49574b34496266727a646639743062646d656567367a7875317637"
)
KEYS_V2 = LockKeys(
    uuid="tuyaa5152b319999",
    virtual_id="bfiytc8y8m4uokvekm8m18",
    local_key=Secret("2c7HODyzmIolw9Cs"),
    sec_key=Secret("p5b6yu1heySJkYWw"),
)


def test_pairing_takes_44_bytes() -> None:
    request = PairRequest.of(KEYS)
    assert request.to_bytes().hex() == PAIR
    assert PairRequest.from_bytes(bytes.fromhex(PAIR)) == request
    assert len(request.to_bytes()) == 44


def test_pairing_with_security_v2_takes_76() -> None:
    request = PairRequest.of(KEYS_V2, security_v2=True)
    expected = b"tuyaa5152b319999" + b"2c7HOD" + b"bfiytc8y8m4uokvekm8m18"
    assert request.to_bytes() == expected + b"2c7HODyzmIolw9Cs" + b"p5b6yu1heySJkYWw"
    assert PairRequest.from_bytes(request.to_bytes()) == request
    recordings = [data for name, _, code, data in recorded() if code == 1 and "secv2-244-h" in name]
    assert request.to_bytes().hex() in recordings


def test_a_beacon_key_follows_with_its_length() -> None:
    # Reference: protocol §4.1; no recording has one.
    raw = bytes.fromhex(PAIR) + b"\x10" + b"B" * 16
    request = PairRequest.from_bytes(raw)
    assert request.beacon_key == Secret(b"B" * 16)
    assert request.to_bytes() == raw


def test_nothing_secret_of_a_pair_request_is_shown() -> None:
    shown = repr(PairRequest.of(KEYS_V2, security_v2=True))
    assert "2c7H" not in shown
    assert "p5b6" not in shown


@pytest.mark.parametrize("size", [17, 18, 30, 255])
def test_a_beacon_key_of_more_than_16_bytes_is_refused(size: int) -> None:
    # What could be read and not be written would be no payload of ours.
    with pytest.raises(PayloadError):
        PairRequest.from_bytes(bytes.fromhex(PAIR) + bytes((size,)) + bytes(size))


def test_any_other_length_of_a_pair_request_is_refused() -> None:
    raw = bytes.fromhex(PAIR) + b"\x10" + b"B" * 40
    for size in [*range(44), 45, 60, 62, 75, 77]:
        with pytest.raises(PayloadError):
            PairRequest.from_bytes(raw[:size])


@pytest.mark.parametrize(
    "keys",
    [
        LockKeys(uuid=KEYS.uuid, sec_key=KEYS_V2.sec_key),
        LockKeys(uuid=KEYS.uuid, local_key=KEYS.local_key),
    ],
)
def test_pairing_with_security_v2_without_its_keys_is_our_bug(keys: LockKeys) -> None:
    with pytest.raises(LocalProtocolError):
        PairRequest.of(keys, security_v2=True)


KEY16 = Secret(b"k" * 16)


@pytest.mark.parametrize(
    "request_",
    [
        PairRequest(uuid16=b"short", login_key=Secret(b"6bytes"), virtual_id22=bytes(22)),
        PairRequest(uuid16=bytes(16), login_key=Secret(b"5byte"), virtual_id22=bytes(22)),
        PairRequest(uuid16=bytes(16), login_key=Secret(b"6bytes"), virtual_id22=bytes(21)),
        PairRequest(
            uuid16=bytes(16),
            login_key=Secret(b"6bytes"),
            virtual_id22=bytes(22),
            beacon_key=Secret(bytes(17)),
        ),
        PairRequest(
            uuid16=bytes(16),
            login_key=Secret(b"6bytes"),
            virtual_id22=bytes(22),
            beacon_key=KEY16,
            local_key=KEY16,
            sec_key=KEY16,
        ),
        PairRequest(
            uuid16=bytes(16),
            login_key=Secret(b"6bytes"),
            virtual_id22=bytes(22),
            local_key=Secret(bytes(15)),
            sec_key=KEY16,
        ),
    ],
)
def test_a_pair_request_of_wrong_parts_is_our_bug(request_: PairRequest) -> None:
    with pytest.raises(LocalProtocolError):
        request_.to_bytes()


def test_the_answers_to_pairing() -> None:
    assert (PairStatus.BOUND, PairStatus.FAILED, PairStatus.ALREADY_BOUND) == (0, 1, 2)
    assert read_payload(Sender.LOCK, CommandCode.PAIR, b"\2") == Status(PairStatus.ALREADY_BOUND)


# -- status, write, query


def test_a_status_is_one_byte_and_ignores_what_follows() -> None:
    assert Status.from_bytes(b"\1\2\3") == Status(1)
    assert Status(7).to_bytes() == b"\7"
    with pytest.raises(PayloadError):
        Status.from_bytes(b"")


def test_a_write_of_3_has_short_lengths_and_one_of_4_a_header() -> None:
    datapoint = Datapoint.boolean(46, True)
    assert DpWrite((datapoint,)).to_bytes().hex() == "2e010101"
    # Source: github.com/c7fen/ha_tuya_ble tests/test_protocol_v4.py, field.json
    # "vec-c7fen-v4-write".
    raw = bytes.fromhex("00010203046901000101")
    assert DpWriteV4.from_bytes(raw) == DpWriteV4((Datapoint.boolean(105, True),), 0x01020304)
    assert DpWriteV4((Datapoint.boolean(105, True),), 0x01020304).to_bytes() == raw
    with pytest.raises(PayloadError):
        DpWrite.from_bytes(raw)


@pytest.mark.parametrize(
    "write",
    [
        DpWriteV4((), sn=-1),
        DpWriteV4((), sn=2**32),
        DpWriteV4((), version=256),
        DpWriteV4((Datapoint.raw(1, bytes(65536)),)),
        DpWrite((Datapoint.raw(1, bytes(256)),)),
        DpWrite((Datapoint.raw(300, b""),)),
        DpQuery((256,)),
        DpQuery((-1,)),
    ],
)
def test_a_command_that_does_not_fit_its_fields_is_our_bug(
    write: DpWrite | DpWriteV4 | DpQuery,
) -> None:
    with pytest.raises(LocalProtocolError):
        write.to_bytes()


@pytest.mark.parametrize(
    "answer",
    [
        Status(256),
        Status(-1),
        DpWriteReply(0, 0, 256),
        DpWriteReply(0, -1, 0),
        DpWriteReply(256, 0, 0),
        DpWriteReply(0, 2**32, 0),
    ],
)
def test_an_answer_that_does_not_fit_its_fields_is_our_bug(answer: Status | DpWriteReply) -> None:
    with pytest.raises(LocalProtocolError):
        answer.to_bytes()


def test_every_truncation_of_a_write_is_refused() -> None:
    raw = bytes.fromhex("00010203046901000101")
    for size in [*range(5), *range(6, len(raw))]:
        with pytest.raises(PayloadError):
            DpWriteV4.from_bytes(raw[:size])
    assert DpWriteV4.from_bytes(raw[:5]).datapoints == ()


def test_the_answer_to_a_write_of_4_has_6_bytes() -> None:
    # Source: sdk44-244-sealed-open.jsonl.
    raw = bytes.fromhex("000000000100")
    assert DpWriteReply.from_bytes(raw) == DpWriteReply(version=0, sn=1, state=0)
    assert DpWriteReply(0, 1, 0).to_bytes() == raw
    for size in (0, 1, 5, 7):
        with pytest.raises(PayloadError):
            DpWriteReply.from_bytes(bytes(size))


@given(st.lists(st.integers(0, 255)))
def test_a_query_lists_its_datapoints(ids: list[int]) -> None:
    assert DpQuery.from_bytes(DpQuery(tuple(ids)).to_bytes()) == DpQuery(tuple(ids))


def test_a_query_for_everything_has_no_data() -> None:
    assert DpQuery().to_bytes() == b""
