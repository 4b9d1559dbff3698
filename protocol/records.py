"""What a lock reports: its state, and the events it records.

Source: reference protocol §6.1, §6.2, §6.7 and §9, checked against every recording of
protocol 3.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from struct import Struct
from typing import ClassVar, NamedTuple, Self

from .datapoint import Datapoint, DpType
from .dpmap import DpMap, DpName
from .errors import LocalProtocolError, PayloadError
from .keys import Secret
from .wire import Packed

# -- recorded events


class RecordKind(StrEnum):
    """What happened. Stored and shown under these names."""

    FINGERPRINT = "fingerprint"
    PASSWORD = "password"
    DYNAMIC_PASSWORD = "dynamic_password"
    CARD = "card"
    MECHANICAL_KEY = "mechanical_key"
    DOOR = "door"
    FROM_INSIDE = "from_inside"
    BLUETOOTH = "bluetooth"
    FACE = "face"
    EYE = "eye"
    PALM = "palm"
    FINGER_VEIN = "finger_vein"
    TEMPORARY_PASSWORD = "temporary_password"
    COMBINED = "combined"
    REMOTE = "remote"
    REMOTE_PHONE = "remote_phone"
    REMOTE_VOICE = "remote_voice"
    OFFLINE_PASSWORD = "offline_password"
    OFFLINE_CLEARED_ONE = "offline_cleared_one"
    OFFLINE_CLEARED_ALL = "offline_cleared_all"
    OPENED = "opened"  # the general record: an ``OpenRecord``
    ALARM = "alarm"
    HIJACK = "hijack"
    CREDENTIALS = "credentials"  # a page or the end of the list of who may open; asked for
    ADD_TEMPORARY_PASSWORD = "add_temporary_password"  # these three: what came of being asked
    DELETE_TEMPORARY_PASSWORD = "delete_temporary_password"
    MODIFY_TEMPORARY_PASSWORD = "modify_temporary_password"
    UNKNOWN = "unknown"  # reported with a time, but this lock's map has no such record


class Alarm(IntEnum):
    """Value of an alarm."""

    FINGERPRINT = 0
    PASSWORD = 1
    CARD = 2
    FACE = 3
    FALSE_LOCK = 4  # bad tongue
    HOT = 5
    LEFT_OPEN = 6
    TONGUE_NOT_OUT = 7
    PRIED = 8
    KEY_LEFT_IN = 9
    LOW_BATTERY = 10
    POWER_OFF = 11
    SHOCK = 12
    ARMED = 13  # the document only


class _Form(NamedTuple):
    """How a record looks on the wire; RAW has no value."""

    name: DpName
    type: DpType = DpType.VALUE
    swapped: bool = False


_FORMS = {
    RecordKind.FINGERPRINT: _Form(DpName.RECORD_FINGERPRINT),
    RecordKind.PASSWORD: _Form(DpName.RECORD_PASSWORD),
    RecordKind.DYNAMIC_PASSWORD: _Form(DpName.RECORD_DYNAMIC_PASSWORD),
    RecordKind.CARD: _Form(DpName.RECORD_CARD),
    RecordKind.MECHANICAL_KEY: _Form(DpName.RECORD_MECHANICAL_KEY),
    RecordKind.DOOR: _Form(DpName.RECORD_DOOR),
    RecordKind.FROM_INSIDE: _Form(DpName.RECORD_FROM_INSIDE, DpType.BOOL),
    RecordKind.BLUETOOTH: _Form(DpName.RECORD_BLUETOOTH),
    RecordKind.FACE: _Form(DpName.RECORD_FACE),
    RecordKind.EYE: _Form(DpName.RECORD_EYE),
    RecordKind.PALM: _Form(DpName.RECORD_PALM),
    RecordKind.FINGER_VEIN: _Form(DpName.RECORD_FINGER_VEIN),
    RecordKind.TEMPORARY_PASSWORD: _Form(DpName.RECORD_TEMPORARY_PASSWORD),
    RecordKind.COMBINED: _Form(DpName.RECORD_COMBINED, DpType.ENUM),
    RecordKind.REMOTE: _Form(DpName.RECORD_REMOTE),
    RecordKind.REMOTE_PHONE: _Form(DpName.RECORD_REMOTE_PHONE, swapped=True),
    RecordKind.REMOTE_VOICE: _Form(DpName.RECORD_REMOTE_VOICE, swapped=True),
    RecordKind.OFFLINE_PASSWORD: _Form(DpName.RECORD_OFFLINE_PASSWORD, DpType.RAW),
    RecordKind.OFFLINE_CLEARED_ONE: _Form(DpName.RECORD_OFFLINE_CLEARED_ONE, DpType.RAW),
    RecordKind.OFFLINE_CLEARED_ALL: _Form(DpName.RECORD_OFFLINE_CLEARED_ALL, DpType.RAW),
    RecordKind.OPENED: _Form(DpName.OPEN_RECORD, DpType.RAW),
    RecordKind.ALARM: _Form(DpName.ALARM, DpType.ENUM),
    RecordKind.HIJACK: _Form(DpName.HIJACK, DpType.ENUM),
    RecordKind.CREDENTIALS: _Form(DpName.SYNC, DpType.RAW),
    RecordKind.ADD_TEMPORARY_PASSWORD: _Form(DpName.ADD_TEMPORARY_PASSWORD, DpType.RAW),
    RecordKind.DELETE_TEMPORARY_PASSWORD: _Form(DpName.DELETE_TEMPORARY_PASSWORD, DpType.RAW),
    RecordKind.MODIFY_TEMPORARY_PASSWORD: _Form(DpName.MODIFY_TEMPORARY_PASSWORD, DpType.RAW),
}
_KINDS = {form.name: kind for kind, form in _FORMS.items()}


@dataclass(frozen=True, slots=True)
class RecordEvent:
    """One recorded event: its kind, its value if it has one, and the datapoint it came in.

    ``value`` is the hardid of the credential that opened, the member id (bluetooth, remote) or
    the ``Alarm``; None for raw records and where the data are no number.
    """

    kind: RecordKind
    value: int | None
    datapoint: Datapoint

    @classmethod
    def read(cls, datapoint: Datapoint, dpmap: DpMap) -> Self:
        """What a datapoint of a timed report says. Never refuses one.

        An unread record must still be kept: if it were dropped, the lock would either delete it
        or offer it again for ever.
        """
        name = dpmap.name(datapoint.id)
        kind = _KINDS.get(name, RecordKind.UNKNOWN) if name else RecordKind.UNKNOWN
        return cls(kind, _value(kind, datapoint), datapoint)

    @classmethod
    def of(cls, kind: RecordKind, content: int | bytes, dpmap: DpMap) -> Self:
        """The event as a lock makes it: ``content`` is the value, or the bytes of a raw record.

        Raises:
            LocalProtocolError: no such record on this lock, or not its kind of content.
        """
        if kind not in _FORMS:
            raise LocalProtocolError(f"a record of kind {kind} has no datapoint")
        form = _FORMS[kind]
        return cls.read(_datapoint(dpmap.number(form.name), form, content), dpmap)

    @property
    def raw(self) -> bytes:
        """The datapoint's bytes as they came. Those of ``opened`` have a check code in them."""
        return self.datapoint.data


