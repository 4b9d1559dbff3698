"""Sealing and opening: literals, truncations, and every single-bit flip of recorded messages."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from Crypto.Cipher import AES
from hypothesis import given
from hypothesis import strategies as st

from protocol.capture import Kind, parse_capture
from protocol.commands import Sender
from protocol.dialect import Dialect
from protocol.errors import (
    ChecksumError,
    FrameError,
    LocalProtocolError,
    RemoteProtocolError,
    SealError,
)
from protocol.fragment import Joiner
from protocol.frame import Frame
from protocol.keys import KeyRing, LockKeys, Secret
from protocol.message import Opened, close_frame, open_message
from protocol.seal import Sealed, seal, seal_plain

FIRMWARE = Path(__file__).resolve().parents[1] / "captures/firmware"
V1, V2 = Dialect().known_flags, Dialect(4, security_v2=True).known_flags
KEY, IV = bytes(range(16)), bytes(range(16, 32))


# -- recorded messages


@dataclass(frozen=True)
class Recorded:
    """One message of a recording as it was sealed, and the keys of that very moment."""

    sealed: bytes
    ring: KeyRing
    frame: Frame

    @property
    def flags(self) -> frozenset[int]:
        return V2 if self.sealed[0] > 10 else V1

    def open(self, sealed: bytes) -> Opened:
        return open_message(sealed, self.ring, known_flags=self.flags)


def recorded(name: str) -> Iterator[Recorded]:
    """The messages of a recording until the first that is broken on purpose."""
    capture = parse_capture((FIRMWARE / f"{name}.jsonl").read_text())
    ring = KeyRing(capture.header.keys, double_md5_auth=capture.header.protocol == "3.0")
    joiners = {sender: Joiner() for sender in Sender}
    for event in capture.events:
        if event.kind in (Kind.CONNECT, Kind.DISCONNECT):
            ring.learn_srand(None)
        if event.broken:
            return
        message = joiners[event.sender].feed(event.value) if event.value else None
        if message is None or event.frame is None:
            continue
        found = event.frame
        if event.sender is Sender.CENTRAL and found.flag in (1, 11):
            ring.learn_server_rand(found.iv)
        then = KeyRing(capture.header.keys, ring.double_md5_auth, ring.srand, ring.server_rand)
        frame = Frame(found.sn, found.ack_sn, found.code, found.data)
        yield Recorded(message, then, frame)
        if event.sender is Sender.LOCK and found.code == 0:
            ring.learn_srand(found.data[6:12])


def one_of_each(name: str) -> list[Recorded]:
    """The first message of every command, flag and length, the long ones apart."""
    kinds: dict[tuple[int, int, int], Recorded] = {}
    for one in recorded(name):
        if len(one.sealed) <= 97:
            kinds.setdefault((one.frame.code, one.sealed[0], len(one.sealed)), one)
    return list(kinds.values())


# Both generations of security, bound and not, and every recorded firmware.
REAL = [
    "lock-first-unlock",
    "lock-bind",
    "sdk33-reports",
    "sdk33-bind",
    "sdk44-20-reports",
    "sdk44-20-bind",
    "secv2-244-handshake",
    "secv2-244-bind",
]


@pytest.mark.parametrize("name", REAL)
def test_a_recorded_message_opens_and_closes_byte_for_byte(name: str) -> None:
    count = 0
    for one in recorded(name):
        opened = one.open(one.sealed)
        assert opened.frame == one.frame
        assert (opened.flag, opened.iv) == (one.sealed[0], one.sealed[1:17])
        again = close_frame(one.frame, flag=opened.flag, ring=one.ring, iv=opened.iv)
        assert again == one.sealed
        count += 1
    assert count >= 5


@pytest.mark.parametrize("name", REAL)
def test_every_truncation_of_a_recorded_message_is_refused(name: str) -> None:
    for one in one_of_each(name):
        for size in range(len(one.sealed)):
            with pytest.raises(SealError if size < 33 or (size - 17) % 16 else FrameError):
                one.open(one.sealed[:size])


def flipped(message: bytes) -> Iterator[tuple[int, bytes]]:
    for bit in range(8 * len(message)):
        other = bytearray(message)
        other[bit // 8] ^= 1 << bit % 8
        yield bit, bytes(other)


def is_harmless(one: Recorded, bit: int) -> bool:
    """Whether a frame may survive the flip: no bit of its fields can have changed."""
    size = 14 + len(one.frame.data)
    if len(one.sealed) == 33:
        return 8 * (1 + size) <= bit < 8 * 17  # the IV over the padding of the only block
    # The last block has one byte of the CRC and 15 of padding: 1 of 256 garblings fits.
    return size % 16 == 1 and bit >= 8 * (len(one.sealed) - 16)


@pytest.mark.parametrize("name", REAL)
def test_every_single_bit_flip_is_refused_or_changes_nothing_that_counts(name: str) -> None:
    ends: Counter[str] = Counter()
    for one in one_of_each(name):
        for bit, other in flipped(one.sealed):
            try:
                frame = one.open(other).frame
            except RemoteProtocolError as error:
                ends[type(error).__name__] += 1
                continue
            ends["accepted"] += 1
            assert frame == one.frame, f"bit {bit} of {one.sealed.hex()}"
            assert is_harmless(one, bit)
    assert ends["accepted"] > 0
    assert ends["ChecksumError"] > 100
    assert ends["FrameError"] > 100  # the length was garbled, or its key was the wrong one
    assert ends["SealError"] > 0  # the flag


@pytest.mark.parametrize("name", ["lock-first-unlock", "sdk44-20-reports", "secv2-244-handshake"])
def test_the_harmless_flips_are_exactly_those_over_the_padding(name: str) -> None:
    for one in one_of_each(name):
        accepted = 0
        for _, other in flipped(one.sealed[:17]):
            try:
                accepted += one.open(other + one.sealed[17:]).frame == one.frame
            except RemoteProtocolError:
                continue
        padding = len(one.sealed) - 17 - 14 - len(one.frame.data)
        assert accepted == (8 * padding if len(one.sealed) == 33 else 0)


def test_another_locks_key_opens_nothing() -> None:
    stranger = KeyRing(LockKeys(uuid="0" * 16, local_key=Secret("0" * 16)))
    stranger.learn_srand(b"srand!")
    refused = 0
    for one in recorded("lock-first-unlock"):
        with pytest.raises((FrameError, ChecksumError)):
            open_message(one.sealed, stranger, known_flags=V1)
        refused += 1
    assert refused > 10


# -- a garbled block


MESSAGES = 1_500
MOST = 14
"""Collisions tolerated among 192,000 garbled messages. If one in 65,536 passes the CRC their
number is Poisson distributed around 2.9, and more than 14 have a chance of 5e-7."""


def test_a_garbled_block_passes_the_checksum_about_once_in_65536() -> None:
    # A flipped bit of the ciphertext garbles its block and flips the same bit one block later.
    # One call deciphers all garbled blocks of a message, so that the sample can be large.
    rng = random.Random(20261122)
    data = bytes.fromhex("470013ffff65ce333830313830383201665ce6270005")
    plain = Frame(7, 0, 2, data).to_bytes() + bytes(12)
    head, tail = plain[:16], int.from_bytes(plain[32:], "big")
    flips = [1 << bit for bit in range(128)]
    collisions = 0
    for _ in range(MESSAGES):
        key = rng.randbytes(16)
        sealed = AES.new(key, AES.MODE_CBC, rng.randbytes(16)).encrypt(plain)
        first, middle = int.from_bytes(sealed[:16], "big"), int.from_bytes(sealed[16:32], "big")
        blocks = b"".join((middle ^ flip).to_bytes(16, "big") for flip in flips)
        deciphered = AES.new(key, AES.MODE_ECB).decrypt(blocks)
        for flip in flips:
            at = 16 * (flip.bit_length() - 1)
            garbled = int.from_bytes(deciphered[at : at + 16], "big") ^ first
            raw = head + garbled.to_bytes(16, "big") + (tail ^ flip).to_bytes(16, "big")
            try:
                collisions += Frame.from_bytes(raw).data != data
            except ChecksumError:
                continue
    assert 0 < collisions <= MOST


def test_a_garbled_first_block_hardly_ever_has_a_length_that_fits() -> None:
    # 17 of 65,536 lengths fit before the CRC is even looked at.
    rng = random.Random(20261122)
    plain = Frame(7, 0, 2, bytes(34)).to_bytes()
    ends: Counter[type] = Counter()
    for _ in range(20_000):
        try:
            Frame.from_bytes(rng.randbytes(16) + plain[16:])
        except FrameError as error:
            ends[type(error)] += 1
    assert ends.total() == 20_000
    assert 0 < ends[ChecksumError] <= 20  # 5.2 expected


# -- shapes


@pytest.mark.parametrize("size", [1, 2, 16, 17, 18, 32, 34, 48, 50])
def test_flag_and_iv_are_followed_by_whole_blocks(size: int) -> None:
    with pytest.raises(SealError):
        Sealed.from_bytes(b"\4" + bytes(size - 1))


def test_nothing_at_all_is_refused() -> None:
    with pytest.raises(SealError, match="empty"):
        Sealed.from_bytes(b"")


def test_a_message_is_taken_apart_without_a_key() -> None:
    sealed = Sealed.from_bytes(b"\5" + IV + bytes(32))
    assert (sealed.flag, sealed.iv, sealed.body) == (5, IV, bytes(32))
    assert repr(sealed) == "Sealed(flag=5, 32 bytes)"


@given(st.binary(max_size=120), st.sampled_from([0, 1, 2, 4, 5, 11, 12, 14, 15, 16, 3, 255]))
def test_garbage_is_taken_apart_or_refused(body: bytes, flag: int) -> None:
    try:
        sealed = Sealed.from_bytes(bytes((flag,)) + body)
    except SealError:
        return
    assert bytes((sealed.flag,)) + sealed.iv + sealed.body == bytes((flag,)) + body


@given(
    st.binary(max_size=160)
    | st.integers(1, 6).flatmap(lambda n: st.binary(min_size=16 * n + 17, max_size=16 * n + 17))
)
def test_garbage_under_known_keys_raises_nothing_but_a_remote_error(message: bytes) -> None:
    ring = KeyRing(LockKeys(uuid="0" * 16, local_key=Secret("0" * 16), auth_key=Secret("1" * 32)))
    ring.learn_srand(b"srand!")
    ring.learn_server_rand(bytes(16))
    for flag in (*V1, *V2, 3, 200):
        with pytest.raises(RemoteProtocolError):
            open_message(bytes((flag,)) + message, ring, known_flags=V1 | V2)


@pytest.mark.parametrize("flag", [11, 12, 14, 15, 16, 3, 6, 7, 255])
def test_a_flag_that_is_not_known_here_is_refused_before_its_key_is_asked_for(flag: int) -> None:
    with pytest.raises(SealError, match="not known here"):
        open_message(bytes((flag,)) + bytes(32), KeyRing(LockKeys(uuid="0" * 16)), known_flags=V1)


# -- sealing


def test_padding_fills_the_block_and_an_aligned_frame_gets_none() -> None:
    for size in range(1, 49):
        message = seal(bytes(size), flag=5, key=KEY, iv=IV)
        assert len(message) == 17 + -(-size // 16) * 16
        assert message[:17] == b"\5" + IV
        plain = AES.new(KEY, AES.MODE_CBC, IV).decrypt(message[17:])
        assert plain[size:] == bytes((-size % 16,)) * (-size % 16)


@given(st.binary(min_size=1, max_size=80), st.binary(min_size=16, max_size=16))
def test_what_was_sealed_opens_again(plain: bytes, iv: bytes) -> None:
    sealed = Sealed.from_bytes(seal(plain, flag=4, key=KEY, iv=iv))
    assert sealed.open(KEY)[: len(plain)] == plain
    assert (sealed.flag, sealed.iv) == (4, iv)


@pytest.mark.parametrize(
    ("flag", "key", "iv"),
    [(0, KEY, IV), (5, KEY[:15], IV), (5, KEY * 2, IV), (5, KEY, IV[:15]), (5, KEY, b"")],
)
def test_sealing_with_something_missing_is_our_bug(flag: int, key: bytes, iv: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        seal(b"plain", flag=flag, key=key, iv=iv)


# -- flag 0


def test_plaintext_has_neither_iv_nor_padding() -> None:
    frame = Frame(1, 0, 0, b"\0\x14")
    message = seal_plain(frame.to_bytes())
    assert message.hex() == "00" + frame.to_bytes().hex()
    opened = open_message(message, KeyRing(LockKeys(uuid="0" * 16)), known_flags=V1)
    assert opened == Opened(frame, 0, b"")
    ring = KeyRing(LockKeys(uuid="0" * 16))
    assert close_frame(frame, flag=0, ring=ring, iv=IV) == message


def test_a_plaintext_message_has_17_bytes_at_least() -> None:
    # Reference: protocol §3. A frame has 14 bytes with its CRC.
    for size in range(16):
        with pytest.raises(SealError):
            Sealed.from_bytes(seal_plain(bytes(size)))
    assert Sealed.from_bytes(seal_plain(bytes(16))).body == bytes(16)


def test_a_lock_with_security_v2_has_no_plaintext() -> None:
    message = seal_plain(Frame(1, 0, 0, b"\0\x14").to_bytes())
    with pytest.raises(SealError):
        open_message(message, KeyRing(LockKeys(uuid="0" * 16)), known_flags=V2)
