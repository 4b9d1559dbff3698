"""The parts of a target that holds a conversation: keys, frames made of a fuzzer's bytes."""

from __future__ import annotations

from collections.abc import Callable

from protocol.errors import LocalProtocolError, SealError
from protocol.firmware import FIRMWARE_NAMES, firmware
from protocol.frame import CRC_SIZE, HEADER, MAX_SN, Frame, crc16
from protocol.keys import KeyRing, LockKeys, Secret, SecurityFlag
from protocol.seal import seal

from .source import Source, chunk, code_bytes

KEYS = LockKeys(
    uuid="tuya902d3cd868a1",
    virtual_id="bfvinca33ys82n2mslat53",
    local_key=Secret("NGKZwbmwW2G4yeMA"),
    sec_key=Secret("0123456789abcdef"),
    auth_key=Secret("Yykbwr76TMC5Jh7yGS5gftfcBwLEqE8J"),
)
"""Of the capture ``sdk44-20-bind``, with a sec key besides."""
IV = bytes(range(16))
SRAND = bytes.fromhex("d9a52d6fe480")
FLAGS: tuple[int, ...] = (*SecurityFlag, 3, 17, 255)
FIRMWARES = {name: firmware(name) for name in FIRMWARE_NAMES}
MAX_STEPS = 24
"""Of one conversation: an input is to be found again and looked at by a person."""
PLAINTEXT = 0x80
"""Bit of a message's first byte: the plaintext is the fuzzer's, down to its lengths."""


def run_steps(source: Source, steps: tuple[Callable[[Source], None], ...]) -> None:
    """What happens, step by step, until the input or ``MAX_STEPS`` is used up."""
    for _ in range(MAX_STEPS):
        if not source.more:
            return
        steps[source.byte() % len(steps)](source)


def must_refuse(call: Callable[[], object]) -> None:
    """What is illegal raises, whatever came before."""
    try:
        call()
    except LocalProtocolError:
        return
    raise AssertionError("something illegal went out")


def full_ring() -> KeyRing:
    """Every key there is."""
    ring = KeyRing(KEYS)
    ring.learn_srand(SRAND)
    ring.learn_server_rand(IV)
    return ring


def with_crc(raw: bytes) -> bytes:
    """These bytes with the CRC where their own length says, if there is room for it."""
    if len(raw) < HEADER.size + CRC_SIZE:
        return raw
    end = HEADER.size + int.from_bytes(raw[10:12], "big")
    if end + CRC_SIZE > len(raw):
        return raw
    return raw[:end] + crc16(raw[:end]).to_bytes(CRC_SIZE, "big") + raw[end + CRC_SIZE :]


def sealed_message(source: Source, ring: KeyRing, last_sn: int, usual_flag: int) -> bytes:
    """A message that its receiver can open, or one that it cannot where there is no key.

    First byte: bits 0-1 where the number comes from (3: the fuzzer), bits 2-6 the flag (0: the
    usual one), bit 7 ``PLAINTEXT``.
    """
    how = source.byte()
    place = how >> 2 & 0x1F
    flag = FLAGS[place - 1] if 0 < place <= len(FLAGS) else usual_flag
    if how & PLAINTEXT:
        plaintext = with_crc(source.chunk())
    else:
        sn = _number(source, how & 3, last_sn)
        plaintext = Frame(sn, source.byte(), source.code(), source.chunk()).to_bytes()
    if flag == SecurityFlag.PLAIN:
        return b"\0" + plaintext
    try:
        return seal(plaintext, flag=flag, key=ring.key(flag), iv=IV)
    except SealError:
        return bytes((flag,)) + IV + bytes(16)


def _number(source: Source, how: int, last_sn: int) -> int:
    match how:
        case 3:
            return source.number(4) or 1
        case 2:
            return max(last_sn, 1)  # a repetition
        case _:
            return min(last_sn + 1, MAX_SN)


def frame_seed(code: int, data: bytes, *, ack_sn: int = 0, flag: int | None = None) -> bytes:
    """What ``sealed_message`` reads, for a frame with the next number."""
    how = 0 if flag is None else FLAGS.index(flag) + 1 << 2
    return bytes((how, ack_sn & 0xFF)) + code_bytes(code) + chunk(data)
