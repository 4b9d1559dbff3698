"""The plaintext frame: lengths, padding, and a CRC that nothing can skip."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import ChecksumError, FrameError, LocalProtocolError
from protocol.frame import MAX_SN, Frame, crc16

# Source: tests/captures/firmware/lock-first-unlock.jsonl, and field.json "bt785-*" (revspace.nl
# wiki BT785; github.com/bertrik/bt785, MIT) with the padding the device sent.
LITERAL = {
    Frame(1, 0, 0x0000, bytes.fromhex("00f3")): "00000001000000000000000200f3784e",
    Frame(10, 0, 0x8006, bytes.fromhex("00f00000008000740200040000028e")): (
        "0000000a000000008006000f00f00000008000740200040000028e0117" + "030303"
    ),
    Frame(40, 0, 0x8006, bytes.fromhex("00f0000000800008020004000000c8")): (
        "00000028000000008006000f00f0000000800008020004000000c8e3b0" + "030303"
    ),
    Frame(1, 0, 0x0000, b""): "00000001000000000000000092690000",
    Frame(3, 0, 0x0003, b""): "000000030000000000030000f2800000",
}

frames = st.builds(
    Frame,
    st.integers(1, MAX_SN),
    st.integers(0, MAX_SN),
    st.integers(0, 0xFFFF),
    st.binary(max_size=80),
)


def by_definition(data: bytes) -> int:
    """CRC-16/MODBUS bit by bit."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def pieces(raw: bytes) -> list[bytes]:
    """``raw`` with every single bit flipped."""
    found = []
    for bit in range(8 * len(raw)):
        other = bytearray(raw)
        other[bit // 8] ^= 1 << bit % 8
        found.append(bytes(other))
    return found


def padded(frame: Frame) -> bytes:
    raw = frame.to_bytes()
    return raw + bytes((-len(raw) % 16,)) * (-len(raw) % 16)


# -- the checksum


def test_the_check_value_of_crc_16_modbus() -> None:
    assert crc16(b"123456789") == 0x4B37
    assert crc16(b"") == 0xFFFF


def test_the_checksum_is_its_bit_by_bit_definition_at_every_length() -> None:
    rng = random.Random(20261122)
    for size in range(301):
        data = rng.randbytes(size)
        assert crc16(data) == by_definition(data), data.hex()


@pytest.mark.parametrize("size", [1024, 1535, 1536, 1537, 4096, 7_679, 7_680, 7_681, 20_000])
def test_the_checksum_is_its_definition_on_long_messages(size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert crc16(data) == by_definition(data)


@pytest.mark.parametrize("byte", [0x00, 0x01, 0x80, 0xFF])
def test_the_checksum_is_its_definition_on_uniform_data(byte: int) -> None:
    for size in [*range(70), 255, 256, 257, 1536]:
        assert crc16(bytes((byte,)) * size) == by_definition(bytes((byte,)) * size)


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_the_checksum_is_linear(one: bytes, other: bytes) -> None:
    # Affine over GF(2): what makes any change of one bit visible.
    size = min(len(one), len(other))
    one, other = one[:size], other[:size]
    both = bytes(a ^ b for a, b in zip(one, other, strict=True))
    assert crc16(both) == crc16(one) ^ crc16(other) ^ crc16(bytes(size))


# -- round trip


@pytest.mark.parametrize(("frame", "raw"), LITERAL.items(), ids=str)
def test_frames_of_real_devices_are_read_and_written(frame: Frame, raw: str) -> None:
    assert Frame.from_bytes(bytes.fromhex(raw)) == frame
    assert bytes.fromhex(raw).startswith(frame.to_bytes())


@given(frames, st.integers(0, 16), st.integers(0, 255))
def test_a_frame_survives_the_round_trip_whatever_its_padding(
    frame: Frame, surplus: int, filler: int
) -> None:
    assert Frame.from_bytes(frame.to_bytes() + bytes((filler,)) * surplus) == frame


def test_the_layout_is_big_endian_with_the_checksum_last() -> None:
    raw = Frame(0x01020304, 0x05060708, 0x090A, b"AB").to_bytes()
    assert raw[:14].hex() == "0102030405060708090a00024142"
    assert raw[14:] == by_definition(raw[:14]).to_bytes(2, "big")


def test_the_repr_shows_no_data() -> None:
    shown = repr(Frame(1, 2, 0x8003, b"canary"))
    assert shown == "Frame(sn=1, ack_sn=2, code=0x8003, 6 bytes)"


@pytest.mark.parametrize(
    "frame",
    [
        Frame(0, 0, 0, b""),
        Frame(-1, 0, 0, b""),
        Frame(MAX_SN + 1, 0, 0, b""),
        Frame(1, -1, 0, b""),
        Frame(1, MAX_SN + 1, 0, b""),
        Frame(1, 0, -1, b""),
        Frame(1, 0, 0x10000, b""),
        Frame(1, 0, 0, bytes(0x10000)),
    ],
)
def test_a_frame_that_does_not_fit_its_fields_is_our_bug(frame: Frame) -> None:
    with pytest.raises(LocalProtocolError):
        frame.to_bytes()


def test_the_ends_of_every_field_fit() -> None:
    for frame in (Frame(1, 0, 0, b""), Frame(MAX_SN, MAX_SN, 0xFFFF, bytes(0xFFFF))):
        assert Frame.from_bytes(frame.to_bytes()) == frame


# -- lengths


@pytest.mark.parametrize("frame", LITERAL, ids=str)
def test_every_truncation_is_refused(frame: Frame) -> None:
    raw = frame.to_bytes()
    for size in range(len(raw)):
        with pytest.raises(FrameError):
            Frame.from_bytes(raw[:size])


@given(frames)
def test_no_truncation_of_any_frame_is_read(frame: Frame) -> None:
    raw = frame.to_bytes()
    for size in {0, 1, 12, 13, len(raw) - 2, len(raw) - 1}:
        if size < len(raw):
            with pytest.raises(FrameError):
                Frame.from_bytes(raw[:size])


@pytest.mark.parametrize("size", [2, 18, 34])
def test_an_aligned_frame_has_no_padding_and_needs_none(size: int) -> None:
    raw = Frame(1, 0, 2, bytes(size)).to_bytes()
    assert len(raw) % 16 == 0
    assert Frame.from_bytes(raw).data == bytes(size)


@pytest.mark.parametrize("size", [0, 1, 2, 18, 33])
def test_a_whole_block_of_surplus_is_taken_and_one_byte_more_is_not(size: int) -> None:
    raw = Frame(1, 0, 2, bytes(size)).to_bytes()
    for surplus in range(17):
        assert Frame.from_bytes(raw + b"\x10" * surplus).data == bytes(size)
    for surplus in (17, 18, 32, 1000):
        with pytest.raises(FrameError, match="do not fit"):
            Frame.from_bytes(raw + b"\x10" * surplus)


def test_a_garbled_length_never_skips_the_checksum() -> None:
    # Other projects compare the CRC only where the bytes for it are there: with 32 bytes of
    # plaintext and a length of 20 it would begin right at the end, and the frame passes.
    raw = bytearray(padded(Frame(7, 0, 2, bytes.fromhex("2e010101"))))
    assert len(raw) == 32
    raw[10:12] = (20).to_bytes(2, "big")
    with pytest.raises(FrameError) as told:
        Frame.from_bytes(bytes(raw))
    assert not isinstance(told.value, ChecksumError)


def test_no_length_but_the_true_one_is_read() -> None:
    for frame in LITERAL:
        raw = bytearray(padded(frame))
        for length in range(0x10000):
            if length == len(frame.data):
                continue
            raw[10:12] = length.to_bytes(2, "big")
            try:
                read = Frame.from_bytes(bytes(raw))
            except FrameError:
                continue
            pytest.fail(f"length {length} was read as {read}")


@pytest.mark.parametrize("frame", LITERAL, ids=str)
def test_every_flipped_bit_is_refused_or_is_padding(frame: Frame) -> None:
    raw, size = padded(frame), len(frame.to_bytes())
    accepted = 0
    for other in pieces(raw):
        try:
            assert Frame.from_bytes(other) == frame
        except FrameError:
            assert other[size:] == raw[size:]
            continue
        assert other[:size] == raw[:size]
        accepted += 1
    assert accepted == 8 * (len(raw) - size)


@given(frames, st.data())
def test_a_flipped_bit_of_any_frame_is_refused(frame: Frame, data: st.DataObject) -> None:
    # The length apart: with another one the CRC stands elsewhere, and 1 of 65,536 passes.
    raw = bytearray(frame.to_bytes())
    allowed = [*range(80), *range(96, 8 * len(raw))]
    bit = data.draw(st.sampled_from(allowed))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ChecksumError):
        Frame.from_bytes(bytes(raw))


@given(st.binary(min_size=2, max_size=80), st.data())
def test_a_burst_of_up_to_16_bits_in_the_data_is_refused(body: bytes, data: st.DataObject) -> None:
    # What the polynomial guarantees for neighbouring bits. They count from the lowest.
    raw = Frame(1, 0, 2, body).to_bytes()
    start = data.draw(st.integers(8 * 12, 8 * (12 + len(body)) - 16))
    burst = data.draw(st.integers(1, 0xFFFF))
    bits = int.from_bytes(raw, "little") ^ burst << start
    with pytest.raises(ChecksumError):
        Frame.from_bytes(bits.to_bytes(len(raw), "little"))


def test_a_wrong_checksum_is_told_with_both_values() -> None:
    frame = Frame(1, 0, 0, bytes.fromhex("00f3"))
    raw = frame.to_bytes()[:-2] + b"\x4e\x78"  # the byte order that MODBUS itself has
    with pytest.raises(ChecksumError) as told:
        Frame.from_bytes(raw)
    assert (told.value.expected, told.value.received) == (0x784E, 0x4E78)


# -- garbage


@given(st.binary(max_size=120))
def test_garbage_is_a_frame_error_or_a_frame(raw: bytes) -> None:
    try:
        frame = Frame.from_bytes(raw)
    except FrameError:
        return
    end = 12 + len(frame.data)
    assert by_definition(raw[:end]) == int.from_bytes(raw[end : end + 2], "big")


@pytest.mark.parametrize("size", [0, 1, 13, 14, 15, 16, 17, 31, 32, 33, 256, 257, 1536, 70_000])
def test_zeros_and_ones_of_any_length_are_no_frame(size: int) -> None:
    for byte in (b"\0", b"\xff"):
        with pytest.raises(FrameError):
            Frame.from_bytes(byte * size)
