"""The header of a capture for somebody else: test keys, and an advertisement that fits them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from .advertisement import Advertisement
from .capture import Header
from .errors import AdvertisementError, ProtocolError
from .firmware import FIRMWARE_NAMES
from .gatt import GattGeneration
from .keys import LockKeys, Secret
from .substitutes import LOGIN_KEY_SIZE, Sensitive, Substitutes

NAME = "rekeyed"
"""What a copy is called, whatever the original was called."""
ORIGIN = f"{NAME}, protocol "
"""What its origin is, with a version behind."""
_VERSION = re.compile(r"[0-9]{1,2}\.[0-9]{1,2}")
_LOCAL_NAMES = frozenset({"BLE", "LJ", "TY"})
"""What the vendor's firmware is called on the air; any other name may be a person's."""
_MUST_AGREE = ("frame_control", "flag", "version", "ability", "extra", "reserved")
"""Parts of an advertisement that cannot be asked for when one is built."""


def scrub_header(old: Header, values: Substitutes) -> tuple[Header, str | None]:
    """The header with nothing in it that a person wrote, and why its advertisement went if so."""
    is_version = old.protocol in FIRMWARE_NAMES or _VERSION.fullmatch(old.protocol)
    protocol = old.protocol if is_version else "unknown"
    keys, advertisement, reason = _new_keys(old.keys, values), None, None
    if old.advertisement is not None:
        try:
            advertisement = _advertisement(*old.advertisement, keys, values)
        except ProtocolError as error:
            reason = f"the advertisement cannot be made again: {error}"
    header = replace(
        old,
        name=NAME,
        about="",
        origin=ORIGIN + protocol,
        protocol=protocol,
        gatt=old.gatt if old.gatt in set(GattGeneration) else "unknown",
        keys=keys,
        product_id=values.of(Sensitive.PRODUCT_ID, old.product_id.encode()).decode(),
        advertisement=advertisement,
    )
    return header, reason


def header_secrets(header: Header) -> Iterator[tuple[Sensitive, bytes]]:
    """Taken from the header itself, whatever was replaced: a copy is searched for them."""
    keys = header.keys
    for what, secret in (
        (Sensitive.LOCAL_KEY, keys.local_key),
        (Sensitive.SEC_KEY, keys.sec_key),
        (Sensitive.AUTH_KEY, keys.auth_key),
    ):
        if secret is not None:
            yield what, secret.reveal()
    if keys.local_key is not None:
        yield Sensitive.LOGIN_KEY, keys.local_key.reveal()[:LOGIN_KEY_SIZE]
    yield Sensitive.UUID, keys.uuid.encode()
    yield Sensitive.UUID, keys.uuid16
    yield Sensitive.DEVICE_ID, keys.virtual_id.encode()
    yield Sensitive.PRODUCT_ID, header.product_id.encode()


def _new_keys(keys: LockKeys, values: Substitutes) -> LockKeys:
    def optional(what: Sensitive, secret: Secret | None) -> Secret | None:
        return None if secret is None else values.secret(what, secret)

    return LockKeys(
        uuid=values.of(Sensitive.UUID, keys.uuid.encode()).decode(),
        virtual_id=values.of(Sensitive.DEVICE_ID, keys.virtual_id.encode()).decode(),
        local_key=optional(Sensitive.LOCAL_KEY, keys.local_key),
        sec_key=optional(Sensitive.SEC_KEY, keys.sec_key),
        auth_key=optional(Sensitive.AUTH_KEY, keys.auth_key),
    )


def _advertisement(
    adv: bytes, scan_rsp: bytes, keys: LockKeys, values: Substitutes
) -> tuple[bytes, bytes]:
    """What a lock with the new keys and the same settings sends; halves not heard stay empty."""
    heard = Advertisement.parse(adv, scan_rsp)
    if heard.bound is None or heard.id_field is None:
        raise AdvertisementError("the half that says whose it is was not heard")
    built = Advertisement.build(
        heard.format,
        keys,
        product_id=_product_id(heard, heard.id_field, values),
        bound=heard.bound,
        id_type=heard.id_type or 0,
        shared=heard.shared or False,
        connect_request=heard.connect_request or False,
        security_v2=heard.security_v2 or False,
        encryption_mode=heard.encryption_mode or 0,
        local_name=_local_name(heard.local_name or "", values),
        padding=heard.padding,
    )
    for name in _MUST_AGREE:
        if getattr(heard, name) not in (None, getattr(built, name)):
            raise AdvertisementError(f"its {name} is not what firmware sends in this form")
    if not built.verify(keys):
        raise AdvertisementError("it does not fit the keys")
    if heard.local_name is None:
        built = replace(built, local_name=None)
    new_adv, new_scan_rsp = built.to_bytes()
    return new_adv if adv else b"", new_scan_rsp if scan_rsp else b""


def _product_id(heard: Advertisement, id_field: bytes, values: Substitutes) -> str:
    if heard.identity:
        values.also(Sensitive.ADVERTISED_ID, heard.identity)
    if not heard.bound:
        return values.of(Sensitive.PRODUCT_ID, id_field).decode("latin-1")
    values.also(Sensitive.ADVERTISED_ID, id_field)
    return "0" * len(id_field)  # a bound lock shows its length only


def _local_name(name: str, values: Substitutes) -> str:
    if name.rstrip("\0") in _LOCAL_NAMES:
        return name
    return values.of(Sensitive.TEXT, name.encode()).decode()
