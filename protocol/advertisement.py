"""Advertising data and scan response of a lock: what they mean, and how to write them.

A lock says its kind and state in one half and who it is in the other; often only one of them
has been heard. ``advertised_fields`` has the layouts, ``advertised_id`` the two ids.

Source: reference protocol §1.3-1.6, §9.4-5; ``tests/captures/firmware/advertisements.json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

from . import gatt
from .ad import (
    GENERAL_DISCOVERABLE,
    MAX_ADVERTISING_SIZE,
    AdParts,
    AdType,
    little_endian,
    read_structures,
    structure,
)
from .advertised_fields import (
    ABILITY_BLE,
    ABILITY_SECURITY_V2,
    COMPANY_IDS,
    FC_BOUND,
    FC_CONNECT_REQUEST,
    FC_ID_PRESENT,
    FC_SECURITY_V2,
    FC_SECURITY_V2_CONFIRMED,
    FC_SHARED,
    FC_VERSION_4,
    FLAG_BOUND,
    FLAG_CONNECT_REQUEST,
    FLAG_SHARED,
    FLAG_V4_BOUND,
    FLAG_V4_SECURITY_V2,
    FLAG_V4_UUID_PACKED,
    ID_SIZE_V2,
    SERVICES,
    V2_SIZE,
    V3_SIZE,
    V4_SIZE,
    AdvertisedFields,
    AdvertisementFormat,
    IdType,
)
from .advertised_id import (
    MAX_ELEMENTS_SIZE,
    PACKED_MARK,
    UUID_SIZE,
    decipher_uuid,
    elements,
    encipher_uuid,
    readable_uuid,
)
from .errors import AdvertisementError, LocalProtocolError, PayloadError
from .keys import LockKeys

MIN_ELEMENTS_SIZE = 8
"""A bound id shorter than a product id says too little to be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advertisement(AdvertisedFields):
    """One lock's advertisement. Nothing in it is secret: everybody around hears it.

    The fields (see ``AdvertisedFields``) are what is on the air, the properties what it means.
    A property is ``None`` while the half that says it has not been received.
    """

    # -- reading

    @classmethod
    def parse(cls, adv: bytes, scan_rsp: bytes = b"") -> Self:
        """Read raw AD structures; either half may be empty.

        ``gatt.parse_read_value`` gives both halves in one piece; that goes in as ``adv``.

        Raises:
            AdvertisementError: AD structures that are cut off, or not such a lock's.
        """
        parts = AdParts()
        padding = read_structures(adv, parts)
        read_structures(scan_rsp, parts)
        return cls._read(parts, padding)

    @classmethod
    def from_parts(
        cls,
        service_data: Mapping[str, bytes],
        manufacturer_data: Mapping[int, bytes],
        local_name: str | None,
        service_uuids: Iterable[str],
    ) -> Self:
        """Read what a Bluetooth stack has taken apart already.

        Args:
            service_data: by full UUID.
            manufacturer_data: by company id, which is not in the bytes.
            local_name: shortened or complete.
            service_uuids: full UUIDs.

        Raises:
            AdvertisementError: not such a lock's.
        """
        parts = AdParts(
            service_data={uuid.lower(): bytes(data) for uuid, data in service_data.items()},
            manufacturer_data={key: bytes(data) for key, data in manufacturer_data.items()},
            local_name=local_name,
            service_uuids={uuid.lower() for uuid in service_uuids},
        )
        return cls._read(parts, padding=0)

    @classmethod
    def _read(cls, parts: AdParts, padding: int) -> Self:
        form = _recognise(parts)
        heard = cls(format=form, local_name=parts.local_name, padding=padding)
        service = parts.service_data.get(SERVICES[form])
        maker = parts.manufacturer_data.get(COMPANY_IDS[form])
        try:
            if service is not None:
                heard = heard.with_service_data(service)
            if maker is not None:
                heard = heard.with_manufacturer_data(maker)
        except PayloadError as error:
            raise AdvertisementError(str(error)) from None
        return heard

    # -- meaning

    @property
    def service_uuid(self) -> str:
        """The UUID that this form advertises, which need not be the GATT service."""
        return SERVICES[self.format]

    @property
    def company_id(self) -> int | None:
        """Of the manufacturer data."""
        return None if self.flag is None else COMPANY_IDS[self.format]

    @property
    def protocol_version(self) -> int | None:
        """The major version."""
        if self.format is not AdvertisementFormat.V4:
            return self.version
        return None if self.frame_control is None else self.frame_control >> 12

    @property
    def bound(self) -> bool | None:
        """Whether somebody's account has it. v4: FC counts; most stacks leave the flag clear."""
        if self.format is not AdvertisementFormat.V4:
            return _bit(self.flag, FLAG_BOUND)
        if self.frame_control is not None:
            return bool(self.frame_control & FC_BOUND)
        return _bit(self.flag, FLAG_V4_BOUND) or None

    @property
    def shared(self) -> bool | None:
        """The "shared" bit; v2 has none, which reads as no."""
        return self._either(FLAG_SHARED, FC_SHARED)

    @property
    def connect_request(self) -> bool | None:
        """The lock asks to be connected to, because it has something to report (v3, v4)."""
        return self._either(FLAG_CONNECT_REQUEST, FC_CONNECT_REQUEST)

    def _either(self, flag: int, control: int) -> bool | None:
        match self.format:
            case AdvertisementFormat.V2:
                return False
            case AdvertisementFormat.V3:
                return _bit(self.flag, flag)
            case AdvertisementFormat.V4:
                return _bit(self.frame_control, control)

    @property
    def security_v2(self) -> bool | None:
        """Whether it wants security flags 11 to 16."""
        if self.format is not AdvertisementFormat.V4:
            return False
        if self.frame_control is not None:
            return bool(self.frame_control & FC_SECURITY_V2)
        return _bit(self.flag, FLAG_V4_SECURITY_V2) or None

    @property
    def product_id(self) -> str | None:
        """Product id or key, only of a lock that is known not to be bound."""
        field = self.id_field
        if self.bound is not False or not field or not all(0x20 < byte < 0x7F for byte in field):
            return None
        return field.decode("ascii")

    @property
    def uuid_cipher(self) -> bytes | None:
        """The uuid as advertised, 16 bytes."""
        if self.identity is None or len(self.identity) < UUID_SIZE:
            return None
        return self.identity[:UUID_SIZE]

    @property
    def uuid16(self) -> bytes | None:
        """The uuid as it goes over the air in commands; needs both halves (v2: the second)."""
        if self.uuid_cipher is None or self.id_field is None:
            return None
        return decipher_uuid(self.uuid_cipher, self.uuid_keyed_by())

    @property
    def uuid(self) -> str | None:
        """16 or 20 characters; ``None`` also where the bytes decipher to nothing sensible."""
        return None if self.uuid16 is None else readable_uuid(self.uuid16)

    @property
    def uuid_packed(self) -> bool | None:
        """Whether the uuid has 20 characters. Its last byte decides, not ``uuid_packed_flag``."""
        return None if self.uuid16 is None else self.uuid16[-1] == PACKED_MARK

    @property
    def uuid_packed_flag(self) -> bool | None:
        """v4: what the flag byte says; clear on most locks whose uuid is packed all the same."""
        if self.format is not AdvertisementFormat.V4:
            return None
        return _bit(self.flag, FLAG_V4_UUID_PACKED)

    def verify(self, keys: LockKeys) -> bool:
        """Whether this is the lock these keys are for.

        Bound: the id field is the one that key and uuid give. Not bound: the uuid is equal.
        A uuid that is there must be equal in any case; v4 advertising data without its scan
        response are enough, all other lone halves are not and give ``False``.

        It is no proof of identity: anybody can send a recorded advertisement again.

        Raises:
            LocalProtocolError: bound, and the local key (security V2: the sec key) is absent.
        """
        if self.uuid_cipher is not None and self.uuid != keys.uuid:
            return False
        if self.bound is not True:
            return self.bound is False and self.uuid == keys.uuid
        found = self.id_field or b""
        if not MIN_ELEMENTS_SIZE <= len(found) <= MAX_ELEMENTS_SIZE:
            return False
        return found == elements(keys, len(found), security_v2=bool(self.security_v2))

    # -- writing

    @classmethod
    def build(  # noqa: PLR0913 - one argument per thing that a lock can be set to
        cls,
        form: AdvertisementFormat,
        keys: LockKeys,
        *,
        product_id: str,
        bound: bool,
        id_type: int = IdType.PRODUCT_ID,
        shared: bool = False,
        connect_request: bool = False,
        security_v2: bool = False,
        encryption_mode: int = 0,
        local_name: str = "TY",
        padding: int = 0,
    ) -> Self:
        """What the firmware of a lock with these keys advertises.

        Args:
            form: v4 for security V2.
            keys: uuid; if bound, also the local key (security V2: the sec key).
            product_id: product id of 8 or product key of 16 ASCII characters.
            bound: whether the id field is enciphered.
            id_type: v3, v4.
            shared: v3, v4.
            connect_request: v3, v4.
            security_v2: v4 as the newer stack sends it.
            encryption_mode: v3, v4.
            local_name: 2 characters in v2 and v3, up to 5 in v4.
            padding: ``LOCK_APPLICATION_PADDING`` for the lock application.

        Raises:
            LocalProtocolError: a key is absent, or something this form has no place for.
        """
        if form is AdvertisementFormat.V2 and (shared or connect_request):
            raise LocalProtocolError("v2 has neither a shared nor a connect request bit")
        if security_v2 and form is not AdvertisementFormat.V4:
            raise LocalProtocolError("security V2 is advertised in v4 only")
        if not product_id.isascii():
            raise LocalProtocolError("a product id is ASCII")
        v2, v4 = form is AdvertisementFormat.V2, form is AdvertisementFormat.V4
        plain = product_id.encode()
        if v2 and len(plain) != ID_SIZE_V2:
            raise LocalProtocolError(f"v2 has room for a product id of {ID_SIZE_V2} characters")
        id_field = elements(keys, len(plain), security_v2=security_v2) if bound else plain
        flag = FLAG_BOUND * bound | FLAG_SHARED * shared | FLAG_CONNECT_REQUEST * connect_request
        control = None
        if v4:
            control = _control(
                bound=bound,
                shared=shared,
                connect_request=connect_request,
                security_v2=security_v2,
            )
            # The older stacks leave the whole byte clear, whatever the lock is.
            packed = len(keys.uuid) > UUID_SIZE
            flag = (FLAG_V4_BOUND * bound | FLAG_V4_UUID_PACKED * packed) * security_v2
        built = cls(
            format=form,
            local_name=local_name,
            frame_control=control,
            id_type=None if v2 else id_type,
            id_field=id_field,
            flag=flag,
            version=None if v4 else int(form[1]),
            encryption_mode=None if v2 else encryption_mode,
            ability=None if v2 else ABILITY_SECURITY_V2 if security_v2 else ABILITY_BLE,
            padding=padding,
        )
        return replace(built, identity=encipher_uuid(keys.uuid16, built.uuid_keyed_by()))

    def to_bytes(self) -> tuple[bytes, bytes]:
        """Advertising data and scan response, byte for byte as the firmware lays them out.

        Raises:
            LocalProtocolError: one half is not known, or a value that does not fit its place.
        """
        name = b""
        if self.local_name is not None:
            name = structure(AdType.NAME, self.local_name.encode(errors="replace"))
        company = little_endian(COMPANY_IDS[self.format])
        maker = structure(AdType.MANUFACTURER_DATA, company + self.manufacturer_data())
        service = little_endian(int(self.service_uuid[4:8], 16))
        adv = structure(AdType.FLAGS, bytes((GENERAL_DISCOVERABLE,)))
        match self.format:
            case AdvertisementFormat.V2:
                adv += name + structure(AdType.SOME_UUIDS16, service)
                scan_rsp = maker
            case AdvertisementFormat.V3:
                adv += structure(AdType.SOME_UUIDS16, service) + self._service_structure(service)
                scan_rsp = name + maker
            case AdvertisementFormat.V4:
                adv += structure(AdType.SOME_UUIDS16, service) + self._service_structure(service)
                scan_rsp = maker + name
        adv += bytes(self.padding)
        if max(len(adv), len(scan_rsp)) > MAX_ADVERTISING_SIZE:
            raise LocalProtocolError(
                f"{len(adv)} and {len(scan_rsp)} bytes: each half has room for "
                f"{MAX_ADVERTISING_SIZE}"
            )
        return adv, scan_rsp

    def _service_structure(self, service: bytes) -> bytes:
        return structure(AdType.SERVICE_DATA16, service + self.service_data())