def _value(kind: RecordKind, datapoint: Datapoint) -> int | None:
    form = _FORMS.get(kind)
    if form is None or form.type is DpType.RAW or not 1 <= len(datapoint.data) <= 4:
        return None
    # Members of remote records have 2 bytes, stored the other way round: 00000700 is 7.
    if form.swapped and len(datapoint.data) == 4:
        return _swapped(datapoint.as_int)
    return datapoint.as_int


def _datapoint(number: int, form: _Form, content: int | bytes) -> Datapoint:
    if isinstance(content, bytes):
        if form.type is not DpType.RAW:
            raise LocalProtocolError(f"{form.name} has a number, not bytes")
        return Datapoint.raw(number, content)
    match form.type:
        case DpType.BOOL if content in (0, 1):
            return Datapoint.boolean(number, bool(content))
        case DpType.ENUM:
            return Datapoint.enum(number, content)
        case DpType.VALUE if content >= 0:
            return Datapoint.number(number, _swapped(content) if form.swapped else content)
        case _:
            raise LocalProtocolError(f"{form.name} cannot be {content}")


def _swapped(member: int) -> int:
    """The lower two bytes exchanged; what is above them stays."""
    return member & ~0xFFFF | (member & 0xFF) << 8 | member >> 8 & 0xFF


