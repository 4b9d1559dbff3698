"""Results of the calls an unlock needs, read into values; everything else is ignored.

Source: the vendor's mini program API document; its traps are listed in reference cloud §8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bleagent.model import IssuedConfig, IssuedInstruction, SealedInstruction
from protocol import LocalProtocolError, LockKeys, Secret

from . import fields
from .errors import BadAnswer, UnknownCloudError

_BLOCK = 16
_SEAL_HEAD = 1 + 16
"""Security flag and IV in front of the ciphertext."""
_WHOLE_CHECK_CODE = 23
"""Bytes of a whole check-code datapoint; the lock's id is at 2."""
_PERIPHERAL = slice(2, 4)
NO_NEXT_SN = 0
"""Stands for a missing ``next_sn``: never plausible, so numbers go on one above the frame's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """One entry of ``getListByIds``; absent fields are empty, unusable ones too."""

    device_id: str
    uuid: str = ""
    local_key: Secret | None = None
    sec_key: Secret | None = None
    product_id: str = ""
    category: str = ""
    name: str = ""
    online: bool = False
    active_time: float | None = None
    """When it was last paired, unix seconds: the T0 of offline passwords."""

    @property
    def keys(self) -> LockKeys:
        """What the codec needs of it.

        Raises:
            BadAnswer: a uuid or key of another form than locks have.
        """
        try:
            return LockKeys(
                uuid=self.uuid,
                virtual_id=self.device_id,
                local_key=self.local_key,
                sec_key=self.sec_key,
            )
        except LocalProtocolError as error:
            raise BadAnswer(f"this device is no lock of ours: {error}") from None


def read_issued_config(result: object, fetched_at: float) -> IssuedConfig:
    """Result of ``doorLock.getIssuedConfig``.

    Raises:
        BadAnswer: a field that an opening needs, and that cannot be read.
        UnknownCloudError: the helper layer's way of saying that something failed.
    """
    found = _object(result, "getIssuedConfig")
    return IssuedConfig(
        lock_random=_issued(fields.find(found, "lock_random"), "lock_random"),
        lock_record=_for_records(fields.find(found, "lock_record")),
        fetched_at=fetched_at,
    )


def read_sealed_instruction(result: object) -> SealedInstruction:
    """Result of ``bleOpenInstruction`` and ``unlockInstruction``.

    ``next_sn`` is only a proposal (safety B2): a missing one is no reason to stay outside.

    Raises:
        BadAnswer: not flag, IV and whole blocks in hexadecimal.
        UnknownCloudError: the helper layer's way of saying that something failed.
    """
    found = _object(result, "the instruction call")
    message = fields.hexadecimal(fields.find(found, "instruction"), "instruction")
    body = len(message) - _SEAL_HEAD
    if body < _BLOCK or body % _BLOCK:
        raise BadAnswer(f"an instruction of {len(message)} bytes is not flag, IV and whole blocks")
    try:
        next_sn = fields.number(fields.find(found, "next_sn"), "next_sn")
    except BadAnswer:
        next_sn = NO_NEXT_SN
    return SealedInstruction(Secret(message), next_sn)


def read_devices(result: object) -> tuple[DeviceFacts, ...]:
    """Result of ``device.getListByIds`` and of ``GET /v1.0/devices``.

    Raises:
        BadAnswer: not a list of devices.
    """
    return tuple(_device(row) for row in fields.rows(result, "the device list"))


def _device(row: Any) -> DeviceFacts:
    return DeviceFacts(
        device_id=fields.identifier(fields.find(row, "id", "device_id"), "id"),
        uuid=fields.text(fields.find(row, "uuid")),
        local_key=_secret(fields.find(row, "local_key")),
        sec_key=_secret(fields.find(row, "sec_key")),
        product_id=fields.text(fields.find(row, "product_id")),
        category=fields.text(fields.find(row, "category")),
        name=fields.text(fields.find(row, "name")),
        online=fields.boolean(fields.find(row, "online", "is_online"), "online"),
        active_time=_active_time(fields.find(row, "active_time")),
    )


def _active_time(value: object) -> float | None:
    """None where it cannot be read: the keys beside it and other devices are of use."""
    try:
        return fields.seconds(value, "active_time")
    except BadAnswer:
        return None


def _secret(value: object) -> Secret | None:
    return Secret(value.encode("utf-8", "replace")) if isinstance(value, str) and value else None


def _for_records(value: object) -> IssuedInstruction | None:
    """None where it cannot be read: an opening needs the rest, and locks take other questions."""
    try:
        return _issued(value, "lock_record")
    except BadAnswer:
        return None


def _issued(value: object, what: str) -> IssuedInstruction | None:
    if not value:  # absent, null or empty
        return None
    found = fields.mapping(value, what)
    ins = _bytes(fields.find(found, "ins"), f"{what}.ins")
    wake_up_ins = _bytes(fields.find(found, "wake_up_ins"), f"{what}.wake_up_ins")
    return IssuedInstruction(
        dp_id=_dp_id(fields.find(found, "dp_id"), what),
        distribute=fields.boolean(
            fields.find(found, "distribute", "distributed"), f"{what}.distribute"
        ),
        ins=None if ins is None else Secret(ins),
        wake_up_ins=None if wake_up_ins is None else Secret(wake_up_ins),
        peripheral=_peripheral(fields.find(found, "dev_unlock_id"), wake_up_ins or ins),
    )


def _dp_id(value: object, what: str) -> int:
    dp_id = fields.number(value, f"{what}.dp_id")
    if not 0 <= dp_id <= 0xFF:
        raise BadAnswer(f"{what}.dp_id is not a datapoint's number")
    return dp_id


def _bytes(value: object, what: str) -> bytes | None:
    return None if value in (None, "") else fields.hexadecimal(value, what)


def _peripheral(dev_unlock_id: object, datapoint: bytes | None) -> int | None:
    """The lock's id: by itself (documented as something else), or from the whole datapoint."""
    if isinstance(dev_unlock_id, str) and len(dev_unlock_id) == 4:
        return int.from_bytes(fields.hexadecimal(dev_unlock_id, "dev_unlock_id"), "big")
    if datapoint is not None and len(datapoint) == _WHOLE_CHECK_CODE:
        return int.from_bytes(datapoint[_PERIPHERAL], "big")
    return None


def _object(result: object, what: str) -> Any:
    if result == []:
        # What the vendor's helpers make of every failure, its code thrown away.
        raise UnknownCloudError(f"{what} failed, and the layer in between dropped the reason")
    return fields.mapping(result, f"the result of {what}")
