"""The lock application: check code, opening, remote keys, accessories.

Central is who sends, peripheral is the lock; each has a 2-byte id. Requests carry the
central's id first, replies and records the peripheral's. A *check code* is the 8 bytes
(in practice ASCII digits) that a central shares with the lock.

Operations, methods and results are plain integers here, because a lock may send values that
no document names; compare them with the enumerations.

Source: reference protocol §6.5, §6.6 and §9, checked against every recording of protocol 3.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import ClassVar, Self

from .keys import Secret
from .wire import Packed, Reader

APP_CENTRAL = 0xFFFF
"""Central id of phone, gateway and cloud; remote controls and keypads have others."""

NO_CODE = Secret(bytes(8))
"""Stands for the current check code while the lock has none."""


# -- check code


class CheckCodeOperation(IntEnum):
    """Byte 12 of ``CheckCodeSet``."""

    ADD = 0  # or replace
    DELETE = 1


class CheckCodeResult(IntEnum):
    """Last byte of ``CheckCodeReply``; the lock checks in this order."""

    OK = 0
    NOT_THE_APP = 2  # the sending central is not FFFF
    WRONG_PERIPHERAL = 3
    WRONG_CODE = 4  # also: all zero although the lock has a code already
    BAD_OPERATION = 5
    FULL = 6  # ten centrals
    NOT_FOUND = 7  # nothing to delete


@dataclass(frozen=True, slots=True)
class CheckCodeSet(Packed):
    """Set, replace or delete a central's check code; any other length is never answered.

    ``code`` is the sender's current one (``NO_CODE`` the first time, which also teaches the
    lock its own ``peripheral`` id). What ``wake_up_ins`` of the cloud contains.
    """

    STRUCT: ClassVar[Struct] = Struct(">HH8sBH8s")

    central: int
    peripheral: int
    code: Secret
    operation: int
    new_central: int
    new_code: Secret


@dataclass(frozen=True, slots=True)
class CheckCodeReply(Packed):
    """The lock's word about a ``CheckCodeSet``; everything but the result is an echo."""

    STRUCT: ClassVar[Struct] = Struct(">HH8sBHB")

    peripheral: int
    central: int
    code: Secret
    operation: int
    new_central: int
    result: int


# -- opening with a check code


class OpenOperation(IntEnum):
    """Byte 12 of ``OpenRequest``."""

    CLOSE = 0  # the lock application 3.3 answers and does nothing
    OPEN = 1


class OpenResult(IntEnum):
    """Last byte of ``OpenReply`` to an opening."""

    OK = 0
    MOTOR_FAILED = 1
    UNKNOWN_CENTRAL = 2
    WRONG_PERIPHERAL = 3
    WRONG_CODE = 4
    BAD_OPERATION = 5


METHOD_MEMBER = 0
"""Opening method whose info is a member id; any other one is copied into the record as it is."""


@dataclass(frozen=True, slots=True)
class _Opening:
    """The fields of request and record, which differ in whose id comes first."""

    central: int
    peripheral: int
    code: Secret
    operation: int
    timestamp: int
    method: int
    info: bytes

    @property
    def member(self) -> int | None:
        """The member who opens; None under another method or without info."""
        return self.info[0] if self.method == METHOD_MEMBER and self.info else None

    @classmethod
    def _read_record(cls, raw: bytes) -> Self:
        reader = Reader(raw, cls.__name__)
        peripheral, central, code = reader.number(2), reader.number(2), Secret(reader.take(8))
        operation, timestamp, method = reader.number(1), reader.number(4), reader.number(1)
        return cls(central, peripheral, code, operation, timestamp, method, reader.rest())

    def _record(self) -> bytes:
        # 18 bytes are those of a reply, without its result.
        head = OpenReply(
            peripheral=self.peripheral,
            central=self.central,
            code=self.code,
            operation=self.operation,
            timestamp=self.timestamp,
            method=self.method,
            result=OpenResult.OK,
        )
        return head.to_bytes()[:-1] + self.info


@dataclass(frozen=True, slots=True)
class OpenRequest(_Opening):
    """Open or close. 18 bytes and the method's info (method 0: one byte, the member id).

    ======  ====  ==========  ============================================
    offset  size  field       meaning
    ======  ====  ==========  ============================================
    0       2     central     FFFF for phone, gateway and cloud
    2       2     peripheral  the lock's id
    4       8     code        check code of that central
    12      1     operation   OpenOperation
    13      4     timestamp   unix seconds; echoed, not verified
    17      1     method      0 = by Bluetooth, with a member id
    18      n     info        of the method
    ======  ====  ==========  ============================================
    """

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read 18 bytes or more.

        Raises:
            PayloadError: shorter.
        """
        return cls._read_record(_ids_swapped(raw))

    def to_bytes(self) -> bytes:
        """Write it.

        Raises:
            LocalProtocolError: a value that does not fit its field.
        """
        return _ids_swapped(self._record())


@dataclass(frozen=True, slots=True)
class OpenRecord(_Opening):
    """Record of an opening by another method than 0: the request with its ids swapped."""

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read 18 bytes or more.

        Raises:
            PayloadError: shorter.
        """
        return cls._read_record(raw)

    def to_bytes(self) -> bytes:
        """Write it.

        Raises:
            LocalProtocolError: a value that does not fit its field.
        """
        return self._record()


