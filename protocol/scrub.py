"""Takes every secret out of the data of a frame and keeps its shape.

What is known to hold no secret stays as it is. What is known to hold one is rewritten with
test values. What is not known goes, unless it was asked for (reference: safety G1, G2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, cast

from .commands import (
    CommandCode,
    DeviceInfoRequest,
    DpWrite,
    DpWriteV4,
    Opaque,
    Sender,
    Status,
    read_payload,
)
from .credential_list import OldSyncReply, OldSyncRequest, SyncRequest, read_sync
from .credentials import (
    CredentialAdd,
    CredentialDelete,
    CredentialDeleted,
    CredentialModified,
    CredentialModify,
    CredentialProgress,
    TemporaryPasswordAdd,
    TemporaryPasswordModify,
    TemporaryPasswordReply,
)
from .datapoint import Datapoint, DpType
from .device_info import AUTH_SIZE, MAC_AT, MAC_SIZE, VIRTUAL_ID_AT, VIRTUAL_ID_SIZE, DeviceInfo
from .dpmap import DpMap, DpName
from .errors import PayloadError, SealError
from .frame import Frame
from .keys import SRAND_SIZE, Secret, pack_uuid, unpack_uuid
from .lock import (
    AccessoryReply,
    AccessorySet,
    CheckCodeReply,
    CheckCodeSet,
    OpenRequest,
    RemoteKeyCheckedReply,
    RemoteKeySet,
    RemoteKeySetChecked,
    RemoteOpen,
    RemoteReply,
)
from .pairing import PairRequest
from .records import OfflineT0, RecordTrigger
from .reports import Report, ReportAck
from .substitutes import Sensitive, Substitutes

_Read = Callable[[bytes], object]


def _offline_record(raw: bytes) -> Secret:
    if len(raw) != 16:
        raise PayloadError(f"an offline password is recorded in 16 bytes, not {len(raw)}")
    return Secret(raw)


def _methods(raw: bytes) -> SyncRequest:
    if len(raw) > 8:
        raise PayloadError(f"{len(raw)} bytes, where credential methods are expected")
    return SyncRequest.from_bytes(raw)


# Generic firmware sends a request back as its report, so either shape may come from either side.
# Openings are read as requests: a reply has its ids the other way round and its result where
# the info is, which makes no difference here.
_OPENING: tuple[_Read, ...] = (OpenRequest.from_bytes,)
_OFFLINE: tuple[_Read, ...] = (_offline_record,)
_WITH_SECRETS: Mapping[DpName, tuple[_Read, ...]] = {
    DpName.ADD_CREDENTIAL: (CredentialProgress.from_bytes, CredentialAdd.from_bytes),
    DpName.MODIFY_CREDENTIAL: (CredentialModified.from_bytes, CredentialModify.from_bytes),
    DpName.ADD_TEMPORARY_PASSWORD: (
        TemporaryPasswordReply.from_bytes,
        TemporaryPasswordAdd.from_bytes,
    ),
    DpName.MODIFY_TEMPORARY_PASSWORD: (
        TemporaryPasswordReply.from_bytes,
        TemporaryPasswordModify.from_bytes,
    ),
    DpName.SET_REMOTE_KEY: (RemoteKeySet.from_bytes, RemoteReply.from_bytes),
    DpName.REMOTE_OPEN: (RemoteOpen.from_bytes, RemoteReply.from_bytes),
    DpName.OFFLINE_T0: (OfflineT0.from_bytes,),
    DpName.RECORD_OFFLINE_CLEARED_ONE: _OFFLINE,
    DpName.RECORD_OFFLINE_CLEARED_ALL: _OFFLINE,
    DpName.RECORD_OFFLINE_PASSWORD: _OFFLINE,
    DpName.GET_RECORDS: (RecordTrigger.from_bytes,),
    DpName.CHECK_CODE: (CheckCodeSet.from_bytes, CheckCodeReply.from_bytes),
    DpName.OPEN_CHECKED: _OPENING,
    DpName.OPEN_RECORD: _OPENING,
    DpName.SET_REMOTE_KEY_CHECKED: (
        RemoteKeySetChecked.from_bytes,
        RemoteKeyCheckedReply.from_bytes,
    ),
}
SECRET_DATAPOINTS = frozenset(_WITH_SECRETS)
"""Datapoints that carry a secret in one of their shapes."""
_SHAPES: Mapping[DpName, tuple[_Read, ...]] = {
    **_WITH_SECRETS,
    DpName.DELETE_CREDENTIAL: (CredentialDelete.from_bytes, CredentialDeleted.from_bytes),
    DpName.SYNC: (read_sync, _methods),
    DpName.SYNC_OLD: (OldSyncRequest.from_bytes, OldSyncReply.from_bytes),
}
_PASSED_THROUGH: tuple[_Read, ...] = (
    RecordTrigger.from_bytes,
    AccessorySet.from_bytes,
    AccessoryReply.from_bytes,
)
# By the names that the fields of the payloads have.
_FIELDS = {
    "central": Sensitive.CENTRAL,
    "peripheral": Sensitive.CENTRAL,
    "new_central": Sensitive.CENTRAL,
    "code": Sensitive.CHECK_CODE,
    "new_code": Sensitive.CHECK_CODE,
    "key": Sensitive.REMOTE_KEY,
    "login_key": Sensitive.ACCESSORY_KEY,
    "device_id": Sensitive.UUID,
    "info": Sensitive.METHOD_INFO,
}
_ANY_NUMBER = 4
"""Bytes of the longest number, as which data without a secret are kept whatever their type."""
_FLAG = 1
"""The same for a datapoint that can carry a secret."""


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """Data without secrets, and the reason for each datapoint that went."""

    data: bytes
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scrubber:
    """Rewrites payloads; every method raises ``PayloadError`` for what must not be shared."""

    values: Substitutes
    dpmap: DpMap
    keep_unknown: bool

    def frame(
        self, sender: Sender, frame: Frame, register_key: Callable[[], bytes | None]
    ) -> Scrubbed:
        """The data of a frame.

        Args:
            sender: who sent it.
            frame: as it was read.
            register_key: gives the one of the copy, None if its auth key is not known.
        """
        try:
            payload = read_payload(sender, frame.code, frame.data)
        except PayloadError:
            if self.keep_unknown:
                return Scrubbed(frame.data)
            raise
        match payload:
            case Report() | DpWrite() | DpWriteV4():
                kept, dropped = self.datapoints(payload.datapoints)
                return Scrubbed(replace(payload, datapoints=kept).to_bytes(), dropped)
            case DeviceInfo():
                return Scrubbed(self._device_info(payload.raw, register_key))
            case PairRequest():
                return Scrubbed(self._pair_request(payload))
            case Status() | ReportAck():  # locks ignore what follows the status
                return Scrubbed(payload.to_bytes().ljust(len(frame.data), b"\0"))
            case DeviceInfoRequest():
                return Scrubbed(frame.data[:2].ljust(len(frame.data), b"\0"))
            case Opaque():
                return Scrubbed(self._opaque(frame.code, frame.data))
            case _:
                return Scrubbed(frame.data)

    def datapoints(
        self, found: tuple[Datapoint, ...]
    ) -> tuple[tuple[Datapoint, ...], tuple[str, ...]]:
        """Those that can be kept, rewritten, and why the others cannot."""
        kept: list[Datapoint] = []
        dropped: list[str] = []
        for datapoint in found:
            try:
                kept.append(self._datapoint(datapoint))
            except PayloadError as error:
                dropped.append(str(error))
        if dropped and not kept:
            raise PayloadError("; ".join(dropped))
        return tuple(kept), tuple(dropped)

    def passed_through(self, data: bytes) -> bytes:
        """Data of command 0x0023."""
        value = _read_any(_PASSED_THROUGH, data)
        if value is not None:
            return self._rewrite(value, data)
        if self.keep_unknown:
            return data
        raise PayloadError(f"{len(data)} bytes passed through, a shape that is not known")

    # -- commands

    def _opaque(self, code: int, data: bytes) -> bytes:
        if code == CommandCode.PASSTHROUGH:
            return self.passed_through(data)
        if self.keep_unknown or (code in set(CommandCode) and not data):
            return data
        raise PayloadError(f"command {code:#06x} with {len(data)} bytes is not known")

    def _pair_request(self, request: PairRequest) -> bytes:
        values = self.values

        def optional(what: Sensitive, secret: Secret | None) -> Secret | None:
            return None if secret is None else values.secret(what, secret)

        # The local key first: the login key is its beginning.
        local_key = optional(Sensitive.LOCAL_KEY, request.local_key)
        return PairRequest(
            uuid16=self._uuid16(request.uuid16),
            login_key=values.secret(Sensitive.LOGIN_KEY, request.login_key),
            virtual_id22=self._padded_id(request.virtual_id22),
            beacon_key=optional(Sensitive.BEACON_KEY, request.beacon_key),
            local_key=local_key,
            sec_key=optional(Sensitive.SEC_KEY, request.sec_key),
        ).to_bytes()

    def _uuid16(self, raw: bytes) -> bytes:
        try:
            uuid = unpack_uuid(raw)
        except SealError:
            return self.values.of(Sensitive.UUID, raw)
        self.values.also(Sensitive.UUID, raw)
        return pack_uuid(self.values.of(Sensitive.UUID, uuid.encode()).decode())

    def _padded_id(self, raw: bytes) -> bytes:
        device_id = raw.rstrip(b"\0")
        return self.values.of(Sensitive.DEVICE_ID, device_id).ljust(len(raw), b"\0")

    def _device_info(self, raw: bytes, register_key: Callable[[], bytes | None]) -> bytes:
        values = self.values
        new = bytearray(raw)
        new[6:12] = values.of(Sensitive.SRAND, raw[6 : 6 + SRAND_SIZE])
        new[14:46] = self._auth(raw[14 : 14 + AUTH_SIZE], register_key)
        virtual_id = slice(VIRTUAL_ID_AT, VIRTUAL_ID_AT + VIRTUAL_ID_SIZE)
        new[virtual_id] = self._padded_id(raw[virtual_id])
        mac = slice(MAC_AT, MAC_AT + MAC_SIZE)
        new[mac] = values.of(Sensitive.MAC, raw[mac])
        tail = MAC_AT + MAC_SIZE
        new[tail:] = self._device_info_tail(raw[tail:])
        return bytes(new)

    def _auth(self, raw: bytes, register_key: Callable[[], bytes | None]) -> bytes:
        register, rest = raw[:16], raw[16:]
        if any(rest):
            return self.values.of(Sensitive.AUTH_KEY, raw)
        if not any(register):
            return raw
        new = register_key()
        if new is None:
            new = self.values.of(Sensitive.REGISTER_KEY, register)
        self.values.also(Sensitive.REGISTER_KEY, register)
        return new + rest

    def _device_info_tail(self, raw: bytes) -> bytes:
        """Four fields, each behind its length: firmware key, Zigbee MAC, versions, packet size.

        Four bytes after them are settings (captures ``secv2-*``). Anything longer, and a field
        that is cut off, becomes zeros.
        """
        new = b""
        for what in (Sensitive.FIRMWARE_KEY, Sensitive.MAC, None, None):
            size = raw[len(new)] if len(new) < len(raw) else 0
            part = raw[len(new) + 1 :][:size]
            if len(new) == len(raw) or len(part) < size:
                return new.ljust(len(raw), b"\0")
            new += bytes((size,)) + (part if what is None else self.values.of(what, part))
        rest = raw[len(new) :]
        return new + (rest if len(rest) <= _ANY_NUMBER else bytes(len(rest)))

    # -- datapoints

    def _datapoint(self, datapoint: Datapoint) -> Datapoint:
        name = self.dpmap.name(datapoint.id)
        if name is not None:
            return replace(datapoint, data=self._known(name, datapoint))
        if not self.keep_unknown:
            raise PayloadError(f"datapoint {datapoint.id} is not known")
        if datapoint.type == DpType.STRING:
            return replace(datapoint, data=self.values.of(Sensitive.TEXT, datapoint.data))
        return datapoint

    def _known(self, name: DpName, datapoint: Datapoint) -> bytes:
        data = datapoint.data
        is_text = datapoint.type == DpType.STRING
        if is_text and name is not DpName.OFFLINE_T0:
            return self.values.of(Sensitive.TEXT, data)
        value = _read_any(_SHAPES.get(name, ()), data)
        if value is not None:
            return self._rewrite(value, data)
        if is_text:
            return self.values.of(Sensitive.TEXT, data)
        secret = name in SECRET_DATAPOINTS
        if len(data) <= (_FLAG if secret else _ANY_NUMBER) or (self.keep_unknown and not secret):
            return data
        raise PayloadError(f"datapoint {datapoint.id} ({name}): {len(data)} bytes, no known shape")

    def _rewrite(self, value: object, data: bytes) -> bytes:
        """The bytes of a payload that was read from ``data``."""
        match value:
            case CredentialAdd() | TemporaryPasswordAdd() | TemporaryPasswordModify():
                # The digits are the end. Spliced, because bad ones are read but never written.
                digits = value.grant.digits.reveal()
                return data[: len(data) - len(digits)] + self.values.of(Sensitive.PIN, digits)
            case OfflineT0():
                return self.values.of(Sensitive.OFFLINE_T0, data)
            case Secret():
                return self.values.secret(Sensitive.OFFLINE_RECORD, value).reveal()
        payload = cast("Any", value)  # every other reader gives a dataclass with to_bytes()
        changes = {
            one.name: self._field(_FIELDS[one.name], getattr(payload, one.name))
            for one in fields(payload)
            if one.name in _FIELDS
        }
        return bytes(replace(payload, **changes).to_bytes()) if changes else data

    def _field(self, what: Sensitive, value: int | bytes | Secret) -> int | bytes | Secret:
        match value:
            case int():
                return int.from_bytes(self.values.of(what, value.to_bytes(2, "big")), "big")
            case Secret():
                return self.values.secret(what, value)
            case _ if what is Sensitive.UUID:
                return self._uuid16(value)
            case _:
                # One byte is a member, or a result.
                return value if len(value) <= 1 else self.values.of(what, value)


def _read_any(shapes: tuple[_Read, ...], data: bytes) -> object | None:
    """The first shape that fits."""
    for read in shapes:
        try:
            return read(data)
        except PayloadError:
            continue
    return None
