"""The codec held against the oracle, and the oracle against the recordings.

A disagreement means that the README, the oracle or the codec is wrong. None of them wins by
itself: see the docstring of `naive_codec`.
"""

from __future__ import annotations

import ast
import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import (
    Advertisement,
    CommandCode,
    Datapoint,
    DeviceInfo,
    Dialect,
    Frame,
    LockKeys,
    ProtocolError,
    Report,
    ReportTime,
    Secret,
    SecurityFlag,
    Sender,
)
from protocol.advertised_fields import AdvertisementFormat, IdType
from protocol.commands import DpWrite, DpWriteV4, read_payload
from protocol.datapoint import read_datapoints, write_datapoints
from protocol.fragment import Joiner, read_varint, split, write_varint
from protocol.frame import crc16
from protocol.keys import KeyRing, pack_uuid, unpack_uuid
from protocol.lock import CheckCodeReply, CheckCodeSet, OpenRecord, OpenReply, OpenRequest
from protocol.message import close_frame, open_message
from protocol.pairing import PairRequest
from protocol.reports import ReportAck, TimeKind
from protocol.seal import Sealed
from protocol.times import ClockAnswer, DateAnswer, SavingAnswer, SavingPeriod
from tests.oracle import naive_codec as naive

T = TypeVar("T")
ORACLE = Path(naive.__file__)
FIRMWARE = Path(__file__).parents[1] / "captures" / "firmware"
CAPTURES = sorted(path.stem for path in FIRMWARE.glob("*.jsonl"))
FLAGS = (1, 2, 4, 5, 11, 12, 14, 15, 16)
ALL_FLAGS = frozenset(int(flag) for flag in SecurityFlag)

quick = settings(max_examples=40, deadline=None, database=None)


def outcome(call: Callable[..., T], *given: object) -> T | str:
    """What a reader or writer says; every kind of refusal reads the same."""
    try:
        return call(*given)
    except (ProtocolError, naive.Refused):
        return "refused"


# ---------------------------------------------------------------- independence


def test_the_oracle_imports_only_the_standard_library_and_aes() -> None:
    imported = set()
    for node in ast.walk(ast.parse(ORACLE.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module))
    assert imported == {"hashlib", "struct", "typing", "Crypto.Cipher"}