def _ids_swapped(raw: bytes) -> bytes:
    return raw[2:4] + raw[:2] + raw[4:]


@dataclass(frozen=True, slots=True)
class OpenReply(Packed):
    """The lock's word about an ``OpenRequest``; everything but the result is an echo.

    It comes as the datapoint that was written or, for a method other than 0, as
    ``open_record``. After a close the result is an echo too and means nothing.
    """

    STRUCT: ClassVar[Struct] = Struct(">HH8sBIBB")

    peripheral: int
    central: int
    code: Secret
    operation: int
    timestamp: int
    method: int
    result: int


# -- opening without a check code, by member id (datapoint ``open_old``)


@dataclass(frozen=True, slots=True)
class OldOpen(Packed):
    """``open`` 1 opens, 0 does nothing."""

    STRUCT: ClassVar[Struct] = Struct(">BB")

    open: int
    member: int


@dataclass(frozen=True, slots=True)
class OldOpenReply(Packed):
    """``result`` 1 is opened, 0 failed: the other way round than everywhere else."""

    STRUCT: ClassVar[Struct] = Struct(">BB")

    result: int
    member: int


# -- remote keys


class RemoteKeyResult(IntEnum):
    """Result of setting a remote key; 2 to 4 only with ids and check code."""

    OK = 0
    FAILED = 1
    UNKNOWN_CENTRAL = 2
    WRONG_PERIPHERAL = 3  # also: no check code has been set yet
    WRONG_CODE = 4


class RemoteOpenSource(IntEnum):
    """Last byte of ``RemoteOpen``; a value of neither opens too and leaves no record."""

    PHONE = 1
    VOICE = 2


class RemoteOpenResult(IntEnum):
    """First byte of ``RemoteReply`` to an opening."""

    OK = 0
    FAILED = 1
    NO_KEY = 2
    USED_UP = 3
    OUT_OF_TIME = 4
    WRONG_KEY = 5


@dataclass(frozen=True, slots=True)
class RemoteKeySet(Packed):
    """Give a member a remote key. ``begin`` and ``end`` in unix seconds, ``valid`` 0 or 1."""

    STRUCT: ClassVar[Struct] = Struct(">BHIIH8s")

    valid: int
    member: int
    begin: int
    end: int
    count: int
    key: Secret


@dataclass(frozen=True, slots=True)
class RemoteOpen(Packed):
    """Open with a remote key. The lock does not look at ``operation``: 0 opens too."""

    STRUCT: ClassVar[Struct] = Struct(">BH8sB")

    operation: int
    member: int
    key: Secret
    source: int


@dataclass(frozen=True, slots=True)
class RemoteReply(Packed):
    """Answer to ``RemoteKeySet`` (a RemoteKeyResult) and ``RemoteOpen`` (a RemoteOpenResult)."""

    STRUCT: ClassVar[Struct] = Struct(">BH")

    result: int
    member: int


@dataclass(frozen=True, slots=True)
class RemoteKeySetChecked(Packed):
    """``RemoteKeySet`` behind ids and check code: 12 + 21 bytes."""

    STRUCT: ClassVar[Struct] = Struct(">HH8sBHIIH8s")

    central: int
    peripheral: int
    code: Secret
    valid: int
    member: int
    begin: int
    end: int
    count: int
    key: Secret


@dataclass(frozen=True, slots=True)
class RemoteKeyCheckedReply(Packed):
    """Answer to ``RemoteKeySetChecked``; everything but the result is an echo."""

    STRUCT: ClassVar[Struct] = Struct(">HH8sBHB")

    peripheral: int
    central: int
    code: Secret
    valid: int
    member: int
    result: int


# -- pairing an accessory with a lock (command 0x0023 to the accessory)


class AccessoryResult(IntEnum):
    """Last byte of ``AccessoryReply``; what 2 means is not documented."""

    OK = 0
    REFUSED = 2
    FULL = 3
    NOT_FOUND = 7


@dataclass(frozen=True, slots=True)
class AccessorySet(Packed):
    """Tell a remote control or keypad which lock it opens, and with which check code.

    ``login_key`` is sealed: AES-CBC under the accessory's own login key, IV zero.
    """

    STRUCT: ClassVar[Struct] = Struct(">BH8sH16s16s")

    operation: int  # CheckCodeOperation
    central: int
    code: Secret
    peripheral: int
    device_id: bytes
    login_key: Secret


@dataclass(frozen=True, slots=True)
class AccessoryReply(Packed):
    """The accessory's answer."""

    STRUCT: ClassVar[Struct] = Struct(">BH8sHB")

    operation: int
    central: int
    code: Secret
    peripheral: int
    result: int
