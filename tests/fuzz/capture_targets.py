"""The targets that read capture files: as text, and as JSON whose values are odd."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from protocol.capture import CaptureError, format_capture, parse_capture

from .source import Source


def capture(data: bytes) -> None:
    """A file that somebody hands over: a capture, or ``CaptureError``."""
    try:
        read = parse_capture(data.decode(errors="replace"))
    except CaptureError:
        return
    text = format_capture(read)
    assert format_capture(parse_capture(text)) == text


_ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 3.5, 1e400, -1e400, 10**40, "", "0", "zz", "00", "é" * 8, "\ud800",
    "0x8001", "lock", "write", [], [1], {}, {"adv": 1}, {"adv": "02", "scan_rsp": "zz"}, "a" * 16,
)  # fmt: skip
_CAPTURE = """{"capture": 1, "name": "n", "about": "a", "origin": "o", "protocol": "4.4", \
"att_payload": 20, "gatt": "fd50", "keys": {"local_key": "NGKZwbmwW2G4yeMA", "sec_key": null, \
"auth_key": "Yykbwr76TMC5Jh7yGS5gftfcBwLEqE8J", "uuid": "tuya902d3cd868a1", \
"uuid16": "74757961393032643363643836386131", "device_id": "bf", "virtual_id": "bf", \
"product_id": "li68bycg"}, "bound": true, "advertisement": {"adv": "0201", "scan_rsp": ""}}
{"t": 0.1, "dir": "central", "kind": "write", "value": "0021", "frame": {"flag": 1, "iv": "3a", \
"sn": 1, "ack_sn": 0, "cmd": "0x0000", "data": "0014"}, "note": "n"}
{"t": 0.2, "dir": "lock", "kind": "local", "local": {"report": 1}, "power": "off", "broken": "crc"}
"""


def capture_values(data: bytes) -> None:
    """A capture in which values are replaced, or taken out, by threes of bytes."""
    source = Source(data)
    lines = [json.loads(line) for line in _CAPTURE.splitlines()]
    while source.more:
        place = lines[source.byte() % len(lines)]
        name, how = source.byte(), source.byte()
        if how >= 0x80:
            inner = [value for value in place.values() if isinstance(value, dict) and value]
            place = inner[name % len(inner)] if inner else place
        if not place:
            continue
        key = list(place)[(name >> 2) % len(place)]
        if how & 0x7F == 0x7F:
            del place[key]
        else:
            place[key] = deepcopy(_ODD_VALUES[(how & 0x7F) % len(_ODD_VALUES)])
    capture("\n".join(json.dumps(line) for line in lines).encode())
