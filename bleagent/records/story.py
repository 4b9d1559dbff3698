"""What a record means for a person: who opened and how, or what the lock is alarmed about. Pure.

Nothing here refuses a record: what nobody knows is called by its numbers (safety H1). Of raw
records nothing is shown but the fields named here; codes and passwords travel in them (G1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from protocol import RemoteProtocolError
from protocol.credentials import TemporaryPasswordReply, TemporaryResult
from protocol.lock import OpenOperation, OpenRecord
from protocol.records import Alarm, DoorContact, RecordKind

from .record import StoredRecord

APP_CENTRAL = 0xFFFF
"""Phone, gateway and cloud; any other central is an accessory (reference: protocol §6.6)."""


class Category(StrEnum):
    """What sort of thing a record tells of."""

    OPENING = "opening"
    ALARM = "alarm"
    HOUSEKEEPING = "housekeeping"  # the door contact, a cleared password, a locking
    UNKNOWN = "unknown"  # kept, but nobody here knows what it says


class Severity(StrEnum):
    """How much an alarm asks of a person."""

    NOTE = "note"
    WARNING = "warning"  # somebody should look after it
    CRITICAL = "critical"  # now


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What one record says.

    ``title`` is a few words without a name; ``who`` is the person, where somebody knows one.
    ``severity`` is None for whatever is no alarm.
    """

    category: Category
    title: str
    who: str | None = None
    severity: Severity | None = None

    @property
    def sentence(self) -> str:
        """Title and name."""
        return self.title if self.who is None else f"{self.title} ({self.who})"


def story_of(record: StoredRecord, name: str | None = None, *, duress: bool = False) -> Story:
    """What a record means; never refuses one.

    ``name`` is the person behind its number, if somebody knows. ``duress``: the cloud's list says
    that this credential is there to call for help.
    """
    who = name or None
    if duress and record.kind in _BY:
        title = f"opened under duress {_BY[record.kind](record.value)}"
        return _story(Category.ALARM, title, who, Severity.CRITICAL)
    match record.kind:
        case RecordKind.ALARM:
            return _alarm(record.value, who)
        case RecordKind.HIJACK:
            # Its value is that of the credential that was used under threat.
            title = "alarm: duress" + _with(", credential", record.value)
            return _story(Category.ALARM, title, who, Severity.CRITICAL)
        case RecordKind.OPENED:
            return _general(record, who)
        case RecordKind.DOOR:
            return _story(Category.HOUSEKEEPING, _door(record.value), who)
        case RecordKind.OFFLINE_CLEARED_ONE:
            return _story(Category.HOUSEKEEPING, "one offline password cleared", who)
        case RecordKind.OFFLINE_CLEARED_ALL:
            return _story(Category.HOUSEKEEPING, "all offline passwords cleared", who)
        case RecordKind.CREDENTIALS:
            return _story(Category.HOUSEKEEPING, "the lock's list of credentials", who)
        case kind if kind in _ASKED_FOR:
            return _story(Category.HOUSEKEEPING, _temporary_password(record), who)
        case kind if kind in _BY:
            return _story(Category.OPENING, f"opened {_BY[kind](record.value)}", who)
        case _:
            title = f"datapoint {record.dp}" + _with(":", record.value)
            return _story(Category.UNKNOWN, title, who)


def _story(
    category: Category, title: str, who: str | None, severity: Severity | None = None
) -> Story:
    return Story(category=category, title=title, who=who, severity=severity)


# -- openings


def _with(words: str, value: int | None) -> str:
    return "" if value is None else f"{words} {value}"


def _credential(words: str) -> Callable[[int | None], str]:
    """The value is the number of a credential (hardid)."""
    return lambda value: f"by {words}" + _with("", value)


def _member(words: str) -> Callable[[int | None], str]:
    """The value is a member's id."""
    return lambda value: words + _with(", member", value)


def _key(value: int | None) -> str:
    # A plain key has no number, which locks write as 0.
    return "by mechanical key" + _with("", value or None)


