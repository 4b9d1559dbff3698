"""Every recording, both ways: read, written again, and replayed with each of our roles.

The recordings were made from the vendor's own firmware sources, not by this project
(``tests/captures/firmware/README.md``).
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol import RemoteProtocolError, Sender
from protocol.capture import (
    Capture,
    CaptureError,
    Kind,
    RecordedFrame,
    format_capture,
    parse_capture,
)
from protocol.commands import CommandCode
from protocol.dialect import double_md5_auth
from protocol.fragment import split
from protocol.frame import Frame
from protocol.keys import KeyRing
from protocol.message import close_frame
from protocol.observer import Observer, Seen, Unreadable
from tests.codec.replay import (
    CAPTURES,
    FILES,
    CentralReplay,
    PeripheralReplay,
    by_message,
    firmware_of,
    join,
    load,
)

NOT_REPLAYED = {
    # file: (line of the first packet of a frame that no honest central writes, why)
    "lock-damaged.jsonl": (30, "damaged frames"),
    "lock-early-command.jsonl": (12, "commands before pairing"),
    "lock-replay.jsonl": (47, "a frame written twice"),
    "lock-sealed-open.jsonl": (76, "a number below the last one"),
    "lock-sealed-session-key.jsonl": (70, "a sealed frame of an earlier connection"),
    "lock-sealed-twice.jsonl": (106, "a sealed frame written twice on one connection"),
    "lock-wrong-key.jsonl": (3, "sealed under another lock's key"),
    "sdk33-damaged.jsonl": (24, "damaged frames and a repeated number"),
    "sdk33-early.jsonl": (12, "commands before pairing"),
    "sdk44-244-damaged.jsonl": (9, "damaged frames and a repeated number"),
    "sdk44-244-sealed-open.jsonl": (13, "a number below the last one"),
    "secv2-244-early.jsonl": (5, "a command before pairing"),
    "secv2-244-refusals.jsonl": (3, "a flag of the other security generation, a used number"),
}


def observe(capture: Capture) -> dict[int, Seen | Unreadable]:
    """What an onlooker reads, by line; packets and the header's keys are all it gets."""
    header = capture.header
    observer = Observer(header.keys, header.protocol, header.bound, header.att_payload)
    seen: list[Seen | Unreadable] = []
    for event in capture.events:
        if event.kind in (Kind.CONNECT, Kind.DISCONNECT):
            seen += observer.link_changed()
        elif event.value is not None:
            seen += observer.feed(event.sender, event.value, event.line)
    seen += observer.finish()
    by_line = {one.line: one for one in seen}
    assert len(by_line) == len(seen), "one observation a line"
    return by_line


def test_every_recording_is_here() -> None:
    assert len(FILES) == 82
    assert set(NOT_REPLAYED) < set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_capture_is_written_as_it_was_read(name: str) -> None:
    text = (CAPTURES / name).read_text()
    capture = parse_capture(text)
    assert format_capture(capture) == text
    assert capture.with_lines() == capture


@pytest.mark.parametrize("name", FILES)
def test_packets_and_keys_alone_give_the_recorded_frames(name: str) -> None:
    capture = load(name)
    seen = observe(capture)
    for event in capture.events:
        if event.frame is not None:
            found = seen.pop(event.line)
            assert isinstance(found, Seen), f"line {event.line}: {found}"
            assert found.sender is event.sender
            assert RecordedFrame.of(found.opened) == event.frame, f"line {event.line}"
        elif event.broken is not None:
            assert isinstance(seen.pop(event.line), Unreadable), f"line {event.line}"
    assert not seen, "read what nobody recorded"


