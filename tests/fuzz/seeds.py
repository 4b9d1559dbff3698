"""Where fuzzing starts: the recorded conversations, written down as each target reads them.

Made anew from ``tests/captures`` at every run and never committed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path

from protocol.capture import Capture, Kind, RecordedFrame, parse_capture
from protocol.commands import CommandCode, Sender
from protocol.firmware import FIRMWARE_NAMES
from protocol.frame import HEADER, Frame
from protocol.keys import SecurityFlag
from protocol.lock import OpenOperation, OpenRequest

from .central_target import REPLY
from .conversation import FLAGS, IV, PLAINTEXT, frame_seed
from .source import chunk, code_bytes
from .targets import EXPECTED, TARGETS, TYPES

CAPTURES = Path(__file__).resolve().parents[1] / "captures" / "firmware"
_STEPS = 16
_TIMED = bytes.fromhex("0165000000")


@cache
def texts() -> tuple[str, ...]:
    return tuple(path.read_text(encoding="utf-8") for path in sorted(CAPTURES.glob("*.jsonl")))


@cache
def captures() -> tuple[Capture, ...]:
    return tuple(parse_capture(text) for text in texts())


def _frames() -> Iterator[tuple[Sender, RecordedFrame]]:
    """Each shape of each command once, as recorded."""
    known = set()
    for one in captures():
        for event in one.events:
            if event.frame is not None:
                shape = (event.sender, event.frame.code, len(event.frame.data))
                if shape not in known:
                    known.add(shape)
                    yield event.sender, event.frame


def _packets(one: Capture, sender: Sender) -> list[bytes]:
    kinds = (Kind.WRITE, Kind.NOTIFY)
    return [
        event.value or b"" for event in one.events if event.kind in kinds and event.sender is sender
    ]


def _joiner() -> Iterator[bytes]:
    for one in captures():
        for sender in Sender:
            packets = _packets(one, sender)
            for start in range(0, len(packets), 40):
                yield b"\0" + b"".join(map(chunk, packets[start : start + 40]))


def _plaintexts() -> Iterator[bytes]:
    for _, recorded in _frames():
        one = Frame(recorded.sn, recorded.ack_sn, recorded.code, recorded.data)
        yield one.to_bytes()


def _sealed() -> Iterator[bytes]:
    for number, plaintext in enumerate(_plaintexts()):
        short = -len(plaintext) % 16
        yield bytes((number * 2 % 20 | 1,)) + plaintext + bytes((short,)) * short
    yield b"\0\5" + IV + bytes(32)


def _frame() -> Iterator[bytes]:
    for number, plaintext in enumerate(_plaintexts()):
        yield bytes((number & 1,)) + plaintext + bytes(number % 17)
    yield b"\1" + HEADER.pack(0, 0, 0x8001, 400) + bytes(402)


def _payload() -> Iterator[bytes]:
    for sender, recorded in _frames():
        who = bytes((sender is Sender.LOCK,))
        yield who + code_bytes(recorded.code) + recorded.data
    saving = b"1700000000" + b"\3\x20" + b"\1" + b"1700000000" + b"1710000000"
    yield b"\0" + code_bytes(CommandCode.TIME_SAVING) + saving
    yield b"\0" + code_bytes(CommandCode.PAIR) + bytes(44) + b"\x10" + bytes(16)
    for code, head in ((0x8004, "000a00"), (0x8005, "000a00"), (0x8007, "000000000a0000")):
        timed = _TIMED if code in (0x8005, 0x8007) else b""
        size = b"\0\1" if code == 0x8007 else b"\1"
        raw = bytes.fromhex(head) + timed + b"\x0c\2" + size + b"\1"
        yield b"\1" + code_bytes(code) + raw


def _lists() -> Iterator[tuple[int, bytes]]:
    """Every list of datapoints in the captures, with the bytes of its length fields."""
    heads = {0x0002: 0, 0x0027: 5, 0x8001: 0, 0x8003: 5, 0x8006: 7, 0x8007: 12}
    for _, recorded in _frames():
        if recorded.code in heads:
            yield (
                2 if recorded.code in (0x27, 0x8006, 0x8007) else 1,
                recorded.data[heads[recorded.code] :],
            )


def _datapoints() -> Iterator[bytes]:
    for width, raw in _lists():
        yield bytes((width - 1,)) + raw


def _lock_payload() -> Iterator[bytes]:
    known = set()
    for width, raw in _lists():
        body = raw[2 + width :]
        for place, kind in enumerate(TYPES):
            if (place, len(body)) in known:
                continue
            known.add((place, len(body)))
            layout = getattr(kind, "STRUCT", None)
            if layout is None or layout.size == len(body):
                yield bytes((place,)) + body
    for place, kind in enumerate(TYPES):
        layout = getattr(kind, "STRUCT", None)
        yield bytes((place,)) + bytes(layout.size if layout is not None else 24)
    yield bytes((len(TYPES) - 1,)) + b"1700000000"


def _uuid() -> Iterator[bytes]:
    for one in captures():
        yield one.header.keys.uuid16


def _advertisement_halves() -> Iterator[tuple[bytes, bytes]]:
    found = json.loads((CAPTURES / "advertisements.json").read_text(encoding="utf-8"))
    for one in found["advertisements"]:
        yield bytes.fromhex(one["adv"]), bytes.fromhex(one["scan_rsp"])


def _advertisement() -> Iterator[bytes]:
    for adv, scan_rsp in _advertisement_halves():
        yield chunk(adv) + scan_rsp
        yield chunk(adv)
        yield chunk(b"") + scan_rsp
        yield chunk(b"") + bytes((0, len(adv + scan_rsp))) + adv + scan_rsp + b"\0"


def _advertisement_parts() -> Iterator[bytes]:
    nowhere = chunk(b"") + b"\0\0"
    for services, service in ((1, "00" + "71" * 8), (2, "41000008" + "71" * 8), (0, "")):
        for makers, size in ((1, 20), (1, 22), (2, 26), (0, 0)):
            maker = bytes((0, 3 if makers == 1 else 2)) + bytes(max(0, size - 2))
            yield (
                bytes((services, makers, 3)) + nowhere
                + (chunk(bytes.fromhex(service)) if services else b"")
                + (chunk(maker) if makers else b"") + chunk(b"TY")
            )  # fmt: skip


def _capture() -> Iterator[bytes]:
    for text in texts():
        lines = text.splitlines()
        header = lines[0]
        for start in (1, len(lines) // 2, len(lines) - 4):
            yield "\n".join([header, *lines[start : start + 4]]).encode()


def _capture_values() -> Iterator[bytes]:
    for name in range(48):
        for how in range(name % 9, 0x100, 9):
            yield bytes((name % 3, name, how))
    for how in range(0x80, 0x98):  # without its uuid, only uuid16 is left
        yield bytes((0, 12, 0x89)) + bytes((0, 16, how))


def _instruction() -> Iterator[bytes]:
    request = OpenRequest(
        EXPECTED.central, EXPECTED.peripheral, EXPECTED.code, OpenOperation.OPEN,
        EXPECTED.after_timestamp + 1, 0, b"\1",
    ).to_bytes()  # fmt: skip
    head = bytes((EXPECTED.dp_id, 0))
    for how in (8, 8 | 2, 8 | 32):
        yield bytes((how,)) + head + bytes((len(request),)) + request
        yield bytes((how | 1,)) + bytes(5) + head + len(request).to_bytes(2, "big") + request
    for how, code in ((8 | 16, 0x0002), (8 | 16 | 1, 0x0002)):
        yield bytes((how,)) + code_bytes(code) + head + bytes((len(request),)) + request
    yield b"\0" + b"\0\0\0\7" + head + bytes((len(request),)) + request
    yield b"\4\4" + IV + bytes(32)


def _first(one: Capture) -> int:
    return FIRMWARE_NAMES.index(one.header.protocol) | one.header.bound << 2


def _sealed_steps(one: Capture, sender: Sender, step: Callable[[Sender], bytes]) -> Iterator[bytes]:
    for event in one.events:
        if event.frame is not None and event.sender is sender:
            frame = event.frame
            flag = frame.flag if frame.flag not in (SecurityFlag.SESSION, 15) else None
            yield step(sender) + frame_seed(frame.code, frame.data, ack_sn=frame.ack_sn, flag=flag)


def _conversations(sender: Sender) -> Iterator[bytes]:
    """Recorded frames as the steps of a conversation, in every state, some seconds apart."""
    for number, one in enumerate(captures()):
        steps = list(_sealed_steps(one, sender, lambda _: b"\0"))
        for start in range(0, min(len(steps), 3 * _STEPS), _STEPS):
            yield bytes((_first(one), number)) + b"".join(steps[start : start + _STEPS])
    for first in range(8):
        raw = chunk(Frame(1, 1, 0x8001, bytes.fromhex("0801010d")).to_bytes())
        yield bytes((first, 0)) + b"\0" + bytes((PLAINTEXT,)) + raw + b"\1" + chunk(b"\0\x21\x30\4")


def _central() -> Iterator[bytes]:
    yield from _conversations(Sender.LOCK)
    record = frame_seed(CommandCode.REPORT_TIMED, _TIMED + bytes.fromhex("0c020400000001"))
    reply = bytes((71, 0, 19)) + REPLY.to_bytes()
    reply_v4 = bytes(7) + bytes((71, 0, 0, 19)) + REPLY.to_bytes()
    for first in range(8):
        ask, stored, ack = b"\3\2", b"\3\4\0", b"\3\5\0"
        yield bytes((first, 0)) + ask + b"\0" + record + stored + b"\2\xff" + ack + b"\3\6"
        status = frame_seed(CommandCode.DP_WRITE, b"\1", ack_sn=3)
        yield bytes((first, 0)) + b"\3\x09" + b"\0" + status
        closed = frame_seed(CommandCode.REPORT, b"\x2f\1\1\0")
        yield bytes((first, 0)) + b"\3\x19" + b"\0" + closed
        sent = b"\3\6" + b"\0\0\0\1" + b"\0\5"
        resealed = b"\3\x16" + b"\0\0\0\2" + b"\0\x80"
        yield bytes((first, 0)) + sent + resealed + sent + b"\3\x0e"
        clock = b"\0" + frame_seed(CommandCode.TIME_CLOCK, b"") + b"\3\x0b"
        early = b"\0" + record + stored + b"\2\1" + ack
        yield bytes((first, 0)) + clock + ask + early * 4
        for code, data in ((CommandCode.REPORT, reply), (CommandCode.REPORT_V4, reply_v4)):
            yield bytes((first, 0)) + b"\3\x09" + b"\0" + frame_seed(code, data)
        for state in range(8):
            asks = frame_seed(CommandCode.TIME_CLOCK, b"")
            paired = frame_seed(CommandCode.PAIR, b"\2", ack_sn=2)
            yield bytes((first, state)) + b"\0" + paired + b"\0" + asks + b"\3\3" + b"\3\x0f"


def _peripheral() -> Iterator[bytes]:
    yield from _conversations(Sender.CENTRAL)
    for first in range(8):
        for state in range(4):
            yield bytes((first, state)) + b"\3\0" + b"\3\3" + b"\2\xff" + b"\3\1" + b"\3\2"
            for code in (CommandCode.UNBIND, CommandCode.RESET, CommandCode.ANOMALY_UNBIND):
                unbind = b"\0" + frame_seed(code, b"\0\0")
                plain = b"\0" + frame_seed(CommandCode.DP_QUERY, b"\1\2", flag=SecurityFlag.PLAIN)
                yield bytes((first, state)) + unbind + plain + b"\3\3" + unbind


def _observer() -> Iterator[bytes]:
    for one in captures():
        steps = []
        for sender, recorded in islice(_both(one), _STEPS):
            flag = recorded.flag if recorded.flag in FLAGS else None
            how = (8 if recorded.code in (0x27, 0x8006, 0x8007) else 0) | (sender is Sender.LOCK)
            seed = frame_seed(recorded.code, recorded.data, ack_sn=recorded.ack_sn, flag=flag)
            steps.append(bytes((how,)) + seed)
        first = FIRMWARE_NAMES.index(one.header.protocol) | one.header.bound << 6
        yield bytes((first,)) + b"".join(steps)
        packets = [chunk(packet) for packet in _packets(one, Sender.CENTRAL)[:_STEPS]]
        yield bytes((4,)) + b"".join(b"\4" + packet for packet in packets) + b"\6"


def _both(one: Capture) -> Iterator[tuple[Sender, RecordedFrame]]:
    for event in one.events:
        if event.frame is not None:
            yield event.sender, event.frame


_SEEDS: dict[str, Callable[[], Iterator[bytes]]] = {
    "joiner": _joiner,
    "sealed": _sealed,
    "frame": _frame,
    "payload": _payload,
    "datapoints": _datapoints,
    "lock_payload": _lock_payload,
    "meaning": _payload,
    "uuid": _uuid,
    "advertisement": _advertisement,
    "advertisement_parts": _advertisement_parts,
    "capture": _capture,
    "capture_values": _capture_values,
    "instruction": _instruction,
    "observer": _observer,
    "central": _central,
    "peripheral": _peripheral,
}


def seeds(target: str) -> list[bytes]:
    """The inputs that a target starts from, each once, in a stable order; long ones are cut."""
    size = TARGETS[target].size
    return list(dict.fromkeys(seed[:size] for seed in _SEEDS[target]()))
