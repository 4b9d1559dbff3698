"""GATT: services, characteristics and sizes of the two generations of locks.

Both carry the same fragments; they differ in their names and in how much one write holds.
Source: reference protocol §1.1, §1.2; reference locks in the field §1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from .errors import LocalProtocolError, PayloadError

MIN_ATT_PAYLOAD = 20
"""Bytes in one write or notification at the smallest ATT_MTU of 23 (3 are the ATT header)."""
DEFAULT_ATT_PAYLOAD = MIN_ATT_PAYLOAD
"""What every lock takes; all that locks below protocol 4 take, longer writes are cut off."""
MAX_ATT_PAYLOAD = 509
"""Bytes in one write or notification at an ATT_MTU of 512."""
PREFERRED_ATT_PAYLOAD_V4 = 244
"""One link-layer packet of 251 bytes: 4 for L2CAP and 3 for ATT. More gains nothing."""
LARGE_PAYLOAD_MAJOR = 4
"""First protocol generation whose locks take writes of more than 20 bytes."""

COMPANY_ID = 0x07D0
"""Manufacturer data of protocol 3 and 4."""
COMPANY_ID_V2 = 0x0259
"""Manufacturer data of protocol 2."""


def expand_uuid(short: int) -> str:
    """A 16-bit Bluetooth UUID in its full form, lower case.

    >>> expand_uuid(0xFD50)
    '0000fd50-0000-1000-8000-00805f9b34fb'

    Raises:
        LocalProtocolError: more than 16 bits.
    """
    if not 0 <= short <= 0xFFFF:
        raise LocalProtocolError(f"{short:#x} is not a 16-bit UUID")
    return f"0000{short:04x}-0000-1000-8000-00805f9b34fb"


ADVERTISED_A201 = expand_uuid(0xA201)
"""Advertised by protocol 2 and 3, although their GATT service is 1910."""
ADVERTISED_A300 = expand_uuid(0xA300)
"""Scanned for by the vendor's newest stack; no recording of one is known."""
ADVERTISED_FD50 = expand_uuid(0xFD50)
"""Advertised by protocol 4."""
ADVERTISED_UUIDS = (ADVERTISED_A201, ADVERTISED_A300, ADVERTISED_FD50)
"""What to scan for."""


class GattGeneration(StrEnum):
    """The two sets of characteristics; the values are the capture format's words."""

    OLD = "1910"
    NEW = "fd50"


@dataclass(frozen=True, slots=True, kw_only=True)
class GattProfile:
    """Where to write and where to listen, as full lower-case UUIDs.

    ``write`` takes writes without response, ``notify`` must be subscribed to before anything
    is written. ``read`` (new generation only) gives the advertising data once more.
    """

    generation: GattGeneration
    service: str
    write: str
    notify: str
    read: str | None = None


OLD_PROFILE = GattProfile(
    generation=GattGeneration.OLD,
    service=expand_uuid(0x1910),
    write=expand_uuid(0x2B11),
    notify=expand_uuid(0x2B10),
)
NEW_PROFILE = GattProfile(
    generation=GattGeneration.NEW,
    service=expand_uuid(0xFD50),
    write="00000001-0000-1001-8001-00805f9b07d0",
    notify="00000002-0000-1001-8001-00805f9b07d0",
    read="00000003-0000-1001-8001-00805f9b07d0",
)
PROFILES = {profile.generation: profile for profile in (OLD_PROFILE, NEW_PROFILE)}


def find_profile(characteristic_uuids: Iterable[str]) -> GattProfile | None:
    """Choose by the characteristics found after connecting; ``None`` if neither set is whole.

    What was advertised does not count: it is not necessarily the service that is there
    (reference: locks in the field §1). A device with both sets is spoken to in the newer way.
    Upper and lower case are the same; UUIDs are full ones of 36 characters.
    """
    found = {uuid.lower() for uuid in characteristic_uuids}
    for profile in (NEW_PROFILE, OLD_PROFILE):
        if {profile.write, profile.notify} <= found:
            return profile
    return None


def usable_att_payload(negotiated: int, protocol_major: int | None) -> int:
    """Bytes to put into one write: 20, unless the lock speaks protocol 4 and the link has more.

    Args:
        negotiated: the ATT payload of the connection (ATT_MTU - 3), 20 or more.
        protocol_major: as advertised or as in the device information; ``None`` if not known
            yet, which counts as old: a lock below 4 cuts longer writes off without a word.

    Raises:
        LocalProtocolError: ``negotiated`` is below 20, which no connection has.
    """
    if negotiated < MIN_ATT_PAYLOAD:
        raise LocalProtocolError(
            f"an ATT payload has at least {MIN_ATT_PAYLOAD} bytes, not {negotiated}"
        )
    if protocol_major is None or protocol_major < LARGE_PAYLOAD_MAJOR:
        return DEFAULT_ATT_PAYLOAD
    return min(negotiated, PREFERRED_ATT_PAYLOAD_V4)


def parse_read_value(raw: bytes) -> bytes:
    """The AD structures in the value of the ``read`` characteristic, for ``Advertisement.parse``.

    ``00 | length | advertising data | scan response``; the length (1 byte) counts both parts
    together and nothing says where the second begins, which does not matter to a reader of AD
    structures. One more zero byte at the end belongs to the vendor's buffer.

    Raises:
        PayloadError: another first byte, or a length that the value does not have.
    """
    if len(raw) < 2 or raw[0] != 0:
        raise PayloadError("the read characteristic begins with 00 and a length")
    structures, rest = raw[2 : 2 + raw[1]], raw[2 + raw[1] :]
    if len(structures) != raw[1] or rest.strip(b"\0"):
        raise PayloadError(
            f"the read characteristic announces {raw[1]} bytes and has {len(raw) - 2}"
        )
    return structures


def build_read_value(adv: bytes, scan_rsp: bytes) -> bytes:
    """The value of the ``read`` characteristic of a lock that advertises this.

    Raises:
        LocalProtocolError: more than the length byte can count.
    """
    structures = adv + scan_rsp
    if len(structures) > 0xFF:
        raise LocalProtocolError(f"{len(structures)} bytes of advertising data do not fit")
    return bytes((0, len(structures))) + structures + b"\0"