_BY: Mapping[RecordKind, Callable[[int | None], str]] = {
    RecordKind.FINGERPRINT: _credential("fingerprint"),
    RecordKind.PASSWORD: _credential("password"),
    RecordKind.DYNAMIC_PASSWORD: _credential("dynamic password"),
    RecordKind.TEMPORARY_PASSWORD: _credential("temporary password"),
    RecordKind.CARD: _credential("card"),
    RecordKind.FACE: _credential("face"),
    RecordKind.EYE: _credential("eye"),
    RecordKind.PALM: _credential("palm"),
    RecordKind.FINGER_VEIN: _credential("finger vein"),
    RecordKind.MECHANICAL_KEY: _key,
    RecordKind.BLUETOOTH: _member("by Bluetooth"),
    RecordKind.REMOTE: _member("remotely"),
    RecordKind.REMOTE_PHONE: _member("remotely by phone"),
    RecordKind.REMOTE_VOICE: _member("remotely by voice"),
    # Its switch is 0 in every recording, and says nothing.
    RecordKind.FROM_INSIDE: lambda _: "from inside",
    # Which methods a number stands for, no document tells.
    RecordKind.COMBINED: lambda value: "by two methods together" + _with(", combination", value),
    RecordKind.OFFLINE_PASSWORD: lambda _: "by offline password",
}


def _general(record: StoredRecord, who: str | None) -> Story:
    """Datapoint 72: an opening (or closing) over Bluetooth by another method than a member's."""
    try:
        said = OpenRecord.from_bytes(record.data.reveal())
    except RemoteProtocolError:
        return _story(Category.UNKNOWN, "opening not of its form", who)
    by = "by Bluetooth" if said.central == APP_CENTRAL else f"by accessory {said.central}"
    how = f", method {said.method}" if said.member is None else f", member {said.member}"
    match said.operation:
        case OpenOperation.OPEN:
            return _story(Category.OPENING, f"opened {by}{how}", who)
        case OpenOperation.CLOSE:
            return _story(Category.HOUSEKEEPING, f"asked to lock {by}{how}", who)
        case other:
            return _story(Category.UNKNOWN, f"operation {other} {by}{how}", who)


# -- the rest


def _alarm(value: int | None, who: str | None) -> Story:
    if value is None:
        words, severity = "not of its form", Severity.WARNING
    else:
        words, severity = _ALARMS.get(value, (f"number {value}", Severity.WARNING))
    return _story(Category.ALARM, f"alarm: {words}", who, severity)


_ALARMS: Mapping[int, tuple[str, Severity]] = {
    Alarm.FINGERPRINT: ("wrong fingerprint", Severity.WARNING),
    Alarm.PASSWORD: ("wrong password", Severity.WARNING),
    Alarm.CARD: ("wrong card", Severity.WARNING),
    Alarm.FACE: ("wrong face", Severity.WARNING),
    Alarm.FALSE_LOCK: ("not locked properly", Severity.WARNING),
    Alarm.HOT: ("too hot", Severity.CRITICAL),
    Alarm.LEFT_OPEN: ("left open", Severity.WARNING),
    Alarm.TONGUE_NOT_OUT: ("bolt did not come out", Severity.WARNING),
    Alarm.PRIED: ("pried at (tamper)", Severity.CRITICAL),
    Alarm.KEY_LEFT_IN: ("key left in", Severity.WARNING),
    Alarm.LOW_BATTERY: ("low battery", Severity.WARNING),
    Alarm.POWER_OFF: ("power off", Severity.CRITICAL),
    Alarm.SHOCK: ("shock", Severity.CRITICAL),
    Alarm.ARMED: ("armed", Severity.NOTE),
}


_ASKED_FOR: Mapping[RecordKind, str] = {
    RecordKind.ADD_TEMPORARY_PASSWORD: "added",
    RecordKind.DELETE_TEMPORARY_PASSWORD: "deleted",
    RecordKind.MODIFY_TEMPORARY_PASSWORD: "changed",
}


def _temporary_password(record: StoredRecord) -> str:
    """The lock's number of it and whether it did as it was asked; no digits are in it."""
    done = _ASKED_FOR[record.kind]
    try:
        said = TemporaryPasswordReply.from_bytes(record.data.reveal())
    except RemoteProtocolError:
        return f"temporary password {done}, not of its form"
    if said.result == TemporaryResult.OK:
        return f"temporary password {said.hardid} {done}"
    number = "" if record.kind is RecordKind.ADD_TEMPORARY_PASSWORD else f" {said.hardid}"
    return f"temporary password{number} not {done}, result {said.result}"


def _door(value: int | None) -> str:
    """By the values of the datapoint that took this one's place."""
    match value:
        case DoorContact.OPEN:
            return "door open"
        case DoorContact.CLOSED:
            return "door closed"
        case DoorContact.UNKNOWN | None:
            return "door contact unknown"
        case _:
            return f"door contact {value}"
