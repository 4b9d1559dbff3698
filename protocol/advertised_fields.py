"""What is in a lock's advertisement, field by field: three layouts, read and written.

Besides flags, UUID list and local name there are two payloads. FC is the frame control,
``id16`` the enciphered uuid (``advertised_id``), * a company id, little-endian on the air:

====  =================================  ==================================================
form  service data                       manufacturer data
====  =================================  ==================================================
v2    none                               ``0259* flag 02 id[8] id16``
v3    ``A201 idtype id``                 ``07D0* flag 03 mode ability[2] 00 id16``
v4    ``FD50 FC[2] idtype idlen id``     ``07D0* mode ability[2] flag id16``
====  =================================  ==================================================

Source: reference protocol §1.3-1.5, §9.4-5; ``tests/captures/firmware/advertisements.json``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Self, TypeVar

from . import gatt
from .errors import LocalProtocolError
from .wire import Reader

T = TypeVar("T")

# flag, v2 and v3: byte 0 of the manufacturer data (v2 knows the first only)
FLAG_BOUND = 0x80
FLAG_SHARED = 0x02
FLAG_CONNECT_REQUEST = 0x01
# flag, v4: byte 3 of the manufacturer data
FLAG_V4_BOUND = 0x80  # set by the security V2 stack only
FLAG_V4_SECURITY_V2 = 0x40  # never set in any recording: the frame control says it
FLAG_V4_UUID_PACKED = 0x01  # set by the security V2 stack only
# frame control, v4: bits 15-12 are the protocol version
FC_VERSION_4 = 0x4000
FC_BOUND = 0x0800
FC_SHARED = 0x0400
FC_CONNECT_REQUEST = 0x0200
FC_ID_PRESENT = 0x0100
FC_SECURITY_V2_CONFIRMED = 0x0008
FC_SECURITY_V2 = 0x0004

ID_SIZE_V2 = 8
V2_SIZE, V3_SIZE, V4_SIZE = 26, 22, 20
"""Bytes of whole manufacturer data, by which a lone scan response is recognised."""
LOCK_APPLICATION_PADDING = 8
"""Zeros that the lock application (v3) sends after a product id of 8 characters."""
ABILITY_BLE = 0x0001
ABILITY_SECURITY_V2 = 0x000C
"""Communication ability of the two stacks that were recorded."""


class AdvertisementFormat(StrEnum):
    """How it is laid out; security V2 is a v4 with two more bits."""

    V2 = "v2"
    V3 = "v3"
    V4 = "v4"


COMPANY_IDS = {
    AdvertisementFormat.V2: gatt.COMPANY_ID_V2,
    AdvertisementFormat.V3: gatt.COMPANY_ID,
    AdvertisementFormat.V4: gatt.COMPANY_ID,
}
SERVICES = {
    AdvertisementFormat.V2: gatt.ADVERTISED_A201,
    AdvertisementFormat.V3: gatt.ADVERTISED_A201,
    AdvertisementFormat.V4: gatt.ADVERTISED_FD50,
}
"""What each form advertises, which need not be the GATT service that is there."""


class IdType(IntEnum):
    """What an unbound lock's id field is; fields hold the plain integer."""

    PRODUCT_ID = 0
    PRODUCT_KEY = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvertisedFields:
    """The fields on the air; those of a half that has not been received are ``None``."""

    format: AdvertisementFormat
    local_name: str | None = None
    """As sent, with zeros at its end if there are any; undecodable bytes become U+FFFD."""
    frame_control: int | None = None
    """v4, 16 bits: see the ``FC_`` constants."""
    id_type: int | None = None
    """See ``IdType``; v2 has none."""
    id_field: bytes | None = None
    """Product id or key; the ``elements`` of a bound lock. None in v4 if FC says there is none."""
    extra: bytes = b""
    """v4: service data after the id. Sensors broadcast their readings there, without an id."""
    flag: int | None = None
    """Flag byte of the manufacturer data: see the ``FLAG_`` constants."""
    version: int | None = None
    """v2, v3: version byte of the manufacturer data."""
    encryption_mode: int | None = None
    """v3, v4: 0 auth key, 1 ECC, 2 passthrough ... 8."""
    ability: int | None = None
    """v3, v4: communication ability, bit 0 BLE."""
    reserved: int = 0
    """v3: byte 5 of the manufacturer data, zero in every recording."""
    identity: bytes | None = None
    """End of the manufacturer data: the enciphered uuid, or flag and MAC in modes 6 to 8."""
    padding: int = 0
    """Zero bytes after the last AD structure of the advertising data."""

    def with_service_data(self, data: bytes) -> Self:
        """These fields and those in the service data (v3, v4).

        Raises:
            PayloadError: too short.
        """
        reader = Reader(data, f"{self.format} service data")
        if self.format is not AdvertisementFormat.V4:
            return replace(self, id_type=reader.number(1), id_field=reader.rest())
        control = reader.number(2)
        if not control & FC_ID_PRESENT:
            return replace(self, frame_control=control, extra=reader.rest())
        return replace(
            self,
            frame_control=control,
            id_type=reader.number(1),
            id_field=reader.take(reader.number(1)),
            extra=reader.rest(),
        )

    def with_manufacturer_data(self, data: bytes) -> Self:
        """These fields and those in the manufacturer data, without the company id.

        Raises:
            PayloadError: too short.
        """
        reader = Reader(data, f"{self.format} manufacturer data")
        match self.format:
            case AdvertisementFormat.V2:
                return replace(
                    self,
                    flag=reader.number(1),
                    version=reader.number(1),
                    id_field=reader.take(ID_SIZE_V2),
                    identity=reader.rest(),
                )
            case AdvertisementFormat.V3:
                return replace(
                    self,
                    flag=reader.number(1),
                    version=reader.number(1),
                    encryption_mode=reader.number(1),
                    ability=reader.number(2),
                    reserved=reader.number(1),
                    identity=reader.rest(),
                )
            case AdvertisementFormat.V4:
                return replace(
                    self,
                    encryption_mode=reader.number(1),
                    ability=reader.number(2),
                    flag=reader.number(1),
                    identity=reader.rest(),
                )

    def service_data(self) -> bytes:
        """Service data without the UUID (v3, v4).

        Raises:
            LocalProtocolError: not all known, or a number that does not fit.
        """
        if self.format is AdvertisementFormat.V3:
            return _bytes((self.id_type, 1)) + _present(self.id_field)
        head = _bytes((self.frame_control, 2))
        if not _present(self.frame_control) & FC_ID_PRESENT:
            return head + self.extra
        id_field = _present(self.id_field)
        return head + _bytes((self.id_type, 1), (len(id_field), 1)) + id_field + self.extra

    def manufacturer_data(self) -> bytes:
        """Manufacturer data without the company id.

        Raises:
            LocalProtocolError: not all known, or a number that does not fit.
        """
        mode, ability = (self.encryption_mode, 1), (self.ability, 2)
        match self.format:
            case AdvertisementFormat.V2:
                head = _bytes((self.flag, 1), (self.version, 1)) + _present(self.id_field)
            case AdvertisementFormat.V3:
                version = (self.version, 1)
                head = _bytes((self.flag, 1), version, mode, ability, (self.reserved, 1))
            case AdvertisementFormat.V4:
                head = _bytes(mode, ability, (self.flag, 1))
        return head + _present(self.identity)

    def uuid_keyed_by(self) -> bytes:
        """The bytes that the uuid's key is made of.

        Raises:
            LocalProtocolError: not all known.
        """
        if self.format is AdvertisementFormat.V4:
            return self.service_data()
        return _present(self.id_field)


def _present(value: T | None) -> T:
    if value is None:
        raise LocalProtocolError("an advertisement of which a part is not known is not written")
    return value


def _bytes(*numbers: tuple[int | None, int]) -> bytes:
    """Big-endian numbers of so many bytes."""
    try:
        return b"".join(_present(value).to_bytes(size, "big") for value, size in numbers)
    except OverflowError:
        raise LocalProtocolError(f"a number does not fit its bytes: {numbers}") from None