def _recognise(parts: AdParts) -> AdvertisementFormat:
    """Whose layout it is. Service data say most, then whole manufacturer data, then UUIDs."""
    if gatt.ADVERTISED_FD50 in parts.service_data:
        return AdvertisementFormat.V4
    if gatt.ADVERTISED_A201 in parts.service_data:
        return AdvertisementFormat.V3
    maker = parts.manufacturer_data.get(gatt.COMPANY_ID)
    oldest = parts.manufacturer_data.get(gatt.COMPANY_ID_V2)
    if oldest is not None and len(oldest) == V2_SIZE and oldest[1] == 2:
        return AdvertisementFormat.V2
    if maker is not None and len(maker) == V3_SIZE and maker[1] == 3:
        return AdvertisementFormat.V3
    if gatt.ADVERTISED_FD50 in parts.service_uuids or (maker and len(maker) == V4_SIZE):
        return AdvertisementFormat.V4
    if gatt.ADVERTISED_A201 in parts.service_uuids:
        return AdvertisementFormat.V2 if maker is None else AdvertisementFormat.V3
    raise AdvertisementError("no service data, manufacturer data or UUID of a known lock")


def _bit(value: int | None, mask: int) -> bool | None:
    return None if value is None else bool(value & mask)


def _control(*, bound: bool, shared: bool, connect_request: bool, security_v2: bool) -> int:
    return (
        FC_VERSION_4
        | FC_ID_PRESENT
        | FC_BOUND * bound
        | FC_SHARED * shared
        | FC_CONNECT_REQUEST * connect_request
        | (FC_SECURITY_V2 | FC_SECURITY_V2_CONFIRMED) * security_v2
    )
