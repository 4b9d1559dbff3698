"""Real devices: every entry of ``tests/captures/field/field.json``, both ways.

Credits. The file names the public source of each entry; the recordings are by

- Bertrik Sikken: revspace.nl wiki page BT785 and github.com/bertrik/bt785 (MIT), with the keys of
  his own device,
- doli11, cbrand and others in issues 70, 93, 103 and 126 of github.com/PlusPlus-ua/ha_tuya_ble,
- tomaz1: github.com/tomaz1/ha_tuya_ble-test,
- frankhommers: github.com/frankhommers/tuya_ble_lock,
- ShonP40: github.com/ShonP40/Tuya-BLE (MIT),
- menelike: github.com/menelike/esphome-tuya-ble-lock (MIT),
- pvvx: issue 1063 of github.com/custom-components/ble_monitor;

the unit-test vectors by roquerodrigo (tuya-ble-sdk), ha-tuya-ble and c7fen (ha_tuya_ble).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from protocol.commands import CommandCode, DpWrite, DpWriteV4, Sender, read_payload
from protocol.credential_list import SyncEntry, SyncPage, read_sync
from protocol.credentials import CredentialProgress, Stage, TemporaryPasswordReply
from protocol.datapoint import Datapoint
from protocol.device_info import DeviceInfo
from protocol.dialect import Dialect
from protocol.errors import RemoteProtocolError
from protocol.fragment import Joiner, split
from protocol.frame import Frame
from protocol.keys import KeyRing, LockKeys, Secret
from protocol.lock import OpenOperation, OpenReply, OpenRequest
from protocol.message import Opened, close_frame, open_message
from protocol.reports import Report, ReportAck
from protocol.seal import Sealed

PATH = Path(__file__).resolve().parents[1] / "captures/field/field.json"
ENTRIES: dict[str, dict[str, Any]] = {
    entry["id"]: entry for entry in json.loads(PATH.read_text())["entries"]
}
FLAGS = Dialect().known_flags

DECIPHERED = [
    "bt785-devinfo-req",
    "bt785-devinfo-resp-1",
    "bt785-dp8006-value",
    "vec-roquerodrigo-devinfo",
    "vec-roquerodrigo-status",
]
PLAIN = ["bt785-devinfo-resp-3-plain", "bt785-dp8006-ec-plain", "bt785-dp8006-temp-plain"]
TRUNCATED = ["lock-s1pro-devinfo-resp-partial", "fingerbot-6jcvqwh0-partial"]
KEYLESS = [
    "bt785-notify-unknown-session-1",
    "bt785-notify-unknown-session-2",
    "curtain-dps-resp",
    "curtain-dps-resp-2",
    "trv-devinfo-resp",
    "trv-pair-resp",
    "trv-time1-req",
    "trv-dps-resp",
    "trv-dp-batch-1",
    "trv-dp17-raw",
    "trv-dp18-raw",
    "trv-dp19-raw",
]
PAYLOADS = [
    "k3-status-bundle",
    "k3-dp71-echo",
    "k3-dp54-list",
    "k3-dp53-restore-resp",
    "raykube-a1ultra-unlock-template",
    "raykube-a1ultra-lock",
    "raykube-event-dp31",
    "menelike-status",
    "kholoaew-dp1-report",
    "vec-menelike-unlock",
    "vec-c7fen-v4-write",
    "vec-c7fen-v4-report",
    "vec-c7fen-v4-report-ack",
]
ELSEWHERE = {
    "bt785-advert": "test_advertisement",
    "pvvx-fd50-adverts": "test_advertisement",
    "vec-ha-tuya-ble-kdf": "test_keys",
    "seed-bleOpenInstruction": "test_vendor_samples",
    "seed-wake_up_ins": "test_vendor_samples",
}


def test_no_entry_is_left_out() -> None:
    here = [*DECIPHERED, *PLAIN, *TRUNCATED, *KEYLESS, *PAYLOADS, *ELSEWHERE]
    assert sorted(here) == sorted(ENTRIES)
    for module in set(ELSEWHERE.values()):
        assert (Path(__file__).parent / f"{module}.py").is_file()


def test_every_entry_names_its_source() -> None:
    assert [name for name, entry in ENTRIES.items() if not entry["source"]] == []


# -- packets


def packets(name: str) -> list[bytes]:
    return [bytes.fromhex(packet) for packet in ENTRIES[name]["raw_packets"]]


def joined(name: str) -> bytes:
    joiner, message = Joiner(), None
    for packet in packets(name):
        assert message is None
        message = joiner.feed(packet)
    assert message is not None
    assert joiner.major == ENTRIES[name]["transport"]["version_nibble"]
    return message


def sender(name: str) -> Sender:
    return Sender.CENTRAL if ENTRIES[name]["direction"] == "app->device" else Sender.LOCK


def cut_again(name: str, message: bytes) -> list[bytes]:
    transport = ENTRIES[name]["transport"]
    return split(
        message,
        att_payload=max(20, len(packets(name)[0])),
        major=transport["version_nibble"],
        counter=transport["low_nibble"],
    )


@pytest.mark.parametrize("name", [*DECIPHERED, *KEYLESS])
def test_recorded_packets_join_and_are_cut_into_the_same_ones(name: str) -> None:
    message = joined(name)
    assert message.hex() == ENTRIES[name]["reassembled"]
    assert len(message) == ENTRIES[name]["transport"]["total_len"]
    assert cut_again(name, message) == packets(name)


@pytest.mark.parametrize("name", [*DECIPHERED, *KEYLESS])
def test_recorded_messages_are_taken_apart_without_a_key(name: str) -> None:
    sealed = Sealed.from_bytes(joined(name))
    decoded = ENTRIES[name]["decoded"]
    assert (sealed.flag, sealed.iv.hex()) == (decoded["security_flag"], decoded["iv"])


@pytest.mark.parametrize("name", TRUNCATED)
def test_recordings_that_were_cut_off_by_their_source_stay_incomplete(name: str) -> None:
    joiner = Joiner()
    assert [joiner.feed(packet) for packet in packets(name)] == [None] * len(packets(name))
    entry = ENTRIES[name]
    assert joiner.missing == entry["transport"]["total_len"] - len(entry["reassembled"]) // 2 > 0
    # The next message is not harmed by it.
    whole = packets("trv-pair-resp")
    assert [joiner.feed(packet) for packet in whole][-1] == joined("trv-pair-resp")


@pytest.mark.parametrize("name", KEYLESS)
def test_a_message_without_its_key_does_not_open(name: str) -> None:
    key = Secret(ENTRIES["bt785-devinfo-req"]["key_material"]["local_key"])
    ring = KeyRing(LockKeys(uuid="0" * 16, local_key=key))
    for entry in ("bt785-devinfo-resp-1", "bt785-devinfo-resp-3-plain"):
        ring.learn_srand(bytes.fromhex(ENTRIES[entry]["key_material"]["srand"]))
        with pytest.raises(RemoteProtocolError):
            open_message(joined(name), ring, known_flags=FLAGS)


@pytest.mark.parametrize(
    "name", [name for name in KEYLESS if "known_plaintext_inner_frame" in ENTRIES[name]]
)
def test_a_plaintext_known_from_a_log_has_the_length_of_its_ciphertext(name: str) -> None:
    plain = bytes.fromhex(ENTRIES[name]["known_plaintext_inner_frame"].split()[0])
    frame = Frame.from_bytes(plain)
    by_source = ENTRIES[name]["decoded_by_source"]
    assert frame.sn == by_source["sn"]
    assert frame.ack_sn == by_source["ack_sn"]
    assert frame.data.hex() == by_source["data"]
    assert frame.to_bytes() == plain
    body = Sealed.from_bytes(joined(name)).body
    assert len(body) == -(-len(plain) // 16) * 16
    payload = read_payload(Sender.LOCK, frame.code, frame.data)
    assert payload.to_bytes() == frame.data


# -- deciphered


def ring_for(name: str) -> KeyRing:
    found = ENTRIES[name]["key_material"]
    keys = LockKeys(uuid=found.get("uuid", "0" * 16), local_key=Secret(found["local_key"]))
    ring = KeyRing(keys)
    ring.learn_srand(bytes.fromhex(found["srand"]) if found["srand"] else None)
    assert ring.key(4).hex() == found["login_key_hex"]
    if found["srand"]:
        assert ring.key(5).hex() == found["session_key_hex"]
    return ring


def opened(name: str) -> Opened:
    return open_message(joined(name), ring_for(name), known_flags=FLAGS)


@pytest.mark.parametrize("name", DECIPHERED)
def test_messages_with_a_published_key_open_to_the_recorded_fields(name: str) -> None:
    decoded, found = ENTRIES[name]["decoded"], opened(name)
    assert (found.flag, found.iv.hex()) == (decoded["security_flag"], decoded["iv"])
    assert (found.frame.sn, found.frame.ack_sn) == (decoded["sn"], decoded["ack_sn"])
    assert f"{found.frame.code:#06x}" == decoded["cmd"]
    assert found.frame.data.hex() == decoded["data"]
    assert found.frame.to_bytes()[-2:].hex() == decoded["crc"]
    payload = read_payload(sender(name), found.frame.code, found.frame.data)
    assert payload.to_bytes() == found.frame.data


@pytest.mark.parametrize("name", [name for name in DECIPHERED if name.startswith("bt785")])
def test_recorded_messages_are_written_again_byte_for_byte(name: str) -> None:
    found = opened(name)
    message = close_frame(found.frame, flag=found.flag, ring=ring_for(name), iv=found.iv)
    assert cut_again(name, message) == packets(name)


@pytest.mark.parametrize("name", [name for name in DECIPHERED if name.startswith("vec")])
def test_a_library_that_pads_with_zeros_is_read_and_not_imitated(name: str) -> None:
    # Firmware pads with the number of missing bytes; what the padding is, nobody reads.
    found = opened(name)
    plain = bytes.fromhex(ENTRIES[name]["decoded"]["plaintext"])
    assert plain == found.frame.to_bytes() + b"\0\0"
    ours = close_frame(found.frame, flag=found.flag, ring=ring_for(name), iv=found.iv)
    assert ours != joined(name)
    assert open_message(ours, ring_for(name), known_flags=FLAGS) == found


@pytest.mark.parametrize("name", PLAIN)
def test_published_plaintext_is_read_and_written_with_its_padding(name: str) -> None:
    raw = bytes.fromhex(ENTRIES[name]["plaintext_inner_frame"])
    decoded, frame = ENTRIES[name]["decoded"], Frame.from_bytes(raw)
    assert (frame.sn, frame.ack_sn) == (decoded["sn"], decoded["ack_sn"])
    assert f"{frame.code:#06x}" == decoded["cmd"]
    assert frame.data.hex() == decoded["data"]
    assert frame.to_bytes() + bytes.fromhex(decoded["padding"]) == raw
    short = -len(frame.to_bytes()) % 16
    assert bytes.fromhex(decoded["padding"]) == bytes((short,)) * short
    assert read_payload(Sender.LOCK, frame.code, frame.data).to_bytes() == frame.data


def test_the_same_device_gives_a_new_random_each_time() -> None:
    first = DeviceInfo.from_bytes(opened("bt785-devinfo-resp-1").frame.data)
    third = Frame.from_bytes(
        bytes.fromhex(ENTRIES["bt785-devinfo-resp-3-plain"]["plaintext_inner_frame"])
    )
    later = DeviceInfo.from_bytes(third.data)
    fields = ENTRIES["bt785-devinfo-resp-1"]["fields"]
    assert first.srand == Secret(bytes.fromhex(fields["srand"]))
    assert later.srand == Secret(bytes.fromhex("5c5d9a1deaa9"))
    assert first.with_srand(later.srand.reveal(), bound=True) == later
    assert ".".join(map(str, first.firmware)) == fields["device_fw"]
    assert ".".join(map(str, first.protocol)) == fields["protocol"]
    assert ".".join(map(str, first.hardware)) == fields["hw"]
    assert first.virtual_id == fields["virtual_id_55"]
    assert first.mac is not None
    assert first.mac[::-1].hex() == fields["mac_89_95_reversed"]


# -- payloads only


def payload(name: str) -> bytes:
    return bytes.fromhex(ENTRIES[name]["payload"])


# What the source left out of the front of a payload, by its own account ("notes").
LEFT_OUT = {"k3-dp71-echo": "00", "raykube-event-dp31": "00000000"}
COMMANDS = {
    "k3-status-bundle": CommandCode.REPORT_V4,
    "k3-dp71-echo": CommandCode.REPORT_V4,
    "raykube-a1ultra-unlock-template": CommandCode.DP_WRITE_V4,
    "raykube-a1ultra-lock": CommandCode.DP_WRITE_V4,
    "raykube-event-dp31": CommandCode.REPORT_V4,
    "menelike-status": CommandCode.REPORT,
    "vec-menelike-unlock": CommandCode.DP_WRITE,
    "vec-c7fen-v4-write": CommandCode.DP_WRITE_V4,
    "vec-c7fen-v4-report": CommandCode.REPORT_V4,
}


def whole(name: str) -> bytes:
    return bytes.fromhex(LEFT_OUT.get(name, "")) + payload(name)


def datapoints(name: str) -> tuple[Datapoint, ...]:
    found = read_payload(sender(name), COMMANDS[name], whole(name))
    assert isinstance(found, Report | DpWrite | DpWriteV4)
    assert found.to_bytes() == whole(name)
    return found.datapoints


@pytest.mark.parametrize("name", [name for name in COMMANDS if "dps" in ENTRIES[name]["decoded"]])
def test_payloads_are_read_as_their_source_says_and_written_again(name: str) -> None:
    decoded = ENTRIES[name]["decoded"]
    assert f"{COMMANDS[name]:#06x}" == decoded["cmd"]
    found = [(one.id, one.type, len(one.data)) for one in datapoints(name)]
    assert found == [(one["dp"], one["type"], one["len"]) for one in decoded["dps"]]
    for one, expected in zip(datapoints(name), decoded["dps"], strict=True):
        assert one.data.hex() == expected.get("value", one.data.hex())


def test_a_lock_reports_all_its_states_and_wants_no_answer() -> None:
    # frankhommers, hardware capture of a K3 BLE PRO 2.
    report = Report.from_bytes(CommandCode.REPORT_V4, payload("k3-status-bundle"))
    decoded = ENTRIES["k3-status-bundle"]["decoded"]
    assert (report.version, report.sn) == (decoded["ver"], decoded["report_sn"])
    assert (report.type, report.mode) == (decoded["flags"], decoded["mode"])
    assert report.ack() is None
    assert [(one.id, one.value) for one in report.datapoints] == [
        (8, 100),
        (47, False),
        (28, 1),
        (31, 2),
        (34, 0),
        (33, True),
    ]


def test_a_lock_replies_to_an_opening_as_the_recorded_firmware_does() -> None:
    # frankhommers; the leading version byte is missing there.
    (datapoint,) = datapoints("k3-dp71-echo")
    decoded = ENTRIES["k3-dp71-echo"]["decoded"]
    reply = OpenReply.from_bytes(datapoint.data)
    assert (datapoint.id, len(datapoint.data)) == (decoded["dp"], decoded["len"])
    assert f"{reply.peripheral:04x}" == decoded["peripheral_id"]
    assert f"{reply.central:04x}" == decoded["central_id"]
    assert reply.code == Secret(decoded["code_ascii"])
    assert (reply.operation, reply.timestamp) == (decoded["action"], decoded["ts"])
    assert (reply.method, reply.result) == (decoded["method"], decoded["result"])
    assert reply.to_bytes() == datapoint.data


def test_a_real_list_of_credentials_is_one_page() -> None:
    page = read_sync(payload("k3-dp54-list"))
    assert page == SyncPage(0, (SyncEntry(1, 3, 1, 1), SyncEntry(2, 3, 1, 1)))
    assert page.to_bytes() == payload("k3-dp54-list")


def test_a_changed_temporary_password_is_confirmed() -> None:
    reply = TemporaryPasswordReply.from_bytes(payload("k3-dp53-restore-resp"))
    assert (reply.hardid, reply.result) == (1, 0)
    assert reply.to_bytes() == payload("k3-dp53-restore-resp")


def test_a_finished_fingerprint_enrolment_is_read() -> None:
    # ha_tuya_ble issue 70. This lock's hardids go beyond those of the recorded firmware.
    decoded = ENTRIES["kholoaew-dp1-report"]["decoded"]
    progress = CredentialProgress.from_bytes(payload("kholoaew-dp1-report"))
    assert (progress.method, progress.stage) == (decoded["type"], Stage.COMPLETE)
    assert (progress.admin, progress.member) == (decoded["admin"], decoded["member"])
    assert progress.hardid == decoded["hardid"] == 103
    assert (progress.count, progress.result) == (decoded["n"], decoded["result"])
    assert progress.to_bytes() == payload("kholoaew-dp1-report")


def test_the_official_app_opens_a_lock_of_4_with_the_same_19_bytes() -> None:
    # ShonP40, Raykube A1 Ultra; code and time are blanked.
    (datapoint,) = datapoints("raykube-a1ultra-unlock-template")
    request = OpenRequest.from_bytes(datapoint.data)
    assert (request.central, request.peripheral) == (0xFFFF, 1)
    assert (request.operation, request.method, request.member) == (OpenOperation.OPEN, 0, 1)
    assert request.to_bytes() == datapoint.data


def test_a_community_library_opens_a_lock_of_3_with_them_too() -> None:
    (datapoint,) = datapoints("vec-menelike-unlock")
    request = OpenRequest.from_bytes(datapoint.data)
    assert (request.timestamp, request.member) == (0x11223344, 1)
    assert request.to_bytes() == datapoint.data


def test_the_official_app_locks_with_a_boolean_that_claims_to_be_raw() -> None:
    (datapoint,) = datapoints("raykube-a1ultra-lock")
    assert datapoint == Datapoint.raw(46, b"\1")


def test_the_tail_of_an_event_is_read_with_its_header() -> None:
    (datapoint,) = datapoints("raykube-event-dp31")
    assert datapoint == Datapoint.raw(31, b"\3")
    assert Report.from_bytes(CommandCode.REPORT_V4, whole("raykube-event-dp31")).sn == 0xAA


def test_an_acknowledgement_of_4_is_what_we_would_write() -> None:
    report = Report.from_bytes(CommandCode.REPORT_V4, payload("vec-c7fen-v4-report"))
    ack = report.ack()
    assert ack is not None
    assert ack.to_bytes() == payload("vec-c7fen-v4-report-ack")
    assert ReportAck.from_bytes(CommandCode.REPORT_V4, payload("vec-c7fen-v4-report-ack")) == ack