def test_the_oracle_names_no_way_to_import_at_run_time() -> None:
    tree = ast.parse(ORACLE.read_text(encoding="utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & {"__import__", "importlib", "exec", "eval", "compile", "open"}


# ---------------------------------------------------------------- the oracle and the recordings


def material_of(header: dict[str, Any]) -> naive.Material:
    keys = header["keys"]
    packed = keys.get("uuid16")
    spoken = "4.4" if header["protocol"] == "secv2" else header["protocol"]
    major, minor = spoken.split(".")
    return naive.Material(
        local_key=keys["local_key"].encode("ascii"),
        sec_key=keys["sec_key"].encode("ascii") if keys["sec_key"] else None,
        auth_key=keys["auth_key"].encode("ascii"),
        uuid16=bytes.fromhex(packed) if packed else naive.pack_uuid(keys["uuid"]),
        protocol=(int(major), int(minor)),
    )


def lines_of(name: str) -> list[dict[str, Any]]:
    text = (FIRMWARE / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


Noted = dict[str, Any]


def recorded(name: str) -> list[tuple[str, Noted, Noted, naive.Frame]]:
    """Sender, what the recorder noted, what the oracle heard, and the frame, of every frame."""
    header, *events = lines_of(name)
    ear = naive.Ear(material_of(header))
    heard = []
    for event in events:
        if event["kind"] in ("connect", "disconnect"):
            ear.new_link()
        if "value" not in event:
            continue
        try:
            answer = ear.hear(event["dir"], bytes.fromhex(event["value"]))
        except naive.Refused:
            answer = None
        if "frame" not in event:
            continue
        assert answer is not None
        flag, iv, frame = answer
        noted = event["frame"]
        told = {
            "flag": flag,
            "iv": iv.hex(),
            "sn": frame.sn,
            "ack_sn": frame.ack_sn,
            "cmd": f"0x{frame.code:04x}",
            "data": frame.data.hex(),
        }
        heard.append((event["dir"], noted, told, frame))
    return heard


@pytest.mark.parametrize("name", CAPTURES)
def test_the_oracle_alone_reads_a_recording_as_noted_and_writes_it_as_sent(name: str) -> None:
    for _, noted, told, _ in recorded(name):
        assert told == noted
    reseal(name)


def reseal(name: str) -> None:
    """Every frame of a recording, made again from what was noted, is the recorded fragments."""
    header, *events = lines_of(name)
    material = material_of(header)
    pending: dict[str, list[bytes]] = {"central": [], "lock": []}
    for event in events:
        if event["kind"] in ("connect", "disconnect"):
            pending = {"central": [], "lock": []}
        if "value" not in event:
            continue
        value = bytes.fromhex(event["value"])
        fragments = pending[event["dir"]]
        if value[0] == 0:
            fragments.clear()
        fragments.append(value)
        if "frame" not in event:
            continue
        noted = event["frame"]
        iv, data = bytes.fromhex(noted["iv"]), bytes.fromhex(noted["data"])
        if event["dir"] == "central" and noted["flag"] in (1, 11, 16):
            material = material._replace(server_rand=iv)
        frame = naive.Frame(noted["sn"], noted["ack_sn"], int(noted["cmd"], 16), data)
        key = naive.key_of(noted["flag"], material)
        message = naive.seal(noted["flag"], key, iv, naive.pack_frame(frame))
        version = naive.read_varint(fragments[0][1:])[1][0]
        size = header["att_payload"]
        assert naive.split(message, size, version // 16, version % 16) == fragments
        if event["dir"] == "lock" and frame.code == 0:
            material = material._replace(srand=data[6:12])


def rewritten(sender: str, code: int, data: bytes) -> bytes:
    """The data of a command, read and written again by the oracle."""
    if sender == "lock" and code in naive.WIDE:
        return naive.pack_report(naive.read_report(code, data))
    if sender == "lock" and code == 0x0000:
        return naive.pack_device_info(naive.read_device_info(data))
    if sender == "lock":
        return data
    if code == 0x0001:
        fields = naive.read_pair_request(data)
        head = (fields.pop("uuid16"), fields.pop("login_key"), fields.pop("virtual_id22"))
        return naive.pack_pair_request(*head, **fields)
    if code == 0x0027:
        return naive.pack_write_v4(*naive.read_write_v4(data)[1:])
    if code == 0x8011:
        return naive.pack_clock(*naive.read_clock(data))
    if code in (0x8012, 0x8013):
        return naive.pack_date(*naive.read_date(data))
    if code == 0x8014:
        return naive.pack_saving(*naive.read_saving(data))
    return data


def test_the_oracle_writes_every_recorded_payload_as_it_read_it() -> None:
    odd, count = [], 0
    for name in CAPTURES:
        for sender, _, _, frame in recorded(name):
            count += 1
            if outcome(rewritten, sender, frame.code, frame.data) != frame.data:
                odd.append((name, sender, hex(frame.code), frame.data.hex()))
    assert odd == []
    assert count == 2120


def advertised() -> list[dict[str, Any]]:
    text = (FIRMWARE / "advertisements.json").read_text(encoding="utf-8")
    return cast("list[dict[str, Any]]", json.loads(text)["advertisements"])


@pytest.mark.parametrize("sample", [pytest.param(each, id=each["name"]) for each in advertised()])
def test_the_oracle_alone_deciphers_a_recorded_advertisement(sample: dict[str, Any]) -> None:
    halves = bytes.fromhex(sample["adv"]), bytes.fromhex(sample["scan_rsp"])
    advert = naive.read_advertisement(*halves)
    parsed, keys = sample["parsed"], sample["keys"]
    assert advert.form == sample["format"].removesuffix("-secv2")
    assert advert.bound == parsed["bound"]
    assert (advert.connect_request or False) == parsed["connect_request"]
    assert advert.security_v2 == parsed["security_v2"]
    uuid16 = naive.advertised_uuid16(advert)
    assert uuid16 is not None
    assert naive.unpack_uuid(uuid16) == keys["uuid"]
    id_field = cast("bytes", advert.id_field)
    size = len(id_field)
    if not advert.bound:
        assert id_field == keys["product_id"].encode("ascii")
    elif advert.security_v2:
        assert id_field == naive.bound_id_v2(uuid16, keys["sec_key"].encode("ascii"), size)
    else:
        assert id_field == naive.bound_id(uuid16, keys["login_key6"].encode("ascii"), size)


def test_every_recorded_register_key_is_the_one_the_oracle_computes() -> None:
    found = 0
    for name in CAPTURES:
        header, *_ = lines_of(name)
        if header["protocol"] == "3.0":
            continue
        auth_key = header["keys"]["auth_key"].encode("ascii")
        server_rand = naive.ZERO16
        for sender, noted, _, frame in recorded(name):
            if sender == "central" and noted["flag"] in (1, 11, 16):
                server_rand = bytes.fromhex(noted["iv"])
            if sender == "lock" and frame.code == 0:
                found += 1
                assert frame.data[14:30] == naive.register_key(auth_key, server_rand)
                assert frame.data[30:46] == naive.ZERO16
    assert found == 33


# ---------------------------------------------------------------- strategies

ALNUM = string.digits + string.ascii_letters


def characters(count: int) -> st.SearchStrategy[str]:
    return st.text(ALNUM, min_size=count, max_size=count)


def exactly(count: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=count, max_size=count)


UUIDS = st.one_of(characters(16), characters(20))
BYTE = st.integers(0, 255)
WORD = st.integers(0, 0xFFFF)
LONG = st.integers(0, 2**32 - 1)
SHORT_DATA = st.binary(max_size=40)
FRAMES = st.builds(naive.Frame, st.integers(1, 2**32 - 1), LONG, WORD, st.binary(max_size=200))
MATERIAL = st.builds(
    naive.Material,
    local_key=st.one_of(st.none(), characters(16).map(str.encode)),
    sec_key=st.one_of(st.none(), characters(16).map(str.encode)),
    auth_key=st.one_of(st.none(), characters(32).map(str.encode)),
    uuid16=UUIDS.map(naive.pack_uuid),
    srand=st.one_of(st.none(), st.just(bytes(6)), exactly(6)),
    server_rand=st.one_of(st.none(), exactly(16)),
    protocol=st.sampled_from([(2, 0), (3, 0), (3, 1), (3, 3), (4, 2), (4, 4)]),
)
FULL_MATERIAL = st.builds(
    naive.Material,
    local_key=characters(16).map(str.encode),
    sec_key=characters(16).map(str.encode),
    auth_key=characters(32).map(str.encode),
    uuid16=UUIDS.map(naive.pack_uuid),
    srand=exactly(6).filter(any),
    server_rand=exactly(16),
    protocol=st.sampled_from([(3, 0), (3, 3), (4, 4)]),
)
POINTS = st.lists(st.builds(naive.Point, BYTE, BYTE, SHORT_DATA), max_size=4)


@st.composite
def spoilt(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes with one thing wrong, or with nothing wrong."""
    how = draw(st.sampled_from(["nothing", "bit", "cut", "more", "other"]))
    if how == "bit" and whole:
        at = draw(st.integers(0, len(whole) - 1))
        return whole[:at] + bytes([whole[at] ^ (1 << draw(st.integers(0, 7)))]) + whole[at + 1 :]
    if how == "cut":
        return whole[: draw(st.integers(0, len(whole)))]
    if how == "more":
        return whole + draw(st.binary(min_size=1, max_size=20))
    if how == "other":
        return draw(st.binary(max_size=60))
    return whole


def ring_of(material: naive.Material) -> KeyRing:
    """The codec's keys of the same secrets."""

    def secret(value: bytes | None) -> Secret | None:
        return None if value is None else Secret(value)

    keys = LockKeys(
        uuid=naive.unpack_uuid(cast("bytes", material.uuid16)),
        local_key=secret(material.local_key),
        sec_key=secret(material.sec_key),
        auth_key=secret(material.auth_key),
    )
    ring = KeyRing(keys, double_md5_auth=material.protocol <= (3, 0))
    ring.learn_srand(material.srand)
    if material.server_rand is not None:
        ring.learn_server_rand(material.server_rand)
    return ring


def theirs(points: list[naive.Point]) -> tuple[Datapoint, ...]:
    return tuple(Datapoint(point.number, point.kind, point.data) for point in points)


def ours(points: tuple[Datapoint, ...]) -> list[naive.Point]:
    return [naive.Point(point.id, point.type, point.data) for point in points]


# ---------------------------------------------------------------- fragments


@quick
@given(st.binary(max_size=300))
def test_codec_and_oracle_compute_the_same_checksum(data: bytes) -> None:
    assert crc16(data) == naive.crc16(data)


@quick
@given(st.one_of(st.integers(-1, 300), st.integers(2**28 - 2, 2**28 + 1), st.integers(0, 2**28)))
def test_codec_and_oracle_write_the_same_varint_or_both_refuse(value: int) -> None:
    assert outcome(lambda: write_varint(value)) == outcome(lambda: naive.varint(value))


@quick
@given(st.one_of(st.binary(max_size=6), st.lists(st.integers(120, 255), max_size=6).map(bytes)))
def test_codec_and_oracle_read_the_same_varint_or_both_refuse(raw: bytes) -> None:
    def oracle() -> tuple[int, int]:
        value, rest = naive.read_varint(raw)
        return value, len(raw) - len(rest)

    assert outcome(lambda: read_varint(raw, 0)) == outcome(oracle)


@quick
@given(
    st.one_of(st.integers(0, 300), st.integers(1500, 1538)),
    st.one_of(st.integers(18, 40), st.integers(200, 512)),
    st.integers(0, 16),
    st.integers(0, 15),
)
def test_codec_and_oracle_split_into_the_same_fragments_or_both_refuse(
    size: int, payload: int, major: int, counter: int
) -> None:
    message = bytes(number * 7 % 251 for number in range(size))
    codec = outcome(lambda: split(message, att_payload=payload, major=major, counter=counter))
    assert codec == outcome(lambda: naive.split(message, payload, major, counter))


def joined(fragments: list[bytes], limit: int) -> tuple[list[object], list[object]]:
    joiner, collector = Joiner(max_total=limit), naive.Collector(limit)
    codec: list[object] = [outcome(joiner.feed, part) for part in fragments]
    oracle: list[object] = [outcome(collector.take, part) for part in fragments]
    return codec, oracle


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """The fragments of some messages, some of them lost, doubled, exchanged or spoilt."""
    fragments: list[bytes] = []
    for _ in range(draw(st.integers(1, 3))):
        message = draw(st.binary(min_size=1, max_size=90))
        fragments += naive.split(message, draw(st.integers(20, 30)), draw(st.integers(2, 15)))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(fragments) - 1))
        how = draw(st.sampled_from(["lose", "double", "exchange", "spoil"]))
        if how == "lose" and len(fragments) > 1:
            del fragments[at]
        elif how == "double":
            fragments.insert(at, fragments[at])
        elif how == "exchange":
            fragments[at], fragments[-1] = fragments[-1], fragments[at]
        else:
            fragments[at] = draw(spoilt(fragments[at]))
    return fragments


@quick
@given(streams(), st.sampled_from([40, 256, 1024, 1536]))
def test_codec_and_oracle_join_or_refuse_the_same_fragments(
    fragments: list[bytes], limit: int
) -> None:
    codec, oracle = joined(fragments, limit)
    assert codec == oracle


@pytest.mark.parametrize(
    ("claim", "fragments"),
    [
        ("a lost one", ["002020aa", "02bb"]),
        ("a number without a beginning", ["01aa", "000120aa"]),
        ("one too many", ["000120aa", "01bb"]),
        ("a total of nothing", ["000020aa"]),
        ("a total above the limit", ["00810c20aa"]),
        ("version nibble 1", ["000110aa"]),
        ("no version byte", ["0001"]),
        ("nothing at all", [""]),
        ("a varint cut off", ["0080"]),
        ("a varint above four bytes", ["00808080800120aa"]),
    ],
)
def test_codec_and_oracle_refuse_fragments_with(claim: str, fragments: list[str]) -> None:
    codec, oracle = joined([bytes.fromhex(each) for each in fragments], 1536)
    assert codec == oracle, claim
    assert "refused" in oracle


def test_codec_and_oracle_append_a_repeated_number_and_cut_off_what_is_too_much() -> None:
    fragments = [bytes.fromhex(each) for each in ("000420aa", "01bb", "01bb", "02ccdd")]
    codec, oracle = joined(fragments, 1536)
    assert codec == oracle == [None, None, None, bytes.fromhex("aabbbbcc")]


# ---------------------------------------------------------------- uuid and keys


@quick
@given(st.one_of(UUIDS, st.text(max_size=21)))
def test_codec_and_oracle_pack_the_same_uuid_or_both_refuse(uuid: str) -> None:
    assert outcome(lambda: pack_uuid(uuid)) == outcome(lambda: naive.pack_uuid(uuid))


@quick
@given(UUIDS)
def test_codec_and_oracle_unpack_what_the_other_packed(uuid: str) -> None:
    assert unpack_uuid(naive.pack_uuid(uuid)) == naive.unpack_uuid(pack_uuid(uuid)) == uuid


@quick
@given(MATERIAL, st.integers(1, 20))
def test_codec_and_oracle_derive_the_same_key_or_both_have_none(
    material: naive.Material, flag: int
) -> None:
    codec = outcome(lambda: ring_of(material).key(flag))
    assert codec == outcome(lambda: naive.key_of(flag, material))


@quick
@given(MATERIAL)
def test_codec_and_oracle_compute_the_same_register_key(material: naive.Material) -> None:
    if material.auth_key is not None:
        expected = naive.register_key(material.auth_key, material.server_rand or naive.ZERO16)
        assert ring_of(material).register_key() == expected


# ---------------------------------------------------------------- frames and sealing


@quick
@given(FRAMES)
def test_codec_and_oracle_write_the_same_frame_and_read_each_others(frame: naive.Frame) -> None:
    codec = Frame(*frame)
    assert codec.to_bytes() == naive.pack_frame(frame)
    assert Frame.from_bytes(naive.pack_frame(frame)) == codec
    assert naive.read_frame(codec.to_bytes()) == frame


def read_by_codec(text: bytes) -> tuple[int, int, int, bytes]:
    frame = Frame.from_bytes(text)
    return frame.sn, frame.ack_sn, frame.code, frame.data


@quick
@given(st.data())
def test_codec_and_oracle_read_or_refuse_the_same_spoilt_frame(data: st.DataObject) -> None:
    text = naive.pack_frame(data.draw(FRAMES))
    text = data.draw(spoilt(text + data.draw(st.binary(max_size=18))))
    assert outcome(lambda: read_by_codec(text)) == outcome(lambda: tuple(naive.read_frame(text)))


@quick
@given(FRAMES, FULL_MATERIAL, st.sampled_from(FLAGS), exactly(16), st.integers(20, 509))
def test_codec_and_oracle_send_the_same_fragments_and_open_each_others(
    frame: naive.Frame, material: naive.Material, flag: int, iv: bytes, payload: int
) -> None:
    ring, key = ring_of(material), naive.key_of(flag, material)
    message = close_frame(Frame(*frame), flag=flag, ring=ring, iv=iv)
    assert message == naive.seal(flag, key, iv, naive.pack_frame(frame))
    fragments = split(message, att_payload=payload, major=4)
    assert fragments == naive.split(message, payload, 4)
    assert naive.join(fragments) == [message]
    assert naive.read_frame(naive.unseal(message, key)) == frame
    opened = open_message(message, ring, known_flags=ALL_FLAGS)
    assert (opened.frame, opened.flag, opened.iv) == (Frame(*frame), flag, iv)


@quick
@given(st.data(), FULL_MATERIAL, st.sampled_from(FLAGS), exactly(16))
def test_codec_and_oracle_open_or_refuse_the_same_spoilt_message(
    data: st.DataObject, material: naive.Material, flag: int, iv: bytes
) -> None:
    frame = data.draw(FRAMES)
    key = naive.key_of(flag, material)
    message = data.draw(spoilt(naive.seal(flag, key, iv, naive.pack_frame(frame))))

    def codec() -> tuple[int, bytes, naive.Frame]:
        opened = open_message(message, ring_of(material), known_flags=ALL_FLAGS)
        frame = opened.frame
        return opened.flag, opened.iv, naive.Frame(frame.sn, frame.ack_sn, frame.code, frame.data)

    def oracle() -> tuple[int, bytes, naive.Frame]:
        flag, iv = naive.flag_and_iv(message)
        text = naive.unseal(message, naive.key_of(flag, material))
        return flag, iv, naive.read_frame(text)

    assert outcome(codec) == outcome(oracle)


@quick
@given(FULL_MATERIAL, exactly(16), FRAMES, st.sampled_from(["zeros", "block", "aligned"]))
def test_codec_and_oracle_both_take_other_paddings(
    material: naive.Material, iv: bytes, frame: naive.Frame, how: str
) -> None:
    text = naive.pack_frame(frame)
    missing = -len(text) % 16
    if how == "zeros":
        text += bytes(missing)
    elif how == "block":
        text += bytes([missing or 16]) * (missing or 16)
    else:
        text = naive.pad(text)
    key = naive.key_of(5, material)
    assert key is not None
    message = b"\x05" + iv + naive.cbc_encrypt(key, iv, text)
    assert naive.read_frame(naive.unseal(message, key)) == frame
    assert open_message(message, ring_of(material), known_flags=ALL_FLAGS).frame == Frame(*frame)


@quick
@given(FRAMES, st.binary(min_size=2, max_size=30), MATERIAL)
def test_codec_and_oracle_send_the_same_plaintext_under_flag_0(
    frame: naive.Frame, content: bytes, material: naive.Material
) -> None:
    frame = frame._replace(data=content)
    ring = ring_of(material)
    message = close_frame(Frame(*frame), flag=0, ring=ring, iv=b"")
    assert message == naive.seal(0, None, b"", naive.pack_frame(frame))
    assert naive.read_frame(naive.unseal(message, None)) == frame
    opened = open_message(message, ring, known_flags=ALL_FLAGS)
    assert (opened.frame, opened.flag, opened.iv) == (Frame(*frame), 0, b"")


@pytest.mark.parametrize("size", [0, 1])
def test_codec_and_oracle_refuse_a_plaintext_message_below_17_bytes(size: int) -> None:
    message = b"\x00" + naive.pack_frame(naive.Frame(1, 0, 3, bytes(size)))
    ring = KeyRing(LockKeys(uuid="0123456789abcdef"))
    assert outcome(lambda: open_message(message, ring, known_flags=ALL_FLAGS)) == "refused"
    assert outcome(naive.unseal, message, None) == "refused"


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 31, 33, 47])
def test_codec_and_oracle_refuse_a_ciphertext_of_half_blocks(size: int) -> None:
    message = bytes([5]) + bytes(size)
    assert outcome(lambda: Sealed.from_bytes(message).open(bytes(16))) == "refused"
    assert outcome(lambda: naive.unseal(message, bytes(16))) == "refused"


# ---------------------------------------------------------------- datapoints and writes


@quick
@given(POINTS, st.sampled_from([1, 2]))
def test_codec_and_oracle_write_the_same_list_and_read_each_others(
    points: list[naive.Point], wide: Literal[1, 2]
) -> None:
    raw = write_datapoints(theirs(points), wide)
    assert raw == naive.pack_points(points, wide)
    assert naive.read_points(raw, wide) == points == ours(read_datapoints(raw, wide))


@quick
@given(st.data(), st.sampled_from([1, 2]))
def test_codec_and_oracle_read_or_refuse_the_same_spoilt_list(
    data: st.DataObject, wide: Literal[1, 2]
) -> None:
    raw = data.draw(spoilt(naive.pack_points(data.draw(POINTS), wide)))
    codec = outcome(lambda: ours(read_datapoints(raw, wide)))
    assert codec == outcome(lambda: naive.read_points(raw, wide))


@pytest.mark.parametrize(("wide", "size"), [(1, 255), (1, 256), (2, 256), (2, 65535), (2, 65536)])
def test_codec_and_oracle_agree_on_the_longest_datapoint(wide: Literal[1, 2], size: int) -> None:
    points = [naive.Point(1, 0, bytes(size))]
    codec = outcome(lambda: write_datapoints(theirs(points), wide))
    assert codec == outcome(lambda: naive.pack_points(points, wide))


@quick
@given(
    BYTE, st.integers(0, 7), st.one_of(st.binary(max_size=5), st.text(max_size=5).map(str.encode))
)
def test_codec_and_oracle_find_the_same_meaning_in_a_datapoint(
    number: int, kind: int, raw: bytes
) -> None:
    codec, oracle = (
        Datapoint(number, kind, raw).value,
        naive.meaning(naive.Point(number, kind, raw)),
    )
    assert (type(codec), codec) == (type(oracle), oracle)


@quick
@given(POINTS, LONG)
def test_codec_and_oracle_write_the_same_datapoint_writes(
    points: list[naive.Point], number: int
) -> None:
    old, new = DpWrite(theirs(points)), DpWriteV4(theirs(points), sn=number)
    assert old.to_bytes() == naive.pack_write(points)
    assert new.to_bytes() == naive.pack_write_v4(number, points)
    assert read_payload(Sender.CENTRAL, 0x0002, naive.pack_write(points)) == old
    assert read_payload(Sender.CENTRAL, 0x0027, naive.pack_write_v4(number, points)) == new
    assert naive.read_write_v4(new.to_bytes()) == (0, number, points)


# ---------------------------------------------------------------- handshake


def information(raw: bytes) -> dict[str, object]:
    info = cast("DeviceInfo", read_payload(Sender.LOCK, 0x0000, raw))
    return {
        "firmware": bytes(info.firmware),
        "protocol": bytes(info.protocol),
        "hardware": bytes(info.hardware),
        "bound": info.bound,
        "srand": info.srand.reveal(),
        "auth": info.auth.reveal(),
        "virtual_id": info.virtual_id or "",
        "mac": info.mac,
    }


def information_by_oracle(raw: bytes) -> dict[str, object]:
    fields = naive.read_device_info(raw)
    mac = fields.get("mac", bytes(6))
    return {
        "firmware": fields["firmware"],
        "protocol": fields["protocol"],
        "hardware": fields["hardware"],
        "bound": fields["bound"] == b"\x01",
        "srand": fields["srand"],
        "auth": fields["auth"],
        "virtual_id": fields.get("virtual_id", b"").rstrip(b"\x00").decode("ascii"),
        "mac": mac if any(mac) else None,
    }


@st.composite
def informations(draw: st.DrawFn) -> bytes:
    """Device information of any length that has its virtual id whole or not at all."""
    head = draw(exactly(2)) + bytes([draw(st.integers(2, 15)), draw(BYTE)])
    head += bytes([draw(BYTE), draw(st.integers(0, 1))]) + draw(exactly(49))
    virtual_id = draw(st.one_of(st.just(""), characters(22), characters(20))).encode()
    tail = draw(st.one_of(exactly(44), st.just(bytes(44))))
    whole = head + virtual_id + bytes(22 - len(virtual_id)) + tail
    whole_fields = st.one_of(st.integers(40, 55), st.integers(77, 121))
    return whole[: draw(st.one_of(whole_fields, st.sampled_from([46, 77, 83, 84, 96, 101, 121])))]


@quick
@given(informations())
def test_codec_and_oracle_read_or_refuse_the_same_device_information(raw: bytes) -> None:
    codec = outcome(lambda: information(raw))
    assert codec == outcome(lambda: information_by_oracle(raw))
    if codec != "refused":
        assert DeviceInfo.from_bytes(raw).to_bytes() == raw


@pytest.mark.parametrize("major", [0, 1, 2, 3, 4, 15, 16, 255])
def test_codec_and_oracle_agree_on_the_protocol_majors_of_device_information(major: int) -> None:
    raw = bytes([0, 0, major, 0]) + bytes(73)
    codec = outcome(lambda: information(raw))
    assert codec == outcome(lambda: information_by_oracle(raw))
    assert (codec == "refused") == (major not in range(2, 16))


@quick
@given(
    UUIDS.map(naive.pack_uuid), exactly(6), exactly(22), exactly(32), st.sampled_from([44, 61, 76])
)
def test_codec_and_oracle_write_the_same_pair_request(
    uuid16: bytes, login_key: bytes, virtual_id: bytes, more: bytes, size: int
) -> None:
    extra: dict[str, bytes] = {}
    if size == 61:
        extra = {"beacon_key": more[:16]}
    if size == 76:
        extra = {"local_key": more[:16], "sec_key": more[16:]}
    secrets: dict[str, Any] = {name: Secret(value) for name, value in extra.items()}
    raw = naive.pack_pair_request(uuid16, login_key, virtual_id, **extra)
    codec = PairRequest(
        uuid16=uuid16, login_key=Secret(login_key), virtual_id22=virtual_id, **secrets
    )
    assert len(raw) == size
    assert codec.to_bytes() == raw
    assert read_payload(Sender.CENTRAL, 0x0001, raw) == codec
    fields = {"uuid16": uuid16, "login_key": login_key, "virtual_id22": virtual_id, **extra}
    assert naive.read_pair_request(codec.to_bytes()) == fields


def test_codec_and_oracle_take_pair_requests_of_the_same_lengths() -> None:
    for size in range(40, 80):
        raw = bytes([0x10]) * size
        oracle = outcome(naive.read_pair_request, raw)
        expected = raw if size in (44, 61, 76) else "refused"
        assert outcome(lambda raw: PairRequest.from_bytes(raw).to_bytes(), raw) == expected
        assert (oracle == "refused") == (expected == "refused")


# ---------------------------------------------------------------- reports


@st.composite
def reports(draw: st.DrawFn) -> naive.Report:
    code = draw(st.sampled_from(sorted(naive.WIDE)))
    head: dict[str, Any] = {}
    if code in (0x8004, 0x8005):
        head = {"sn": draw(WORD), "mode": draw(BYTE)}
    if code in (0x8006, 0x8007):
        head = {"version": 0, "sn": draw(LONG), "type": draw(BYTE), "mode": draw(BYTE)}
    if code in naive.WITH_TIME:
        text = st.tuples(st.just(0), st.integers(0, 10**13 - 1))
        head["time"] = draw(st.one_of(text, st.tuples(st.just(1), LONG)))
    return naive.Report(code, draw(POINTS), **head)


def report_of_codec(report: naive.Report) -> Report:
    head = {name: getattr(report, name) for name in ("version", "sn", "type", "mode")}
    given = {name: value for name, value in head.items() if value is not None}
    time = None
    if report.time is not None:
        kind, number = report.time
        time = ReportTime.text(number) if kind == 0 else ReportTime.unix(number)
    return Report(code=report.code, datapoints=theirs(report.points), time=time, **given)


@quick
@given(reports(), BYTE)
def test_codec_and_oracle_write_the_same_report_and_acknowledgement(
    report: naive.Report, status: int
) -> None:
    codec, raw = report_of_codec(report), naive.pack_report(report)
    assert codec.to_bytes() == raw
    assert read_payload(Sender.LOCK, report.code, raw) == codec
    assert naive.read_report(report.code, codec.to_bytes()) == report
    ack, naive_ack = codec.ack(status), naive.pack_report_ack(report, status)
    assert (None if ack is None else ack.to_bytes()) == naive_ack
    if naive_ack is not None:
        assert read_payload(Sender.CENTRAL, report.code, naive_ack) == ack
        assert len(naive_ack) == {0x8001: 1, 0x8003: 1, 0x8004: 4, 0x8005: 4}.get(report.code, 8)
        assert naive.read_report_ack(report.code, naive_ack)["status"] == status


@quick
@given(st.data())
def test_codec_and_oracle_read_or_refuse_the_same_spoilt_report(data: st.DataObject) -> None:
    report = data.draw(reports())
    raw = data.draw(spoilt(naive.pack_report(report)))
    codec = outcome(lambda: Report.from_bytes(report.code, raw))
    oracle = outcome(lambda: report_of_codec(naive.read_report(report.code, raw)))
    assert codec == oracle


@pytest.mark.parametrize("code", sorted(naive.WIDE))
def test_codec_and_oracle_take_acknowledgements_of_the_same_lengths(code: int) -> None:
    for size in range(10):
        raw = bytes(range(1, 1 + size))
        codec = outcome(lambda raw: ReportAck.from_bytes(code, raw).status, raw)
        assert codec == outcome(lambda raw: naive.read_report_ack(code, raw)["status"], raw)


@pytest.mark.parametrize("kind", [2, 3, 255])
def test_codec_and_oracle_refuse_an_unknown_kind_of_time(kind: int) -> None:
    raw = bytes([kind]) + bytes(13)
    assert outcome(lambda: Report.from_bytes(0x8003, raw)) == "refused"
    assert outcome(lambda: naive.read_report(0x8003, raw)) == "refused"


def test_a_time_of_a_report_keeps_its_kind_in_the_codec() -> None:
    assert ReportTime.text(1).kind is TimeKind.TEXT_MS
    assert ReportTime.unix(1).kind is TimeKind.UNIX


# ---------------------------------------------------------------- time

ZONES = st.integers(-0x8000, 0x7FFF)
SECONDS = st.integers(0, 10**10 - 1)


@quick
@given(
    st.one_of(st.none(), st.integers(0, 10**13 - 1)),
    ZONES,
    st.lists(st.tuples(SECONDS, SECONDS), max_size=5),
)
def test_codec_and_oracle_write_the_same_clock_and_saving_answers(
    unix_ms: int | None, zone: int, periods: list[tuple[int, int]]
) -> None:
    clock = ClockAnswer(unix_ms, zone)
    assert clock.to_bytes() == naive.pack_clock(unix_ms, zone)
    assert read_payload(Sender.CENTRAL, 0x8011, naive.pack_clock(unix_ms, zone)) == clock
    assert naive.read_clock(clock.to_bytes()) == (unix_ms, zone)
    seconds = None if unix_ms is None else unix_ms // 1000
    saving = SavingAnswer(seconds, zone, tuple(SavingPeriod(*period) for period in periods))
    raw = naive.pack_saving(seconds, zone, periods)
    assert saving.to_bytes() == raw
    assert read_payload(Sender.CENTRAL, 0x8014, raw) == saving
    assert naive.read_saving(saving.to_bytes()) == (seconds, zone, periods)


@quick
@given(st.datetimes(), ZONES, st.sampled_from([0x8012, 0x8013]))
def test_codec_and_oracle_write_the_same_date_answer(moment: Any, zone: int, code: int) -> None:
    year = 2000 + moment.year % 256
    day = (moment.month, moment.day, moment.hour, moment.minute, moment.second)
    weekday = moment.isoweekday() % 7
    raw = naive.pack_date((year, *day, weekday), zone)
    read = cast("DateAnswer", read_payload(Sender.CENTRAL, code, raw))
    assert read.to_bytes() == raw
    assert naive.read_date(read.to_bytes()) == ((year, *day, weekday), zone)
    assert (read.month, read.day, read.hour, read.minute, read.second) == day
    assert (read.year % 100, read.weekday, read.zone) == (year % 100, weekday, zone)


def test_codec_and_oracle_write_the_same_zeros_when_the_time_is_unknown() -> None:
    assert ClockAnswer.unknown().to_bytes() == naive.pack_clock(None, 0) == bytes(15)
    assert DateAnswer.unknown().to_bytes() == naive.pack_date(None) == bytes(9)
    assert SavingAnswer.unknown().to_bytes() == naive.pack_saving(None, 0, []) == bytes(13)


@quick
@given(st.data(), st.integers(0, 10**10 - 1), st.lists(st.tuples(SECONDS, SECONDS), max_size=2))
def test_codec_and_oracle_read_or_refuse_the_same_spoilt_time_answers(
    data: st.DataObject, seconds: int, periods: list[tuple[int, int]]
) -> None:
    clock = data.draw(spoilt(naive.pack_clock(seconds, 100)))
    codec = outcome(lambda: ClockAnswer.from_bytes(clock))
    assert codec == outcome(lambda: ClockAnswer(*naive.read_clock(clock)))
    saving = data.draw(spoilt(naive.pack_saving(seconds, 100, periods)))

    def oracle() -> SavingAnswer:
        unix_s, zone, found = naive.read_saving(saving)
        return SavingAnswer(unix_s, zone, tuple(SavingPeriod(*each) for each in found))

    assert outcome(lambda: SavingAnswer.from_bytes(saving)) == outcome(oracle)


# ---------------------------------------------------------------- check code and opening


@quick
@given(WORD, WORD, exactly(8), exactly(8), BYTE, BYTE)
def test_codec_and_oracle_write_the_same_check_code_and_read_its_reply(
    peripheral: int, new_central: int, code: bytes, new_code: bytes, operation: int, result: int
) -> None:
    raw = naive.pack_check_code_set(peripheral, code, operation, new_central, new_code)
    codec = CheckCodeSet(0xFFFF, peripheral, Secret(code), operation, new_central, Secret(new_code))
    assert len(raw) == 23
    assert codec.to_bytes() == raw
    assert CheckCodeSet.from_bytes(raw) == codec
    reply = CheckCodeReply(peripheral, 0xFFFF, Secret(code), operation, new_central, result)
    assert naive.read_check_code_reply(reply.to_bytes()) == {
        "peripheral": peripheral,
        "central": 0xFFFF,
        "code": code,
        "operation": operation,
        "new_central": new_central,
        "result": result,
    }


OPENINGS = st.builds(naive.Opening, WORD, WORD, exactly(8), BYTE, LONG, BYTE, SHORT_DATA)


@quick
@given(OPENINGS, BYTE)
def test_codec_and_oracle_write_the_same_opening_reply_and_record(
    opening: naive.Opening, result: int
) -> None:
    central, peripheral, code, operation, timestamp, method, info = opening
    rest = (Secret(code), operation, timestamp, method)
    request = OpenRequest(central, peripheral, *rest, info)
    assert request.to_bytes() == naive.pack_open_request(opening)
    assert OpenRequest.from_bytes(naive.pack_open_request(opening)) == request
    assert naive.read_open_request(request.to_bytes()) == opening
    record = OpenRecord(
        central=central,
        peripheral=peripheral,
        code=rest[0],
        operation=operation,
        timestamp=timestamp,
        method=method,
        info=info,
    )
    assert record.to_bytes() == naive.pack_open_reply(opening)
    reply = OpenReply(peripheral, central, *rest, result)
    echoed = opening._replace(tail=bytes([result]))
    assert reply.to_bytes() == naive.pack_open_reply(echoed)
    assert OpenReply.from_bytes(naive.pack_open_reply(echoed)) == reply
    assert naive.read_open_reply(reply.to_bytes()) == echoed


@pytest.mark.parametrize("size", range(16, 25))
def test_codec_and_oracle_take_openings_and_check_codes_of_the_same_lengths(size: int) -> None:
    raw = bytes(range(size))
    opened = outcome(lambda: OpenRequest.from_bytes(raw).to_bytes())
    assert opened == outcome(lambda: naive.pack_open_request(naive.read_open_request(raw)))
    assert (outcome(lambda: CheckCodeSet.from_bytes(raw)) == "refused") == (size != 23)


# ---------------------------------------------------------------- advertising


class Air(dict[str, Any]):
    """What a lock is made of that advertises."""


@st.composite
def airs(draw: st.DrawFn) -> Air:
    form = draw(st.sampled_from(["v2", "v3", "v4", "secv2"]))
    id_type = 0 if form in ("v2", "secv2") else draw(st.integers(0, 1))
    long_id = form == "secv2" or id_type == 1
    return Air(
        form=form,
        uuid=draw(UUIDS),
        local_key=draw(characters(16)),
        sec_key=draw(characters(16)),
        product=draw(characters(16 if long_id else 8)),
        id_type=id_type,
        bound=draw(st.booleans()),
        shared=form != "v2" and draw(st.booleans()),
        request=form != "v2" and draw(st.booleans()),
    )


def air_of_oracle(air: Air) -> tuple[bytes, bytes]:
    uuid16, product = naive.pack_uuid(air["uuid"]), air["product"].encode()
    id_field = product
    if air["bound"] and air["form"] == "secv2":
        id_field = naive.bound_id_v2(uuid16, air["sec_key"].encode(), len(product))
    elif air["bound"]:
        id_field = naive.bound_id(uuid16, air["local_key"].encode()[:6], len(product))
    flag = 0x80 * air["bound"] + 2 * air["shared"] + air["request"]
    if air["form"] == "v2":
        return naive.pack_advert_v2(flag, id_field, uuid16)
    if air["form"] == "v3":
        return naive.pack_advert_v3(flag, air["id_type"], id_field, uuid16, b"TY")
    control = 0x4100 + 0x800 * air["bound"] + 0x400 * air["shared"] + 0x200 * air["request"]
    if air["form"] == "secv2":
        control += 0x000C
    service = control.to_bytes(2, "big") + bytes([air["id_type"], len(id_field)]) + id_field
    if air["form"] == "v4":
        return naive.pack_advert_v4(service, 0x0001, 0, uuid16, b"TY")
    flag = 0x80 * air["bound"] + (len(air["uuid"]) == 20)
    return naive.pack_advert_v4(service, 0x000C, flag, uuid16, b"LED\x00\x00")


def keys_of(air: Air) -> LockKeys:
    return LockKeys(
        uuid=air["uuid"], local_key=Secret(air["local_key"]), sec_key=Secret(air["sec_key"])
    )


@quick
@given(airs())
def test_codec_and_oracle_advertise_the_same_lock_with_the_same_bytes(air: Air) -> None:
    security_v2 = air["form"] == "secv2"
    codec = Advertisement.build(
        AdvertisementFormat("v4" if security_v2 else air["form"]),
        keys_of(air),
        product_id=air["product"],
        bound=air["bound"],
        id_type=IdType(air["id_type"]),
        shared=air["shared"],
        connect_request=air["request"],
        security_v2=security_v2,
        local_name="LED\x00\x00" if security_v2 else "TY",
    )
    assert codec.to_bytes() == air_of_oracle(air)


def advert_of_codec(adv: bytes, scan_rsp: bytes) -> tuple[object, ...]:
    codec = Advertisement.parse(adv, scan_rsp)
    simple = codec.format.value == "v2"
    return (
        codec.format.value,
        codec.bound,
        None if simple else codec.shared,
        None if simple else codec.connect_request,
        bool(codec.security_v2),
        codec.id_type,
        codec.id_field,
        codec.uuid16,
    )


def advert_of_oracle(adv: bytes, scan_rsp: bytes) -> tuple[object, ...]:
    advert = naive.read_advertisement(adv, scan_rsp)
    return (
        advert.form,
        advert.bound,
        advert.shared,
        advert.connect_request,
        advert.security_v2,
        advert.id_type,
        advert.id_field,
        naive.advertised_uuid16(advert),
    )


@quick
@given(airs())
def test_codec_and_oracle_read_the_same_advertisement_and_know_its_lock(air: Air) -> None:
    adv, scan_rsp = air_of_oracle(air)
    assert advert_of_codec(adv, scan_rsp) == advert_of_oracle(adv, scan_rsp)
    codec = Advertisement.parse(adv, scan_rsp)
    assert codec.uuid == air["uuid"]
    assert codec.product_id == (None if air["bound"] else air["product"])
    assert codec.verify(keys_of(air))
    other = "A" if air["uuid"][0] != "A" else "B"
    stranger = Air(air, uuid=other + air["uuid"][1:])
    assert not codec.verify(keys_of(stranger))


@quick
@given(airs())
def test_codec_and_oracle_read_the_same_from_advertising_data_without_scan_response(
    air: Air,
) -> None:
    adv, _ = air_of_oracle(air)
    assert advert_of_codec(adv, b"") == advert_of_oracle(adv, b"")


@quick
@given(airs(), st.integers(1, 8), st.integers(0, 15), st.integers(0, 7))
def test_codec_and_oracle_read_the_same_advertisement_with_a_bit_of_its_ids_changed(
    air: Air, in_field: int, in_id16: int, bit: int
) -> None:
    adv, scan_rsp = air_of_oracle(air)
    at = 8 + in_id16 if air["form"] in ("v4", "secv2") else len(scan_rsp) - 16 + in_id16
    changed = scan_rsp[:at] + bytes([scan_rsp[at] ^ (1 << bit)]) + scan_rsp[at + 1 :]
    assert advert_of_codec(adv, changed) == advert_of_oracle(adv, changed)
    assert not Advertisement.parse(adv, changed).verify(keys_of(air))
    if air["form"] != "v2":
        at = len(adv) - in_field
        changed = adv[:at] + bytes([adv[at] ^ (1 << bit)]) + adv[at + 1 :]
        assert advert_of_codec(changed, scan_rsp) == advert_of_oracle(changed, scan_rsp)


def open_known(message: bytes, ring: KeyRing, known: frozenset[int]) -> Frame:
    return open_message(message, ring, known_flags=known).frame


@quick
@given(FULL_MATERIAL, FRAMES, exactly(16))
def test_a_lock_knows_only_the_flags_of_its_security_generation(
    material: naive.Material, frame: naive.Frame, iv: bytes
) -> None:
    for security_v2 in (False, True):
        known = Dialect(security_v2=security_v2).known_flags
        assert known == ({11, 12, 14, 15, 16} if security_v2 else {0, 1, 2, 4, 5})
        for flag in FLAGS:
            key = naive.key_of(flag, material)
            message = naive.seal(flag, key, iv, naive.pack_frame(frame))
            opened = outcome(open_known, message, ring_of(material), known)
            assert (opened == "refused") == (flag not in known)


def test_codec_and_oracle_number_the_reports_alike() -> None:
    named = {int(code) for code in CommandCode if code.name.startswith("REPORT")}
    assert named == set(naive.WIDE)
