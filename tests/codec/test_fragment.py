"""Fragments: any cut joins again, and what the firmware refuses is refused."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.capture import Kind, parse_capture
from protocol.errors import ChecksumError, FragmentError, LocalProtocolError, RemoteProtocolError
from protocol.fragment import MAX_TOTAL, Joiner, read_varint, split, write_varint
from protocol.keys import KeyRing
from protocol.message import open_message

FIRMWARE = Path(__file__).resolve().parents[1] / "captures/firmware"
MESSAGE = random.Random(20261122).randbytes(MAX_TOTAL)


def join(fragments: Iterable[bytes], joiner: Joiner | None = None) -> bytes | None:
    joiner = joiner or Joiner()
    message = None
    for fragment in fragments:
        assert message is None, "a fragment after the last one"
        message = joiner.feed(fragment)
    return message


def cut(message: bytes, sizes: Iterable[int], *, head: bytes | None = None) -> list[bytes]:
    """Cut a message anyhow; the last fragment takes what is left."""
    head = head or b"\0" + write_varint(len(message)) + b"\x30"
    fragments, at = [], 0
    for size in sizes:
        fragments.append(message[at : at + size])
        at += size
    fragments.append(message[at:])
    return [head + fragments[0]] + [
        write_varint(number) + part for number, part in enumerate(fragments[1:], 1)
    ]


# -- varints


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        (0, "00"),
        (1, "01"),
        (0x7F, "7f"),
        (0x80, "8001"),
        (129, "8101"),
        (1536, "800c"),
        (0x3FFF, "ff7f"),
        (0x4000, "808001"),
        (2**28 - 1, "ffffff7f"),
    ],
)
def test_a_varint_has_its_lowest_group_first(value: int, raw: str) -> None:
    assert write_varint(value).hex() == raw
    assert read_varint(bytes.fromhex("ee" + raw + "ee"), 1) == (value, 1 + len(raw) // 2)


@given(st.integers(0, 2**28 - 1))
def test_varints_survive_the_round_trip(value: int) -> None:
    assert read_varint(write_varint(value), 0) == (value, len(write_varint(value)))


@pytest.mark.parametrize("value", [-1, 2**28])
def test_a_number_no_varint_holds_is_our_bug(value: int) -> None:
    with pytest.raises(LocalProtocolError):
        write_varint(value)


@pytest.mark.parametrize("raw", ["", "80", "ff", "8080", "808080", "80808080", "8080808001"])
def test_a_varint_that_does_not_end_within_4_bytes_is_refused(raw: str) -> None:
    with pytest.raises(FragmentError, match="does not end"):
        read_varint(bytes.fromhex(raw), 0)


# -- splitting


def test_a_recorded_message_is_cut_as_it_was() -> None:
    # Source: tests/captures/firmware/lock-first-unlock.jsonl, lines 3 and 4.
    packets = [
        "00213004553220d5bf23a6077c04c5642c05d433",
        "0121945e54d1a93b144920bcdfb88d3a49",
    ]
    message = join(bytes.fromhex(packet) for packet in packets)
    assert message is not None
    assert [one.hex() for one in split(message, att_payload=20, major=3)] == packets


@pytest.mark.parametrize("att_payload", [20, 21, 23, 127, 128, 182, 244, 508, 509])
def test_every_length_joins_again_at_any_att_payload(att_payload: int) -> None:
    lengths = {*range(1, 280), *range(280, MAX_TOTAL, 13), *range(MAX_TOTAL - 40, MAX_TOTAL + 1)}
    for length in lengths:
        fragments = split(MESSAGE[:length], att_payload=att_payload, major=4)
        assert join(fragments) == MESSAGE[:length]
        assert all(len(fragment) == att_payload for fragment in fragments[:-1])
        assert 1 < len(fragments[-1]) <= att_payload


def test_some_lengths_join_again_at_every_att_payload() -> None:
    for att_payload in range(20, 510):
        for length in (1, 15, 16, 17, 33, 127, 128, att_payload - 4, att_payload - 3, MAX_TOTAL):
            fragments = split(MESSAGE[:length], att_payload=att_payload, major=3)
            assert join(fragments) == MESSAGE[:length]
            assert max(map(len, fragments)) <= att_payload


def test_the_longest_message_needs_81_fragments_of_20() -> None:
    fragments = split(MESSAGE, att_payload=20, major=3)
    assert len(fragments) == 81
    assert [fragment[0] for fragment in fragments] == list(range(81))
    assert fragments[0][:4].hex() == "00800c30"


@pytest.mark.parametrize("major", [2, 3, 4, 15])
@pytest.mark.parametrize("counter", [0, 1, 15])
def test_the_version_byte_has_the_major_above_and_the_counter_below(
    major: int, counter: int
) -> None:
    first, *rest = split(MESSAGE[:40], att_payload=20, major=major, counter=counter)
    assert first[2] == major << 4 | counter
    joiner = Joiner()
    assert join([first, *rest], joiner) == MESSAGE[:40]
    assert joiner.major == major


@pytest.mark.parametrize("counter", [-1, 16, 255])
def test_a_counter_beyond_its_nibble_is_our_bug(counter: int) -> None:
    with pytest.raises(LocalProtocolError):
        split(MESSAGE[:40], att_payload=20, major=3, counter=counter)


@pytest.mark.parametrize(
    ("size", "att_payload", "major"),
    [(0, 20, 3), (1537, 20, 3), (40, 19, 3), (40, 510, 3), (40, 20, 1), (40, 20, 16)],
)
def test_an_impossible_cut_is_our_bug(size: int, att_payload: int, major: int) -> None:
    with pytest.raises(LocalProtocolError):
        split(bytes(size), att_payload=att_payload, major=major)


# -- joining what firmware takes


@given(st.binary(min_size=1, max_size=600), st.lists(st.integers(0, 70), max_size=30))
def test_any_chunking_joins(message: bytes, sizes: list[int]) -> None:
    while sum(sizes) >= len(message):
        sizes.pop()
    assert join(cut(message, sizes)) == message


@given(st.binary(min_size=1, max_size=60), st.binary(max_size=30), st.integers(0, 15))
def test_bytes_beyond_the_total_are_trimmed(message: bytes, surplus: bytes, nibble: int) -> None:
    head = b"\0" + write_varint(len(message)) + bytes((0x30 | nibble,))
    *first, last = cut(message, [len(message) // 2], head=head)
    assert join([*first, last + surplus]) == message


def test_the_counter_nibble_is_never_looked_at() -> None:
    # The vendor's own one sticks at 0 after sixteen frames (capture lock-counter).
    joiner = Joiner()
    for nibble in (0, 5, 5, 3, 15, 0):
        fragments = split(MESSAGE[:50], att_payload=20, major=3, counter=nibble)
        assert join(fragments, joiner) == MESSAGE[:50]


def test_fragment_0_starts_over() -> None:
    joiner = Joiner()
    given_up = split(MESSAGE[:60], att_payload=20, major=3)
    for count in range(len(given_up)):
        for fragment in given_up[:count]:
            assert joiner.feed(fragment) is None
        assert join(split(MESSAGE[100:170], att_payload=20, major=4), joiner) == MESSAGE[100:170]
        assert joiner.major == 4


def test_a_message_of_one_fragment_may_follow_another_at_once() -> None:
    joiner = Joiner()
    for length in (1, 5, 17):
        assert joiner.feed(split(MESSAGE[:length], att_payload=20, major=3)[0]) == MESSAGE[:length]


@pytest.mark.parametrize("repeated", [1, 2])
def test_a_repeated_fragment_is_appended_again_as_the_firmware_does(repeated: int) -> None:
    fragments = split(MESSAGE[:65], att_payload=20, major=3)
    fragments.insert(repeated, fragments[repeated])
    joined = None
    joiner = Joiner()
    for fragment in fragments[: 4 + 1]:
        joined = joiner.feed(fragment)
        if joined is not None:
            break
    at = 17 + 19 * (repeated - 1)
    twice = MESSAGE[: at + 19] + MESSAGE[at : at + 19] + MESSAGE[at + 19 :]
    assert joined == twice[:65]


def test_the_recorded_doubled_fragment_joins_and_then_fails_its_checksum() -> None:
    capture = parse_capture((FIRMWARE / "lock-damaged.jsonl").read_text())
    broken = [event.line for event in capture.events if event.broken == "fragment repeated"]
    ring, joiner, seen = KeyRing(capture.header.keys), Joiner(), 0
    for event in capture.events:
        if event.frame is not None and event.kind is Kind.NOTIFY and event.frame.code == 0:
            ring.learn_srand(event.frame.data[6:12])
        # Four of its five packets give 17 + 3 * 19 = 74 bytes, more than its 65.
        if event.kind is Kind.WRITE and broken[0] - 4 <= event.line <= broken[0]:
            assert event.value is not None
            try:
                message = joiner.feed(event.value)
            except FragmentError:
                assert event.line == broken[0]
                continue
            if message is not None:
                seen += 1
                with pytest.raises(ChecksumError):
                    open_message(message, ring, known_flags=frozenset({5}))
    assert (len(broken), seen) == (1, 1)


def test_what_is_missing_is_known() -> None:
    joiner = Joiner()
    assert joiner.missing == 0
    fragments = split(MESSAGE[:60], att_payload=20, major=3)
    found = []
    for fragment in fragments:
        joiner.feed(fragment)
        found.append(joiner.missing)
    assert found == [60 - 17, 60 - 36, 60 - 55, 0]


# -- joining what firmware refuses


@pytest.mark.parametrize(
    ("order", "refused_at"),
    [
        pytest.param([0, 2], 1, id="gap"),
        pytest.param([0, 1, 3], 2, id="gap later"),
        pytest.param([0, 1, 2, 1], 3, id="lower"),
        pytest.param([1], 0, id="no beginning"),
        pytest.param([3], 0, id="only the end"),
    ],
)
def test_a_fragment_out_of_order_drops_the_message_and_the_next_one_works(
    order: list[int], refused_at: int
) -> None:
    fragments = split(MESSAGE[:90], att_payload=20, major=3)
    assert len(fragments) == 5
    joiner = Joiner()
    for index in order[:refused_at]:
        assert joiner.feed(fragments[index]) is None
    with pytest.raises(FragmentError):
        joiner.feed(fragments[order[refused_at]])
    assert joiner.missing == 0
    # What belongs to the dropped message does not come back to life...
    for fragment in fragments[1:]:
        with pytest.raises(FragmentError, match="beginning is missing"):
            joiner.feed(fragment)
    # ... and the next whole one does.
    assert join(split(MESSAGE[5:77], att_payload=20, major=3), joiner) == MESSAGE[5:77]


def test_a_fragment_after_the_end_is_refused() -> None:
    joiner = Joiner()
    fragments = split(MESSAGE[:40], att_payload=20, major=3)
    join(fragments, joiner)
    with pytest.raises(FragmentError, match="beginning is missing"):
        joiner.feed(fragments[-1])


@pytest.mark.parametrize(
    "fragment",
    [
        pytest.param("", id="nothing"),
        pytest.param("00", id="no total"),
        pytest.param("0080", id="cut-off total"),
        pytest.param("0080808080", id="endless total"),
        pytest.param("80808080", id="endless number"),
        pytest.param("0021", id="no version"),
        pytest.param("008101", id="no version behind a long total"),
        pytest.param("000030", id="total 0"),
        pytest.param("00810c30", id="total 1537"),
        pytest.param("00ffffff7f30", id="total 2**28 - 1"),
        pytest.param("00210004", id="version 0"),
        pytest.param("00211f04", id="version 1"),
    ],
)
def test_a_bad_first_fragment_is_refused_and_drops_the_message_in_progress(fragment: str) -> None:
    joiner = Joiner()
    joiner.feed(split(MESSAGE[:60], att_payload=20, major=3)[0])
    with pytest.raises(FragmentError):
        joiner.feed(bytes.fromhex(fragment))
    assert joiner.missing == 0
    assert join(split(MESSAGE[:60], att_payload=20, major=3), joiner) == MESSAGE[:60]


@pytest.mark.parametrize("max_total", [256, 1024, 1536])
def test_a_receiver_takes_what_its_buffer_holds_and_no_byte_more(max_total: int) -> None:
    # Reference: protocol §2; 256 in the lock SDK, 1,024 in SDK 3.x, 1,536 in SDK 4.x.
    joiner = Joiner(max_total=max_total)
    assert join(split(MESSAGE[:max_total], att_payload=20, major=3), joiner) == MESSAGE[:max_total]
    too_long = b"\0" + write_varint(max_total + 1) + b"\x30" + MESSAGE[:10]
    with pytest.raises(FragmentError, match=f"1-{max_total} are taken"):
        joiner.feed(too_long)


def test_the_smallest_version_and_every_larger_one_is_taken() -> None:
    for major in range(2, 16):
        assert Joiner().feed(bytes((0, 1, major << 4, 0x77))) == b"\x77"


# -- garbage


@given(st.lists(st.binary(max_size=24), max_size=20))
def test_garbage_raises_only_a_remote_error_and_a_good_message_still_joins(
    garbage: list[bytes],
) -> None:
    joiner = Joiner()
    for packet in garbage:
        try:
            message = joiner.feed(packet)
        except RemoteProtocolError:
            continue
        assert message is None or 0 < len(message) <= MAX_TOTAL
    assert join(split(MESSAGE[:99], att_payload=20, major=3), joiner) == MESSAGE[:99]


@given(st.lists(st.integers(0, 4), max_size=12), st.binary(min_size=1))
def test_a_shuffled_message_never_joins_to_more_than_its_total(
    order: list[int], message: bytes
) -> None:
    fragments = cut(message, [len(message) // 5] * 4)
    joiner = Joiner()
    for index in order:
        try:
            joined = joiner.feed(fragments[index])
        except FragmentError:
            continue
        assert joined is None or len(joined) == len(message)
