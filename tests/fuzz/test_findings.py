"""Inputs on which a target once broke a promise; each must be handled for ever.

``run.py`` prints a finding as a row for ``FINDINGS``. A row says what went wrong, or nobody
knows later what it is for.
"""

from __future__ import annotations

import pytest

from protocol.commands import CommandCode
from protocol.keys import SecurityFlag
from tests.fuzz.conversation import frame_seed
from tests.fuzz.targets import TARGETS

# Of the peripheral: firmware 3.0 and bound, paired; firmware 3.3 and unbound, connected.
BOUND, UNBOUND = b"\4\0", b"\1\1"
SEALED, ACT = b"\0", b"\3"
SEND = ACT + b"\3"
HEADER = '{"capture": 1, "protocol": "3.0", "att_payload": 20, "gatt": "1910", '
UUID = '"uuid": "tuya902d3cd868a1"'
EVENT = '{"dir": "lock", "kind": "connect", "frame": {"flag": 1e400, "iv": "", "sn": 1}}'

FINDINGS = {
    # SealError out of Peripheral.receive_write: the answer's key went with the unbinding.
    "a write to a lock that was just unbound": (
        "peripheral",
        BOUND
        + SEALED
        + frame_seed(CommandCode.UNBIND, b"")
        + (SEALED + frame_seed(CommandCode.DP_WRITE, b"\x2e\1\1\1", flag=SecurityFlag.AUTH)) * 2,
    ),
    # SealError out of Peripheral.send, for the same reason.
    "a frame of the lock application after the unbinding": (
        "peripheral",
        BOUND + SEALED + frame_seed(CommandCode.UNBIND, b"") + SEND,
    ),
    # LocalProtocolError out of Peripheral.receive_write: its answer has 16 bytes, and a
    # plaintext message was thought to have 17 in both directions.
    "plaintext that an unbound lock answers with one byte": (
        "peripheral",
        UNBOUND + SEALED + frame_seed(CommandCode.ANOMALY_UNBIND, b"\0\0", flag=SecurityFlag.PLAIN),
    ),
    # OverflowError: JSON has infinite numbers.
    "a capture whose packets have infinitely many bytes": (
        "capture",
        (HEADER.replace("20", "1e400") + '"keys": {' + UUID + "}}").encode(),
    ),
    "a capture with an infinite flag in a frame": (
        "capture",
        (HEADER + '"keys": {' + UUID + "}}\n" + EVENT).encode(),
    ),
    # SealError, which a reader of captures does not expect.
    "a capture whose uuid16 is no uuid": (
        "capture",
        (HEADER + '"keys": {"uuid16": "00"}}').encode(),
    ),
    # Read as UTF-8 and written as Latin-1: a capture that was written could not be read.
    "a capture with a key that is not ASCII": (
        "capture",
        (HEADER + '"keys": {"local_key": "éééééééé", ' + UUID + "}}").encode(),
    ),
}


@pytest.mark.parametrize(("target", "data"), FINDINGS.values(), ids=FINDINGS)
def test_an_input_that_once_broke_a_promise_is_handled(target: str, data: bytes) -> None:
    TARGETS[target].one(data)
