"""Recorded conversations: the text format of ``tests/captures/firmware/README.md``.

JSON Lines: a header, then one event a line. Text in, values out and back; files are somebody
else's business. What a person wrote into a capture (``note``) is kept, but nothing here ever
decides anything by it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from .commands import Sender
from .errors import ProtocolError
from .keys import LockKeys, Secret, unpack_uuid
from .message import Opened

VERSION = 1


class CaptureError(ValueError):
    """A capture that cannot be used; says the line, what was found and what was expected."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__(f"line {line}: {message}")


class Kind(StrEnum):
    """What happened."""

    CONNECT = "connect"
    DISCONNECT = "disconnect"
    WRITE = "write"  # one GATT value to the lock
    NOTIFY = "notify"  # one GATT value from the lock
    LOCAL = "local"  # something done at the lock
    POWER = "power"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedFrame:
    """What the recorder says a frame contained."""

    flag: int
    iv: bytes
    sn: int
    ack_sn: int
    code: int
    data: bytes

    @classmethod
    def of(cls, opened: Opened) -> Self:
        """A frame that was read, in the recorder's form."""
        frame = opened.frame
        return cls(
            flag=opened.flag, iv=opened.iv, sn=frame.sn, ack_sn=frame.ack_sn, code=frame.code,
            data=frame.data,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """The ``frame`` object."""
        return {
            "flag": self.flag,
            "iv": self.iv.hex(),
            "sn": self.sn,
            "ack_sn": self.ack_sn,
            "cmd": f"{self.code:#06x}",
            "data": self.data.hex(),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Read the ``frame`` object.

        Raises:
            KeyError, ValueError, TypeError: a field is missing or has another form.
        """
        return cls(
            flag=int(found["flag"]), iv=bytes.fromhex(found["iv"] or ""), sn=int(found["sn"]),
            ack_sn=int(found["ack_sn"]), code=int(found["cmd"], 16),
            data=bytes.fromhex(found["data"]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line. ``t`` is seconds since the beginning; ``line`` counts from 1, 0 is unknown."""

    t: float
    sender: Sender
    kind: Kind
    value: bytes | None = None
    frame: RecordedFrame | None = None
    broken: str | None = None
    local: Mapping[str, Any] | None = None
    power: str | None = None
    note: str | None = None
    line: int = 0

    def to_json(self) -> dict[str, Any]:
        """The line as an object; absent fields are left out."""
        fields: dict[str, Any] = {"t": self.t, "dir": self.sender.value, "kind": self.kind.value}
        if self.value is not None:
            fields["value"] = self.value.hex()
        if self.frame is not None:
            fields["frame"] = self.frame.to_json()
        for name in ("broken", "local", "power", "note"):
            if getattr(self, name) is not None:
                fields[name] = getattr(self, name)
        return fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first line: whose conversation this is, with the keys that open it."""

    name: str
    about: str
    origin: str
    protocol: str
    att_payload: int
    gatt: str
    keys: LockKeys
    product_id: str = ""
    bound: bool = True
    advertisement: tuple[bytes, bytes] | None = None

    def to_json(self) -> dict[str, Any]:
        """The line as an object."""
        fields: dict[str, Any] = {
            "capture": VERSION,
            "name": self.name,
            "about": self.about,
            "origin": self.origin,
            "protocol": self.protocol,
            "att_payload": self.att_payload,
            "gatt": self.gatt,
            "keys": keys_to_json(self.keys, self.product_id),
            "bound": self.bound,
        }
        if self.advertisement is not None:
            adv, scan_rsp = self.advertisement
            fields["advertisement"] = {"adv": adv.hex(), "scan_rsp": scan_rsp.hex()}
        return fields


@dataclass(frozen=True, slots=True)
class Capture:
    """One conversation."""

    header: Header
    events: tuple[Event, ...]

    def with_lines(self) -> Self:
        """The same with its events numbered as ``format_capture`` writes them."""
        events = (replace(event, line=line) for line, event in enumerate(self.events, 2))
        return type(self)(self.header, tuple(events))


def parse_capture(text: str) -> Capture:
    """Read a whole capture.

    Raises:
        CaptureError: a line that is not of this format.
    """
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise CaptureError(1, "empty, where the header of a capture is expected")
    header = parse_header(lines[0][1], lines[0][0])
    return Capture(header, tuple(_event(line, number) for number, line in lines[1:]))


def format_capture(capture: Capture) -> str:
    """Write a whole capture; the reverse of ``parse_capture``."""
    objects = [capture.header.to_json(), *(event.to_json() for event in capture.events)]
    return "".join(json.dumps(one) + "\n" for one in objects)


def parse_header(line: str, number: int = 1) -> Header:
    """Read the first line alone.

    Raises:
        CaptureError: not a header of this format.
    """
    found = _object(line, number)
    if found.get("capture") != VERSION:
        raise CaptureError(number, f'no "capture": {VERSION}, so this is not a capture file')
    try:
        keys, product_id = keys_from_json(found["keys"])
        advertisement = found.get("advertisement")
        return Header(
            name=str(found.get("name", "")),
            about=str(found.get("about", "")),
            origin=str(found.get("origin", "")),
            protocol=str(found["protocol"]),
            att_payload=int(found["att_payload"]),
            gatt=str(found["gatt"]),
            keys=keys,
            product_id=product_id,
            bound=bool(found.get("bound", True)),
            advertisement=_advertisement(advertisement) if advertisement else None,
        )
    except KeyError as error:
        raise CaptureError(number, f"the header has no {error}") from None
    except (ValueError, TypeError, OverflowError, ProtocolError) as error:
        raise CaptureError(number, f"the header cannot be used: {error}") from None


def keys_from_json(found: Mapping[str, Any]) -> tuple[LockKeys, str]:
    """Read a ``keys`` object: the lock's keys and its product id.

    Raises:
        KeyError: no uuid.
        ValueError, TypeError, ProtocolError: a field that cannot be used.
    """
    if not isinstance(found, Mapping):
        raise TypeError('"keys" is not an object')
    secrets = {
        name: Secret(str(found[name])) if found.get(name) else None
        for name in ("local_key", "sec_key", "auth_key")
    }
    if not found.get("uuid") and found.get("uuid16"):
        found = {**found, "uuid": unpack_uuid(bytes.fromhex(found["uuid16"]))}
    virtual_id = found.get("virtual_id") or found.get("device_id") or ""
    keys = LockKeys(uuid=str(found["uuid"]), virtual_id=str(virtual_id), **secrets)
    return keys, str(found.get("product_id") or "")


def keys_to_json(keys: LockKeys, product_id: str) -> dict[str, Any]:
    """Write a ``keys`` object, secrets included: captures are for test keys."""

    def text(secret: Secret | None) -> str | None:
        return None if secret is None else secret.reveal().decode()

    fields: dict[str, Any] = {
        "local_key": text(keys.local_key),
        "login_key6": text(keys.login_key) if keys.local_key else None,
        "sec_key": text(keys.sec_key),
        "auth_key": text(keys.auth_key),
        "uuid": keys.uuid,
    }
    if len(keys.uuid) != len(keys.uuid16):
        fields["uuid16"] = keys.uuid16.hex()
    return fields | {
        "device_id": keys.virtual_id,
        "virtual_id": keys.virtual_id,
        "product_id": product_id,
    }


def _advertisement(found: Mapping[str, Any]) -> tuple[bytes, bytes]:
    return bytes.fromhex(found["adv"]), bytes.fromhex(found.get("scan_rsp") or "")


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CaptureError(number, f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise CaptureError(number, f"a {type(found).__name__}, where an object is expected")
    return found


def _event(line: str, number: int) -> Event:
    found = _object(line, number)
    try:
        kind = Kind(found["kind"])
        frame = found.get("frame")
        event = Event(
            t=found.get("t", 0.0),
            sender=Sender(found["dir"]),
            kind=kind,
            value=bytes.fromhex(found["value"]) if kind in (Kind.WRITE, Kind.NOTIFY) else None,
            frame=RecordedFrame.from_json(frame) if frame else None,
            broken=found.get("broken"),
            local=found.get("local"),
            power=found.get("power"),
            note=found.get("note"),
            line=number,
        )
    except KeyError as error:
        raise CaptureError(number, f"the event has no {error}") from None
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise CaptureError(number, f"the event cannot be used: {error}") from None
    for name in ("broken", "power", "note"):
        if not isinstance(found.get(name), str | None):
            raise CaptureError(number, f'"{name}" is not a text')
    if not isinstance(found.get("t", 0.0), int | float) or not isinstance(event.local, dict | None):
        raise CaptureError(number, '"t" is not a number or "local" is not an object')
    return event