@pytest.mark.parametrize("name", FILES)
def test_recorded_fields_and_iv_give_the_recorded_packets(name: str) -> None:
    capture = load(name)
    firmware = firmware_of(capture)
    ring = KeyRing(capture.header.keys)
    ring.double_md5_auth = double_md5_auth(firmware.protocol)
    written = 0
    for event, packets in by_message(capture):
        if event.kind in (Kind.CONNECT, Kind.DISCONNECT):
            ring.learn_srand(None)
        recorded = event.frame
        if recorded is None:
            continue
        if event.sender is Sender.CENTRAL and recorded.flag in (1, 11, 16):
            ring.learn_server_rand(recorded.iv)
        frame = Frame(recorded.sn, recorded.ack_sn, recorded.code, recorded.data)
        message = close_frame(frame, flag=recorded.flag, ring=ring, iv=recorded.iv)
        assert message == join(packets), f"line {event.line}"
        # The first packet shows what its sender chose: the size of packets and the counter.
        size, version = len(packets[0]), packets[0][3 if len(message) > 0x7F else 2]
        if len(packets) == 1:
            size = max(20, size)
        if all(len(packet) == size for packet in packets[:-1]) and size >= 20:
            again = split(message, att_payload=size, major=version >> 4, counter=version & 15)
            assert again == packets, f"line {event.line}"
        written += 1
        if event.sender is Sender.LOCK and recorded.code == CommandCode.DEVICE_INFO:
            ring.learn_srand(recorded.data[6:12])
    if name != "lock-wrong-key.jsonl":
        assert written


@pytest.mark.parametrize("name", [name for name in FILES if name not in NOT_REPLAYED])
def test_our_central_writes_what_the_recorded_one_wrote(name: str) -> None:
    replay = CentralReplay(load(name))
    replay.run()
    assert not replay.ivs, "fewer messages than recorded"


@pytest.mark.parametrize("name", NOT_REPLAYED)
def test_our_central_follows_a_misbehaving_one_until_it_misbehaves(name: str) -> None:
    line, _ = NOT_REPLAYED[name]
    replay = CentralReplay(load(name))
    recorded = len(replay.ivs)
    replay.run(until=line)
    assert line <= 5 or len(replay.ivs) < recorded


@pytest.mark.parametrize("name", FILES)
def test_our_lock_side_answers_as_the_recorded_lock(name: str) -> None:
    PeripheralReplay(load(name)).run()


def spoiled(capture: Capture, kind: Kind) -> Capture:
    """The capture with one bit of the first such packet flipped, where the command lies."""
    events = list(capture.events)
    index = next(i for i, event in enumerate(events) if event.kind is kind)
    value = events[index].value
    assert value is not None
    value = value[:12] + bytes((value[12] ^ 1,)) + value[13:]
    events[index] = replace(events[index], value=value)
    return Capture(capture.header, tuple(events))


@pytest.mark.parametrize("kind", [Kind.WRITE, Kind.NOTIFY])
@pytest.mark.parametrize("role", [CentralReplay, PeripheralReplay])
def test_a_flipped_bit_in_a_recording_is_noticed(
    kind: Kind, role: type[CentralReplay | PeripheralReplay]
) -> None:
    # The replays above could only pass by accident if they compared nothing.
    changed = spoiled(load("lock-handshake.jsonl"), kind)
    with pytest.raises((AssertionError, RemoteProtocolError)):
        role(changed).run()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("", "line 1: empty", id="empty"),
        pytest.param("hello\n", "line 1: not JSON", id="not-json"),
        pytest.param("[1]\n", "line 1: a list, where an object is expected", id="a-list"),
        pytest.param('{"t": 0}\n', 'line 1: no "capture": 1', id="no-header"),
        pytest.param('{"capture": 2}\n', 'line 1: no "capture": 1', id="another-version"),
        pytest.param('{"capture": 1}\n', "line 1: the header has no 'keys'", id="no-keys"),
    ],
)
def test_a_file_that_is_no_capture_is_named_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(CaptureError, match="line") as caught:
        parse_capture(text)
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "{}",
        '{"t": 0, "dir": "nobody", "kind": "connect"}',
        '{"t": 0, "dir": "lock", "kind": "dance"}',
        '{"t": 0, "dir": "lock", "kind": "notify"}',
        '{"t": 0, "dir": "lock", "kind": "notify", "value": "0g"}',
        '{"t": 0, "dir": "lock", "kind": "notify", "value": 7}',
        '{"t": "x", "dir": "lock", "kind": "connect"}',
        '{"t": 0, "dir": "lock", "kind": "notify", "value": "00", "frame": {"flag": 5}}',
        '{"t": 0, "dir": "lock", "kind": "local", "local": 5}',
        '{"t": 0, "dir": "lock", "kind": "power", "power": []}',
    ],
)
def test_an_event_that_cannot_be_used_is_named_with_its_line(line: str) -> None:
    header = (CAPTURES / "lock-handshake.jsonl").read_text().split("\n")[0]
    with pytest.raises(CaptureError) as caught:
        parse_capture(f"{header}\n\n{line}\n")
    assert caught.value.line == 3
