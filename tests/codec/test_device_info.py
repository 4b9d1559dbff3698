"""Device information, read by length: every generation added to its end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.device_info import DeviceInfo
from protocol.errors import LocalProtocolError, PayloadError
from protocol.keys import KeyRing, LockKeys, Secret

FIRMWARE = Path(__file__).resolve().parents[1] / "captures/firmware"


def first_answer(name: str) -> bytes:
    """The first device information of a recording."""
    for line in (FIRMWARE / f"{name}.jsonl").read_text().splitlines()[1:]:
        event = json.loads(line)
        frame = event.get("frame")
        if frame and event["dir"] == "lock" and frame["cmd"] == "0x0000":
            return bytes.fromhex(frame["data"])
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("name", "size", "firmware", "protocol", "hardware", "bound", "srand", "virtual_id"),
    [
        (
            "lock-handshake",
            77,
            (3, 3),
            (3, 0),
            (1, 0),
            True,
            "c669047fbc2d",
            "bfrzdf9t0bdmeeg6zxu1v7",
        ),
        ("lock-bind", 77, (3, 3), (3, 0), (1, 0), False, "7537b6f396f7", None),
        (
            "sdk33-reports",
            84,
            (2, 3),
            (3, 3),
            (0, 0),
            True,
            "8f205127c919",
            "bfr1dzg4qzk4vpc4xalomc",
        ),
        (
            "sdk44-20-time",
            101,
            (1, 2),
            (4, 4),
            (1, 0),
            True,
            "edd93e158d37",
            "bfooah43fbxhk35rlalc9q",
        ),
        ("sdk44-20-bind", 101, (1, 2), (4, 4), (1, 0), False, "d9a52d6fe480", None),
        ("secv2-244-handshake", 121, (0, 0), (4, 4), (0, 0), True, "9acacb1b0f59", None),
    ],
)
def test_recorded_answers_of_each_generation_are_read(
    name: str,
    size: int,
    firmware: tuple[int, int],
    protocol: tuple[int, int],
    hardware: tuple[int, int],
    bound: bool,
    srand: str,
    virtual_id: str | None,
) -> None:
    raw = first_answer(name)
    info = DeviceInfo.from_bytes(raw)
    assert len(raw) == size
    assert (info.firmware, info.protocol, info.hardware) == (firmware, protocol, hardware)
    assert info.bound is bound
    assert info.srand == Secret(bytes.fromhex(srand))
    assert info.virtual_id == virtual_id
    assert info.to_bytes() == raw


def test_the_answer_of_a_real_device_is_read() -> None:
    # Source: https://revspace.nl/wiki/index.php?title=BT785, field.json "bt785-devinfo-resp-1".
    raw = bytes.fromhex(
        "010204021001c4984a2a590f0100c14161b108805adba92a221eb39d6e2f0000000000000000000000000000"
        "00000001020001000001006266366138346d66796b756262696a330000000000000000000000000000000000"
        "00e76d694f23dc00"
    )
    info = DeviceInfo.from_bytes(raw)
    assert len(raw) == 96
    assert (info.firmware, info.protocol, info.hardware) == ((1, 2), (4, 2), (1, 0))
    assert info.bound
    assert info.srand == Secret(bytes.fromhex("c4984a2a590f"))
    assert info.auth == Secret(bytes.fromhex("c14161b108805adba92a221eb39d6e2f") + bytes(16))
    assert info.virtual_id == "bf6a84mfykubbij3"
    assert info.mac is not None
    assert info.mac[::-1].hex(":") == "dc:23:4f:69:6d:e7"  # this device reverses it


def test_the_oldest_locks_give_out_their_auth_key() -> None:
    # So bytes 14 to 45 are a secret (reference: protocol §7.13, §9.11).
    path = FIRMWARE / "lock-handshake.jsonl"
    keys = json.loads(path.read_text().splitlines()[0])["keys"]
    info = DeviceInfo.from_bytes(first_answer("lock-handshake"))
    assert info.auth == Secret(keys["auth_key"])


def test_later_ones_give_a_register_key_and_16_zeros() -> None:
    keys = json.loads((FIRMWARE / "sdk33-handshake.jsonl").read_text().splitlines()[0])["keys"]
    ring = KeyRing(LockKeys(uuid=keys["uuid"], auth_key=Secret(keys["auth_key"])))
    info = DeviceInfo.from_bytes(first_answer("sdk33-handshake"))
    assert info.auth == Secret(ring.register_key() + bytes(16))


def test_nothing_secret_is_shown() -> None:
    raw = bytearray(first_answer("lock-handshake"))
    raw[6:12] = b"canary"
    raw[14:46] = b"canary" * 5 + b"ca"
    info = DeviceInfo.from_bytes(bytes(raw))
    for shown in (repr(info), repr(info.srand), repr(info.auth), f"{info}"):
        assert "canary" not in shown
        assert b"canary".hex() not in shown
    assert repr(info) == "DeviceInfo(protocol=3.0, bound=True, 77 bytes)"


def test_every_known_length_and_anything_longer_is_read() -> None:
    raw = first_answer("secv2-244-handshake") + bytes(200)
    for size in (46, 77, 83, 84, 96, 101, 112, 121, 300):
        info = DeviceInfo.from_bytes(raw[:size])
        assert info.to_bytes() == raw[:size]
        assert info.srand == Secret(bytes.fromhex("9acacb1b0f59"))


def test_what_is_not_there_is_none() -> None:
    short = DeviceInfo.from_bytes(first_answer("lock-handshake")[:46])
    assert short.virtual_id is None
    assert short.mac is None
    assert len(short.auth) == 32
    assert DeviceInfo.from_bytes(first_answer("lock-handshake")).mac is None
    assert DeviceInfo.from_bytes(first_answer("sdk44-20-time")).mac is None


def test_a_cut_off_virtual_id_or_mac_is_not_made_up() -> None:
    raw = first_answer("sdk44-20-time")[:89] + bytes.fromhex("0102030405060708")
    for size in range(46, len(raw)):
        info = DeviceInfo.from_bytes(raw[:size])
        assert (info.mac is None) is (size < 95)
        if info.virtual_id is not None:
            assert "bfooah43fbxhk35rlalc9q".startswith(info.virtual_id)


def test_fewer_than_46_bytes_are_refused() -> None:
    raw = first_answer("lock-handshake")
    for size in range(46):
        with pytest.raises(PayloadError):
            DeviceInfo.from_bytes(raw[:size])


@pytest.mark.parametrize("major", [0, 1, 16, 255])
def test_a_protocol_that_cannot_be_spoken_is_refused(major: int) -> None:
    raw = bytearray(first_answer("lock-handshake"))
    raw[2] = major
    with pytest.raises(PayloadError):
        DeviceInfo.from_bytes(bytes(raw))


@pytest.mark.parametrize("byte", [0, 2, 255])
def test_only_1_means_bound(byte: int) -> None:
    raw = bytearray(first_answer("lock-handshake"))
    raw[5] = byte
    assert not DeviceInfo.from_bytes(bytes(raw)).bound


def test_a_simulated_lock_answers_again_with_another_random() -> None:
    info = DeviceInfo.from_bytes(first_answer("lock-handshake"))
    again = info.with_srand(b"srand!", bound=False)
    assert again.srand == Secret(b"srand!")
    assert not again.bound
    assert again.raw[:5] + again.raw[12:] == info.raw[:5] + info.raw[12:]
    for srand in (b"", b"short", b"toolong"):
        with pytest.raises(LocalProtocolError):
            info.with_srand(srand, bound=True)


@given(st.binary(max_size=140))
def test_garbage_is_refused_or_answers_every_question(raw: bytes) -> None:
    try:
        info = DeviceInfo.from_bytes(raw)
    except PayloadError:
        return
    assert info.to_bytes() == raw
    assert repr(info)
    assert info.virtual_id is None or len(info.virtual_id) <= 22
    assert info.mac is None or len(info.mac) == 6
    assert (len(info.srand), len(info.auth)) == (6, 32)
    assert len(info.firmware + info.hardware + info.protocol) == 6
