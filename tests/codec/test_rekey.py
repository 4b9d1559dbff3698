"""A rekeyed capture holds nothing of the original and is still the same conversation.

Every canary is searched in the written text and in the plaintext of every frame, in forms that
are made here and not by the code under test.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from hashlib import md5
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import protocol.rekey
from protocol import (
    Advertisement,
    Datapoint,
    DeviceInfo,
    DpMap,
    Frame,
    LockKeys,
    Secret,
    Sender,
)
from protocol.advertised_fields import AdvertisementFormat
from protocol.capture import (
    Capture,
    Event,
    Header,
    Kind,
    RecordedFrame,
    format_capture,
    parse_capture,
)
from protocol.commands import CommandCode, DpWrite, DpWriteV4, read_payload
from protocol.datapoint import DpType
from protocol.dialect import double_md5_auth
from protocol.dpmap import LockGeneration
from protocol.errors import LocalProtocolError, PayloadError
from protocol.fragment import split
from protocol.keys import KeyRing, pack_uuid
from protocol.leaks import find_leak
from protocol.lock import CheckCodeSet, OpenReply, OpenRequest
from protocol.message import Opened, close_frame
from protocol.observer import Observer, Seen, Unreadable
from protocol.pairing import PairRequest
from protocol.rekey import Rekeyed, RekeyError, rekey_capture
from protocol.reports import Report, ReportTime
from protocol.scrub import Scrubber
from protocol.scrub_header import scrub_header
from protocol.seal import seal
from protocol.substitutes import Sensitive, Substitutes
from tests.codec.replay import FILES, CentralReplay, PeripheralReplay, load
from tests.codec.test_captures import NOT_REPLAYED

FIELD = Path(__file__).parent.parent / "captures" / "field" / "field.json"
DPS = DpMap.default(LockGeneration.V3_3)
KEYS = LockKeys(
    uuid="uuidCanary012345",
    virtual_id="virtualCanary987654321",
    local_key=Secret("l0Ca1Key-Canary!"),
    sec_key=Secret("secCanary+/Key77"),
    auth_key=Secret("authKeyCanaryAuthKeyCanary_32_by"),
)
PRODUCT_ID = "pr0dCnry"
SRAND = bytes.fromhex("5a91c3e70b2d")


def fresh_ivs(seed: str = "copy") -> Callable[[], bytes]:
    numbers = count()
    return lambda: md5(f"{seed} {next(numbers)}".encode(), usedforsecurity=False).digest()


def rekey(capture: Capture, *, keep_unknown: bool = False, seed: str = "copy") -> Rekeyed:
    return rekey_capture(
        capture, new_iv=fresh_ivs(seed), dpmap=DPS, keep_unknown=keep_unknown
    )  # fmt: skip


def observe(capture: Capture) -> list[Seen | Unreadable]:
    header = capture.header
    observer = Observer(header.keys, header.protocol, header.bound, header.att_payload)
    told: list[Seen | Unreadable] = []
    for event in capture.events:
        if event.kind in (Kind.CONNECT, Kind.DISCONNECT):
            told += observer.link_changed()
        elif event.value is not None:
            told += observer.feed(event.sender, event.value, event.line)
    return sorted(told + observer.finish(), key=lambda one: one.line)


def frames(capture: Capture) -> list[Opened]:
    seen = observe(capture)
    assert all(isinstance(one, Seen) for one in seen)
    return [one.opened for one in seen if isinstance(one, Seen)]


# -- conversations with canaries


@dataclass
class Talk:
    """Writes a capture down as a recorder does, packet by packet."""

    protocol: str = "3.0"
    keys: LockKeys = KEYS
    bound: bool = True
    recorded: bool = True
    product_id: str = PRODUCT_ID
    advertisement: tuple[bytes, bytes] | None = None

    def __post_init__(self) -> None:
        self.v2 = self.protocol == "secv2"
        self.major = 3 if self.protocol[0] == "3" else 4
        self.ring = KeyRing(self.keys)
        self.events: list[Event] = [Event(t=0.0, sender=Sender.CENTRAL, kind=Kind.CONNECT)]
        self.new_iv = fresh_ivs("original")
        self.sn = {Sender.CENTRAL: 0, Sender.LOCK: 0}

    def say(self, sender: Sender, code: int, data: bytes, *, flag: int | None = None) -> Talk:
        self.sn[sender] += 1
        if flag is None:
            flag = 15 if self.v2 else 5
        iv = self.new_iv()
        if sender is Sender.CENTRAL and flag in (1, 11, 16):
            self.ring.learn_server_rand(iv)
        frame = Frame(self.sn[sender], 0, code, data)
        message = close_frame(frame, flag=flag, ring=self.ring, iv=iv)
        kind = Kind.WRITE if sender is Sender.CENTRAL else Kind.NOTIFY
        for packet in split(message, att_payload=20, major=self.major):
            self.events.append(Event(t=0.1, sender=sender, kind=kind, value=packet))
        if self.recorded:
            recorded = RecordedFrame.of(Opened(frame, flag, iv))
            self.events[-1] = replace(self.events[-1], frame=recorded, note="a frame")
        if sender is Sender.LOCK and code == CommandCode.DEVICE_INFO and len(data) >= 46:
            info = DeviceInfo.from_bytes(data)
            self.ring.double_md5_auth = double_md5_auth(info.protocol)
            self.ring.learn_srand(info.srand.reveal())
        return self

    def central(self, code: int, data: bytes = b"", *, flag: int | None = None) -> Talk:
        return self.say(Sender.CENTRAL, code, data, flag=flag)

    def lock(self, code: int, data: bytes = b"", *, flag: int | None = None) -> Talk:
        return self.say(Sender.LOCK, code, data, flag=flag)

    def greet(self, info: bytes | None = None) -> Talk:
        asked = bytes.fromhex("00f3") if self.major == 4 else b""
        flag = 14 if self.v2 else 4
        self.central(0x0000, asked, flag=flag)
        return self.lock(0x0000, device_info() if info is None else info, flag=flag)

    def write(self, dp_id: int, data: bytes, dp_type: int = 0) -> Talk:
        datapoint = Datapoint(dp_id, dp_type, data)
        if self.major == 4:
            return self.central(0x0027, DpWriteV4((datapoint,)).to_bytes())
        return self.central(0x0002, DpWrite((datapoint,)).to_bytes())

    def report(self, dp_id: int, data: bytes, dp_type: int = 0, *, timed: bool = False) -> Talk:
        code = (0x8007 if timed else 0x8006) if self.major == 4 else 0x8003 if timed else 0x8001
        time = ReportTime.unix(1_700_000_000) if timed else None
        report = Report(code=code, datapoints=(Datapoint(dp_id, dp_type, data),), time=time)
        return self.lock(code, report.to_bytes())

    def event(self, **fields: Any) -> Talk:
        self.events.append(Event(t=0.2, sender=Sender.LOCK, **fields))
        return self

    def capture(self) -> Capture:
        header = Header(
            name="a capture", about="about it", origin="somewhere", protocol=self.protocol,
            att_payload=20, gatt="1910" if self.major == 3 else "fd50", keys=self.keys,
            product_id=self.product_id, bound=self.bound, advertisement=self.advertisement,
        )  # fmt: skip
        return Capture(header, tuple(self.events)).with_lines()


def device_info(
    *,
    auth: bytes | None = None,
    virtual_id: bytes = b"",
    tail: bytes = b"",
    protocol: bytes = b"\3\0",
    bound: int = 1,
    srand: bytes = SRAND,
) -> bytes:
    """By the table of ``protocol/device_info.py``; ``tail`` begins at byte 77."""
    if auth is None:
        auth = b"C" * 32
    head = b"\3\3" + protocol + bytes((0, bound)) + srand + b"\1\0"
    return head + auth.ljust(32, b"\0") + bytes(9) + virtual_id.ljust(22, b"\0") + tail


def forms_of(secret: bytes) -> set[bytes]:
    """How somebody could find a secret in a text."""
    colons = secret.hex(":").encode()
    return {
        secret,
        secret.hex().encode(),
        secret.hex().upper().encode(),
        secret.hex().encode().hex().encode(),
        secret[::-1],
        secret[::-1].hex().encode(),
        colons,
        colons.upper(),
        base64.b64encode(secret).rstrip(b"="),
        base64.urlsafe_b64encode(secret).rstrip(b"="),
    }


def everything_in(capture: Capture) -> bytes:
    """The text, and what its reader sees in the sealed frames."""
    text = format_capture(capture)
    parts = [text.encode()]
    seen = [one for one in observe(parse_capture(text)) if isinstance(one, Seen)]
    parts += [one.opened.frame.data for one in seen]
    parts += [one.opened.frame.data.hex().encode() for one in seen]
    for line in text.splitlines():
        found = json.loads(line)
        value = found.get("value")
        parts.append(bytes.fromhex(value) if value else b"")
        parts += [bytes.fromhex(half) for half in found.get("advertisement", {}).values()]
        parts.append(json.dumps(found, ensure_ascii=False).encode())
    return b"\0\0\0".join(parts)


def is_in(secret: bytes, capture: Capture) -> bool:
    everything = everything_in(capture)
    return any(form in everything for form in forms_of(secret))


# -- canaries in datapoints

CODE = b"73920485"  # canaries of check codes, digits like real ones
NEW_CODE = b"60318274"
KEY = b"Qk3-rKey"
PIN = bytes((8, 3, 0, 6, 4, 1, 9, 5))
T0 = b"1729384756"
RECORD16 = bytes.fromhex("e1c0ffee5eed4bad0f0ff1ce7e57ca5e")
DETAIL = b"\1gateway-17"
WORDS = b"Welcome to Canary Road 7"

HEAD = bytes.fromhex("ffff1234") + CODE
SWAPPED = bytes.fromhex("1234ffff") + CODE
TIMES = bytes.fromhex("00000000 7fffffff 00 00000000 00000000")
GRANT = TIMES + b"\0" + bytes((len(PIN),)) + PIN
KEY_BODY = bytes.fromhex("01 0008 663f60e6 663f87f6 0002") + KEY
OPENING = bytes.fromhex("01 6741cccc 00 07")

WRITTEN = {
    "add_credential": (1, 0, bytes.fromhex("01000001ff") + GRANT, PIN),
    "modify_credential": (3, 0, bytes.fromhex("01000001 05") + GRANT, PIN),
    "add_temporary": (51, 0, b"\0" + GRANT, PIN),
    "modify_temporary": (53, 0, b"\x28\0" + GRANT, PIN),
    "remote_key": (60, 0, KEY_BODY, KEY),
    "remote_open": (61, 0, bytes.fromhex("010008") + KEY + b"\1", KEY),
    "T0": (64, 3, T0, T0),
    "T0 as raw": (64, 0, T0, T0),
    "get_records": (69, 0, HEAD + b"\0", CODE),
    "check_code, current": (70, 0, HEAD + b"\0\xff\xff" + NEW_CODE, CODE),
    "check_code, new": (70, 0, HEAD + b"\0\xff\xff" + NEW_CODE, NEW_CODE),
    "open": (71, 0, HEAD + OPENING, CODE),
    "open, 17 bytes": (71, 0, HEAD + OPENING[:5], CODE),
    "open, detail": (71, 0, HEAD + OPENING[:5] + b"\2" + DETAIL, DETAIL),
    "remote_key_checked, code": (73, 0, HEAD + KEY_BODY, CODE),
    "remote_key_checked, key": (73, 0, HEAD + KEY_BODY, KEY),
    "text": (29, 3, WORDS, WORDS),
    "text elsewhere": (25, 3, WORDS, WORDS),
    "text where a code belongs": (70, 3, HEAD + b"\0\xff\xff" + NEW_CODE, NEW_CODE),
    "raw where a switch belongs": (33, 0, RECORD16, RECORD16),
    "a switch of 16 bytes": (33, 1, RECORD16, RECORD16),
    "a code that is too long": (70, 0, HEAD + NEW_CODE, CODE),
    "a number where a PIN belongs": (51, 2, PIN[:4], PIN[:4]),
    "unknown raw": (200, 0, RECORD16, RECORD16),
    "unknown text": (201, 3, WORDS, WORDS),
    "unknown type": (33, 77, RECORD16, RECORD16),
}
WITHOUT_A_SHAPE = {
    "open, 17 bytes", "raw where a switch belongs", "a switch of 16 bytes",
    "a code that is too long", "a number where a PIN belongs",
    "unknown raw", "unknown text", "unknown type",
}  # fmt: skip
REPORTED = {
    "code reply": (70, 0, SWAPPED + b"\0\xff\xff\0", CODE),
    "open reply": (71, 0, SWAPPED + bytes.fromhex("016741cccc0000"), CODE),
    "open reply as record": (72, 0, SWAPPED + bytes.fromhex("016741cccc0100"), CODE),
    "record, detail": (72, 0, SWAPPED + bytes.fromhex("016741cccc02") + DETAIL, DETAIL),
    "checked key reply": (73, 0, SWAPPED + bytes.fromhex("01000800"), CODE),
    "T0": (64, 3, T0, T0),
    "records echo": (69, 0, HEAD + b"\0", CODE),
    "text": (29, 3, WORDS, WORDS),
    "pin echoed": (51, 0, b"\0" + GRANT, PIN),
    "unknown raw": (222, 0, RECORD16, RECORD16),
}
RECORDS = {
    "cleared one": (65, 0, RECORD16, RECORD16),
    "cleared all": (66, 0, RECORD16, RECORD16),
    "offline password": (67, 0, RECORD16, RECORD16),
    "opening": (72, 0, SWAPPED + bytes.fromhex("016741cccc0107"), CODE),
}
PROTOCOLS = ["3.0", "4.4", "secv2"]


def check_gone(talk: Talk, secret: bytes, *, keep_unknown: bool = False) -> Rekeyed:
    original = talk.capture()
    assert is_in(secret, original), "the canary is not where the test thinks"
    rekeyed = rekey(original, keep_unknown=keep_unknown)
    assert not is_in(secret, rekeyed.capture)
    return rekeyed


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("recorded", [True, False], ids=["frame object", "packets only"])
@pytest.mark.parametrize("case", WRITTEN)
def test_nothing_secret_is_left_of_what_was_written(
    case: str, recorded: bool, protocol: str
) -> None:
    number, dp_type, data, secret = WRITTEN[case]
    talk = Talk(protocol, recorded=recorded).greet().write(number, data, dp_type)
    rekeyed = check_gone(talk, secret)
    assert bool(rekeyed.dropped) == (case in WITHOUT_A_SHAPE)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("case", REPORTED)
def test_nothing_secret_is_left_of_what_was_reported(case: str, protocol: str) -> None:
    number, dp_type, data, secret = REPORTED[case]
    check_gone(Talk(protocol).greet().report(number, data, dp_type), secret)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("case", RECORDS)
def test_nothing_secret_is_left_of_a_record(case: str, protocol: str) -> None:
    number, dp_type, data, secret = RECORDS[case]
    rekeyed = check_gone(Talk(protocol).greet().report(number, data, dp_type, timed=True), secret)
    assert rekeyed.dropped == ()


def test_a_datapoint_that_can_hold_a_secret_is_never_kept_without_its_shape() -> None:
    talk = Talk().greet().write(70, HEAD + NEW_CODE).write(71, HEAD).write(1, GRANT)
    rekeyed = check_gone(talk, CODE, keep_unknown=True)
    assert [one.reason.split(": ", 1)[1] for one in rekeyed.dropped] == [
        "datapoint 70 (check_code): 20 bytes, no known shape",
        "datapoint 71 (open_checked): 12 bytes, no known shape",
        "datapoint 1 (add_credential): 27 bytes, no known shape",
    ]


def test_which_number_holds_a_code_is_the_maps_word() -> None:
    moved = DPS.override({"open_checked": 171})
    original = Talk().greet().write(171, HEAD + OPENING).capture()
    copy = rekey_capture(original, new_iv=fresh_ivs(), dpmap=moved).capture
    assert not is_in(CODE, copy)
    request = OpenRequest.from_bytes(datapoints_of(copy)[-1].data)
    assert request.code == Secret(b"00000001")


# -- canaries in commands

OTHER = LockKeys(
    uuid="otherCanary00002",
    virtual_id="otherVirtualCanary0002",
    local_key=Secret("0therKeyCanary!!"),
    sec_key=Secret("otherSecCanary02"),
)
BEACON = bytes.fromhex("bea0c0ca9a51d2e3f40516273849a6b7")
MAC = bytes.fromhex("dc234f696de7")
FIRMWARE_KEY = bytes.fromhex("f13d4ce5b6a7988976543201fedcba11")
PACKED = LockKeys(
    uuid="packedCanaryUuid0020", virtual_id=KEYS.virtual_id, local_key=KEYS.local_key,
    auth_key=KEYS.auth_key,
)  # fmt: skip


def tail(*fields: bytes, mac: bytes = bytes(6), rest: bytes = b"") -> bytes:
    """Device information from byte 77 on."""
    return bytes(12) + mac + b"".join(bytes((len(one),)) + one for one in fields) + rest


def pair_talk(request: PairRequest, protocol: str = "3.0") -> Talk:
    return Talk(protocol).greet().central(0x0001, request.to_bytes())


OWN_PAIR = PairRequest.of(KEYS)
PAIR_V2 = PairRequest.of(OTHER, security_v2=True)
TRIGGER = HEAD + b"\0"
ACCESSORY = b"\0\x12\x34" + CODE + b"\x56\x78" + b"accessoryId01234" + FIRMWARE_KEY

IN_COMMANDS: dict[str, tuple[Callable[[], Talk], bytes]] = {
    "auth key": (lambda: Talk().greet(device_info(auth=RECORD16 * 2)), RECORD16),
    "own auth key": (
        lambda: Talk().greet(device_info(auth=b"authKeyCanaryAuthKeyCanary_32_by")),
        b"authKeyCanaryAuthKeyCanary_32_by",
    ),
    "register key": (lambda: Talk("4.4").greet(device_info(auth=RECORD16)), RECORD16),
    "srand": (lambda: Talk().greet(), SRAND),
    "virtual id": (lambda: Talk().greet(device_info(virtual_id=b"bfOtherId01")), b"bfOtherId01"),
    "mac": (lambda: Talk("4.4").greet(device_info(tail=tail(mac=MAC))), MAC),
    "firmware key": (
        lambda: Talk("4.4").greet(device_info(tail=tail(FIRMWARE_KEY))),
        FIRMWARE_KEY,
    ),
    "zigbee mac": (lambda: Talk("4.4").greet(device_info(tail=tail(b"", RECORD16))), RECORD16),
    "undocumented end": (
        lambda: Talk("4.4").greet(device_info(tail=tail(b"", b"", b"", b"", rest=RECORD16))),
        RECORD16,
    ),
    "end cut off": (lambda: Talk("4.4").greet(device_info(tail=tail(rest=b"\x20" + MAC))), MAC),
    "pair, uuid": (lambda: pair_talk(PairRequest.of(OTHER)), b"otherCanary00002"),
    "pair, 16 bytes that are no uuid": (
        lambda: pair_talk(replace(OWN_PAIR, uuid16=RECORD16)),
        RECORD16,
    ),
    "pair, packed uuid": (
        lambda: pair_talk(replace(OWN_PAIR, uuid16=PACKED.uuid16)),
        PACKED.uuid16,
    ),
    "pair, login key": (lambda: pair_talk(PairRequest.of(OTHER)), b"0therK"),
    "pair, own login key": (lambda: pair_talk(OWN_PAIR), b"l0Ca1K"),
    "pair, virtual id": (lambda: pair_talk(PairRequest.of(OTHER)), b"otherVirtualCanary0002"),
    "pair, beacon key": (
        lambda: pair_talk(replace(OWN_PAIR, beacon_key=Secret(BEACON)), "4.4"),
        BEACON,
    ),
    "pair V2, local key": (lambda: pair_talk(PAIR_V2, "secv2"), b"0therKeyCanary!!"),
    "pair V2, sec key": (lambda: pair_talk(PAIR_V2, "secv2"), b"otherSecCanary02"),
    "pair of no known length": (
        lambda: Talk().greet().central(0x0001, OWN_PAIR.to_bytes() + MAC),
        MAC,
    ),
    "passed through": (lambda: Talk().greet().central(0x0023, TRIGGER), CODE),
    "accessory, code": (lambda: Talk().greet().central(0x0023, ACCESSORY), CODE),
    "accessory, id": (lambda: Talk().greet().central(0x0023, ACCESSORY), b"accessoryId01234"),
    "accessory, key": (lambda: Talk().greet().central(0x0023, ACCESSORY), FIRMWARE_KEY),
    "passed through, unknown": (lambda: Talk().greet().lock(0x0023, WORDS), WORDS),
    "unknown command": (lambda: Talk().greet().central(0x7777, WORDS), WORDS),
    "command without a type": (lambda: Talk().greet().central(0x0021, WORDS), WORDS),
    "behind a status": (lambda: Talk().greet().lock(0x0002, b"\0" + WORDS), WORDS),
    "behind an acknowledgement": (lambda: Talk().greet().central(0x8003, b"\0" + WORDS), WORDS),
    "instead of a packet size": (lambda: Talk("4.4").greet().central(0x0000, WORDS), WORDS),
    "behind a time question": (lambda: Talk().greet().lock(0x8011, WORDS), WORDS),
    "list of datapoints cut off": (
        lambda: Talk().greet().central(0x0002, b"\x46\0\x20" + WORDS),
        WORDS,
    ),
}


@pytest.mark.parametrize("case", IN_COMMANDS)
def test_nothing_secret_is_left_of_a_command(case: str) -> None:
    talk, secret = IN_COMMANDS[case]
    check_gone(talk(), secret)


def test_a_mac_address_is_gone_in_the_other_order_too() -> None:
    talk = Talk("4.4").greet(device_info(tail=tail(mac=MAC)))
    check_gone(talk, MAC[::-1])


def test_no_mac_address_stays_none() -> None:
    copy = rekey(Talk("4.4").greet(device_info(tail=tail())).capture()).capture
    info = DeviceInfo.from_bytes(frames(copy)[1].frame.data)
    assert info.mac is None


# -- canaries in the header, in remarks and in local events


@pytest.mark.parametrize("keys", [KEYS, PACKED], ids=["16 characters", "20 characters"])
def test_no_key_and_no_name_of_the_header_is_left(keys: LockKeys) -> None:
    talk = Talk(keys=keys).greet()
    secrets = [b"l0Ca1Key-Canary!", b"l0Ca1K", b"authKeyCanaryAuthKeyCanary_32_by"]
    secrets += [keys.uuid.encode(), pack_uuid(keys.uuid), keys.virtual_id.encode()]
    secrets += [PRODUCT_ID.encode()]
    if keys.sec_key is not None:
        secrets.append(keys.sec_key.reveal())
    for secret in secrets:
        check_gone(talk, secret)


def test_the_new_keys_are_fakes_of_the_same_length() -> None:
    header = rekey(Talk().greet().capture()).capture.header
    keys = header.keys
    assert (keys.uuid, keys.virtual_id) == ("testuuid00000001", "testdeviceid0000000001")
    assert keys.local_key == Secret("test01localkey01")
    assert keys.sec_key == Secret("testseckey000001")
    assert keys.auth_key == Secret("testauthkey00001testauthkey00001")
    assert header.product_id == "test0001"
    assert (header.name, header.about) == ("rekeyed", "")
    assert header.origin == "rekeyed, protocol 3.0"


def test_what_people_wrote_is_gone() -> None:
    secret = "Canary of Main Street 5"
    capture = Talk().greet().event(kind=Kind.POWER, power="off", note=secret).capture()
    header = replace(
        capture.header, name=secret, about=secret, origin=secret, protocol=secret, gatt=secret
    )
    events = tuple(
        replace(event, note=secret, broken=None if event.kind is Kind.CONNECT else secret)
        for event in capture.events
    )
    original = Capture(header, events)
    assert is_in(secret.encode(), original)
    copy = rekey(original).capture
    assert not is_in(secret.encode(), copy)
    assert (copy.header.protocol, copy.header.gatt) == ("unknown", "unknown")
    assert len(copy.events) == len(original.events)


ADVERTISED_CASES = [
    pytest.param(form, bound, id=f"{form} {'bound' if bound else 'unbound'}")
    for form in AdvertisementFormat
    for bound in (True, False)
]


@pytest.mark.parametrize(("form", "bound"), ADVERTISED_CASES)
def test_the_advertisement_is_that_of_the_new_lock(form: AdvertisementFormat, bound: bool) -> None:
    request = form is not AdvertisementFormat.V2
    heard = Advertisement.build(
        form, KEYS, product_id=PRODUCT_ID, bound=bound, local_name="Bo", connect_request=request
    )
    talk = Talk(advertisement=heard.to_bytes()).greet()
    assert heard.identity is not None
    assert heard.id_field is not None
    for secret in (heard.identity, heard.id_field, heard.uuid_cipher or b""):
        rekeyed = check_gone(talk, secret)
    header = rekeyed.capture.header
    assert header.advertisement is not None
    new = Advertisement.parse(*header.advertisement)
    assert new.verify(header.keys)
    assert not new.verify(KEYS)
    assert (new.format, new.bound, new.connect_request) == (form, bound, request)
    assert new.local_name != "Bo"
    if not bound:
        assert new.product_id == header.product_id


def test_a_half_advertisement_stays_a_half() -> None:
    adv, _ = Advertisement.build(
        AdvertisementFormat.V4, KEYS, product_id=PRODUCT_ID, bound=True
    ).to_bytes()
    new = rekey(Talk(advertisement=(adv, b"")).greet().capture()).capture.header.advertisement
    assert new is not None
    assert (len(new[0]), new[1]) == (len(adv), b"")
    assert new[0] != adv


def test_an_advertisement_without_a_name_gets_none() -> None:
    named = Advertisement.build(AdvertisementFormat.V4, KEYS, product_id=PRODUCT_ID, bound=True)
    halves = replace(named, local_name=None).to_bytes()
    new = rekey(Talk(advertisement=halves).greet().capture()).capture.header.advertisement
    assert new is not None
    assert [len(half) for half in new] == [len(half) for half in halves]
    assert Advertisement.parse(*new).local_name is None


def strange_flag() -> tuple[bytes, bytes]:
    heard = Advertisement.build(AdvertisementFormat.V3, KEYS, product_id=PRODUCT_ID, bound=True)
    return replace(heard, flag=0xC0).to_bytes()


def with_a_reading() -> tuple[bytes, bytes]:
    heard = Advertisement.build(AdvertisementFormat.V4, KEYS, product_id=PRODUCT_ID, bound=True)
    return replace(heard, extra=MAC).to_bytes()


@pytest.mark.parametrize(
    "halves",
    [
        (b"\x05\xff\x01\x02\x03\x04", b""),
        (b"\xff", b"\0"),
        strange_flag(),
        with_a_reading(),
        Advertisement.build(AdvertisementFormat.V3, KEYS, product_id="pid4", bound=True).to_bytes(),
        (
            Advertisement.build(
                AdvertisementFormat.V3, KEYS, product_id="p", bound=True
            ).to_bytes()[0],
            b"",
        ),
    ],
    ids=["somebody else's", "cut off", "unknown flag", "bytes behind the id", "short id", "half"],
)
def test_an_advertisement_that_cannot_be_made_again_is_dropped(halves: tuple[bytes, bytes]) -> None:
    rekeyed = rekey(Talk(advertisement=halves).greet().capture())
    assert rekeyed.capture.header.advertisement is None
    (dropped,) = rekeyed.dropped
    assert dropped.line == 1
    assert dropped.reason.startswith("the advertisement cannot be made again: ")


PIN_TYPED = "8306419527"
LOCAL: dict[str, tuple[dict[str, Any], str, dict[str, Any] | None]] = {
    # what was recorded, the canary in it, what is left
    "offline password": (
        {"action": "offline_password", "digits": PIN_TYPED},
        PIN_TYPED,
        {"action": "offline_password", "digits": "0000000001"},
    ),
    "payload": (
        {"action": "report", "command": "0x8001", "payload": (b"\x46\0\x10" + SWAPPED).hex()
         + "00ffff00"},
        CODE.hex(),
        {"action": "report", "command": "0x8001",
         "payload": "4600100001ffff303030303030303100ffff00"},
    ),
    "payload of 4.x": (
        {"action": "report", "command": "0x8007", "sn": 7, "time_text": "1700000000123",
         "payload": (b"\x1d\3\0\x18" + WORDS).hex()},
        WORDS.hex(),
        {"action": "report", "command": "0x8007", "sn": 7, "time_text": "1700000000123",
         "payload": (b"\x1d\3\0\x18" + b"testaaaaaaaaaaaaaaaaaaab").hex()},
    ),
    "unknown action": ({"action": "Canary Street", "dp": 47, "value": 1}, "Canary Street", None),
    "unknown field": (
        {"action": "state", "dp": 47, "value": 1, "place": "Canary Street"},
        "Canary Street",
        {"action": "state", "dp": 47, "value": 1},
    ),
    "unknown name of a field": (
        {"action": "state", "dp": 47, "value": 1, "Canary Street": 5},
        "Canary Street",
        {"action": "state", "dp": 47, "value": 1},
    ),
    "text for a number": (
        {"action": "state", "dp": 29, "value": "Canary Street"},
        "Canary Street",
        {"action": "state", "dp": 29},
    ),
    "number of a secret": (
        {"action": "record", "dp": 67, "value": 830641952},
        "830641952",
        {"action": "record", "dp": 67},
    ),
    "large number": (
        {"action": "state", "dp": 8, "value": 83064195278306419527},
        "83064195278306419527",
        {"action": "state", "dp": 8},
    ),
    "unknown datapoint": ({"action": "state", "dp": 200, "value": 830641}, "830641", None),
    "one unknown datapoint of two": (
        {"action": "report", "command": "0x8001", "payload": "c8000401c5e7992f010101"},
        "01c5e799",
        {"action": "report", "command": "0x8001", "payload": "2f010101"},
    ),
    "passed through": ({"action": "pass_through", "payload": WORDS.hex()}, WORDS.hex(), None),
    "payload without a command": ({"action": "report", "payload": WORDS.hex()}, WORDS.hex(), None),
    "payload that is no list": (
        {"action": "report", "command": "0x8001", "payload": WORDS.hex()}, WORDS.hex(), None,
    ),
    "payload in clear": (
        {"action": "report", "command": "0x8001", "payload": "Canary Street"}, "Canary Street",
        None,
    ),
    "word of another field": (
        {"action": "enrol", "method": "Canary Street", "stage": "step", "count": 1},
        "Canary Street",
        {"action": "enrol", "stage": "step", "count": 1},
    ),
    "a list for an action": ({"action": ["Canary Street"]}, "Canary Street", None),
    "a list for a datapoint": (
        {"action": "state", "dp": ["Canary Street"], "value": 1}, "Canary Street", None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LOCAL)
def test_nothing_secret_is_left_of_a_local_event(case: str) -> None:
    local, secret, left = LOCAL[case]
    original = Talk().greet().event(kind=Kind.LOCAL, local=local).capture()
    assert secret in format_capture(original)
    rekeyed = rekey(original)
    assert secret not in format_capture(rekeyed.capture)
    found = [event.local for event in rekeyed.capture.events if event.kind is Kind.LOCAL]
    assert found == ([left] if left else [])
    changed_only = case in ("offline password", "payload", "payload of 4.x")
    assert [one.line for one in rekeyed.dropped] == (
        [] if changed_only else [len(original.events) + 1]
    )
    assert secret not in str(rekeyed.dropped)


def test_a_pin_typed_at_the_door_is_the_one_that_was_set() -> None:
    typed = "".join(map(str, PIN))
    talk = Talk().greet().write(1, bytes.fromhex("01000001ff") + GRANT)
    talk.event(kind=Kind.LOCAL, local={"action": "offline_password", "digits": typed})
    copy = rekey(talk.capture()).capture
    set_pin = datapoints_of(copy)[-1].data[-len(PIN) :]
    assert copy.events[-1].local == {
        "action": "offline_password",
        "digits": "".join(map(str, set_pin)),
    }


def test_an_unknown_change_of_the_supply_is_dropped() -> None:
    original = Talk().greet().event(kind=Kind.POWER, power="Canary Street").capture()
    assert "Canary" not in format_capture(rekey(original).capture)


# -- what cannot be read


def broken_talk() -> Capture:
    talk = Talk().greet().write(71, HEAD + OPENING)
    event = talk.events[-1]
    assert event.value is not None
    spoiled = event.value[:-1] + bytes((event.value[-1] ^ 1,))
    talk.events[-1] = replace(event, value=spoiled, broken="crc")
    talk.write(47, b"\1", 1)
    return talk.capture()


@pytest.mark.parametrize("keep_unknown", [False, True])
def test_packets_that_cannot_be_read_are_dropped_always(keep_unknown: bool) -> None:
    original = broken_talk()
    rekeyed = rekey(original, keep_unknown=keep_unknown)
    broken = [event for event in original.events if event.broken]
    assert [one.line for one in rekeyed.dropped] == [broken[0].line]
    assert "4 packet(s) that cannot be read: " in rekeyed.dropped[0].reason
    assert len(rekeyed.capture.events) == len(original.events) - 4
    values = {event.value for event in original.events if event.value is not None}
    assert not values & {event.value for event in rekeyed.capture.events}


def test_a_message_cut_off_at_the_end_is_dropped() -> None:
    talk = Talk().greet().write(71, HEAD + OPENING)
    talk.events.pop()
    rekeyed = rekey(talk.capture())
    assert [one.line for one in rekeyed.dropped] == [len(talk.events) + 1]
    assert len(frames(rekeyed.capture)) == 2


def test_frames_of_another_lock_are_dropped() -> None:
    stranger = Talk(keys=OTHER).greet().write(71, HEAD + OPENING).capture()
    rekeyed = rekey(Capture(replace(stranger.header, keys=KEYS), stranger.events))
    assert [event.kind for event in rekeyed.capture.events] == [Kind.CONNECT]
    assert len(rekeyed.dropped) == 3


# -- what is asked to be kept


def test_unknown_things_are_kept_when_asked_for() -> None:
    talk = Talk().greet().central(0x7777, b"\1\2\3").write(200, b"\4\5\6")
    talk.central(0x8003, b"").lock(0x0023, b"hello").write(201, WORDS, 3)
    original = talk.capture()
    assert len(rekey(original).dropped) == 5
    kept = rekey(original, keep_unknown=True)
    assert kept.dropped == ()
    data = [opened.frame.data for opened in frames(kept.capture)]
    assert data[2:6] == [b"\1\2\3", b"\xc8\0\3\4\5\6", b"", b"hello"]
    assert data[6] == b"\xc9\3\x18" + b"testaaaaaaaaaaaaaaaaaaab"  # texts are never kept


@pytest.mark.parametrize(
    ("secret", "kind"),
    [
        (b"l0Ca1Key-Canary!", "local key"),
        (b"l0Ca1K", "login key"),
        (KEYS.uuid.encode(), "uuid"),
        (CODE, "check code"),
        (CODE.hex().encode(), "check code"),
        (SRAND, "srand"),
        (base64.b64encode(KEYS.virtual_id.encode()), "device id"),
        (b"83064195", "PIN"),
    ],
)
def test_something_unknown_with_a_known_secret_in_it_is_not_given_out(
    secret: bytes, kind: str
) -> None:
    talk = Talk().greet().write(71, HEAD + OPENING).write(51, b"\0" + GRANT)
    original = talk.write(200, b"\1\2" + secret + b"\3").capture()
    with pytest.raises(RekeyError) as caught:
        rekey(original, keep_unknown=True)
    assert caught.value.kind == kind
    assert secret.decode("latin-1") not in str(caught.value)
    assert rekey(original).dropped  # without it the rest can be shared


# -- several datapoints in one frame


def several() -> Talk:
    datapoints = (
        Datapoint.boolean(47, value=True),
        Datapoint.raw(200, RECORD16),
        Datapoint.raw(71, HEAD + OPENING),
        Datapoint.raw(201, RECORD16),
    )
    report = Report(code=0x8001, datapoints=datapoints)
    return Talk().greet().lock(0x8001, report.to_bytes()).report(47, b"\0", 1)


def test_an_unknown_datapoint_goes_and_the_others_stay() -> None:
    rekeyed = check_gone(several(), RECORD16)
    assert [dp.id for dp in datapoints_of(rekeyed.capture)] == [47, 71, 47]
    line = next(
        event.line for event in several().capture().events
        if event.frame is not None and event.frame.code == 0x8001
    )  # fmt: skip
    assert [(one.line, one.reason) for one in rekeyed.dropped] == [
        (line, "datapoint 200 is not known"),
        (line, "datapoint 201 is not known"),
    ]
    last = [event for event in rekeyed.capture.events if event.frame is not None]
    assert [event.frame.sn for event in last if event.frame] == [1, 1, 2, 3]


def test_a_frame_whose_datapoints_all_go_goes_too() -> None:
    datapoints = (Datapoint.raw(200, RECORD16), Datapoint.raw(201, b"\1"))
    talk = Talk().greet().lock(0x8001, Report(code=0x8001, datapoints=datapoints).to_bytes())
    rekeyed = check_gone(talk, RECORD16)
    assert [one.reason for one in rekeyed.dropped] == [
        "report, sn 2: datapoint 200 is not known; datapoint 201 is not known"
    ]


def datapoints_of(capture: Capture) -> list[Datapoint]:
    found: list[Datapoint] = []
    for one in observe(capture):
        if isinstance(one, Unreadable):
            continue
        frame = one.opened.frame
        try:
            payload = read_payload(one.sender, frame.code, frame.data)
        except PayloadError:
            continue
        if isinstance(payload, Report | DpWrite | DpWriteV4):
            found += payload.datapoints
    return found


# -- plain values stay


@pytest.mark.parametrize(
    "datapoint",
    [
        Datapoint.boolean(47, value=True),
        Datapoint.number(8, 57),
        Datapoint.number(19, 3),
        Datapoint.enum(21, 10),
        Datapoint.bitmap(25, 5, 2),
        Datapoint.raw(46, b"\1"),  # the official app writes this switch as raw
        Datapoint.raw(2, bytes.fromhex("010000010500")),
        Datapoint.raw(54, bytes.fromhex("00000501010114020101")),
        Datapoint.raw(69, b"\0"),
        Datapoint.raw(1, bytes.fromhex("01fc0001050100")),
        Datapoint.raw(61, bytes.fromhex("000008")),
        Datapoint.raw(71, b""),
    ],
    ids=repr,
)
def test_a_value_without_a_secret_stays_as_it_is(datapoint: Datapoint) -> None:
    talk = Talk().greet().report(datapoint.id, datapoint.data, datapoint.type)
    rekeyed = rekey(talk.capture())
    assert rekeyed.dropped == ()
    assert datapoints_of(rekeyed.capture) == [datapoint]


def test_ids_of_the_app_and_codes_of_zero_stay() -> None:
    first = bytes.fromhex("ffff 0000") + bytes(8) + b"\0\xff\xff" + NEW_CODE
    copy = rekey(Talk().greet().write(70, first).capture()).capture
    found = CheckCodeSet.from_bytes(datapoints_of(copy)[0].data)
    assert (found.central, found.peripheral, found.new_central) == (0xFFFF, 0, 0xFFFF)
    assert found.code == Secret(bytes(8))
    assert found.new_code == Secret(b"00000001")


# -- consistency


def test_equal_secrets_stay_equal_and_different_ones_different() -> None:
    other = bytes.fromhex("00077654") + NEW_CODE
    talk = Talk().greet().write(70, HEAD + b"\0\0\7" + NEW_CODE)
    talk.report(70, SWAPPED + b"\0\xff\xff\0")
    for head in (HEAD, other, HEAD):
        talk.write(71, head + OPENING)
        talk.report(71, head[2:4] + head[:2] + head[4:] + OPENING[:6] + b"\0")
    talk.central(0x0023, other + b"\0")
    copy = rekey(talk.capture()).capture
    found = datapoints_of(copy)
    set_code = CheckCodeSet.from_bytes(found[0].data)
    requests = [OpenRequest.from_bytes(dp.data) for dp in found[2::2]]
    replies = [OpenReply.from_bytes(dp.data) for dp in found[3::2]]
    for request, reply in zip(requests, replies, strict=True):
        assert request.code == reply.code
        assert (request.central, request.peripheral) == (reply.central, reply.peripheral)
        assert (request.timestamp, request.member) == (0x6741CCCC, 7)
        assert reply.timestamp == request.timestamp
    assert requests[0] == requests[2]
    assert requests[0].code == set_code.code != set_code.new_code == requests[1].code
    assert requests[0].peripheral != requests[1].peripheral
    assert requests[0].central == 0xFFFF != requests[1].central
    assert set_code.new_central == requests[1].central != 7
    assert frames(copy)[-1].frame.data[4:12] == requests[1].code.reveal()


@pytest.mark.parametrize("keys", [KEYS, PACKED], ids=["16 characters", "20 characters"])
def test_the_pair_request_and_the_device_information_name_the_new_lock(keys: LockKeys) -> None:
    info = device_info(
        auth=b"authKeyCanaryAuthKeyCanary_32_by", virtual_id=b"virtualCanary987654321"
    )
    talk = Talk(keys=keys).greet(info).central(0x0001, PairRequest.of(keys).to_bytes())
    copy = rekey(talk.capture()).capture
    keys = copy.header.keys
    _, answer, pair = frames(copy)
    assert pair.frame.data == PairRequest.of(keys).to_bytes()
    new = DeviceInfo.from_bytes(answer.frame.data)
    assert new.auth == keys.auth_key
    assert new.virtual_id == keys.virtual_id
    assert any(new.srand.reveal())


def test_pairing_in_security_v2_names_the_new_keys() -> None:
    talk = pair_talk(PairRequest.of(KEYS, security_v2=True), "secv2")
    copy = rekey(talk.capture()).capture
    new = PairRequest.of(copy.header.keys, security_v2=True)
    assert frames(copy)[-1].frame.data == new.to_bytes()


def test_a_register_key_is_that_of_the_new_auth_key_and_the_new_iv() -> None:
    talk = Talk("4.4", bound=False)
    talk.central(0x0000, b"\0\xf3", flag=1)
    register_key = talk.ring.register_key()
    talk.lock(0x0000, device_info(auth=register_key, bound=0, protocol=b"\4\4"), flag=1)
    copy = rekey(talk.capture()).capture
    asked, answer = frames(copy)
    ring = KeyRing(copy.header.keys)
    ring.learn_server_rand(asked.iv)
    auth = DeviceInfo.from_bytes(answer.frame.data).auth.reveal()
    assert auth == ring.register_key() + bytes(16)
    assert not is_in(register_key, copy)


def test_short_secrets_run_out_of_test_values_and_are_dropped() -> None:
    talk = Talk().greet()
    for letter in range(60):  # one letter has 26 test values, the first of them unused
        talk.write(29, bytes((0x40 + letter,)), 3)
    rekeyed = rekey(talk.capture())
    assert len(rekeyed.dropped) == 35
    kept = [dp.data for dp in datapoints_of(rekeyed.capture)]
    assert len(set(kept)) == 25
    assert "than test values" in rekeyed.dropped[0].reason


# -- packets


def test_a_frame_written_twice_is_written_twice_in_the_copy() -> None:
    talk = Talk().greet().write(71, HEAD + OPENING)
    talk.events += talk.events[-4:]
    copy = rekey(talk.capture()).capture
    values = [event.value for event in copy.events]
    assert values[-8:-4] == values[-4:]


def lock_sends(talk: Talk, *packets: bytes) -> Capture:
    talk.events += [
        Event(t=1.0, sender=Sender.LOCK, kind=Kind.NOTIFY, value=packet) for packet in packets
    ]
    return talk.capture()


def test_packets_keep_their_sizes_however_oddly_they_were_cut() -> None:
    talk = Talk().greet()
    report = Report(code=0x8001, datapoints=(Datapoint.raw(72, SWAPPED + OPENING),)).to_bytes()
    message = close_frame(
        Frame(9, 0, 0x8001, report), flag=5, ring=talk.ring, iv=md5(b"odd").digest()
    )
    head = b"\0" + bytes((len(message),)) + b"\x37"
    packets = [head, b"\1" + message[:3], b"\2", b"\3" + message[3:] + b"surplus"]
    copy = rekey(lock_sends(talk, *packets)).capture
    new = [event.value or b"" for event in copy.events[-4:]]
    assert [len(packet) for packet in new] == [len(packet) for packet in packets]
    assert (new[0], new[2]) == (packets[0], packets[2])
    assert new[3].endswith(bytes(7)), "what follows the end is not looked at"
    assert len(frames(copy)) == 3


def test_writes_longer_than_the_lock_takes_keep_their_size_and_lose_their_end() -> None:
    talk = Talk().greet()
    message = close_frame(Frame(9, 0, 3, b""), flag=5, ring=talk.ring, iv=md5(b"long").digest())
    first, second = split(message, att_payload=20, major=3)
    for packet in (first + WORDS, second):
        talk.events.append(Event(t=1.0, sender=Sender.CENTRAL, kind=Kind.WRITE, value=packet))
    copy = check_gone(talk, WORDS).capture
    assert [len(event.value or b"") for event in copy.events[-2:]] == [20 + len(WORDS), 17]
    assert len(frames(copy)) == 3


def test_a_block_of_padding_that_nobody_needs_stays() -> None:
    talk = Talk().greet()
    frame = Frame(9, 0, 0x8001, b"\x1d\3\x1f" + b"Canary Road 7, behind the house")
    assert len(frame.to_bytes()) == 48
    message = seal(
        frame.to_bytes() + b"\x10" * 16, flag=5, key=talk.ring.key(5), iv=md5(b"pad").digest()
    )
    packets = split(message, att_payload=244, major=3)
    copy = rekey(lock_sends(talk, *packets)).capture
    assert [len(event.value or b"") for event in copy.events[-1:]] == [3 + 17 + 64]
    assert frames(copy)[-1].frame.data[3:] == b"testaaaaaaaaaaaaaaaaaaaaaaaaaab"


def test_a_plaintext_frame_is_scrubbed_too() -> None:
    talk = Talk("3.3", bound=False).lock(0x8001, b"\x1d\3\x18" + WORDS, flag=0)
    assert check_gone(talk, WORDS).dropped == ()


def test_the_counter_of_the_first_packet_stays() -> None:
    capture = load("lock-counter.jsonl")
    assert nibbles(rekey(capture).capture) == nibbles(capture)


def nibbles(capture: Capture) -> list[int]:
    return [
        event.value[2]
        for event in capture.events
        if event.kind is Kind.NOTIFY and event.value is not None and event.value[0] == 0
    ]


def test_a_random_source_of_the_wrong_size_is_our_own_mistake() -> None:
    with pytest.raises(LocalProtocolError, match="16 bytes"):
        rekey_capture(Talk().greet().capture(), new_iv=lambda: b"short", dpmap=DPS)


def test_a_capture_without_line_numbers_can_be_rekeyed() -> None:
    numbered = several().capture()
    bare = Capture(numbered.header, tuple(replace(event, line=0) for event in numbered.events))
    assert rekey(bare) == rekey(numbered)


# -- the safety net


def whole_talk() -> Capture:
    """Something of everything."""
    info = device_info(
        auth=b"authKeyCanaryAuthKeyCanary_32_by", virtual_id=b"virtualCanary987654321",
        tail=tail(FIRMWARE_KEY, mac=MAC),
    )  # fmt: skip
    heard = Advertisement.build(AdvertisementFormat.V3, KEYS, product_id=PRODUCT_ID, bound=True)
    talk = Talk(advertisement=heard.to_bytes()).greet(info).central(0x0001, OWN_PAIR.to_bytes())
    for case, (number, dp_type, data, _) in WRITTEN.items():
        if not case.startswith("text where"):
            talk.write(number, data, dp_type)
    return talk.capture()


@pytest.mark.parametrize(
    "kind",
    [
        Sensitive.LOCAL_KEY, Sensitive.AUTH_KEY, Sensitive.UUID, Sensitive.DEVICE_ID,
        Sensitive.PRODUCT_ID, Sensitive.CHECK_CODE, Sensitive.REMOTE_KEY, Sensitive.PIN,
        Sensitive.OFFLINE_T0, Sensitive.SRAND, Sensitive.MAC, Sensitive.FIRMWARE_KEY,
        Sensitive.TEXT, Sensitive.METHOD_INFO,
    ],
)  # fmt: skip
def test_a_kind_of_secret_that_is_not_replaced_is_found(
    kind: Sensitive, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, honest = whole_talk(), Substitutes.of
    rekey(original)

    def forgetful(self: Substitutes, what: Sensitive, value: bytes) -> bytes:
        new = honest(self, what, value)
        return value if what is kind else new

    monkeypatch.setattr(Substitutes, "of", forgetful)
    with pytest.raises(RekeyError) as caught:
        rekey(original)
    # A local key that stays brings its login key along.
    assert caught.value.kind in {kind, Sensitive.LOGIN_KEY}


@pytest.mark.parametrize("method", ["_pair_request", "_device_info", "_known"])
def test_a_payload_that_is_forgotten_is_found(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(_: Scrubber, payload: Any, *more: Any) -> Any:
        if method == "_known":
            return more[0].data
        return payload if isinstance(payload, bytes) else payload.to_bytes()

    original = whole_talk()
    talk = Talk().greet().write(71, HEAD + OPENING).central(0x0023, TRIGGER)
    monkeypatch.setattr(Scrubber, method, forgetful)
    with pytest.raises(RekeyError):
        rekey(talk.capture() if method == "_known" else original)


def test_a_header_that_is_forgotten_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.rekey.scrub_header", lambda header, _: (header, None))
    with pytest.raises(RekeyError):
        rekey(Talk().greet().capture())


def test_an_advertisement_that_is_passed_on_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(old: Header, values: Substitutes) -> tuple[Header, str | None]:
        header, reason = scrub_header(old, values)
        return replace(header, advertisement=old.advertisement), reason

    monkeypatch.setattr("protocol.rekey.scrub_header", forgetful)
    for form in AdvertisementFormat:
        heard = Advertisement.build(form, KEYS, product_id=PRODUCT_ID, bound=True)
        adv, scan_rsp = heard.to_bytes()
        with pytest.raises(RekeyError, match="advertised id"):
            rekey(Talk(advertisement=(adv, scan_rsp)).greet().capture())
    with pytest.raises(RekeyError, match="advertised id"):  # v4: the half without the uuid
        rekey(Talk(advertisement=(adv, b"")).greet().capture())


def test_half_an_advertisement_that_is_passed_on_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(old: Header, values: Substitutes) -> tuple[Header, str | None]:
        header, reason = scrub_header(old, values)
        assert header.advertisement is not None
        assert old.advertisement is not None
        mixed = header.advertisement[0], old.advertisement[1]
        return replace(header, advertisement=mixed), reason

    monkeypatch.setattr("protocol.rekey.scrub_header", forgetful)
    heard = Advertisement.build(AdvertisementFormat.V3, KEYS, product_id=PRODUCT_ID, bound=True)
    with pytest.raises(RekeyError, match="advertised id"):
        rekey(Talk(advertisement=heard.to_bytes()).greet().capture())


def test_a_copy_that_cannot_be_read_is_not_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = protocol.rekey._split_alike

    def forgetful(packets: tuple[Event, ...], message: bytes, taken: int | None) -> list[bytes]:
        return list(honest(packets, message, taken))[:-1]

    monkeypatch.setattr("protocol.rekey._split_alike", forgetful)
    with pytest.raises(RekeyError, match="does not read like the original"):
        rekey(Talk().greet().capture())


def test_a_packet_that_is_passed_on_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.rekey.scrub_header", lambda header, _: (header, None))
    monkeypatch.setattr("protocol.rekey.find_leak", lambda *_: None)
    original = Talk(recorded=False).greet().capture()
    with pytest.raises(RekeyError, match="sealed frame"):
        rekey(original, seed="original")


SECRET = bytes.fromhex("c3a91e7f5b2d")


@pytest.mark.parametrize(
    "form",
    [
        SECRET.hex(), SECRET.hex().upper(), "x" + SECRET.hex() + "y", SECRET.hex(":"),
        base64.b64encode(SECRET).decode(), base64.urlsafe_b64encode(SECRET).decode(),
        base64.b64encode(b"a" + SECRET + b"b").decode(),
        base64.b64encode(b"ab" + SECRET + b"c").decode(),
        SECRET.hex().encode().hex(), SECRET[::-1].hex(), SECRET[::-1].hex(":").upper(),
    ],
)  # fmt: skip
@pytest.mark.parametrize("field", ["name", "value", "data", "digits"])
def test_every_form_of_a_secret_is_found(form: str, field: str) -> None:
    line = json.dumps({"keys": [{field: form}]})
    found = find_leak(line, [], [(Sensitive.MAC, SECRET)], [])
    readable = field != "value" or form.lower() in (SECRET.hex(), SECRET[::-1].hex())
    readable = readable and (field in {"name", "digits"} or ishex(form))
    assert found == (Sensitive.MAC if readable else None)


def ishex(text: str) -> bool:
    try:
        return bool(bytes.fromhex(text))
    except ValueError:
        return False


def test_a_secret_in_a_plaintext_is_found_although_no_text_shows_it() -> None:
    originals = [(Sensitive.TEXT, b"Canary")]
    assert find_leak("{}", [b"a Canary"], originals, []) == Sensitive.TEXT
    assert find_leak("{}", [b"a canary"], originals, []) is None


def test_short_and_plain_values_are_not_searched() -> None:
    originals = [(Sensitive.PIN, bytes((1, 2, 3))), (Sensitive.PIN, bytes((1, 1, 2, 2, 1, 1)))]
    assert find_leak("{}", [bytes((1, 2, 3)), bytes((1, 1, 2, 2, 1, 1))], originals, []) is None


def test_a_text_that_is_part_of_a_test_value_is_no_leak() -> None:
    originals, issued = [(Sensitive.TEXT, b"test")], [b"test0001"]
    assert find_leak('{"name": "test0001"}', [b"a test0001"], originals, issued) is None
    assert find_leak('{"name": "test0002"}', [], originals, issued) == Sensitive.TEXT
    assert find_leak("{}", [b"test0001 is a test"], originals, issued) == Sensitive.TEXT


def test_t0_at_the_beginning_of_a_timestamp_is_no_leak() -> None:
    originals = [(Sensitive.OFFLINE_T0, b"1700000529")]
    assert find_leak("{}", [b"\x001700000529123\0"], originals, []) is None
    assert find_leak("{}", [b"\x0a1700000529"], originals, []) == Sensitive.OFFLINE_T0


@pytest.mark.parametrize(
    "text", ["lock", "test", "rekeyed", "protocol", "frame", "local_key", "1910", "unknown", "8001"]
)
def test_an_innocent_text_does_not_stop_a_copy(text: str) -> None:
    talk = Talk().greet().write(29, text.encode(), 3).report(47, b"\1", 1)
    copy = rekey(talk.capture()).capture
    assert datapoints_of(copy)[0].data != text.encode()


# -- test values


SIZES = {Sensitive.CENTRAL: 2, Sensitive.LOCAL_KEY: 16, Sensitive.AUTH_KEY: 32}


@pytest.mark.parametrize("kind", Sensitive)
@settings(max_examples=30)
@given(values=st.lists(st.binary(min_size=4, max_size=40), max_size=12))
def test_values_have_the_length_of_the_originals_and_tell_them_apart(
    kind: Sensitive, values: list[bytes]
) -> None:
    size = SIZES.get(kind)
    if size is not None:
        values = [value[:size].ljust(size, b"x") for value in values]
    issued = Substitutes(avoid=frozenset(values))
    new = {value: issued.of(kind, value) for value in values}
    assert all(len(new[value]) == len(value) for value in values)
    assert len(set(new.values())) == len(new)
    assert new == {value: issued.of(kind, value) for value in values}
    for value in values:
        kept = not any(value) or (kind is Sensitive.CENTRAL and value == b"\xff\xff")
        assert (new[value] == value) == (kept and kind is not Sensitive.PIN)


@pytest.mark.parametrize(
    ("kind", "original", "new"),
    [
        (Sensitive.PIN, bytes((9, 9, 8, 1)), bytes((0, 0, 0, 1))),
        (Sensitive.PIN, bytes(6), bytes((0, 0, 0, 0, 0, 1))),
        (Sensitive.PIN, b"9981", b"0001"),
        (Sensitive.PIN, bytes((9, 200, 8, 1)), b"te\0\1"),  # no digits, and still none
        (Sensitive.CHECK_CODE, b"52777950", b"00000001"),
        (Sensitive.CHECK_CODE, bytes.fromhex("8899aabbccddeeff"), b"testte\0\1"),
        (Sensitive.OFFLINE_T0, b"1735157930", b"0000000001"),
        (Sensitive.LOGIN_KEY, b"50aooy", b"lk0001"),
    ],
)
def test_a_test_value_is_of_the_kind_of_its_original(
    kind: Sensitive, original: bytes, new: bytes
) -> None:
    assert Substitutes().of(kind, original) == new


def test_no_test_value_is_a_secret_of_the_same_capture() -> None:
    taken = Secret("test01localkey01")
    keys = replace(KEYS, local_key=taken, uuid="testuuid00000001")
    talk = Talk(keys=keys).greet().write(71, bytes.fromhex("ffff0001") + b"00000001" + OPENING)
    copy = rekey(talk.capture()).capture
    assert copy.header.keys.local_key == Secret("test02localkey02")
    assert copy.header.keys.uuid == "testuuid00000002"
    request = OpenRequest.from_bytes(datapoints_of(copy)[0].data)
    assert (request.peripheral, request.code) == (2, Secret(b"00000002"))


def test_no_login_key_of_a_test_key_is_the_original_one() -> None:
    keys = replace(KEYS, local_key=Secret("test01anotherkey"))
    copy = rekey(Talk(keys=keys).greet().capture()).capture
    assert copy.header.keys.login_key == Secret("test02")


# -- the recordings


@cache
def rekeyed_file(name: str) -> Rekeyed:
    return rekey(load(name))


def kept_groups(capture: Capture) -> dict[int, list[Event]]:
    """Packets by the line of the last one of their message."""
    told = {(one.sender, one.line) for one in observe(capture)}
    waiting: dict[Sender, list[Event]] = defaultdict(list)
    groups: dict[int, list[Event]] = {}
    for event in capture.events:
        if event.value is not None:
            waiting[event.sender].append(event)
            if (event.sender, event.line) in told:
                groups[event.line] = waiting.pop(event.sender)
    return groups


def shape(capture: Capture, without: set[int]) -> Iterator[tuple[object, ...]]:
    """What must be equal in a copy: everything but the bytes."""
    groups = kept_groups(capture)
    gone = {event.line for line in without for event in groups.get(line, [])} | without
    seen = {one.line: one for one in observe(capture)}
    for event in capture.events:
        if event.line in gone:
            continue
        size = None if event.value is None else len(event.value)
        yield event.t, event.sender, event.kind, size, event.frame is not None, event.power
        if event.line in seen:
            found = seen[event.line]
            assert isinstance(found, Seen)
            frame = found.opened.frame
            yield found.opened.flag, frame.sn, frame.ack_sn, frame.code, len(frame.data)


@pytest.mark.parametrize("name", FILES)
def test_a_rekeyed_recording_has_the_shape_of_the_original(name: str) -> None:
    original = load(name)
    rekeyed = rekeyed_file(name)
    copy = parse_capture(format_capture(rekeyed.capture))
    assert copy == rekeyed.capture
    assert list(shape(copy, set())) == list(shape(original, {one.line for one in rekeyed.dropped}))
    for event in copy.events:
        assert event.note is None
        assert event.broken is None
    recorded = [event.frame for event in copy.events if event.frame is not None]
    assert recorded == [RecordedFrame.of(opened) for opened in frames(copy)]


@pytest.mark.parametrize("name", FILES)
def test_a_rekeyed_recording_holds_no_key_and_no_id_of_the_original(name: str) -> None:
    original = load(name)
    keys, everything = original.header.keys, everything_in(rekeyed_file(name).capture)
    secrets = [keys.uuid16, keys.uuid.encode(), keys.virtual_id.encode()]
    secrets += [key.reveal() for key in (keys.local_key, keys.sec_key, keys.auth_key) if key]
    secrets += [original.header.product_id.encode()]
    secrets += [event.value for event in original.events if event.value and len(event.value) > 12]
    for opened in (one.opened for one in observe(original) if isinstance(one, Seen)):
        if opened.frame.code == CommandCode.DEVICE_INFO and len(opened.frame.data) >= 46:
            secrets += [DeviceInfo.from_bytes(opened.frame.data).srand.reveal(), opened.iv]
    for secret in filter(any, secrets):
        assert not any(form in everything for form in forms_of(secret))


EXPECTED_DROPS = {
    # what nobody could read, or nobody knows; everything else is kept
    "lock-damaged.jsonl": 5,
    "lock-query.jsonl": 1,
    "lock-records-empty-ack.jsonl": 2,
    "lock-sealed-session-key.jsonl": 1,
    "lock-settings.jsonl": 1,
    "lock-wrong-key.jsonl": 1,
    "sdk33-damaged.jsonl": 4,
    "sdk33-early.jsonl": 3,
    "sdk44-244-damaged.jsonl": 4,
    "secv2-244-refusals.jsonl": 1,
}


@pytest.mark.parametrize("name", FILES)
def test_of_a_recording_only_what_nobody_knows_is_dropped(name: str) -> None:
    assert len(rekeyed_file(name).dropped) == EXPECTED_DROPS.get(name, 0)


WHOLE = [name for name in FILES if not EXPECTED_DROPS.get(name)]


@pytest.mark.parametrize("name", [name for name in WHOLE if name not in NOT_REPLAYED])
def test_our_central_writes_what_the_rekeyed_one_writes(name: str) -> None:
    replay = CentralReplay(rekeyed_file(name).capture)
    replay.run()
    assert not replay.ivs


@pytest.mark.parametrize("name", WHOLE)
def test_our_lock_side_answers_as_the_rekeyed_lock(name: str) -> None:
    PeripheralReplay(rekeyed_file(name).capture).run()


@pytest.mark.parametrize("name", FILES)
def test_a_code_in_a_request_is_the_one_in_its_reply(name: str) -> None:
    original, copy = load(name), rekeyed_file(name).capture
    assert codes(copy) == renamed(codes(original), codes(copy))


def codes(capture: Capture) -> list[bytes]:
    """The check codes of openings, in order."""
    number = 71
    return [
        OpenRequest.from_bytes(dp.data).code.reveal()
        for dp in datapoints_of(capture)
        if dp.id == number and dp.type == DpType.RAW and len(dp.data) >= 18
    ]


def renamed(old: list[bytes], new: list[bytes]) -> list[bytes]:
    """The old list with each value replaced by what first stands for it in the new one."""
    names: dict[bytes, bytes] = {}
    for one, other in zip(old, new, strict=True):
        names.setdefault(one, other)
    assert len(set(names.values())) == len(names), "two secrets became one"
    return [names[one] for one in old]


@pytest.mark.parametrize("name", FILES)
def test_rekeying_twice_changes_values_and_no_structure(name: str) -> None:
    once = rekeyed_file(name).capture
    again = rekey(once, seed="again")
    assert again.dropped == ()
    assert list(shape(again.capture, set())) == list(shape(once, set()))
    assert again.capture.header.keys.uuid != once.header.keys.uuid
    assert again.capture.header.keys.local_key != once.header.keys.local_key


# -- a real device


def field_capture() -> Capture:
    """What the author of revspace.nl/BT785 (github.com/bertrik/bt785, MIT) published."""
    entries = {one["id"]: one for one in json.loads(FIELD.read_text())["entries"]}
    material = entries["bt785-devinfo-req"]["key_material"]
    keys = LockKeys(
        uuid=material["uuid"],
        virtual_id=material["device_id"],
        local_key=Secret(material["local_key"]),
    )
    heard = entries["bt785-advert"]["decoded"]
    adv = bytes.fromhex("020106030250fd0f1650fd" + heard["service_data"])
    scan_rsp = bytes.fromhex("17ffd007" + heard["manufacturer_data"])
    header = Header(
        name="bt785", about="", origin="revspace.nl", protocol="4.2", att_payload=244, gatt="fd50",
        keys=keys, advertisement=(adv, scan_rsp),
    )  # fmt: skip
    events = [
        Event(
            t=0.0,
            sender=Sender.CENTRAL if one["direction"] == "app->device" else Sender.LOCK,
            kind=Kind.WRITE if one["direction"] == "app->device" else Kind.NOTIFY,
            value=bytes.fromhex(packet),
        )
        for name, one in entries.items()
        if name.startswith("bt785-")
        for packet in one.get("raw_packets") or []
    ]
    return Capture(header, tuple(events)).with_lines()


@pytest.mark.parametrize("keep_unknown", [False, True])
def test_frames_of_a_real_device_leave_nothing_of_it(keep_unknown: bool) -> None:
    original = field_capture()
    rekeyed = rekey(original, keep_unknown=keep_unknown)
    copy = rekeyed.capture
    assert [opened.frame.code for opened in frames(copy)] == (
        [0x0000, 0x0000, 0x8006] if keep_unknown else [0x0000, 0x0000]
    )
    keys = original.header.keys
    assert keys.local_key is not None
    secrets = [keys.local_key.reveal(), keys.local_key.reveal()[:6], keys.uuid.encode()]
    secrets += [keys.virtual_id.encode(), bytes.fromhex("dc234f696de7")]
    secrets += [bytes.fromhex("c4984a2a590f"), bytes.fromhex("c14161b108805adba92a221eb39d6e2f")]
    secrets += [event.value for event in original.events if event.value]
    for secret in secrets:
        assert not is_in(secret, copy)
    # The two notifications of a session whose random is not published can be read by nobody.
    unread = [one for one in rekeyed.dropped if "cannot be read" in one.reason]
    assert len(unread) == 2
    assert copy.header.advertisement is not None
    assert Advertisement.parse(*copy.header.advertisement).verify(copy.header.keys)


# -- anything


@given(
    dp_id=st.integers(0, 255),
    dp_type=st.integers(0, 6),
    data=st.binary(max_size=60),
    keep_unknown=st.booleans(),
    protocol=st.sampled_from(PROTOCOLS),
)
def test_any_datapoint_is_kept_rewritten_dropped_or_refused(
    dp_id: int, dp_type: int, data: bytes, keep_unknown: bool, protocol: str
) -> None:
    talk = Talk(protocol).greet().write(dp_id, data, dp_type).report(dp_id, data, dp_type)
    try:
        rekeyed = rekey(talk.capture(), keep_unknown=keep_unknown)
    except RekeyError:
        assert len(data) < 12, "only what is short can be found by chance"
        return
    kept = datapoints_of(rekeyed.capture)
    assert len(kept) + len(rekeyed.dropped) == 2
    assert all((dp.id, dp.type, len(dp.data)) == (dp_id, dp_type, len(data)) for dp in kept)


@given(
    sender=st.sampled_from(Sender),
    code=st.sampled_from([*CommandCode, 0x7777]) | st.integers(0, 0xFFFF),
    data=st.binary(max_size=130),
    keep_unknown=st.booleans(),
)
def test_any_frame_is_kept_in_its_size_dropped_or_refused(
    sender: Sender, code: int, data: bytes, keep_unknown: bool
) -> None:
    original = Talk().greet().say(sender, code, data).capture()
    try:
        rekeyed = rekey(original, keep_unknown=keep_unknown)
    except RekeyError:
        return  # random data may repeat within themselves what they have where a secret belongs
    seen = frames(rekeyed.capture)
    if len(seen) == 3 and not rekeyed.dropped:
        assert (seen[2].frame.code, len(seen[2].frame.data)) == (code, len(data))


@given(
    local=st.dictionaries(
        st.sampled_from(
            ["action", "dp", "value", "payload", "command", "digits", "time_text", "method", "x"]
        ),
        st.integers() | st.text(max_size=12) | st.none() | st.booleans()
        | st.lists(st.integers(), max_size=2)
        | st.sampled_from(["report", "state", "0x8001", "0x8006", "080204000000502f010101"]),
    )
)  # fmt: skip
def test_any_local_event_is_scrubbed_or_dropped(local: dict[str, Any]) -> None:
    original = Talk().greet().event(kind=Kind.LOCAL, local=local).capture()
    rekeyed = rekey(original)
    assert len(rekeyed.capture.events) == len(original.events) or rekeyed.dropped
