"""The four recorded firmwares, as data: what ``Peripheral`` must know to answer as they do.

Source: captures ``lock-*``, ``sdk33-*``, ``sdk44-*``, ``secv2-*``; reference protocol §3.4, §9.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .commands import CommandCode
from .device_info import DeviceInfo
from .dialect import Dialect
from .errors import LocalProtocolError
from .gatt import DEFAULT_ATT_PAYLOAD, PREFERRED_ATT_PAYLOAD_V4, GattGeneration
from .keys import KeyRing

UNPAIRED_TIMEOUT = 30.0
"""Seconds from connecting to a successful pairing (reference protocol §3.5)."""
IDLE_TIMEOUT = 120.0
"""Seconds without a write or an acknowledgement after which the lock application hangs up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """One firmware's habits."""

    name: str
    protocol: tuple[int, int]
    gatt: GattGeneration
    att_payload: int
    """Most bytes of a write it takes (the rest is cut off) and of a notification it sends."""
    max_total: int
    """Longest message it takes."""
    max_dp_data: int
    """Most bytes of datapoints in one write; more is answered with state 1."""
    security_v2: bool = False
    gives_auth_key: bool = False
    """Device information carries the auth key itself instead of a register key."""
    gives_virtual_id: bool = True
    info_flag_by_binding: bool = False
    """Answers device information under the login flag when bound, whatever it was asked under."""
    query_answer: CommandCode = CommandCode.DP_QUERY
    """Command under which a query is answered."""
    asks_time: bool = True
    """Asks 0x8011 after pairing; security V2 sends its network state instead."""
    idle_timeout: float | None = None
    takes_empty_datapoints: bool = True

    @property
    def dialect(self) -> Dialect:
        """How to talk to it."""
        return Dialect(self.protocol[0], self.security_v2)

    @property
    def checks_writes(self) -> bool:
        """Whether a malformed 4.x write is answered with state 1 (security V2 says 0)."""
        return not self.security_v2

    @property
    def answers_before_pairing(self) -> frozenset[int]:
        """Commands that are processed before pairing; all others are dropped in silence."""
        codes = {CommandCode.DEVICE_INFO, CommandCode.PAIR}
        unbinds = {CommandCode.UNBIND, CommandCode.RESET}
        return frozenset(codes | (unbinds if self.security_v2 else {CommandCode.ANOMALY_UNBIND}))

    def device_info(
        self, ring: KeyRing, *, srand: bytes, bound: bool, virtual_id22: bytes
    ) -> DeviceInfo:
        """What it answers to 0x0000."""
        auth = ring.keys.auth_key.reveal() if self.gives_auth_key and ring.keys.auth_key else b""
        auth = auth or ring.register_key().ljust(32, b"\0")
        versions = _VERSIONS[self.name]
        raw = b"".join(
            (
                versions.head, bytes((bound,)), srand, versions.hardware, auth, versions.long,
                virtual_id22 if self.gives_virtual_id else bytes(22), versions.tail,
            )
        )  # fmt: skip
        return DeviceInfo.from_bytes(raw)


@dataclass(frozen=True, slots=True)
class _Versions:
    """The constant parts of a firmware's device information, by offset."""

    head: bytes  # 0-4
    hardware: bytes  # 12-13
    long: bytes  # 46-54
    tail: bytes  # 77-...


_VERSIONS = {
    "3.0": _Versions(
        bytes.fromhex("0303030000"), b"\1\0", bytes.fromhex("000303000100000100"), b""
    ),
    "3.3": _Versions(
        bytes.fromhex("0203030300"), b"\0\0", bytes.fromhex("010203010000000100"),
        bytes.fromhex("00000000000001"),
    ),
    "4.4": _Versions(
        bytes.fromhex("0102040405"), b"\1\0", bytes.fromhex("010203010000000100"),
        bytes.fromhex("000000000000010000000000000000000000000000020200"),
    ),
    "secv2": _Versions(
        bytes.fromhex("0000040405"), b"\0\0", bytes.fromhex("000000000000000c06"),
        bytes.fromhex("000000000000010000010000000000000000100000000000000000000000")
        + bytes.fromhex("000000000000000203c001000100"),
    ),
}  # fmt: skip

_LOCK_3_0 = Firmware(
    name="3.0", protocol=(3, 0), gatt=GattGeneration.OLD, att_payload=DEFAULT_ATT_PAYLOAD,
    max_total=256, max_dp_data=200, gives_auth_key=True, info_flag_by_binding=True,
    query_answer=CommandCode.DP_WRITE, idle_timeout=IDLE_TIMEOUT, takes_empty_datapoints=False,
)  # fmt: skip
_SDK_3_3 = Firmware(
    name="3.3", protocol=(3, 3), gatt=GattGeneration.OLD, att_payload=DEFAULT_ATT_PAYLOAD,
    max_total=1024, max_dp_data=258,
)  # fmt: skip
_SDK_4_4 = Firmware(
    name="4.4", protocol=(4, 4), gatt=GattGeneration.NEW, att_payload=DEFAULT_ATT_PAYLOAD,
    max_total=1536, max_dp_data=521,
)  # fmt: skip
_SECURITY_V2 = Firmware(
    name="secv2", protocol=(4, 4), gatt=GattGeneration.NEW, att_payload=DEFAULT_ATT_PAYLOAD,
    max_total=1024, max_dp_data=1024, security_v2=True, gives_virtual_id=False, asks_time=False,
)  # fmt: skip

_FIRMWARES = {one.name: one for one in (_LOCK_3_0, _SDK_3_3, _SDK_4_4, _SECURITY_V2)}
FIRMWARE_NAMES = tuple(_FIRMWARES)
"""The words of the capture format's ``protocol`` field."""


def firmware(name: str, *, att_payload: int = DEFAULT_ATT_PAYLOAD) -> Firmware:
    """A firmware by name (3.0, 3.3, 4.4, secv2), built for packets of ``att_payload`` bytes.

    Raises:
        LocalProtocolError: an unknown name, or a size that firmware is not built for.
    """
    try:
        found = _FIRMWARES[name]
    except KeyError:
        known = ", ".join(FIRMWARE_NAMES)
        raise LocalProtocolError(f"no firmware {name!r}, there are {known}") from None
    if att_payload == found.att_payload:
        return found
    if found.protocol[0] < 4 or not DEFAULT_ATT_PAYLOAD <= att_payload <= PREFERRED_ATT_PAYLOAD_V4:
        raise LocalProtocolError(f"firmware {name} has no packets of {att_payload} bytes")
    return replace(found, att_payload=att_payload)