# -- stored records


@dataclass(frozen=True, slots=True)
class RecordTrigger(Packed):
    """Asks for the stored records: body of ``GetRecords`` or the whole of command 0x0023.

    Only 0x0023 checks ids and code, and a wrong one is met with silence.
    """

    STRUCT: ClassVar[Struct] = Struct(">HH8sB")

    central: int
    peripheral: int
    code: Secret
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class GetRecords:
    """Datapoint ``get_records``: ``RecordTrigger`` by the book, but locks take any bytes.

    The body is kept as a whole and masked, for there is a check code in it.
    """

    body: Secret

    @classmethod
    def with_code(cls, trigger: RecordTrigger) -> Self:
        """The documented form."""
        return cls(Secret(trigger.to_bytes()))

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Any bytes, none at all included."""
        return cls(Secret(raw))

    def to_bytes(self) -> bytes:
        """The body as it is; the lock echoes it."""
        return self.body.reveal()

    @property
    def trigger(self) -> RecordTrigger | None:
        """The documented form, or None for any other length."""
        if len(self.body) != RecordTrigger.STRUCT.size:
            return None
        return RecordTrigger.from_bytes(self.body.reveal())


# -- plain values


@dataclass(frozen=True, slots=True)
class OfflineT0:
    """Since when the hours of offline passwords are counted: 10 ASCII digits, unix seconds."""

    seconds: int

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read the digits.

        Raises:
            PayloadError: not exactly ten ASCII digits.
        """
        if len(raw) != _T0_DIGITS or not raw.isdigit():
            raise PayloadError(f"T0 is {_T0_DIGITS} ASCII digits, not these {len(raw)} bytes")
        return cls(int(raw))

    def to_bytes(self) -> bytes:
        """Write the digits.

        Raises:
            LocalProtocolError: negative or more than ten digits.
        """
        if not 0 <= self.seconds < 10**_T0_DIGITS:
            raise LocalProtocolError(f"T0 has {_T0_DIGITS} digits, which {self.seconds} has not")
        return b"%0*d" % (_T0_DIGITS, self.seconds)


_T0_DIGITS = 10
_FULL = 100  # percent


class BatteryClass(IntEnum):
    """Datapoint ``battery_class``, read with ``Datapoint.as_int``."""

    HIGH = 0  # above 66 %
    MEDIUM = 1  # above 33 %
    LOW = 2
    EXHAUSTED = 3  # seen in the field only


class DoorContact(IntEnum):
    """Datapoint ``door``, read with ``Datapoint.as_int``.

    By the document; clouds name the values differently per product.
    """

    UNKNOWN = 0
    OPEN = 1
    CLOSED = 2


def read_battery(datapoint: Datapoint) -> int:
    """Percent.

    Raises:
        PayloadError: not a number from 0 to 100.
    """
    percent = datapoint.as_int
    if percent > _FULL:
        raise PayloadError(f"a battery has at most {_FULL} percent, not {percent}")
    return percent


def read_switch(datapoint: Datapoint) -> bool:
    """One byte 0 or 1, whatever the type byte claims: ``bolt`` (True = open), ``manual_lock``.

    Raises:
        PayloadError: anything else.
    """
    if datapoint.data not in (b"\0", b"\1"):
        raise PayloadError(f"datapoint {datapoint.id} is not one byte 0 or 1")
    return datapoint.data == b"\1"
