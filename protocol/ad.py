"""AD structures: the ``length type data`` that advertising data and scan responses are made of.

Source: Bluetooth Core Specification, volume 3 part C §11; assigned numbers §2.3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from .errors import AdvertisementError, LocalProtocolError
from .gatt import expand_uuid

MAX_ADVERTISING_SIZE = 31
"""Bytes of legacy advertising data, and of a scan response."""
GENERAL_DISCOVERABLE = 0x06
"""Flags: LE general discoverable, no classic Bluetooth."""


class AdType(IntEnum):
    """The types that locks use."""

    FLAGS = 0x01
    SOME_UUIDS16 = 0x02
    ALL_UUIDS16 = 0x03
    SHORT_NAME = 0x08
    NAME = 0x09
    SERVICE_DATA16 = 0x16
    MANUFACTURER_DATA = 0xFF


@dataclass(slots=True)
class AdParts:
    """What has been heard of one device, taken apart; UUIDs are full and lower-case."""

    service_data: dict[str, bytes] = field(default_factory=dict)
    manufacturer_data: dict[int, bytes] = field(default_factory=dict)
    local_name: str | None = None
    service_uuids: set[str] = field(default_factory=set)


def structure(ad_type: AdType, data: bytes) -> bytes:
    """Write one AD structure.

    Raises:
        LocalProtocolError: more than fits one advertisement.
    """
    if len(data) + 2 > MAX_ADVERTISING_SIZE:
        raise LocalProtocolError(f"{ad_type.name}: {len(data)} bytes do not fit an advertisement")
    return bytes((len(data) + 1, ad_type)) + data


def little_endian(number: int) -> bytes:
    """A 16-bit UUID or company id: little-endian, unlike everything that follows it here."""
    return number.to_bytes(2, "little")


def read_structures(raw: bytes, parts: AdParts) -> int:
    """Add what one half says to ``parts``; returns how many bytes follow the last structure.

    A length of zero ends the data; what follows is filler and not looked at. Unknown types
    are left out.

    Raises:
        AdvertisementError: a structure that is cut off or too short for its type.
    """
    at = 0
    while at < len(raw) and raw[at]:
        end = at + 1 + raw[at]
        if end > len(raw):
            raise AdvertisementError(f"AD structure at offset {at} is cut off")
        _add(raw[at + 1], raw[at + 2 : end], parts)
        at = end
    return len(raw) - at


def _add(ad_type: int, data: bytes, parts: AdParts) -> None:
    match ad_type:
        case AdType.SOME_UUIDS16 | AdType.ALL_UUIDS16:
            if len(data) % 2:
                raise AdvertisementError(f"a list of 16-bit UUIDs has {len(data)} bytes")
            for at in range(0, len(data), 2):
                parts.service_uuids.add(expand_uuid(_number(data, at)))
        case AdType.SHORT_NAME | AdType.NAME:
            parts.local_name = data.decode(errors="replace")
        case AdType.SERVICE_DATA16:
            parts.service_data[expand_uuid(_number(data, 0))] = data[2:]
        case AdType.MANUFACTURER_DATA:
            parts.manufacturer_data[_number(data, 0)] = data[2:]
        case _:
            pass


def _number(data: bytes, at: int) -> int:
    if len(data) < at + 2:
        raise AdvertisementError(f"an AD structure of {len(data)} bytes has no room for its id")
    return int.from_bytes(data[at : at + 2], "little")
