"""What ``bleagent decode`` works out: observations as lines for people and for machines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from protocol import DpMap, LockKeys, ProtocolError, Sender
from protocol.capture import Capture, RecordedFrame, keys_from_json
from protocol.dpmap import LockGeneration
from protocol.meaning import describe
from protocol.observer import Observation, Observer, Seen, in_order

ARROWS = {">": Sender.CENTRAL, "<": Sender.LOCK}
_MARKS = {sender: mark for mark, sender in ARROWS.items()}
_DPS = DpMap.default(LockGeneration.V3_3)


class DecodeError(Exception):
    """Input that cannot be used; says what was found and what was expected."""


def observe_packets(packets: Sequence[str], keys: LockKeys) -> list[Observation]:
    """Read pasted packets: ``>HEX`` from the central, ``<HEX`` from the lock.

    Raises:
        DecodeError: a packet of another form.
    """
    observer = Observer(keys)
    seen: list[Observation] = []
    for number, packet in enumerate(packets, 1):
        sender = ARROWS.get(packet[:1])
        if sender is None:
            raise DecodeError(
                f"packet {number} is {packet[:12]!r}: a packet begins with '>' (from the "
                "central) or '<' (from the lock); quote it for the shell"
            )
        try:
            value = bytes.fromhex(packet[1:])
        except ValueError:
            raise DecodeError(f"packet {number} is not hexadecimal behind its first sign") from None
        seen += observer.feed(sender, value, number)
    return in_order(seen + observer.finish())


def read_keys(text: str, where: str) -> LockKeys:
    """The keys of a keys file: a JSON object with local_key, sec_key, auth_key, uuid.

    Raises:
        DecodeError: another form.
    """
    expected = 'a JSON object such as {"local_key": "...", "uuid": "..."} is expected'
    try:
        found = json.loads(text)
    except ValueError as error:
        raise DecodeError(f"{where} is not JSON ({error}); {expected}") from None
    if isinstance(found, dict) and isinstance(found.get("keys"), dict):
        found = found["keys"]  # the header of a capture
    if not isinstance(found, dict) or not any(found.values()):
        raise DecodeError(f"{where} holds no keys; {expected}")
    try:
        # Only security V2 and pairing need the uuid; without it their frames stay closed.
        return keys_from_json({"uuid": "0" * 16} | {k: v for k, v in found.items() if v})[0]
    except (ValueError, TypeError, ProtocolError) as error:
        raise DecodeError(f"{where} cannot be used: {error}") from None


def to_json(seen: Observation, times: dict[int, float]) -> dict[str, Any]:
    """One observation as an object in the capture format's words."""
    fields: dict[str, Any] = {"line": seen.line, "dir": seen.sender.value}
    if not isinstance(seen, Seen):
        return fields | {"error": seen.error}
    if seen.line in times:
        fields["t"] = times[seen.line]
    frame = RecordedFrame.of(seen.opened).to_json()
    return fields | frame | {"crc_ok": True, "meaning": _meaning(seen)}


def to_text(seen: Observation, times: dict[int, float]) -> str:
    """One observation as a line for a person; nothing secret is in it."""
    when = f"{times[seen.line]:9.1f}" if seen.line in times else ""
    start = f"{seen.line:5}{when} {_MARKS[seen.sender]}"
    if not isinstance(seen, Seen):
        return f"{start} unreadable: {seen.error}"
    frame = seen.opened.frame
    numbers = f"flag {seen.opened.flag:<2} sn {frame.sn:<3} ack {frame.ack_sn:<3}"
    return f"{start} {numbers} {frame.code:#06x}  {_meaning(seen)}"


def compare(capture: Capture, seen: Iterable[Observation]) -> list[str]:
    """Where the observations differ from what the recorder says; empty if nowhere."""
    found = {one.line: one for one in seen}
    differences: list[str] = []
    for event in capture.events:
        if event.frame is None and event.broken is None:
            continue
        one = found.pop(event.line, None)
        if event.frame is None:
            if isinstance(one, Seen):
                differences.append(f"line {event.line}: recorded as broken, but was read")
        elif not isinstance(one, Seen):
            differences.append(f"line {event.line}: recorded as a frame, but was not read")
        elif RecordedFrame.of(one.opened) != event.frame:
            differences.append(f"line {event.line}: read as another frame than recorded")
    for line, one in sorted(found.items()):
        if isinstance(one, Seen):
            differences.append(f"line {line}: a frame was read where none is recorded")
    return differences


def _meaning(seen: Seen) -> str:
    return describe(seen.sender, seen.opened.frame, _DPS)
